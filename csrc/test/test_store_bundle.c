/* The store: deliveries that are kept in bundles while they are under way are what they would be in
 * rows of their own. */
#include "test/store_fixture.h"

#define ENGINE 7
#define LEASE  MP_LEASE(ENGINE, 100)
#define FIRST  ((int64_t)1 << 41) /* ids that tell a time, of some minutes */

static void insert(fixture *f, int64_t first, int count, int64_t webhook, int64_t lease) {
  mp_event_row rows[64];
  const mp_event_row *list[64];
  mp_new_delivery deliveries[64];

  for (int i = 0; i < count; i++) {
    rows[i] = (mp_event_row){
        .id = first + i, .type = "entry.create", .created_ms = 5, .body = "{}", .body_len = 2};
    list[i] = &rows[i];
    deliveries[i] = (mp_new_delivery){.event_id = first + i,
                                      .webhook_id = webhook,
                                      .state = MP_LEASED,
                                      .due_ms = 5,
                                      .lease = lease + i,
                                      .bundled = true};
  }
  must(f, mp_store_events_insert(f->store, list, (size_t)count, &f->err));
  must(f, mp_store_deliveries_insert(f->store, deliveries, (size_t)count, &f->err));
}

/* In a transaction of its own. */
static void store(fixture *f, int64_t first, int count, int64_t webhook, int64_t lease) {
  begin(f);
  insert(f, first, count, webhook, lease);
  commit(f);
}

static bool ends(fixture *f, int64_t event, int64_t webhook, int64_t lease,
                 mp_delivery_state state) {
  static const mp_attempt good = {.at_ms = 11, .duration_us = 22, .status = 204};
  static const mp_attempt bad = {
      .at_ms = 33, .duration_us = 44, .status = 500, .error_class = "http", .error = "no"};
  return finish(f, event, webhook, lease, state, 99, state == MP_DELIVERED ? &good : &bad);
}

static void count_is(fixture *f, int64_t leased, int64_t waiting, int64_t delivered, int64_t dead) {
  mp_store_counts c;
  mp_store_totals t;
  int64_t sum = 0;

  must(f, mp_store_count(f->store, &c, &f->err));
  assert_int_equal(c.deliveries[MP_LEASED], leased);
  assert_int_equal(c.deliveries[MP_WAITING], waiting);
  assert_int_equal(c.deliveries[MP_DELIVERED], delivered);
  assert_int_equal(c.deliveries[MP_DEAD], dead);
  for (int i = 0; i < MP_STATE_COUNT; i++)
    sum += c.deliveries[i];
  assert_int_equal(sum, c.accepted);
  must(f, mp_store_read_totals(f->store, &t, &f->err));
  assert_int_equal(t.leased, leased);
}

static int64_t one_webhook(fixture *f) {
  int64_t webhook;
  begin(f);
  webhook = add_webhook(f, true);
  commit(f);
  return webhook;
}

static void each_outcome_is_as_with_a_row(void **state) {
  fixture *f = *state;
  int64_t w = one_webhook(f);
  seen row;

  store(f, FIRST, 40, w, LEASE);
  count_is(f, 40, 0, 0, 0);

  begin(f);
  for (int i = 0; i < 20; i++)
    assert_true(ends(f, FIRST + i, w, LEASE + i, MP_DELIVERED));
  assert_true(ends(f, FIRST + 20, w, LEASE + 20, MP_WAITING));
  assert_true(ends(f, FIRST + 21, w, LEASE + 21, MP_DEAD));
  assert_true(finish(f, FIRST + 22, w, LEASE + 22, MP_WAITING, 98, NULL)); /* given back */
  assert_false(ends(f, FIRST + 5, w, LEASE + 5, MP_DEAD));                 /* again */
  assert_false(ends(f, FIRST + 23, w, LEASE + 24, MP_DEAD));               /* another's lease */
  assert_false(ends(f, FIRST + 23, w + 1, LEASE + 23, MP_DEAD));
  commit(f);
  count_is(f, 17, 2, 20, 1);

  row = look(f, FIRST + 7, w);
  assert_int_equal(row.row.state, MP_DELIVERED);
  assert_int_equal(row.row.attempts_total, 1);
  assert_int_equal(row.row.last_at_ms, 11);
  assert_int_equal(row.row.last_status, 204);
  row = look(f, FIRST + 20, w);
  assert_int_equal(row.row.state, MP_WAITING);
  assert_int_equal(row.row.due_ms, 99);
  assert_int_equal(row.row.attempts, 1);
  assert_string_equal(row.error_class, "http");
  row = look(f, FIRST + 21, w);
  assert_int_equal(row.row.state, MP_DEAD);
  row = look(f, FIRST + 22, w);
  assert_int_equal(row.row.attempts_total, 0);
  assert_int_equal(row.row.due_ms, 98);
  row = look(f, FIRST + 39, w); /* still under way */
  assert_int_equal(row.row.state, MP_LEASED);
  count_is(f, 17, 2, 20, 1);

  begin(f);
  for (int i = 23; i < 40; i++) /* looked at since, and so in rows */
    assert_true(ends(f, FIRST + i, w, LEASE + i, MP_DELIVERED));
  commit(f);
  count_is(f, 0, 2, 37, 1);
}

static void what_is_rolled_back_was_not(void **state) {
  fixture *f = *state;
  int64_t w = one_webhook(f);

  begin(f);
  insert(f, FIRST, 10, w, LEASE);
  mp_store_rollback(f->store);
  count_is(f, 0, 0, 0, 0);

  store(f, FIRST, 10, w, LEASE + 10);
  for (int round = 0; round < 2; round++) {
    begin(f);
    for (int i = 0; i < 10; i++)
      assert_true(ends(f, FIRST + i, w, LEASE + 10 + i, MP_DELIVERED));
    assert_false(ends(f, FIRST + 3, w, LEASE + 3, MP_DELIVERED));
    if (round == 0) {
      mp_store_rollback(f->store);
      count_is(f, 10, 0, 0, 0);
    }
  }
  commit(f);
  count_is(f, 0, 0, 10, 0);
}

/* Over the bundles that are kept in memory, and with one delivery of each never ending. */
static void those_that_hang_hold_up_no_others(void **state) {
  fixture *f = *state;
  int64_t w = one_webhook(f);

  for (int k = 0; k < 600; k++) {
    store(f, FIRST + 8 * k, 8, w, LEASE + 8 * k);
    begin(f);
    for (int i = 1; i < 8; i++)
      assert_true(ends(f, FIRST + 8 * k + i, w, LEASE + 8 * k + i, MP_DELIVERED));
    commit(f);
  }
  count_is(f, 600, 0, 4200, 0);
  begin(f);
  for (int k = 0; k < 600; k++)
    assert_true(ends(f, FIRST + 8 * k, w, LEASE + 8 * k, MP_DEAD));
  commit(f);
  count_is(f, 0, 0, 4200, 600);
}

/* More in one transaction than memory keeps. */
static void many_at_once_are_all_kept(void **state) {
  fixture *f = *state;
  int64_t w = one_webhook(f);

  begin(f);
  for (int k = 0; k < 400; k++)
    insert(f, FIRST + 4 * k, 4, w, LEASE + 4 * k);
  commit(f);
  count_is(f, 1600, 0, 0, 0);
  begin(f);
  for (int i = 0; i < 1600; i++)
    assert_true(ends(f, FIRST + i, w, LEASE + i, MP_DELIVERED));
  commit(f);
  count_is(f, 0, 0, 1600, 0);
}

/* ---- another engine ------------------------------------------------------------------------- */

static void reap(mp_store *store, int64_t expected) {
  mp_error err = {0};
  int64_t released = 0;
  assert_int_equal(mp_store_begin(store, &err), MP_OK);
  assert_int_equal(mp_store_engine_reap(store, 0, "h", 5, INT64_MAX, &released, &err), MP_OK);
  assert_int_equal(mp_store_commit(store, &err), MP_OK);
  assert_int_equal(released, expected);
}

static mp_store *another(const fixture *f) {
  mp_store *store = NULL;
  assert_int_equal(mp_store_open(f->path, &store, NULL), MP_OK);
  return store;
}

static void what_was_under_way_is_taken_over(void **state) {
  fixture *f = *state;
  int64_t w = one_webhook(f), gone;
  mp_store *other = another(f);
  seen row;

  begin(f);
  gone = add_webhook(f, true);
  insert(f, FIRST, 10, w, LEASE);
  insert(f, FIRST + 20, 5, gone, LEASE + 20);
  commit(f);
  begin(f);
  for (int i = 0; i < 4; i++)
    assert_true(ends(f, FIRST + i, w, LEASE + i, MP_DELIVERED));
  must(f, mp_store_webhook_delete(f->store, gone, &f->err));
  commit(f);
  count_is(f, 11, 0, 4, 0);

  reap(other, 11);
  reap(other, 0);
  mp_store_close(other);
  count_is(f, 0, 6, 4, 5);
  row = look(f, FIRST + 4, w);
  assert_int_equal(row.row.state, MP_WAITING);
  assert_int_equal(row.row.due_ms, mp_event_id_ms(FIRST + 4)); /* since it was accepted */
  row = look(f, FIRST + 20, gone);
  assert_int_equal(row.row.state, MP_DEAD);
  assert_string_equal(row.error_class, "deleted");

  begin(f); /* the first engine comes too late, and goes on with others */
  for (int i = 4; i < 10; i++)
    assert_false(ends(f, FIRST + i, w, LEASE + i, MP_DELIVERED));
  insert(f, FIRST + 40, 6, w, LEASE + 40);
  commit(f);
  begin(f);
  for (int i = 0; i < 6; i++)
    assert_true(ends(f, FIRST + 40 + i, w, LEASE + 40 + i, MP_DELIVERED));
  commit(f);
  count_is(f, 0, 6, 10, 5);
}

static void a_killed_engine_loses_nothing(void **state) {
  fixture *f = *state;
  int64_t w = one_webhook(f);

  store(f, FIRST, 64, w, LEASE);
  begin(f);
  assert_true(ends(f, FIRST + 9, w, LEASE + 9, MP_DELIVERED));
  commit(f);
  begin(f);
  assert_true(ends(f, FIRST + 10, w, LEASE + 10, MP_DELIVERED)); /* not committed */
  mp_store_close(f->store);
  f->store = another(f);
  count_is(f, 63, 0, 1, 0);
  reap(f->store, 63);
  count_is(f, 0, 63, 1, 0);
}

static void leaving_gives_back(void **state) {
  fixture *f = *state;
  int64_t w = one_webhook(f);

  store(f, FIRST, 8, w, LEASE);
  begin(f);
  assert_true(ends(f, FIRST, w, LEASE, MP_DELIVERED));
  must(f, mp_store_engine_leave(f->store, ENGINE, &f->err));
  commit(f);
  count_is(f, 0, 7, 1, 0);
}

/* An event without a row of its delivery would look like one that went nowhere. */
static void another_engine_forgets_no_event_under_way(void **state) {
  static const mp_prune_before all = {INT64_MAX, INT64_MAX, INT64_MAX};
  fixture *f = *state;
  int64_t w = one_webhook(f);
  mp_store *other = another(f);
  mp_pruned pruned;

  store(f, FIRST, 8, w, LEASE);
  for (int round = 0; round < 2; round++) {
    assert_int_equal(mp_store_begin(other, NULL), MP_OK);
    assert_int_equal(mp_store_prune(other, &all, INT64_MAX / 2, 0, &pruned, NULL), MP_OK);
    assert_int_equal(mp_store_commit(other, NULL), MP_OK);
    assert_int_equal(pruned.count, round == 0 ? 0 : 8);
    if (round == 1) break;
    begin(f);
    for (int i = 0; i < 8; i++)
      assert_true(ends(f, FIRST + i, w, LEASE + i, MP_DELIVERED));
    commit(f);
  }
  mp_store_close(other);
}

/* ---- whoever looks -------------------------------------------------------------------------- */

static void one_under_way_is_not_sent_again(void **state) {
  fixture *f = *state;
  int64_t w = one_webhook(f);

  store(f, FIRST, 8, w, LEASE);
  begin(f);
  must_fail(f, MP_EBUSY, mp_store_resend(f->store, FIRST + 3, w, false, 7, &f->err));
  mp_store_rollback(f->store);
  count_is(f, 8, 0, 0, 0);
  begin(f);
  assert_true(ends(f, FIRST + 3, w, LEASE + 3, MP_DEAD));
  must(f, mp_store_resend(f->store, FIRST + 3, w, false, 7, &f->err));
  commit(f);
  count_is(f, 7, 1, 0, 0);
}

static mp_code count_row(void *arg, const mp_delivery_row *row, mp_error *err) {
  (void)row;
  (void)err;
  ++*(int *)arg;
  return MP_OK;
}

static void lists_have_what_is_under_way(void **state) {
  mp_delivery_filter leased = {.state = MP_LEASED, .limit = 100}, all = {.state = -1, .limit = 100};
  fixture *f = *state;
  int64_t w = one_webhook(f);
  int count = 0;

  store(f, FIRST, 8, w, LEASE);
  begin(f);
  assert_true(ends(f, FIRST + 3, w, LEASE + 3, MP_DELIVERED));
  must(f, mp_store_deliveries(f->store, &all, count_row, &count, &f->err)); /* in the same one */
  assert_int_equal(count, 8);
  mp_store_rollback(f->store);
  count = 0;
  must(f, mp_store_deliveries(f->store, &leased, count_row, &count, &f->err));
  assert_int_equal(count, 8);
  begin(f);
  for (int i = 0; i < 8; i++)
    assert_true(ends(f, FIRST + i, w, LEASE + i, MP_DELIVERED));
  commit(f);
  count = 0;
  must(f, mp_store_deliveries(f->store, &leased, count_row, &count, &f->err));
  assert_int_equal(count, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
  const struct CMUnitTest tests[] = {
      TEST(each_outcome_is_as_with_a_row),
      TEST(what_is_rolled_back_was_not),
      TEST(those_that_hang_hold_up_no_others),
      TEST(many_at_once_are_all_kept),
      TEST(what_was_under_way_is_taken_over),
      TEST(a_killed_engine_loses_nothing),
      TEST(leaving_gives_back),
      TEST(another_engine_forgets_no_event_under_way),
      TEST(one_under_way_is_not_sent_again),
      TEST(lists_have_what_is_under_way),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
