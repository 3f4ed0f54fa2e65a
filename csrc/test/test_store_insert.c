/* The store: many events and deliveries inserted at once are what they are one by one. */
#include "test/store_fixture.h"

#define MOST 40 /* two full rows of values, and some over */

typedef struct rows {
  char bodies[MOST][16];
  mp_event_row events[MOST];
  const mp_event_row *list[MOST];
  mp_new_delivery deliveries[MOST];
} rows;

/* Every body, state and webhook differs from its neighbours'. */
static void make(rows *r, int64_t first, int64_t on, int64_t off) {
  for (int i = 0; i < MOST; i++) {
    snprintf(r->bodies[i], sizeof r->bodies[i], "{\"i\":%d}", i);
    r->events[i] = (mp_event_row){.id = first + i,
                                  .type = i % 2 ? "entry.update" : "entry.create",
                                  .model = i % 3 ? "article" : NULL,
                                  .created_ms = 1000 + i,
                                  .body = i == 7 ? NULL : r->bodies[i],
                                  .body_len = i == 7 ? 0 : strlen(r->bodies[i])};
    r->list[i] = &r->events[i];
    r->deliveries[i] = (mp_new_delivery){.event_id = first + i,
                                         .webhook_id = i % 5 == 4   ? off
                                                       : i % 5 == 3 ? 999
                                                                    : on,
                                         .state = i % 2 ? MP_LEASED : MP_WAITING,
                                         .due_ms = 100 + i,
                                         .lease = i % 2 ? 5000 + i : 0};
  }
}

static mp_code compare_event(void *arg, const mp_event_row *row, mp_error *err) {
  const mp_event_row *given = arg;
  (void)err;
  assert_int_equal(row->id, given->id);
  assert_string_equal(row->type, given->type);
  assert_true(given->model ? row->model && strcmp(row->model, given->model) == 0 : !row->model);
  assert_int_equal(row->created_ms, given->created_ms);
  assert_int_equal(row->body_len, given->body_len);
  assert_memory_equal(row->body, given->body ? given->body : "", given->body_len);
  assert_null(row->order_key);
  assert_null(row->headers);
  return MP_OK;
}

static void must_be_equal(const seen *a, const seen *b) {
  assert_int_equal(a->row.state, b->row.state);
  assert_int_equal(a->row.due_ms, b->row.due_ms);
  assert_int_equal(a->row.attempts, b->row.attempts);
  assert_int_equal(a->row.attempts_total, b->row.attempts_total);
  assert_string_equal(a->error_class, b->error_class);
}

static void many_are_as_one_by_one(void **state) {
  static const size_t counts[] = {0, 1, 15, 16, 17, 32, MOST};
  fixture *f = *state;
  int64_t on, off, at = 1000;
  int64_t events = 0, accepted = 0;
  mp_store_counts sums;

  begin(f);
  on = add_webhook(f, true);
  off = add_webhook(f, false);
  commit(f);
  for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++, at += 1000) {
    size_t count = counts[c];
    rows many, single;
    make(&many, at, on, off);
    make(&single, at + 500, on, off);
    begin(f);
    must(f, mp_store_events_insert(f->store, many.list, count, &f->err));
    must(f, mp_store_deliveries_insert(f->store, many.deliveries, count, &f->err));
    for (size_t i = 0; i < count; i++) {
      must(f, mp_store_event_insert(f->store, single.list[i], &f->err));
      must(f, mp_store_delivery_insert(f->store, &single.deliveries[i], &f->err));
    }
    commit(f);
    for (size_t i = 0; i < count; i++) {
      seen a = look(f, at + (int64_t)i, many.deliveries[i].webhook_id);
      seen b = look(f, at + 500 + (int64_t)i, single.deliveries[i].webhook_id);
      must(f, mp_store_event(f->store, many.events[i].id, compare_event, &many.events[i], &f->err));
      must_be_equal(&a, &b);
      assert_int_equal(many.deliveries[i].state, single.deliveries[i].state);
    }
    must_fail(f, MP_ENOENT,
              mp_store_event(f->store, at + (int64_t)count, compare_event, NULL, &f->err));
    events += 2 * (int64_t)count;
    accepted += 2 * (int64_t)count;
    must(f, mp_store_count(f->store, &sums, &f->err));
    assert_int_equal(sums.events, events);
    assert_int_equal(sums.accepted, accepted);
  }
  accepted = 0;
  for (int i = 0; i < MP_STATE_COUNT; i++)
    accepted += sums.deliveries[i];
  assert_int_equal(accepted, sums.accepted);
  assert_true(sums.deliveries[MP_LEASED] > 0 && sums.deliveries[MP_WAITING] > 0 &&
              sums.deliveries[MP_HELD] > 0 && sums.deliveries[MP_DEAD] > 0);
}

static void each_lease_is_its_own(void **state) {
  fixture *f = *state;
  int64_t on;
  rows r;

  begin(f);
  on = add_webhook(f, true);
  make(&r, 1000, on, on);
  must(f, mp_store_events_insert(f->store, r.list, MOST, &f->err));
  must(f, mp_store_deliveries_insert(f->store, r.deliveries, MOST, &f->err));
  for (int i = 1; i < MOST; i += 2) { /* the leased ones */
    assert_false(finish(f, 1000 + i, r.deliveries[i].webhook_id, 5000 + i + 2, MP_DEAD, 0, NULL));
    assert_true(finish(f, 1000 + i, r.deliveries[i].webhook_id, 5000 + i, MP_DEAD, 0, NULL));
  }
  commit(f);
}

static void one_that_cannot_be_fails_the_call(void **state) {
  fixture *f = *state;
  int64_t on;
  rows r;

  begin(f);
  on = add_webhook(f, true);
  commit(f);
  make(&r, 1000, on, on);
  begin(f);
  add_event(f, 1011);
  commit(f);

  begin(f);
  must_fail(f, MP_EINVAL, mp_store_events_insert(f->store, r.list, MOST, &f->err));
  mp_store_rollback(f->store);

  make(&r, 1000, on, on);
  r.deliveries[20].state = MP_DELIVERED;
  begin(f);
  must_fail(f, MP_EINVAL, mp_store_deliveries_insert(f->store, r.deliveries, MOST, &f->err));
  mp_store_rollback(f->store);

  make(&r, 1000, on, on);
  r.deliveries[20].event_id = 1000; /* twice */
  begin(f);
  must_fail(f, MP_EINVAL, mp_store_deliveries_insert(f->store, r.deliveries, MOST, &f->err));
  mp_store_rollback(f->store);
  must_fail(f, MP_ENOENT, mp_store_event(f->store, 1000, compare_event, NULL, &f->err));
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
      TEST(many_are_as_one_by_one),
      TEST(each_lease_is_its_own),
      TEST(one_that_cannot_be_fails_the_call),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
