/* Any bytes as what a receiver answers: the client tells what came of its request once, with a
 * class and a reason or a status of success, and a Retry-After that is none of the past. The
 * receiver is this process, on the loopback. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "http/client.h"

#define KEEP 64

typedef struct fixture {
  mp_client *client;
  mp_target *target;
  int listener;
  int told;
} fixture;

static void on_done(void *owner, void *arg, const mp_result *r) {
  fixture *f = owner;
  bool ok = r->status >= 200 && r->status < 300;

  (void)arg;
  f->told++;
  must(r->error_class ? r->error[0] != '\0' : ok);
  must(!r->error_class || strcmp(r->error_class, "internal") != 0);
  must(r->response_len <= KEEP && r->retry_after_s >= 0 && r->duration_us >= 0);
  must(r->retry_after_s == 0 || r->status == 429 || r->status == 503);
}

static int listen_on_loopback(int *port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t len = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  must(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 4) == 0);
  must(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
  *port = ntohs(at.sin_port);
  return fd;
}

static fixture *set_up(void) {
  static fixture f;
  static mp_netguard *guard;
  mp_client_options options = {
      .max_requests = 4, .response_keep = KEEP, .done = on_done, .owner = &f};
  char url[64];
  mp_target_options target = {
      .url = url, .timeout_ms = 2000, .connect_timeout_ms = 2000, .user_agent = "fuzz"};
  int port;

  if (f.client) return &f;
  f.listener = listen_on_loopback(&port);
  must(fcntl(f.listener, F_SETFL, O_NONBLOCK) == 0);
  snprintf(url, sizeof url, "http://127.0.0.1:%d/", port);
  must(mp_netguard_new(&guard, NULL) == MP_OK);
  must(mp_netguard_add(guard, MP_NETGUARD_ALLOW, "127.0.0.1", NULL) == MP_OK);
  target.guard = guard;
  must(mp_client_new(&options, &f.client, NULL) == MP_OK);
  must(mp_target_new(&target, &f.target, NULL) == MP_OK);
  return &f;
}

/* The whole answer fits into the socket's buffer. The connection is reset when it is closed, so
 * that no port is used up. */
static void answer(int fd, const uint8_t *data, size_t size) {
  struct linger reset = {.l_onoff = 1};
  char request[4096];

  while (recv(fd, request, sizeof request, MSG_DONTWAIT) > 0)
    continue;
  if (size > 0) must(send(fd, data, size, MSG_NOSIGNAL) >= -1);
  shutdown(fd, SHUT_WR);
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fixture *f = set_up();
  mp_request request = {.target = f->target, .event = "entry.create", .body = "{}", .body_len = 2};
  int fd = -1;

  if (size > 65536) return 0;
  f->told = 0;
  must(mp_client_start(f->client, &request, f, NULL) == MP_OK);
  while (f->told == 0) {
    int next = accept(f->listener, NULL, NULL);
    if (next >= 0) {
      if (fd >= 0) close(fd);
      answer(fd = next, data, size);
    }
    mp_client_poll(f->client, 1);
  }
  must(f->told == 1 && mp_client_active(f->client) == 0);
  if (fd >= 0) close(fd);
  return 0;
}
