/* Deliveries that go in order: one of a key at a time, the next when it has ended, whatever ends
 * it. And the webhook's pace, for all who claim. */
#include "store_fixture.h"

static mp_delivery_state add_ordered(fixture *f, int64_t event, int64_t hook,
                                     mp_delivery_state wanted, const char *key) {
  mp_new_delivery d = {.event_id = event,
                       .webhook_id = hook,
                       .state = wanted,
                       .due_ms = 100,
                       .lease = wanted == MP_LEASED ? MP_LEASE(9, event) : 0,
                       .order_key = key};
  must(f, mp_store_delivery_insert(f->store, &d, &f->err));
  return d.state;
}

static bool end(fixture *f, int64_t event, int64_t hook, int64_t lease, mp_delivery_state state,
                int64_t due_ms) {
  mp_attempt attempt = {.status = state == MP_DELIVERED ? 200 : 500,
                        .error_class = state == MP_DELIVERED ? NULL : "http"};
  mp_finish finish = {.event_id = event,
                      .webhook_id = hook,
                      .lease = lease,
                      .order_key = "k",
                      .state = state,
                      .due_ms = due_ms,
                      .now_ms = 300,
                      .attempt = &attempt};
  bool applied;
  must(f, mp_store_finish(f->store, &finish, &applied, &f->err));
  return applied;
}

static int64_t due_of(fixture *f, int64_t event, int64_t hook) {
  return look(f, event, hook).row.due_ms;
}

/* The events that a claim gets, as digits. */
static int64_t claimed(fixture *f, int64_t hook, int64_t now_ms, int64_t lease) {
  claims c = claim(f, hook, now_ms, 64, lease);
  int64_t digits = 0;
  for (int i = 0; i < c.count; i++)
    digits = digits * 10 + c.items[i].event_id;
  return digits;
}

static int64_t start(fixture *f, int events) {
  int64_t hook;
  begin(f);
  hook = add_webhook(f, true);
  for (int64_t e = 1; e <= events; e++)
    add_event(f, e);
  return hook;
}

static void one_at_a_time_in_the_order_of_events(void **state) {
  fixture *f = *state;
  int64_t hook = start(f, 4);

  for (int64_t e = 1; e <= 4; e++)
    add_ordered(f, e, hook, MP_WAITING, "k");
  assert_int_equal(claimed(f, hook, 1000, MP_LEASE(1, 1)), 1);
  assert_int_equal(claimed(f, hook, 1000, MP_LEASE(1, 2)), 0);
  assert_true(next_due(f, hook, 1000) == INT64_MAX);
  assert_true(end(f, 1, hook, MP_LEASE(1, 1), MP_DELIVERED, 0));
  assert_int_equal(next_due(f, hook, 1000), 1000); /* it was due at 300 */
  assert_int_equal(due_of(f, 2, hook), 300);
  assert_int_equal(claimed(f, hook, 1000, MP_LEASE(1, 2)), 2);
  assert_true(end(f, 2, hook, MP_LEASE(1, 2), MP_DEAD, 0));
  assert_int_equal(claimed(f, hook, 1000, MP_LEASE(1, 3)), 3);
  commit(f);
}

static void a_failed_one_keeps_the_others_back_until_it_ends(void **state) {
  fixture *f = *state;
  int64_t hook = start(f, 2);

  assert_int_equal(add_ordered(f, 1, hook, MP_LEASED, "k"), MP_LEASED);
  assert_int_equal(add_ordered(f, 2, hook, MP_LEASED, "k"), MP_WAITING); /* not leased: behind 1 */
  assert_true(end(f, 1, hook, MP_LEASE(9, 1), MP_WAITING, 5000));
  assert_int_equal(claimed(f, hook, 4999, MP_LEASE(1, 1)), 0);
  assert_int_equal(next_due(f, hook, 300), 5000);
  assert_int_equal(claimed(f, hook, 5000, MP_LEASE(1, 1)), 1);
  assert_false(end(f, 1, hook, MP_LEASE(7, 7), MP_DELIVERED, 0)); /* not its lease: nothing moves */
  assert_int_equal(claimed(f, hook, 9000, MP_LEASE(1, 2)), 0);
  assert_true(end(f, 1, hook, MP_LEASE(1, 1), MP_DELIVERED, 0));
  assert_int_equal(claimed(f, hook, 5000, MP_LEASE(1, 2)), 2);
  commit(f);
}

static void keys_and_webhooks_do_not_wait_for_each_other(void **state) {
  fixture *f = *state;
  int64_t hook = start(f, 5), other = add_webhook(f, true);

  add_ordered(f, 1, hook, MP_WAITING, "k");
  add_ordered(f, 2, hook, MP_WAITING, "l");
  add_ordered(f, 3, hook, MP_WAITING, "k");
  add_ordered(f, 4, hook, MP_WAITING, NULL);
  add_ordered(f, 5, hook, MP_WAITING, "");
  add_ordered(f, 3, other, MP_WAITING, "k");
  assert_int_equal(claimed(f, hook, 1000, MP_LEASE(1, 1)), 1245);
  assert_int_equal(claimed(f, other, 1000, MP_LEASE(1, 9)), 3);
  commit(f);
}

static void a_dead_engines_lease_keeps_its_place(void **state) {
  fixture *f = *state;
  int64_t hook = start(f, 3), released;

  for (int64_t e = 1; e <= 3; e++)
    add_ordered(f, e, hook, MP_WAITING, "k");
  assert_int_equal(claimed(f, hook, 1000, MP_LEASE(1, 1)), 1);
  must(f, mp_store_engine_reap(f->store, 0, "here", 1000, 10, &released, &f->err));
  assert_int_equal(released, 1);
  assert_int_equal(claimed(f, hook, 1000, MP_LEASE(2, 1)), 1);
  commit(f);
}

static void a_resent_one_waits_behind_what_is_under_way(void **state) {
  fixture *f = *state;
  int64_t hook = start(f, 4);

  for (int64_t e = 1; e <= 4; e++)
    add_ordered(f, e, hook, MP_WAITING, "k");
  assert_int_equal(claimed(f, hook, 1000, MP_LEASE(1, 1)), 1);
  assert_true(end(f, 1, hook, MP_LEASE(1, 1), MP_DEAD, 0));
  assert_int_equal(claimed(f, hook, 1000, MP_LEASE(1, 2)), 2);
  must(f, mp_store_resend(f->store, 1, hook, false, 400, &f->err));
  must(f, mp_store_resend(f->store, 4, hook, false, 400, &f->err)); /* it stays behind */
  assert_int_equal(claimed(f, hook, 1000, MP_LEASE(1, 3)), 0);
  assert_true(end(f, 2, hook, MP_LEASE(1, 2), MP_WAITING, 7000));
  must(f, mp_store_resend(f->store, 2, hook, false, 500, &f->err)); /* its turn: now */
  assert_int_equal(claimed(f, hook, 1000, MP_LEASE(1, 3)), 2);
  assert_true(end(f, 2, hook, MP_LEASE(1, 3), MP_DELIVERED, 0));
  assert_int_equal(claimed(f, hook, 1000, MP_LEASE(1, 4)), 1);
  assert_true(end(f, 1, hook, MP_LEASE(1, 4), MP_DELIVERED, 0));
  assert_int_equal(claimed(f, hook, 1000, MP_LEASE(1, 5)), 3);
  commit(f);
}

static void order_lasts_while_its_webhook_is_disabled(void **state) {
  fixture *f = *state;
  int64_t hook = start(f, 3);

  for (int64_t e = 1; e <= 3; e++)
    add_ordered(f, e, hook, MP_WAITING, "k");
  enable(f, hook, false, 200);
  enable(f, hook, true, 300);
  assert_int_equal(claimed(f, hook, 1000, MP_LEASE(1, 1)), 1);
  commit(f);
}

static void order_can_be_given_up(void **state) {
  fixture *f = *state;
  int64_t hook = start(f, 3);

  for (int64_t e = 1; e <= 3; e++)
    add_ordered(f, e, hook, MP_WAITING, "k");
  must(f, mp_store_webhook_unorder(f->store, hook, 400, &f->err));
  assert_int_equal(claimed(f, hook, 1000, MP_LEASE(1, 1)), 123);
  commit(f);
}

static void what_is_discarded_ends_dead(void **state) {
  fixture *f = *state;
  mp_store_counts counts;
  int64_t hook = start(f, 4), other = add_webhook(f, true);

  for (int64_t e = 1; e <= 3; e++)
    add_ordered(f, e, hook, MP_WAITING, "k");
  add_delivery(f, 4, hook, MP_WAITING, 99999, 0);
  add_delivery(f, 4, other, MP_WAITING, 5, 0);
  enable(f, hook, false, 200);
  must(f, mp_store_webhook_discard(f->store, hook, &f->err));
  enable(f, hook, true, 300);
  assert_int_equal(claimed(f, hook, 1000000, MP_LEASE(1, 1)), 0);
  assert_int_equal(add_ordered(f, 4, add_webhook(f, true), MP_LEASED, "k"), MP_LEASED);
  commit(f);
  for (int64_t e = 1; e <= 4; e++) {
    assert_int_equal(state_of(f, e, hook), MP_DEAD);
    assert_string_equal(look(f, e, hook).error_class, "discarded");
  }
  assert_int_equal(state_of(f, 4, other), MP_WAITING);
  must(f, mp_store_count(f->store, &counts, &f->err));
  assert_int_equal(counts.accepted, 6);
  assert_int_equal(counts.deliveries[MP_DEAD], 4);
}

/* ---- pace ----------------------------------------------------------------------------------- */

static int paced(fixture *f, int64_t hook, mp_pace pace, int64_t now_ms, int limit, int64_t lease) {
  mp_claim_order order = {
      .webhook_id = hook, .pace = pace, .now_ms = now_ms, .limit = limit, .lease = lease};
  claims c = {0};
  int count;
  must(f, mp_store_claim(f->store, &order, keep_claim, &c, &count, &f->err));
  return count;
}

static int64_t paced_due(fixture *f, int64_t hook, mp_pace pace, int64_t now_ms) {
  int64_t due;
  must(f, mp_store_next_due(f->store, hook, &pace, now_ms, &due, &f->err));
  return due;
}

static void all_claims_of_a_webhook_keep_its_pace(void **state) {
  fixture *f = *state;
  mp_pace pace = {.interval_us = 100000, .burst = 3}; /* 10 a second */
  int64_t hook = start(f, 30), other = add_webhook(f, true), day = 86400000;

  for (int64_t e = 1; e <= 30; e++)
    add_delivery(f, e, hook, MP_WAITING, 100, 0);
  assert_int_equal(paced(f, hook, pace, day, 2, MP_LEASE(1, 1)), 2);
  assert_int_equal(paced(f, hook, pace, day, 64, MP_LEASE(2, 1)), 1); /* another engine */
  assert_int_equal(paced_due(f, hook, pace, day), day + 100);
  assert_int_equal(paced(f, hook, pace, day + 99, 64, MP_LEASE(1, 10)), 0);
  assert_int_equal(paced(f, hook, pace, day + 100, 64, MP_LEASE(1, 10)), 1);
  assert_int_equal(paced(f, hook, pace, day + 350, 64, MP_LEASE(1, 20)), 2);
  assert_int_equal(paced_due(f, hook, pace, day + 350), day + 400);
  assert_int_equal(paced(f, hook, pace, day + 9000, 64, MP_LEASE(1, 30)),
                   3); /* never more at once */
  /* A clock that was set back by a day stalls it for no longer than an empty bucket. */
  assert_int_equal(paced(f, hook, pace, 9000, 64, MP_LEASE(1, 40)), 0);
  assert_int_equal(paced_due(f, hook, pace, 9000), 9100);
  assert_int_equal(paced(f, other, pace, 9000, 64, MP_LEASE(1, 50)), 0);
  assert_true(paced_due(f, other, pace, 9000) == INT64_MAX);
  commit(f);
}

int main(void) {
#define ORDER_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
  const struct CMUnitTest tests[] = {
      ORDER_TEST(one_at_a_time_in_the_order_of_events),
      ORDER_TEST(a_failed_one_keeps_the_others_back_until_it_ends),
      ORDER_TEST(keys_and_webhooks_do_not_wait_for_each_other),
      ORDER_TEST(a_dead_engines_lease_keeps_its_place),
      ORDER_TEST(a_resent_one_waits_behind_what_is_under_way),
      ORDER_TEST(order_lasts_while_its_webhook_is_disabled),
      ORDER_TEST(order_can_be_given_up),
      ORDER_TEST(what_is_discarded_ends_dead),
      ORDER_TEST(all_claims_of_a_webhook_keep_its_pace),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
