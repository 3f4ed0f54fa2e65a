/* The circuit breaker: when it opens, when it probes, when it closes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those before it */
#include <cmocka.h>

#include "engine/circuit.h"

#define NOW INT64_C(6000000)

#define FIRST_WAIT_MS 30000

static mp_circuit_change note(mp_circuit *c, bool ok, int64_t started_ms, int64_t now_ms) {
  return mp_circuit_note(c, ok, started_ms, now_ms, FIRST_WAIT_MS);
}

static void ten_failures_in_a_row_open_it(void **state) {
  mp_circuit c = {0};
  (void)state;
  for (int i = 0; i < 9; i++) {
    /* A minute apart each, so that the share of a minute does not count. */
    assert_int_equal(note(&c, false, NOW + i * 60000, NOW + i * 60000), MP_CIRCUIT_SAME);
  }
  assert_int_equal(note(&c, false, NOW + 600000, NOW + 600000), MP_CIRCUIT_OPENED);
  assert_true(c.open);
  assert_int_equal(c.probe_ms, NOW + 600000 + 30000);
}

static void a_success_starts_the_row_anew(void **state) {
  mp_circuit c = {0};
  (void)state;
  for (int i = 0; i < 9; i++)
    note(&c, false, NOW + i * 60000, NOW + i * 60000);
  assert_int_equal(note(&c, true, NOW + 540000, NOW + 540000), MP_CIRCUIT_SAME);
  for (int i = 0; i < 9; i++) {
    int64_t t = NOW + 600000 + i * 60000;
    assert_int_equal(note(&c, false, t, t), MP_CIRCUIT_SAME);
  }
}

static void seventy_per_cent_of_a_minute_open_it(void **state) {
  mp_circuit c = {0};
  (void)state;
  /* 3 of 10 succeed: the tenth attempt makes it 7 of 10. */
  for (int i = 0; i < 3; i++) {
    note(&c, true, NOW, NOW);
    assert_int_equal(note(&c, false, NOW, NOW), MP_CIRCUIT_SAME);
    assert_int_equal(note(&c, false, NOW, NOW), MP_CIRCUIT_SAME);
  }
  assert_int_equal(note(&c, false, NOW, NOW), MP_CIRCUIT_OPENED);
}

static void fewer_do_not(void **state) {
  mp_circuit c = {0};
  (void)state;
  for (int i = 0; i < 1000; i++) {
    assert_int_equal(note(&c, i % 3 == 0, NOW, NOW), MP_CIRCUIT_SAME); /* 67 % */
  }
}

static void probes_wait_twice_as_long_up_to_five_minutes(void **state) {
  static const int64_t waits[] = {60000, 120000, 240000, 300000, 300000};
  mp_circuit c = {0};
  (void)state;
  for (int i = 0; i < 10; i++)
    note(&c, false, NOW, NOW);
  for (int i = 0; i < 5; i++) {
    int64_t probe = c.probe_ms;
    /* What was under way when it opened does not count. */
    assert_int_equal(note(&c, false, probe - 1, probe + 5), MP_CIRCUIT_SAME);
    assert_int_equal(note(&c, false, probe, probe + 10), MP_CIRCUIT_POSTPONED);
    assert_int_equal(c.probe_ms, probe + 10 + waits[i]);
  }
}

static void the_first_success_closes_it(void **state) {
  mp_circuit c = {0};
  (void)state;
  for (int i = 0; i < 10; i++)
    note(&c, false, NOW, NOW);
  assert_int_equal(note(&c, true, c.probe_ms, c.probe_ms + 1), MP_CIRCUIT_CLOSED);
  assert_false(c.open);
  assert_int_equal(note(&c, false, NOW + 40000, NOW + 40000), MP_CIRCUIT_SAME);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ten_failures_in_a_row_open_it),
      cmocka_unit_test(a_success_starts_the_row_anew),
      cmocka_unit_test(seventy_per_cent_of_a_minute_open_it),
      cmocka_unit_test(fewer_do_not),
      cmocka_unit_test(probes_wait_twice_as_long_up_to_five_minutes),
      cmocka_unit_test(the_first_success_closes_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
