/* Retention: what a step forgets, what it keeps, and that the file gets smaller. */
#include "store_fixture.h"

static int prune_all(fixture *f, int64_t delivered_before, int64_t dead_before) {
  int64_t after = 0;
  int total = 0, pruned;
  begin(f);
  do {
    must(f, mp_store_prune(f->store, delivered_before, dead_before, &after, &pruned, &f->err));
    total += pruned;
  } while (after != 0);
  commit(f);
  return total;
}

static void add_dated_event(fixture *f, int64_t id, int64_t created_ms) {
  mp_event_row event = {
      .id = id, .type = "entry.create", .created_ms = created_ms, .body = "{}", .body_len = 2};
  must(f, mp_store_event_insert(f->store, &event, &f->err));
}

static void add_ended(fixture *f, int64_t id, int64_t created_ms, int64_t hook,
                      mp_delivery_state state) {
  mp_attempt attempt = {.status = state == MP_DELIVERED ? 200 : 500,
                        .error_class = state == MP_DELIVERED ? NULL : "http"};
  add_dated_event(f, id, created_ms);
  add_delivery(f, id, hook, MP_LEASED, 0, MP_LEASE(1, id));
  assert_true(finish(f, id, hook, MP_LEASE(1, id), state, 0, &attempt));
}

static int64_t events_left(fixture *f) {
  mp_store_counts counts;
  must(f, mp_store_count(f->store, &counts, &f->err));
  return counts.events;
}

static void age_and_outcome_decide(void **state) {
  fixture *f = *state;
  int64_t hook, off;

  begin(f);
  hook = add_webhook(f, true);
  off = add_webhook(f, false);
  add_ended(f, 1, 100, hook, MP_DELIVERED);
  add_ended(f, 2, 100, hook, MP_DEAD);
  add_dated_event(f, 3, 100); /* nobody wanted it */
  add_dated_event(f, 4, 100);
  add_delivery(f, 4, hook, MP_WAITING, 5, 0);
  add_dated_event(f, 5, 100);
  add_delivery(f, 5, hook, MP_LEASED, 5, MP_LEASE(1, 5));
  add_dated_event(f, 6, 100);
  add_delivery(f, 6, off, MP_HELD, 5, 0);
  add_ended(f, 7, 300, hook, MP_DELIVERED);
  /* One delivery delivered, the other still waiting: the event stays. */
  add_ended(f, 8, 100, hook, MP_DELIVERED);
  add_delivery(f, 8, off + 0, MP_HELD, 5, 0);
  commit(f);

  assert_int_equal(prune_all(f, 100, 100), 0); /* not older */
  assert_int_equal(prune_all(f, 200, 50), 2);  /* 1 and 3 */
  assert_int_equal(events_left(f), 6);
  assert_int_equal(prune_all(f, 200, 200), 3); /* 2, 6 and 8: dead or held */
  assert_int_equal(events_left(f), 3);
  assert_int_equal(prune_all(f, INT64_MAX, INT64_MAX), 1); /* 7; 4 and 5 are open */
  assert_int_equal(events_left(f), 2);
}

static void steps_are_bounded_and_go_on(void **state) {
  fixture *f = *state;
  int64_t after = 0;
  int pruned;

  begin(f);
  for (int i = 1; i <= MP_PRUNE_STEP + 10; i++)
    add_dated_event(f, i, 100);
  commit(f);
  begin(f);
  must(f, mp_store_prune(f->store, 200, 200, &after, &pruned, &f->err));
  assert_int_equal(pruned, MP_PRUNE_STEP);
  assert_int_equal(after, MP_PRUNE_STEP);
  must(f, mp_store_prune(f->store, 200, 200, &after, &pruned, &f->err));
  assert_int_equal(pruned, 10);
  assert_int_equal(after, 0);
  commit(f);
  assert_int_equal(events_left(f), 0);
}

static void the_file_gets_smaller(void **state) {
  static char body[4000];
  fixture *f = *state;
  int64_t used, spare, before;

  memset(body, 'x', sizeof body);
  begin(f);
  for (int i = 1; i <= 1000; i++) {
    mp_event_row event = {
        .id = i, .type = "t", .created_ms = 1, .body = body, .body_len = sizeof body};
    must(f, mp_store_event_insert(f->store, &event, &f->err));
  }
  commit(f);
  must(f, mp_store_size(f->store, &before, &spare, &f->err));
  assert_true(before > 4000000);
  assert_int_equal(prune_all(f, 2, 2), 1000);
  must(f, mp_store_size(f->store, &used, &spare, &f->err));
  assert_true(used < before / 10);
  assert_true(spare > before / 2);
  for (int i = 0; i < 10; i++)
    must(f, mp_store_shrink(f->store, &f->err));
  must(f, mp_store_size(f->store, &used, &spare, &f->err));
  assert_int_equal(spare, 0);
}

int main(void) {
#define PRUNE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
  const struct CMUnitTest tests[] = {
      PRUNE_TEST(age_and_outcome_decide),
      PRUNE_TEST(steps_are_bounded_and_go_on),
      PRUNE_TEST(the_file_gets_smaller),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
