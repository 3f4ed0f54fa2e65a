/* The store: the life of a delivery. */
#include "test/store_fixture.h"

/* ---- claiming ------------------------------------------------------------------------------- */

static void claims_take_the_longest_due_first(void **state) {
  fixture *f = *state;
  int64_t hook, other, due;
  claims c;

  begin(f);
  hook = add_webhook(f, true);
  other = add_webhook(f, true);
  due = next_due(f, hook, 0);
  assert_true(due == INT64_MAX);
  for (int64_t e = 1; e <= 5; e++) {
    mp_event_row row = {.id = e,
                        .type = "entry.create",
                        .model = "m",
                        .created_ms = e,
                        .body = "body-1",
                        .body_len = 6,
                        .order_key = e == 4 ? "o" : NULL};
    must(f, mp_store_event_insert(f->store, &row, &f->err));
  }
  add_delivery(f, 1, hook, MP_WAITING, 300, 0);
  add_delivery(f, 2, hook, MP_WAITING, 100, 0);
  add_delivery(f, 3, hook, MP_WAITING, 501, 0);
  add_delivery(f, 4, hook, MP_WAITING, 50, 0);
  add_delivery(f, 5, hook, MP_WAITING, 100, 0);
  add_delivery(f, 1, other, MP_WAITING, 1, 0);
  due = next_due(f, hook, 0);
  assert_int_equal(due, 50);

  c = claim(f, hook, 500, 3, MP_LEASE(9, 40));
  assert_int_equal(c.count, 3);
  assert_int_equal(c.items[0].event_id, 4);
  assert_int_equal(c.items[1].event_id, 2);
  assert_int_equal(c.items[2].event_id, 5);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(c.items[i].webhook_id, hook);
    assert_int_equal(c.items[i].lease, MP_LEASE(9, 40));
    assert_int_equal(c.items[i].attempts, 0);
    assert_int_equal(c.items[i].event.id, c.items[i].event_id);
    assert_string_equal(c.bodies[i], "body-1");
  }
  due = next_due(f, hook, 0);
  assert_int_equal(due, 300);
  c = claim(f, hook, 500, 64, MP_LEASE(9, 50));
  assert_int_equal(c.count, 1); /* 3 is not due */
  assert_int_equal(c.items[0].event_id, 1);
  assert_int_equal(claim(f, hook, 500, 64, MP_LEASE(9, 60)).count, 0);
  assert_int_equal(claim(f, hook, 501, 0, MP_LEASE(9, 60)).count, 0);
  assert_int_equal(claim(f, hook, 501, 64, MP_LEASE(9, 60)).count, 1);
  assert_int_equal(claim(f, 4711, 501, 64, MP_LEASE(9, 70)).count, 0);
  commit(f);
}

static mp_code refuse_claim(void *arg, const mp_claim *claim, mp_error *err) {
  (void)arg;
  (void)claim;
  return mp_fail(err, MP_ENOMEM, "no room");
}

static void a_callbacks_failure_fails_the_claim(void **state) {
  fixture *f = *state;
  mp_claim_order order = {.now_ms = 9, .limit = 8, .lease = MP_LEASE(1, 1)};
  int64_t hook;
  int claimed;

  begin(f);
  hook = add_webhook(f, true);
  add_event(f, 1);
  add_delivery(f, 1, hook, MP_WAITING, 1, 0);
  commit(f);
  begin(f);
  order.webhook_id = hook;
  must_fail(f, MP_ENOMEM, mp_store_claim(f->store, &order, refuse_claim, NULL, &claimed, &f->err));
  assert_int_equal(claimed, 0);
  mp_store_rollback(f->store);
  assert_int_equal(state_of(f, 1, hook), MP_WAITING);
}

static void two_connections_never_claim_the_same(void **state) {
  fixture *f = *state, other = *f;
  bool taken[201] = {false};
  int64_t hook;
  int total = 0;

  must(&other, mp_store_open(f->path, &other.store, &other.err));
  begin(f);
  hook = add_webhook(f, true);
  for (int64_t e = 1; e <= 200; e++) {
    add_event(f, e);
    add_delivery(f, e, hook, MP_WAITING, e % 7, 0);
  }
  commit(f);
  for (int round = 0; total < 200; round++) {
    fixture *who = round % 2 ? f : &other;
    claims c;
    begin(who);
    c = claim(who, hook, 100, 13, MP_LEASE(1 + round % 2, round * 100));
    if (round % 5 == 4) {
      mp_store_rollback(who->store); /* what was not committed is claimed again */
      continue;
    }
    commit(who);
    assert_true(c.count > 0);
    for (int i = 0; i < c.count; i++) {
      assert_false(taken[c.items[i].event_id]);
      taken[c.items[i].event_id] = true;
    }
    total += c.count;
  }
  assert_int_equal(total, 200);
  mp_store_close(other.store);
}

/* ---- inserting and finishing ---------------------------------------------------------------- */

typedef struct attempts {
  int count;
  char text[512];
} attempts;

static mp_code keep_attempt(void *arg, int number, const mp_attempt *a, mp_error *err) {
  attempts *all = arg;
  size_t n = strlen(all->text);
  (void)err;
  all->count++;
  snprintf(all->text + n, sizeof all->text - n, "%d: %d %d %d %s %s %.*s;", number, (int)a->at_ms,
           (int)a->duration_us, a->status, a->error_class ? a->error_class : "-",
           a->error ? a->error : "-", (int)a->response_len, a->response ? a->response : "");
  return MP_OK;
}

static attempts attempts_of(fixture *f, int64_t event, int64_t webhook) {
  attempts all = {0};
  must(f, mp_store_attempts(f->store, event, webhook, keep_attempt, &all, &f->err));
  return all;
}

static const mp_attempt ok = {
    .at_ms = 11, .duration_us = 22, .status = 204, .response = "fine", .response_len = 4};
static const mp_attempt failed = {.at_ms = 33,
                                  .duration_us = 44,
                                  .status = 500,
                                  .error_class = "http",
                                  .error = "HTTP 500",
                                  .response = "oops",
                                  .response_len = 4};
static const mp_attempt unreachable = {
    .at_ms = 55, .duration_us = 66, .error_class = "dns", .error = "no such host"};

/* A webhook, and the delivery of event 1 to it under the lease. */
static int64_t add_leased(fixture *f, int64_t lease) {
  int64_t hook = add_webhook(f, true);
  add_event(f, 1);
  add_delivery(f, 1, hook, MP_LEASED, 5, lease);
  return hook;
}

static void refuse_delivery(fixture *f, int64_t event, int64_t webhook, mp_delivery_state state) {
  mp_new_delivery d = {.event_id = event, .webhook_id = webhook, .state = state, .due_ms = 5};
  must_fail(f, MP_EINVAL, mp_store_delivery_insert(f->store, &d, &f->err));
}

static void new_deliveries_follow_their_webhook(void **state) {
  fixture *f = *state;
  int64_t on, off;

  begin(f);
  on = add_webhook(f, true);
  off = add_webhook(f, false);
  for (int64_t e = 1; e <= 3; e++)
    add_event(f, e);
  add_delivery(f, 1, on, MP_WAITING, 5, 0);
  add_delivery(f, 2, on, MP_HELD, 5, 0); /* it was enabled meanwhile */
  add_delivery(f, 3, on, MP_LEASED, 5, MP_LEASE(1, 1));
  add_delivery(f, 1, off, MP_HELD, 5, 0);
  add_delivery(f, 2, off, MP_WAITING, 5, 0);  /* it was disabled meanwhile */
  add_delivery(f, 1, 4711, MP_WAITING, 5, 0); /* it was deleted meanwhile */
  refuse_delivery(f, 1, on, MP_WAITING);
  refuse_delivery(f, 3, off, MP_DEAD);
  refuse_delivery(f, 3, off, MP_DELIVERED);
  commit(f);
  assert_int_equal(state_of(f, 1, on), MP_WAITING);
  assert_int_equal(state_of(f, 2, on), MP_WAITING);
  assert_int_equal(state_of(f, 3, on), MP_LEASED);
  assert_int_equal(state_of(f, 1, off), MP_HELD);
  assert_int_equal(state_of(f, 2, off), MP_HELD);
  assert_int_equal(state_of(f, 1, 4711), MP_DEAD);
  assert_string_equal(look(f, 1, 4711).error_class, "deleted");
}

static void finish_stores_the_attempt_and_the_state(void **state) {
  fixture *f = *state;
  int64_t hook, lease = MP_LEASE(3, 1);
  seen s;

  begin(f);
  hook = add_leased(f, lease);
  commit(f);
  s = look(f, 1, hook);
  assert_int_equal(s.row.attempts, 0);
  assert_int_equal(s.row.last_at_ms, 0);
  assert_int_equal(s.row.created_ms, 1001);
  assert_string_equal(s.type, "entry.create");

  begin(f);
  assert_true(finish(f, 1, hook, lease, MP_WAITING, 900, &failed));
  commit(f);
  s = look(f, 1, hook);
  assert_int_equal(s.row.state, MP_WAITING);
  assert_int_equal(s.row.due_ms, 900);
  assert_int_equal(s.row.attempts, 1);
  assert_int_equal(s.row.last_status, 500);
  assert_int_equal(s.row.last_at_ms, 33);
  assert_int_equal(s.row.last_duration_us, 44);
  assert_string_equal(s.error_class, "http");
  assert_string_equal(s.error, "HTTP 500");

  begin(f);
  assert_int_equal(claim(f, hook, 900, 1, lease + 1).items[0].attempts, 1);
  assert_true(finish(f, 1, hook, lease + 1, MP_WAITING, 950, NULL)); /* given back unsent */
  assert_int_equal(look(f, 1, hook).row.attempts, 1);
  assert_int_equal(claim(f, hook, 950, 1, lease + 2).count, 1);
  assert_true(finish(f, 1, hook, lease + 2, MP_DELIVERED, 0, &ok));
  commit(f);
  s = look(f, 1, hook);
  assert_int_equal(s.row.state, MP_DELIVERED);
  assert_int_equal(s.row.due_ms, 0);
  assert_int_equal(s.row.attempts, 2);
  assert_int_equal(s.row.attempts_total, 2);
  assert_int_equal(s.row.last_status, 204);
  assert_int_equal(s.row.last_at_ms, 11);
  assert_string_equal(s.error_class, "");
  assert_string_equal(attempts_of(f, 1, hook).text,
                      "1: 33 44 500 http HTTP 500 oops;2: 11 22 204 - - fine;");
}

static void finish_is_fenced_by_the_lease(void **state) {
  fixture *f = *state;
  int64_t hook, lease = MP_LEASE(3, 1);

  begin(f);
  hook = add_leased(f, lease);
  add_event(f, 2);
  assert_false(finish(f, 1, hook, lease + 1, MP_DELIVERED, 0, &ok));
  assert_false(finish(f, 2, hook, lease, MP_DELIVERED, 0, &ok));
  assert_int_equal(state_of(f, 1, hook), MP_LEASED);
  assert_int_equal(attempts_of(f, 1, hook).count, 0);
  assert_true(finish(f, 1, hook, lease, MP_WAITING, 5, &failed));
  assert_false(finish(f, 1, hook, lease, MP_DELIVERED, 0, &ok)); /* once only */
  assert_int_equal(claim(f, hook, 5, 1, MP_LEASE(4, 1)).count, 1);
  assert_false(finish(f, 1, hook, lease, MP_DELIVERED, 0, &ok)); /* another's now */
  assert_int_equal(state_of(f, 1, hook), MP_LEASED);
  assert_int_equal(attempts_of(f, 1, hook).count, 1);
  assert_true(finish(f, 1, hook, MP_LEASE(4, 1), MP_DEAD, 0, &unreachable));
  commit(f);
  assert_string_equal(attempts_of(f, 1, hook).text,
                      "1: 33 44 500 http HTTP 500 oops;2: 55 66 0 dns no such host ;");
}

static void finish_settles_by_the_webhook(void **state) {
  fixture *f = *state;
  int64_t hook, off, gone, lease = MP_LEASE(3, 1);
  mp_finish bad = {.event_id = 1, .state = MP_LEASED};
  bool applied;

  begin(f);
  hook = add_webhook(f, true);
  off = add_webhook(f, true);
  gone = add_webhook(f, true);
  for (int64_t e = 1; e <= 2; e++) {
    add_event(f, e);
    add_delivery(f, e, hook, MP_LEASED, 5, lease + e);
    add_delivery(f, e, off, MP_LEASED, 5, lease + 10 + e);
    add_delivery(f, e, gone, MP_LEASED, 5, lease + 20 + e);
  }
  enable(f, off, false, 50);
  must(f, mp_store_webhook_delete(f->store, gone, &f->err));
  assert_true(finish(f, 1, hook, lease + 1, MP_WAITING, 70, NULL));
  assert_true(finish(f, 1, off, lease + 11, MP_WAITING, 70, &failed));
  assert_true(finish(f, 1, gone, lease + 21, MP_WAITING, 70, &failed));
  assert_true(finish(f, 2, hook, lease + 2, MP_FILTERED, 0, NULL));
  assert_true(finish(f, 2, off, lease + 12, MP_DELIVERED, 0, &ok));
  assert_true(finish(f, 2, gone, lease + 22, MP_DELIVERED, 0, &ok));
  must_fail(f, MP_EINVAL, mp_store_finish(f->store, &bad, &applied, &f->err));
  commit(f);
  assert_int_equal(state_of(f, 1, hook), MP_WAITING);
  assert_int_equal(look(f, 1, hook).row.due_ms, 70);
  assert_int_equal(state_of(f, 1, off), MP_HELD);
  assert_int_equal(state_of(f, 1, gone), MP_DEAD);
  assert_string_equal(look(f, 1, gone).error_class, "deleted");
  assert_string_equal(attempts_of(f, 1, gone).text, "1: 33 44 500 http HTTP 500 oops;");
  assert_int_equal(state_of(f, 2, hook), MP_FILTERED);
  assert_int_equal(state_of(f, 2, off), MP_DELIVERED);
  assert_int_equal(state_of(f, 2, gone), MP_DELIVERED);
}

/* ---- sending again -------------------------------------------------------------------------- */

static void resend_starts_anew_and_keeps_history(void **state) {
  fixture *f = *state;
  int64_t hook, lease = MP_LEASE(3, 1);
  seen s;

  begin(f);
  hook = add_leased(f, lease);
  must_fail(f, MP_EBUSY, mp_store_resend(f->store, 1, hook, false, 60, &f->err));
  assert_true(finish(f, 1, hook, lease, MP_DELIVERED, 0, &ok));
  must(f, mp_store_resend(f->store, 1, hook, false, 60, &f->err));
  s = look(f, 1, hook);
  assert_int_equal(s.row.state, MP_WAITING);
  assert_int_equal(s.row.due_ms, 60);
  assert_int_equal(s.row.attempts, 0);
  assert_int_equal(s.row.attempts_total, 1);
  assert_int_equal(s.row.last_status, 204);
  assert_int_equal(claim(f, hook, 60, 1, lease + 1).items[0].attempts, 0);
  assert_true(finish(f, 1, hook, lease + 1, MP_DEAD, 0, &failed));
  must(f, mp_store_resend(f->store, 1, hook, false, 70, &f->err)); /* a dead one too */
  must(f, mp_store_resend(f->store, 1, hook, false, 80, &f->err)); /* and one that waits */
  assert_int_equal(look(f, 1, hook).row.due_ms, 80);
  assert_int_equal(claim(f, hook, 80, 1, lease + 2).count, 1);
  assert_true(finish(f, 1, hook, lease + 2, MP_DELIVERED, 0, &ok));
  commit(f);
  assert_string_equal(attempts_of(f, 1, hook).text,
                      "1: 11 22 204 - - fine;2: 33 44 500 http HTTP 500 oops;"
                      "3: 11 22 204 - - fine;");
  assert_int_equal(look(f, 1, hook).row.attempts, 1);
  assert_int_equal(look(f, 1, hook).row.attempts_total, 3);
}

static void resend_needs_delivery_and_webhook(void **state) {
  fixture *f = *state;
  int64_t off, gone;

  begin(f);
  off = add_webhook(f, false);
  gone = add_webhook(f, true);
  add_event(f, 1);
  add_delivery(f, 1, off, MP_LEASED, 5, MP_LEASE(1, 1));
  add_delivery(f, 1, gone, MP_WAITING, 5, 0);
  assert_true(finish(f, 1, off, MP_LEASE(1, 1), MP_DEAD, 0, &failed));
  must(f, mp_store_webhook_delete(f->store, gone, &f->err));
  must(f, mp_store_resend(f->store, 1, off, false, 60, &f->err));
  must_fail(f, MP_ENOENT, mp_store_resend(f->store, 1, gone, false, 60, &f->err));
  must_fail(f, MP_ENOENT, mp_store_resend(f->store, 2, off, false, 60, &f->err));
  commit(f);
  assert_int_equal(state_of(f, 1, off), MP_HELD);
  assert_int_equal(state_of(f, 1, gone), MP_DEAD);
  assert_int_equal(attempts_of(f, 2, off).count, 0);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      STORE_TEST(claims_take_the_longest_due_first),
      STORE_TEST(a_callbacks_failure_fails_the_claim),
      STORE_TEST(two_connections_never_claim_the_same),
      STORE_TEST(new_deliveries_follow_their_webhook),
      STORE_TEST(finish_stores_the_attempt_and_the_state),
      STORE_TEST(finish_is_fenced_by_the_lease),
      STORE_TEST(finish_settles_by_the_webhook),
      STORE_TEST(resend_starts_anew_and_keeps_history),
      STORE_TEST(resend_needs_delivery_and_webhook),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
