/* The header fields of one event type for one webhook: defaults, the webhook's own over them, and
 * the two that are forced. */
#include "http/headers.h"
#include "guard.h"

typedef struct state {
  mp_headers defaults;
  mp_headers own;
} state;

static void set(mp_headers *h, const char *name, const char *value) {
  mp_error err;
  guard_check(mp_headers_set(h, name, value, &err), &err, name);
}

GUARDED(void *arg, long count) {
  state *s = arg;
  mp_error err;

  for (long i = 0; i < count; i++) {
    mp_headers out;
    mp_headers_init(&out);
    guard_check(mp_headers_merge(&s->defaults, &s->own, "entry.create", &out, &err), &err, "merge");
    mp_headers_free(&out);
  }
}

int main(int argc, char **argv) {
  state s;

  mp_headers_init(&s.defaults);
  mp_headers_init(&s.own);
  set(&s.defaults, "Authorization", "Bearer 0123456789abcdef0123456789abcdef");
  set(&s.defaults, "Custom-Header", "my-custom-header");
  set(&s.defaults, "X-Environment", "production");
  set(&s.defaults, "Content-Type", "text/plain");
  set(&s.own, "authorization", "Bearer of the webhook");
  set(&s.own, "X-Tenant", "42");
  set(&s.own, "Accept-Language", "fr, en;q=0.8");
  guarded(&s, guard_count(argc, argv));
  mp_headers_free(&s.defaults);
  mp_headers_free(&s.own);
  return 0;
}
