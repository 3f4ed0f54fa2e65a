/* What the tests of the engine share: a small receiver, settings, and short forms of the calls. */
#ifndef MP_TEST_ENGINE_FIXTURE_H
#define MP_TEST_ENGINE_FIXTURE_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "engine/log.h"
#include "test/engine_common.h"
#include "test/temp_folder.h"

/* ---- a receiver ----------------------------------------------------------------------------- */

#define MAX_TIMES 64

typedef struct sink {
  int listener;
  int port;
  bool silent;
  atomic_int failures; /* how many requests are answered 500 before the others get 200 */
  atomic_int requests;
  atomic_llong times[MAX_TIMES]; /* monotonic ms of the first of them */
  pthread_mutex_t lock;
  char last[8192]; /* lock; the text of the last one */
  atomic_bool stop;
  pthread_t thread;
} sink;

#define MAX_PEERS 64

/* Requests are small and come whole: one read is one request. */
static inline void answer(sink *s, struct pollfd *peer) {
  static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  static const char failed[] = "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno";
  bool fail = atomic_load(&s->failures) > 0;
  const char *text = fail ? failed : ok;
  char buf[8192];
  int number;
  ssize_t n = read(peer->fd, buf, sizeof buf);

  if (n <= 0) {
    close(peer->fd);
    peer->fd = -1;
    return;
  }
  pthread_mutex_lock(&s->lock);
  memcpy(s->last, buf, (size_t)n);
  s->last[n < (ssize_t)sizeof s->last ? (size_t)n : sizeof s->last - 1] = '\0';
  pthread_mutex_unlock(&s->lock);
  if (fail) atomic_fetch_sub(&s->failures, 1);
  number = atomic_load(&s->requests);
  if (number < MAX_TIMES) atomic_store(&s->times[number], mp_mono_ms());
  atomic_store(&s->requests, number + 1);
  if (!s->silent && write(peer->fd, text, strlen(text)) < 0) return;
}

static inline void *run_sink(void *arg) {
  sink *s = arg;
  struct pollfd fds[MAX_PEERS + 1];

  for (int i = 0; i <= MAX_PEERS; i++)
    fds[i] = (struct pollfd){.fd = -1, .events = POLLIN};
  fds[0].fd = s->listener;
  while (!atomic_load(&s->stop)) {
    if (poll(fds, MAX_PEERS + 1, 20) <= 0) continue;
    if (fds[0].revents) {
      int fd = accept(s->listener, NULL, NULL), i = 1;
      while (i <= MAX_PEERS && fds[i].fd >= 0)
        i++;
      assert_true(i <= MAX_PEERS);
      fds[i].fd = fd;
      fds[i].revents = 0;
    }
    for (int i = 1; i <= MAX_PEERS; i++) {
      if (fds[i].fd >= 0 && fds[i].revents) answer(s, &fds[i]);
    }
  }
  for (int i = 0; i <= MAX_PEERS; i++) {
    if (fds[i].fd >= 0) close(fds[i].fd);
  }
  return NULL;
}

static inline sink *start_sink(bool silent) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  sink *s = calloc(1, sizeof *s);

  assert_non_null(s);
  s->silent = silent;
  pthread_mutex_init(&s->lock, NULL);
  s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(s->listener, 64), 0);
  getsockname(s->listener, (struct sockaddr *)&address, &len);
  s->port = ntohs(address.sin_port);
  assert_int_equal(pthread_create(&s->thread, NULL, run_sink, s), 0);
  return s;
}

static inline void stop_sink(sink *s) {
  atomic_store(&s->stop, true);
  pthread_join(s->thread, NULL);
  pthread_mutex_destroy(&s->lock);
  free(s);
}

/* ---- an engine ------------------------------------------------------------------------------ */

static inline mp_settings *settings(const char *fingerprint, int64_t timeout_ms) {
  mp_settings *s;
  char store[128];

  snprintf(store, sizeof store, "%s/engine.db", folder);
  s = common_settings(store, fingerprint);
  s->retry_ms = sure(calloc(1, sizeof *s->retry_ms));
  s->retry_ms[0] = 3600000;
  s->retry_count = 1;
  s->timeout_ms = timeout_ms;
  s->connect_timeout_ms = 1000;
  s->concurrency = 8;
  s->max_concurrency = 32;
  return s;
}

static inline mp_engine *open_with(mp_settings *s) {
  mp_engine *e = NULL;
  mp_error err = {0};
  if (mp_engine_open(s, &e, &err) != MP_OK) fail_msg("%s", err.message);
  return e;
}

static inline mp_engine *open_engine(int64_t timeout_ms) {
  return open_with(settings("same", timeout_ms));
}

static inline void add_webhook(mp_engine *e, int port) {
  char definition[256];
  mp_buf out;
  mp_error err = {0};

  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  snprintf(definition, sizeof definition,
           "{\"name\":\"w\",\"url\":\"http://127.0.0.1:%d/\",\"headers\":[[\"X-A\",\"b\"]],"
           "\"events\":[\"entry.*\"]}",
           port);
  if (mp_engine_webhook_create(e, "w", definition, true, &out, &err) != MP_OK) {
    fail_msg("%s", err.message);
  }
  mp_buf_free(&out);
}

static inline mp_code emit(mp_engine *e, const char *type, bool wait, const char *key,
                           int64_t *existing, mp_error *err) {
  mp_event_row row = {.id = mp_engine_next_id(e),
                      .type = type,
                      .created_ms = mp_wall_ms(),
                      .body = "{\"event\":\"entry.create\"}",
                      .body_len = 24,
                      .idempotency_key = key};
  mp_event *event = mp_event_new(&row, mp_engine_event_type(e, type, strlen(type)));
  mp_list list = {0};

  assert_non_null(event);
  mp_list_push(&list, &event->node);
  return mp_engine_emit(e, &list, wait, existing, err);
}

/* The number after "name": in the engine's stats. */
static inline long long stat(mp_engine *e, const char *name) {
  long long value;
  mp_buf out;

  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  assert_int_equal(mp_engine_stats(e, true, &out, NULL), MP_OK);
  value = number_in(&out, name);
  mp_buf_free(&out);
  return value;
}

#endif
