/* The engine as a host's threads use it: emit from many threads, close, sharing, fork. Also what
 * the thread sanitizer looks at. */
#include "engine_fixture.h"

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

static mp_code count_engine(void *arg, int64_t id, const mp_engine_identity *who, mp_error *err) {
  int64_t *last = arg;
  (void)who;
  (void)err;
  *last = id;
  return MP_OK;
}

/* The id of the engine that is on the store, as another process would see it; it is removed first,
 * when remove says so. 0: none is. */
static int64_t engine_on_store(bool remove) {
  char path[128];
  mp_store *store;
  mp_error err;
  int64_t id = 0;

  snprintf(path, sizeof path, "%s/engine.db", folder);
  if (mp_store_open(path, &store, &err) != MP_OK) fail_msg("%s", err.message);
  assert_int_equal(mp_store_engines(store, count_engine, &id, &err), MP_OK);
  if (remove) {
    assert_int_equal(mp_store_begin(store, &err), MP_OK);
    assert_int_equal(mp_store_engine_leave(store, id, &err), MP_OK);
    assert_int_equal(mp_store_commit(store, &err), MP_OK);
  }
  mp_store_close(store);
  return id;
}

/* As a suspended machine's engine finds itself, when another took its deliveries over. */
static void an_engine_that_was_taken_for_dead_joins_anew(void **state) {
  sink *s = start_sink(false);
  mp_engine *e = open_engine(5000);
  mp_error err = {0};
  int64_t first;
  (void)state;

  add_webhook(e, s->port);
  first = engine_on_store(true);
  assert_true(first > 0);
  for (int i = 0; i < 3000 && engine_on_store(false) == 0; i++)
    usleep(10000);
  assert_true(engine_on_store(false) > first);
  for (int i = 0; i < 20; i++) {
    assert_int_equal(emit(e, "entry.create", true, NULL, NULL, &err), MP_OK);
  }
  assert_int_equal(mp_engine_wait(e, 30000, &err), MP_OK);
  assert_int_equal(stat(e, "delivered"), 20);
  assert_int_equal(mp_engine_close(e, 1000, &err), MP_OK);
  assert_int_equal(engine_on_store(false), 0);
  stop_sink(s);
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
      TEST(an_engine_that_was_taken_for_dead_joins_anew),
      TEST(a_bad_definition_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
