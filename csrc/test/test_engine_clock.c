/* A wall clock that jumps by a day, either way, while the engine runs: what waits comes at its
 * time, neither at once nor never, and history is not forgotten before its time. The program is
 * linked with a clock_gettime of its own, which moves the wall clock alone. */
#include "engine_fixture.h"

#include <time.h>

#include "base/id.h"

#define DAY_MS   ((int64_t)24 * 60 * 60 * 1000)
#define DELAY_MS 2500 /* the retry's: longer than an engine sleeps */

int __real_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t);

static atomic_llong jumped_ms;

int __wrap_clock_gettime(clockid_t id, struct timespec *t) {
  int rc = __real_clock_gettime(id, t);
  if (id == CLOCK_REALTIME) t->tv_sec += atomic_load(&jumped_ms) / 1000;
  return rc;
}

static void jump(int64_t by_ms) {
  int64_t before = mp_wall_ms();
  atomic_fetch_add(&jumped_ms, by_ms);
  assert_true(llabs(mp_wall_ms() - before - by_ms) < 60000); /* the engine's clock is this one */
}

static mp_engine *open_retrying(int64_t delay_ms) {
  mp_settings *s = settings("same", 5000);
  s->retry_ms[0] = delay_ms;
  return open_with(s);
}

static void wait_for_requests(sink *s, int count) {
  for (int i = 0; i < 30000 && atomic_load(&s->requests) < count; i++)
    usleep(1000);
  assert_true(atomic_load(&s->requests) >= count);
}

static void wait_for_waiting(mp_engine *e) {
  for (int i = 0; i < 30000 && stat(e, "waiting") == 0; i++)
    usleep(1000);
  assert_int_equal(stat(e, "waiting"), 1);
}

/* The retry comes, and at its time. */
static void a_jump_does_not_move_a_retry(int64_t by_ms) {
  sink *s = start_sink(false);
  mp_engine *e = open_retrying(DELAY_MS);
  mp_error err = {0};

  atomic_store(&s->failures, 1);
  add_webhook(e, s->port);
  assert_int_equal(emit(e, "entry.create", true, NULL, NULL, &err), MP_OK);
  wait_for_waiting(e);
  jump(by_ms);
  wait_for_requests(s, 2);
  assert_true(s->times[1] - s->times[0] >= DELAY_MS);
  /* New events go at once. */
  assert_int_equal(emit(e, "entry.create", true, NULL, NULL, &err), MP_OK);
  wait_for_requests(s, 3);
  assert_int_equal(mp_engine_close(e, 1000, &err), MP_OK);
  stop_sink(s);
}

static void forward_it_fires_nothing(void **state) {
  (void)state;
  a_jump_does_not_move_a_retry(DAY_MS);
}

static void back_it_stalls_nothing(void **state) {
  (void)state;
  a_jump_does_not_move_a_retry(-DAY_MS);
}

/* Between two runs of the engine, within one boot of the machine. */
static void while_closed(void **state) {
  sink *s = start_sink(false);
  mp_engine *e = open_retrying(DELAY_MS);
  mp_error err = {0};
  (void)state;

  atomic_store(&s->failures, 2);
  add_webhook(e, s->port);
  assert_int_equal(emit(e, "entry.create", true, NULL, NULL, &err), MP_OK);
  wait_for_waiting(e);
  assert_int_equal(mp_engine_close(e, 1000, &err), MP_OK);
  jump(30 * DAY_MS);
  e = open_retrying(DELAY_MS);
  wait_for_requests(s, 2);
  assert_true(s->times[1] - s->times[0] >= DELAY_MS);
  assert_int_equal(mp_engine_close(e, 1000, &err), MP_OK);
  jump(-60 * DAY_MS);
  e = open_retrying(DELAY_MS);
  assert_int_equal(emit(e, "entry.create", true, NULL, NULL, &err), MP_OK);
  wait_for_requests(s, 3);
  assert_int_equal(mp_engine_close(e, 1000, &err), MP_OK);
  stop_sink(s);
}

static void forward_it_forgets_nothing(void **state) {
  mp_engine *e = open_engine(1000); /* it keeps history for 7 days */
  mp_error err = {0};
  (void)state;

  assert_int_equal(emit(e, "entry.create", true, "k", NULL, &err), MP_OK);
  jump(30 * DAY_MS);
  assert_int_equal(mp_engine_close(e, 0, &err), MP_OK);
  e = open_engine(1000); /* it looks for old history when it opens */
  for (int i = 0; i < 20; i++) {
    int64_t existing = 0;
    assert_int_equal(emit(e, "entry.create", true, "k", &existing, &err), MP_OK);
    assert_true(existing > 0);
    usleep(10000);
  }
  assert_int_equal(stat(e, "events"), 1);
  assert_int_equal(stat(e, "pruned"), 0);
  assert_int_equal(mp_engine_close(e, 0, &err), MP_OK);
}

/* Ids are made by the store's clock too: they grow. */
static void back_ids_still_grow(void **state) {
  mp_engine *e = open_engine(1000);
  int64_t first = mp_engine_next_id(e);
  mp_error err = {0};
  (void)state;

  jump(-DAY_MS);
  assert_true(mp_engine_next_id(e) > first);
  jump(2 * DAY_MS);
  assert_true(mp_event_id_ms(mp_engine_next_id(e)) - mp_event_id_ms(first) < 60000);
  assert_int_equal(mp_engine_close(e, 0, &err), MP_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
      TEST(forward_it_fires_nothing),   TEST(back_it_stalls_nothing), TEST(while_closed),
      TEST(forward_it_forgets_nothing), TEST(back_ids_still_grow),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
