/* The HTTP client alone, and receivers that answer oddly. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "http/client.h"

typedef struct outcome {
  bool told;
  int status;
  char error_class[32];
  int64_t retry_after_s;
} outcome;

static void on_done(void *owner, void *arg, const mp_result *result) {
  outcome *o = arg;
  (void)owner;
  o->told = true;
  o->status = result->status;
  o->retry_after_s = result->retry_after_s;
  snprintf(o->error_class, sizeof o->error_class, "%s",
           result->error_class ? result->error_class : "");
}

static int listen_on_loopback(int *port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t len = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

  assert_true(fd >= 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(listen(fd, 4), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
  *port = ntohs(at.sin_port);
  return fd;
}

/* Makes one request, and answers it with the text and the connection's end. */
static outcome ask(mp_client *client, mp_target *target, int listener, const char *answer) {
  mp_request request = {.target = target, .event = "entry.create", .body = "{}", .body_len = 2};
  outcome o = {0};
  char bytes[4096];
  int fd = -1;

  assert_int_equal(mp_client_start(client, &request, &o, NULL), MP_OK);
  while (!o.told) {
    mp_client_poll(client, 5);
    if (fd < 0 && (fd = accept(listener, NULL, NULL)) < 0) continue;
    if (!answer || recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) <= 0) continue;
    assert_int_equal(send(fd, answer, strlen(answer), MSG_NOSIGNAL), strlen(answer));
    shutdown(fd, SHUT_WR);
    answer = NULL;
  }
  if (fd >= 0) close(fd);
  return o;
}

typedef struct fixture {
  int listener;
  mp_netguard *guard;
  mp_client *client;
  mp_target *target;
} fixture;

static int set_up(void **state) {
  static fixture f;
  mp_client_options options = {.max_requests = 2, .response_keep = 64, .done = on_done};
  mp_target_options to = {.timeout_ms = 10000, .connect_timeout_ms = 10000, .user_agent = "test"};
  char url[64];
  int port;

  f.listener = listen_on_loopback(&port);
  snprintf(url, sizeof url, "http://127.0.0.1:%d/", port);
  assert_int_equal(mp_netguard_new(&f.guard, NULL), MP_OK);
  assert_int_equal(mp_netguard_add(f.guard, MP_NETGUARD_ALLOW, "127.0.0.1", NULL), MP_OK);
  to.url = url;
  to.guard = f.guard;
  assert_int_equal(mp_target_new(&to, &f.target, NULL), MP_OK);
  assert_int_equal(mp_client_new(&options, &f.client, NULL), MP_OK);
  *state = &f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;
  mp_client_free(f->client);
  mp_target_free(f->target);
  mp_netguard_free(f->guard);
  close(f->listener);
  return 0;
}

static outcome answered(fixture *f, const char *text) {
  return ask(f->client, f->target, f->listener, text);
}

/* libcurl took such a line for the continuation of a header field of the request before, which it
 * had freed. */
static void a_head_that_begins_with_a_folded_line_is_refused(void **state) {
  outcome o;

  for (int i = 0; i < 3; i++) {
    o = answered(*state, "HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(o.status, 200);
    assert_string_equal(o.error_class, "");
    o = answered(*state, "HTTP/1.1 200 OK\r\n\tfolded: x\r\nContent-Length: 0\r\n\r\n");
    assert_string_equal(o.error_class, "response");
    o = answered(*state, "http/1.1 200 OK\r\n folded: x\r\nContent-Length: 0\r\n\r\n");
    assert_string_equal(o.error_class, "response");
    o = answered(*state, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n folded: x\r\n\r\n");
    assert_string_equal(o.error_class, "response");
  }
}

static void retry_after_is_never_in_the_past_and_never_for_ages(void **state) {
  outcome o = answered(*state, "HTTP/1.1 503 x\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n");

  assert_int_equal(o.retry_after_s, 120);
  o = answered(*state,
               "HTTP/1.1 429 x\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
               "Content-Length: 0\r\n\r\n");
  assert_int_equal(o.retry_after_s, 0);
  o = answered(*state,
               "HTTP/1.1 429 x\r\nRetry-After: Fri, 21 Oct 2199 07:28:00 GMT\r\n"
               "Content-Length: 0\r\n\r\n");
  assert_int_equal(o.retry_after_s, 366 * 24 * 60 * 60);
  o = answered(*state,
               "HTTP/1.1 429 x\r\nRetry-After: 9223372036854775807\r\n"
               "Content-Length: 0\r\n\r\n");
  assert_int_equal(o.retry_after_s, 366 * 24 * 60 * 60);
  o = answered(*state, "HTTP/1.1 200 x\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n");
  assert_int_equal(o.retry_after_s, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(a_head_that_begins_with_a_folded_line_is_refused),
      TEST(retry_after_is_never_in_the_past_and_never_for_ages),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
