/* The engine as a host's threads use it: emit from many threads, close, sharing, fork. Also what
 * the thread sanitizer looks at. */
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
#include "engine/engine.h"
#include "engine/log.h"

/* ---- a receiver ----------------------------------------------------------------------------- */

typedef struct sink {
  int listener;
  int port;
  bool silent;
  atomic_int requests;
  atomic_bool stop;
  pthread_t thread;
} sink;

#define MAX_PEERS 64

/* Requests are small and come whole: one read is one request. */
static void answer(sink *s, struct pollfd *peer) {
  static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  char buf[8192];
  ssize_t n = read(peer->fd, buf, sizeof buf);

  if (n <= 0) {
    close(peer->fd);
    peer->fd = -1;
    return;
  }
  atomic_fetch_add(&s->requests, 1);
  if (!s->silent && write(peer->fd, ok, sizeof ok - 1) < 0) return;
}

static void *run_sink(void *arg) {
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

static sink *start_sink(bool silent) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  sink *s = calloc(1, sizeof *s);

  assert_non_null(s);
  s->silent = silent;
  s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(s->listener, 64), 0);
  getsockname(s->listener, (struct sockaddr *)&address, &len);
  s->port = ntohs(address.sin_port);
  assert_int_equal(pthread_create(&s->thread, NULL, run_sink, s), 0);
  return s;
}

static void stop_sink(sink *s) {
  atomic_store(&s->stop, true);
  pthread_join(s->thread, NULL);
  free(s);
}

/* ---- an engine ------------------------------------------------------------------------------ */

static char folder[64];

static int make_folder(void **state) {
  (void)state;
  strcpy(folder, "/tmp/moonpost-test.XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  char command[128];
  (void)state;
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

static mp_settings *settings(const char *fingerprint, int64_t timeout_ms) {
  mp_settings *s = calloc(1, sizeof *s);
  char store[128];

  assert_non_null(s);
  snprintf(store, sizeof store, "%s/engine.db", folder);
  s->store = strdup(store);
  s->fingerprint = strdup(fingerprint);
  s->events = calloc(2, sizeof *s->events);
  s->events[0] = strdup("entry.create");
  s->events[1] = strdup("entry.update");
  s->event_count = 2;
  mp_headers_init(&s->default_headers);
  s->retry_ms = calloc(1, sizeof *s->retry_ms);
  s->retry_ms[0] = 3600000;
  s->retry_count = 1;
  s->timeout_ms = timeout_ms;
  s->connect_timeout_ms = 1000;
  s->concurrency = 8;
  s->max_concurrency = 32;
  s->user_agent = strdup("test");
  s->inbox_count = 1000;
  s->inbox_bytes = 1 << 20;
  s->emit_timeout_ms = 30000;
  s->keep_delivered_ms = s->keep_dead_ms = (int64_t)7 * 24 * 60 * 60 * 1000;
  s->log_level = MP_LOG_OFF;
  return s;
}

static mp_engine *open_engine(int64_t timeout_ms) {
  mp_engine *e = NULL;
  mp_error err = {0};
  if (mp_engine_open(settings("same", timeout_ms), &e, &err) != MP_OK) fail_msg("%s", err.message);
  return e;
}

static void add_webhook(mp_engine *e, int port) {
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

static mp_code emit(mp_engine *e, const char *type, bool wait, const char *key, int64_t *existing,
                    mp_error *err) {
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
static long long stat(mp_engine *e, const char *name) {
  char pattern[64];
  const char *at;
  long long value;
  mp_buf out;

  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  assert_int_equal(mp_engine_stats(e, &out, NULL), MP_OK);
  mp_buf_add_char(&out, '\0');
  snprintf(pattern, sizeof pattern, "\"%s\":", name);
  at = strstr(out.data, pattern);
  assert_non_null(at);
  value = strtoll(at + strlen(pattern), NULL, 10);
  mp_buf_free(&out);
  return value;
}

/* ---- tests ---------------------------------------------------------------------------------- */

#define THREADS 4
#define EACH    250

static void *emit_many(void *engine) {
  for (int i = 0; i < EACH; i++) {
    mp_error err = {0};
    mp_code code = emit(engine, "entry.create", i % 5 == 0, NULL, NULL, &err);
    if (code != MP_OK) return strdup(err.message);
  }
  return NULL;
}

static void emits_from_many_threads_are_all_delivered(void **state) {
  sink *s = start_sink(false);
  mp_engine *e = open_engine(5000);
  pthread_t threads[THREADS];
  mp_error err = {0};
  (void)state;

  add_webhook(e, s->port);
  for (int i = 0; i < THREADS; i++)
    pthread_create(&threads[i], NULL, emit_many, e);
  for (int i = 0; i < THREADS; i++) {
    void *message;
    pthread_join(threads[i], &message);
    if (message) fail_msg("%s", (char *)message);
  }
  if (mp_engine_wait(e, 60000, &err) != MP_OK) fail_msg("%s", err.message);
  assert_int_equal(stat(e, "accepted"), THREADS * EACH);
  assert_int_equal(atomic_load(&s->requests), THREADS * EACH);
  assert_int_equal(mp_engine_close(e, 1000, &err), MP_OK);
  stop_sink(s);
}

static void close_is_bounded_and_keeps_what_hangs(void **state) {
  sink *s = start_sink(true);
  mp_engine *e = open_engine(60000);
  mp_error err = {0};
  int64_t before;
  (void)state;

  add_webhook(e, s->port);
  for (int i = 0; i < 20; i++) {
    assert_int_equal(emit(e, "entry.create", true, NULL, NULL, &err), MP_OK);
  }
  while (atomic_load(&s->requests) < 8)
    usleep(1000);
  before = mp_mono_ms();
  assert_int_equal(mp_engine_close(e, 50, &err), MP_ETIMEDOUT);
  assert_true(mp_mono_ms() - before < 5000);

  e = open_engine(60000);
  assert_int_equal(stat(e, "events"), 20);
  assert_int_equal(stat(e, "waiting") + stat(e, "leased"), 20); /* at work already, or not yet */
  mp_engine_close(e, 0, &err);
  stop_sink(s);
}

static void one_store_is_one_engine(void **state) {
  mp_engine *first = open_engine(1000), *second = open_engine(1000), *third = NULL;
  mp_error err = {0};
  (void)state;

  assert_ptr_equal(first, second);
  assert_int_equal(mp_engine_open(settings("other", 1000), &third, &err), MP_EBUSY);
  assert_null(third);
  assert_int_equal(mp_engine_close(first, 0, &err), MP_OK);
  assert_int_equal(emit(second, "entry.create", true, NULL, NULL, &err), MP_OK);
  assert_int_equal(mp_engine_close(second, 0, &err), MP_OK);
}

static void an_idempotency_key_stores_once(void **state) {
  mp_engine *e = open_engine(1000);
  int64_t existing = 0, again = 0;
  mp_error err = {0};
  (void)state;

  assert_int_equal(emit(e, "entry.create", true, "k", &existing, &err), MP_OK);
  assert_int_equal(existing, 0);
  assert_int_equal(emit(e, "entry.create", true, "k", &existing, &err), MP_OK);
  assert_true(existing > 0);
  assert_int_equal(emit(e, "entry.update", true, "k", &again, &err), MP_OK);
  assert_true(again == existing);
  assert_int_equal(stat(e, "events"), 1);
  mp_engine_close(e, 0, &err);
}

static void a_forked_child_is_told(void **state) {
  mp_engine *e = open_engine(1000);
  mp_error err = {0};
  int status;
  pid_t child;
  (void)state;

  child = fork();
  if (child == 0) {
    bool told = emit(e, "entry.create", true, NULL, NULL, &err) == MP_EFORK &&
                mp_engine_wait(e, 1000, &err) == MP_EFORK &&
                mp_engine_close(e, 1000, &err) == MP_EFORK;
    _exit(told ? 0 : 1);
  }
  assert_true(child > 0);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  assert_int_equal(emit(e, "entry.create", true, NULL, NULL, &err), MP_OK);
  assert_int_equal(mp_engine_close(e, 1000, &err), MP_OK);
}

static void a_bad_definition_is_refused(void **state) {
  static const char *const bad[] = {
      "",
      "{",
      "[]",
      "{\"url\":7}",
      "{\"url\":\"http://a/\"}",
      "{\"url\":\"http://a/\",\"events\":[\"entry.*\"],\"concurrency\":\"x\"}"};
  mp_engine *e = open_engine(1000);
  (void)state;

  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    mp_error err = {0};
    mp_buf out;
    mp_buf_init(&out, MP_BUF_NO_LIMIT);
    assert_int_equal(mp_engine_webhook_create(e, "w", bad[i], true, &out, &err), MP_EINVAL);
    assert_true(err.message[0] != '\0');
    mp_buf_free(&out);
  }
  mp_engine_close(e, 0, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
      TEST(emits_from_many_threads_are_all_delivered),
      TEST(close_is_bounded_and_keeps_what_hangs),
      TEST(one_store_is_one_engine),
      TEST(an_idempotency_key_stores_once),
      TEST(a_forked_child_is_told),
      TEST(a_bad_definition_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
