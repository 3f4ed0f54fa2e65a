/* The store's clock: one for all engines of a boot, set anew after a boot, and never going back. */
#include "store_fixture.h"

#define DAY_MS ((int64_t)24 * 60 * 60 * 1000)

static int64_t now(fixture *f, const char *boot, int64_t boot_ms, int64_t wall_ms) {
  int64_t now_ms;
  begin(f);
  must(f, mp_store_clock(f->store, boot, boot_ms, wall_ms, &now_ms, &f->err));
  commit(f);
  return now_ms;
}

static void it_starts_by_the_wall_clock_and_runs_by_the_boots(void **state) {
  fixture *f = *state;
  int64_t wall = 500 * DAY_MS;

  assert_int_equal(now(f, "a", 1000, wall), wall);
  assert_int_equal(now(f, "a", 3000, wall + DAY_MS), wall + 2000); /* the wall clock jumped */
  assert_int_equal(now(f, "a", 4000, wall - DAY_MS), wall + 3000);
  assert_int_equal(now(f, "a", 3500, wall), wall + 3000); /* never back, whatever boot_ms says */
}

static void a_boot_sets_it_anew_but_never_back(void **state) {
  fixture *f = *state;
  int64_t wall = 500 * DAY_MS;

  assert_int_equal(now(f, "a", 1000, wall), wall);
  assert_int_equal(now(f, "b", 10, wall + 3 * DAY_MS), wall + 3 * DAY_MS);
  /* A boot whose wall clock is not set yet (no battery): it goes on from where it was. */
  assert_int_equal(now(f, "c", 10, 0), wall + 3 * DAY_MS);
  assert_int_equal(now(f, "c", 1010, wall + 9 * DAY_MS), wall + 3 * DAY_MS + 1000);
}

/* Where the kernel does not name its boots, a boot's clock that is behind tells of another boot. */
static void boots_without_names_are_told_apart(void **state) {
  fixture *f = *state;
  int64_t wall = 500 * DAY_MS;

  assert_int_equal(now(f, "", 5000, wall), wall);
  assert_int_equal(now(f, "", 6000, wall + 9000), wall + 1000);
  assert_int_equal(now(f, "", 10, wall + DAY_MS), wall + DAY_MS);
}

static void a_transaction_that_is_undone_leaves_it(void **state) {
  fixture *f = *state;
  int64_t now_ms;

  begin(f);
  must(f, mp_store_clock(f->store, "a", 0, 77 * DAY_MS, &now_ms, &f->err));
  mp_store_rollback(f->store);
  assert_int_equal(now(f, "a", 0, 5 * DAY_MS), 5 * DAY_MS);
}

int main(void) {
#define CLOCK_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
  const struct CMUnitTest tests[] = {
      CLOCK_TEST(it_starts_by_the_wall_clock_and_runs_by_the_boots),
      CLOCK_TEST(a_boot_sets_it_anew_but_never_back),
      CLOCK_TEST(boots_without_names_are_told_apart),
      CLOCK_TEST(a_transaction_that_is_undone_leaves_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
