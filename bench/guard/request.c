/* The delivery thread's work for one request to the sink: set up, libcurl's callbacks, what came of
 * it. One request at a time on a connection that is kept.
 *
 *   guard_request COUNT URL */
#include <string.h>

#include "guard.h"
#include "http/client.h"

#define BODY_BYTES 689

typedef struct state {
  mp_client *client;
  mp_target *target;
  char body[BODY_BYTES];
} state;

static void on_done(void *owner, void *arg, const mp_result *result) {
  bool *done = arg;
  (void)owner;
  if (result->status != 200) guard_check(MP_EIO, NULL, result->error);
  *done = true;
}

GUARDED(void *arg, long count) {
  state *s = arg;
  mp_field id = {"webhook-id", "evt_0000000000000"};
  mp_request request = {.target = s->target,
                        .event = "entry.create",
                        .fields = &id,
                        .field_count = 1,
                        .body = s->body,
                        .body_len = sizeof s->body};
  mp_error err;

  for (long i = 0; i < count; i++) {
    bool done = false;
    guard_check(mp_client_start(s->client, &request, &done, &err), &err, "start");
    while (!done)
      mp_client_poll(s->client, 1000);
  }
}

int main(int argc, char **argv) {
  static state s;
  mp_client_options options = {.max_requests = 4, .response_keep = 8192, .done = on_done};
  mp_headers defaults, own;
  mp_target_options target = {.defaults = &defaults,
                              .headers = &own,
                              .timeout_ms = 15000,
                              .connect_timeout_ms = 5000,
                              .user_agent = "guard"};
  long count = guard_count(argc, argv);
  mp_netguard *guard;
  mp_error err;

  guard_check(mp_netguard_new(&guard, &err), &err, "guard");
  guard_check(mp_netguard_add(guard, MP_NETGUARD_ALLOW, "127.0.0.0/8", &err), &err, "guard");
  target.guard = guard;
  target.url = argc > 2 ? argv[2] : "";
  memset(s.body, 'x', sizeof s.body);
  mp_headers_init(&defaults);
  mp_headers_init(&own);
  guard_check(mp_headers_set(&defaults, "Authorization", "Bearer 0123456789abcdef", &err), &err,
              "headers");
  guard_check(mp_target_new(&target, &s.target, &err), &err, "target");
  guard_check(mp_client_new(&options, &s.client, &err), &err, "client");
  guarded(&s, count);
  mp_client_free(s.client);
  mp_target_free(s.target);
  mp_netguard_free(guard);
  mp_headers_free(&defaults);
  mp_headers_free(&own);
  return 0;
}
