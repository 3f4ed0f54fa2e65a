/* The retry schedule: its length, its bounds, and that jitter only adds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* cmocka.h needs those above it. */
#include <cmocka.h>

#include "queue/retry.h"

static void n_delays_make_n_plus_1_attempts(void **state) {
  static const int64_t delays[] = {10, 20};
  const mp_retry retry = {delays, 2};
  const mp_retry none = {NULL, 0};
  int64_t delay = -1;
  (void)state;
  assert_true(mp_retry_next(&retry, 1, 0, &delay));
  assert_true(mp_retry_next(&retry, 2, 0, &delay));
  assert_int_equal(delay, 20);
  assert_false(mp_retry_next(&retry, 3, 0, &delay));
  assert_false(mp_retry_next(&retry, INT32_MAX, 0, &delay));
  assert_false(mp_retry_next(&retry, 0, 0, &delay));
  assert_false(mp_retry_next(&none, 1, 0, &delay));
  assert_int_equal(delay, 20);
}

static void jitter_adds_at_most_a_tenth(void **state) {
  static const int64_t delays[] = {100};
  const mp_retry retry = {delays, 1};
  bool reached[11] = {false};
  (void)state;
  for (uint64_t random = 0; random < 1000; random++) {
    int64_t delay;
    assert_true(mp_retry_next(&retry, 1, random * UINT64_C(0x9e3779b97f4a7c15), &delay));
    assert_in_range(delay, 100, 110);
    reached[delay - 100] = true;
  }
  for (int i = 0; i <= 10; i++)
    assert_true(reached[i]);
}

static void jitter_is_at_most_15_minutes(void **state) {
  const int64_t day = INT64_C(24) * 3600 * 1000, most = 15 * 60 * 1000;
  const mp_retry retry = {&day, 1};
  int64_t delay;
  (void)state;
  assert_true(mp_retry_next(&retry, 1, (uint64_t)most, &delay));
  assert_int_equal(delay, day + most);
  assert_true(mp_retry_next(&retry, 1, (uint64_t)most + 1, &delay));
  assert_int_equal(delay, day);
  assert_true(mp_retry_next(&retry, 1, UINT64_MAX, &delay));
  assert_in_range(delay, day, day + most);
}

static void short_delays_have_no_jitter(void **state) {
  static const int64_t delays[] = {0, 9};
  const mp_retry retry = {delays, 2};
  int64_t delay;
  (void)state;
  assert_true(mp_retry_next(&retry, 1, UINT64_MAX, &delay));
  assert_int_equal(delay, 0);
  assert_true(mp_retry_next(&retry, 2, UINT64_MAX, &delay));
  assert_int_equal(delay, 9);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(n_delays_make_n_plus_1_attempts),
      cmocka_unit_test(jitter_adds_at_most_a_tenth),
      cmocka_unit_test(jitter_is_at_most_15_minutes),
      cmocka_unit_test(short_delays_have_no_jitter),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
