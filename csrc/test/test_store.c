/* The store: transactions and webhooks. (Engines: test_store_engine.c; events and deliveries:
 * test_store_delivery.c; opening, damage and full disks: test_store_open.c, test_store_damage.c and
 * test_store_fault.c.) */

#include "test/store_fixture.h"

/* ---- names and locations -------------------------------------------------------------------- */

static void state_names_round_trip(void **state) {
  mp_delivery_state parsed;
  (void)state;
  for (int i = 0; i < MP_STATE_COUNT; i++) {
    assert_true(mp_delivery_state_parse(mp_delivery_state_name((mp_delivery_state)i), &parsed));
    assert_int_equal(parsed, i);
  }
  assert_string_equal(mp_delivery_state_name(MP_HELD), "held");
  assert_string_equal(mp_delivery_state_name(MP_STATE_COUNT), "unknown");
  assert_false(mp_delivery_state_parse("Held", &parsed));
  assert_false(mp_delivery_state_parse("", &parsed));
}

static void postgres_is_refused_without_its_password(void **state) {
  mp_store *store = (mp_store *)1;
  mp_error err;
  (void)state;
  assert_int_equal(mp_store_open("postgres://u:secret@db/x", &store, &err), MP_EINVAL);
  assert_null(store);
  assert_non_null(strstr(err.message, "not supported by this build"));
  assert_null(strstr(err.message, "secret"));
  assert_int_equal(mp_store_open("postgresql://db/x", &store, &err), MP_EINVAL);
  assert_int_equal(mp_store_open("", &store, &err), MP_EINVAL);
}

static void memory_store_works(void **state) {
  fixture f = {0};
  int64_t hook;
  (void)state;
  must(&f, mp_store_open(":memory:", &f.store, &f.err));
  begin(&f);
  hook = add_webhook(&f, true);
  add_event(&f, 7);
  add_delivery(&f, 7, hook, MP_WAITING, 5, 0);
  commit(&f);
  assert_int_equal(state_of(&f, 7, hook), MP_WAITING);
  mp_store_close(f.store);
  mp_store_close(NULL);
  assert_int_not_equal(access(":memory:", F_OK), 0);
}

/* ---- transactions --------------------------------------------------------------------------- */

static int64_t events_in(fixture *f) {
  mp_store_counts counts;
  must(f, mp_store_count(f->store, &counts, &f->err));
  return counts.events;
}

static void rollback_takes_everything_back(void **state) {
  fixture *f = *state;
  begin(f);
  add_event(f, 1);
  mp_store_rollback(f->store);
  mp_store_rollback(f->store);
  assert_int_equal(events_in(f), 0);
  begin(f);
  add_event(f, 1);
  commit(f);
  assert_int_equal(events_in(f), 1);
}

static void close_rolls_back(void **state) {
  fixture *f = *state;
  begin(f);
  add_event(f, 1);
  mp_store_close(f->store);
  must(f, mp_store_open(f->path, &f->store, &f->err));
  assert_int_equal(events_in(f), 0);
}

/* SQLite ends a transaction by itself after some errors: what came then must not be committed. */
static void writing_outside_a_transaction_is_refused(void **state) {
  fixture *f = *state;
  mp_event_row event = {.id = 1, .type = "t", .body = "", .body_len = 0};
  mp_webhook_row hook = {.name = "n", .definition = "{}"};
  mp_new_delivery delivery = {
      .event_id = 1, .webhook_id = 1, .state = MP_LEASED, .lease = MP_LEASE(1, 1)};
  mp_finish end = {.event_id = 1, .webhook_id = 1, .state = MP_DELIVERED};
  bool applied;
  must_fail(f, MP_EIO, mp_store_event_insert(f->store, &event, &f->err));
  assert_non_null(strstr(f->err.message, f->path));
  must_fail(f, MP_EIO, mp_store_webhook_insert(f->store, &hook, &f->err));
  must_fail(f, MP_EIO, mp_store_delivery_insert(f->store, &delivery, &f->err));
  must_fail(f, MP_EIO, mp_store_finish(f->store, &end, &applied, &f->err));
  must_fail(f, MP_EIO, mp_store_engine_leave(f->store, 1, &f->err));
  must_fail(f, MP_EIO, mp_store_commit(f->store, &f->err));
  assert_int_equal(mp_store_commit(f->store, NULL), MP_EIO);
}

static void changed_reports_what_others_commit(void **state) {
  fixture *f = *state, other = *f;
  bool changed;
  must(&other, mp_store_open(f->path, &other.store, &other.err));

  must(f, mp_store_changed(f->store, &changed, &f->err));
  assert_false(changed);
  begin(f);
  add_event(f, 1);
  commit(f);
  must(f, mp_store_changed(f->store, &changed, &f->err));
  assert_false(changed);
  must(&other, mp_store_changed(other.store, &changed, &other.err));
  assert_true(changed);
  must(&other, mp_store_changed(other.store, &changed, &other.err));
  assert_false(changed);
  begin(&other);
  add_event(&other, 2);
  mp_store_rollback(other.store);
  must(f, mp_store_changed(f->store, &changed, &f->err));
  assert_false(changed);
  mp_store_close(other.store);
}

static void a_locked_store_is_busy_and_then_works(void **state) {
  fixture *f = *state, other = *f;
  must(&other, mp_store_open(f->path, &other.store, &other.err));
  begin(&other);
  must_fail(f, MP_EBUSY, mp_store_begin(f->store, &f->err));
  assert_non_null(strstr(f->err.message, f->path));
  mp_store_rollback(other.store);
  begin(f);
  add_event(f, 1);
  commit(f);
  mp_store_close(other.store);
}

/* ---- webhooks ------------------------------------------------------------------------------- */

typedef struct webhooks {
  int64_t ids[8];
  char text[256];
  int count, stop_after;
} webhooks;

static mp_code keep_webhook(void *arg, const mp_webhook_row *row, mp_error *err) {
  webhooks *w = arg;
  size_t n = strlen(w->text);
  if (w->count == w->stop_after) return mp_fail(err, MP_E2BIG, "enough");
  w->ids[w->count++] = row->id;
  snprintf(w->text + n, sizeof w->text - n, "%d %s %s %d %d %d;", row->from_config, row->name,
           row->definition ? row->definition : "-", row->enabled, (int)row->created_ms,
           (int)row->updated_ms);
  return MP_OK;
}

static void webhooks_are_kept_as_given(void **state) {
  fixture *f = *state;
  mp_webhook_row a = {
      .name = "a", .definition = "{\"u\":1}", .enabled = true, .created_ms = 1, .updated_ms = 2};
  mp_webhook_row b = {.from_config = true, .name = "b", .created_ms = 3, .updated_ms = 4};
  mp_webhook_row bad = {.from_config = true, .name = "c", .definition = "{}"};
  mp_webhook_row missing = {.id = 99, .name = "m", .definition = "{}"};
  webhooks all = {.stop_after = -1}, one = {.stop_after = 1};

  begin(f);
  must(f, mp_store_webhook_insert(f->store, &a, &f->err));
  must(f, mp_store_webhook_insert(f->store, &b, &f->err));
  must_fail(f, MP_EINVAL, mp_store_webhook_insert(f->store, &bad, &f->err));
  must_fail(f, MP_ENOENT, mp_store_webhook_update(f->store, &missing, 9, &f->err));
  must_fail(f, MP_ENOENT, mp_store_webhook_delete(f->store, 99, &f->err));
  a.name = "\xc3\xa4";
  a.definition = "[]";
  a.enabled = false;
  a.updated_ms = 9;
  must(f, mp_store_webhook_update(f->store, &a, 9, &f->err));
  commit(f);

  must(f, mp_store_webhooks(f->store, keep_webhook, &all, &f->err));
  assert_int_equal(all.count, 2);
  assert_int_equal(all.ids[0], a.id);
  assert_int_equal(all.ids[1], b.id);
  assert_string_equal(all.text, "0 \xc3\xa4 [] 0 1 9;1 b - 0 3 4;");
  must_fail(f, MP_E2BIG, mp_store_webhooks(f->store, keep_webhook, &one, &f->err));
  must(f, mp_store_webhooks(f->store, keep_webhook, &all, &f->err));
}

static void what_was_changed_meanwhile_is_not_written_over(void **state) {
  fixture *f = *state;
  mp_webhook_row row = {
      .name = "a", .definition = "{}", .enabled = true, .created_ms = 1, .updated_ms = 5};
  webhooks all = {.stop_after = -1};

  begin(f);
  must(f, mp_store_webhook_insert(f->store, &row, &f->err));
  row.seen_ms = 5;
  row.definition = "[1]"; /* at the same moment, so the next one must differ all the same */
  must(f, mp_store_webhook_update(f->store, &row, 9, &f->err));
  row.definition = "[2]";
  must_fail(f, MP_ECHANGED, mp_store_webhook_update(f->store, &row, 9, &f->err));
  row.seen_ms = 6;
  row.updated_ms = 3; /* the clock was set back */
  must(f, mp_store_webhook_update(f->store, &row, 9, &f->err));
  row.seen_ms = 3;
  must_fail(f, MP_ECHANGED, mp_store_webhook_update(f->store, &row, 9, &f->err));
  commit(f);
  must(f, mp_store_webhooks(f->store, keep_webhook, &all, &f->err));
  assert_string_equal(all.text, "0 a [2] 1 1 7;");
}

static void a_webhooks_id_is_never_given_again(void **state) {
  fixture *f = *state;
  int64_t a;
  begin(f);
  a = add_webhook(f, true);
  must(f, mp_store_webhook_delete(f->store, a, &f->err));
  assert_true(add_webhook(f, true) > a);
  commit(f);
}

static void disabling_holds_and_enabling_resumes(void **state) {
  fixture *f = *state;
  int64_t hook, other, due;

  begin(f);
  hook = add_webhook(f, true);
  other = add_webhook(f, true);
  add_event(f, 1);
  add_event(f, 2);
  add_delivery(f, 1, hook, MP_WAITING, 100, 0);
  add_delivery(f, 2, hook, MP_WAITING, 90000, 0);
  add_delivery(f, 1, other, MP_WAITING, 90000, 0);
  enable(f, hook, false, 500);
  commit(f);
  assert_int_equal(state_of(f, 1, hook), MP_HELD);
  assert_int_equal(look(f, 1, hook).row.due_ms, 0);
  assert_int_equal(state_of(f, 1, other), MP_WAITING);
  due = next_due(f, hook, 0);
  assert_true(due == INT64_MAX);
  begin(f);
  assert_int_equal(claim(f, hook, 100000, 10, MP_LEASE(1, 1)).count, 0);
  enable(f, hook, false, 600);
  enable(f, hook, true, 700);
  commit(f);
  assert_int_equal(state_of(f, 1, hook), MP_WAITING);
  assert_int_equal(look(f, 1, hook).row.due_ms, 100);
  assert_int_equal(look(f, 2, hook).row.due_ms, 700); /* it need not wait for its old time */
  assert_int_equal(look(f, 1, other).row.due_ms, 90000);
  begin(f);
  assert_int_equal(claim(f, hook, 700, 10, MP_LEASE(1, 1)).count, 2);
  enable(f, other, true, 800); /* was enabled: nothing is hurried */
  commit(f);
  assert_int_equal(look(f, 1, other).row.due_ms, 90000);
}

static void deleting_ends_what_waits_and_keeps_history(void **state) {
  fixture *f = *state;
  mp_attempt ok = {.at_ms = 5, .status = 200};
  int64_t hook;
  bool ended;

  begin(f);
  hook = add_webhook(f, true);
  for (int64_t e = 1; e <= 3; e++)
    add_event(f, e);
  add_delivery(f, 1, hook, MP_WAITING, 100, 0);
  add_delivery(f, 2, hook, MP_LEASED, 100, MP_LEASE(1, 1));
  add_delivery(f, 3, hook, MP_LEASED, 100, MP_LEASE(1, 2));
  ended = finish(f, 3, hook, MP_LEASE(1, 2), MP_DELIVERED, 0, &ok);
  assert_true(ended);
  must(f, mp_store_webhook_delete(f->store, hook, &f->err));
  commit(f);
  assert_int_equal(state_of(f, 1, hook), MP_DEAD);
  assert_string_equal(look(f, 1, hook).error_class, "deleted");
  assert_string_equal(look(f, 1, hook).error, "the webhook was deleted");
  assert_int_equal(state_of(f, 2, hook), MP_LEASED);
  assert_int_equal(state_of(f, 3, hook), MP_DELIVERED);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(state_names_round_trip),
      cmocka_unit_test(postgres_is_refused_without_its_password),
      cmocka_unit_test(memory_store_works),
      STORE_TEST(rollback_takes_everything_back),
      STORE_TEST(close_rolls_back),
      STORE_TEST(writing_outside_a_transaction_is_refused),
      STORE_TEST(changed_reports_what_others_commit),
      STORE_TEST(a_locked_store_is_busy_and_then_works),
      STORE_TEST(webhooks_are_kept_as_given),
      STORE_TEST(what_was_changed_meanwhile_is_not_written_over),
      STORE_TEST(a_webhooks_id_is_never_given_again),
      STORE_TEST(disabling_holds_and_enabling_resumes),
      STORE_TEST(deleting_ends_what_waits_and_keeps_history),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
