/* The store's listings: every filter, page by page, against a plain model of what was written. */
#include "test/store_fixture.h"

#define WEBHOOKS 5
#define EVENTS   60

/* What should be in the store: row i is delivery (event, webhook), newest first. */
typedef struct model {
  struct {
    int64_t event, webhook;
    mp_delivery_state state;
  } rows[EVENTS * WEBHOOKS];
  int count;
  int64_t webhooks[WEBHOOKS];
} model;

static uint64_t next_random(uint64_t *seed) {
  *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return *seed >> 33;
}

/* Puts one new delivery into the state that is wanted. */
static void make(fixture *f, int64_t event, int64_t webhook, mp_delivery_state wanted) {
  static uint32_t n;
  int64_t lease = MP_LEASE(1, ++n);
  mp_attempt failed = {.at_ms = 9, .status = 500, .error_class = "http", .error = "HTTP 500"};
  mp_attempt ok = {.at_ms = 9, .status = 200};

  if (wanted == MP_WAITING || wanted == MP_HELD) {
    add_delivery(f, event, webhook, wanted, (int64_t)(n * 7919 % 1000), 0);
    return;
  }
  add_delivery(f, event, webhook, MP_LEASED, 1, lease);
  if (wanted == MP_LEASED) return;
  assert_true(finish(f, event, webhook, lease, wanted, 0,
                     wanted == MP_DELIVERED ? &ok
                     : wanted == MP_DEAD    ? &failed
                                            : NULL));
}

static void fill(fixture *f, model *m) {
  uint64_t seed = 42;

  m->count = 0;
  begin(f);
  for (int w = 0; w < WEBHOOKS; w++)
    m->webhooks[w] = add_webhook(f, w != 2);
  for (int64_t e = EVENTS; e >= 1; e--) {
    add_event(f, e * 10);
    for (int w = WEBHOOKS - 1; w >= 0; w--) {
      mp_delivery_state state = (mp_delivery_state)(next_random(&seed) % MP_STATE_COUNT);
      if (next_random(&seed) % 4 == 0) continue;
      if (state == MP_WAITING || state == MP_HELD) state = w == 2 ? MP_HELD : MP_WAITING;
      make(f, e * 10, m->webhooks[w], state);
      m->rows[m->count].event = e * 10;
      m->rows[m->count].webhook = m->webhooks[w];
      m->rows[m->count++].state = state;
    }
  }
  commit(f);
}

typedef struct page {
  int64_t event[64], webhook[64];
  mp_delivery_state state[64];
  int count;
} page;

static mp_code keep_row(void *arg, const mp_delivery_row *row, mp_error *err) {
  page *p = arg;
  (void)err;
  p->event[p->count] = row->event_id;
  p->webhook[p->count] = row->webhook_id;
  p->state[p->count++] = row->state;
  return MP_OK;
}

static void check(fixture *f, const model *m, mp_delivery_filter filter) {
  int at = 0;

  for (;;) {
    page p = {0};
    must(f, mp_store_deliveries(f->store, &filter, keep_row, &p, &f->err));
    assert_true(p.count <= filter.limit);
    for (int i = 0; i < p.count; i++) {
      while (at < m->count && ((filter.webhook_id && m->rows[at].webhook != filter.webhook_id) ||
                               (filter.event_id && m->rows[at].event != filter.event_id) ||
                               (filter.state >= 0 && (int)m->rows[at].state != filter.state))) {
        at++;
      }
      assert_true(at < m->count);
      assert_int_equal(p.event[i], m->rows[at].event);
      assert_int_equal(p.webhook[i], m->rows[at].webhook);
      assert_int_equal(p.state[i], m->rows[at].state);
      at++;
    }
    if (p.count < filter.limit) break;
    filter.before_event = p.event[p.count - 1];
    filter.before_webhook = p.webhook[p.count - 1];
  }
  for (; at < m->count; at++) { /* nothing was left out */
    assert_true((filter.webhook_id && m->rows[at].webhook != filter.webhook_id) ||
                (filter.event_id && m->rows[at].event != filter.event_id) ||
                (filter.state >= 0 && (int)m->rows[at].state != filter.state));
  }
}

static void every_filter_pages_through_what_it_names(void **state) {
  fixture *f = *state;
  model m;

  fill(f, &m);
  for (int w = -1; w <= WEBHOOKS; w++) {
    for (int s = -1; s < MP_STATE_COUNT; s++) {
      for (int limit = 1; limit <= 64; limit = limit * 3 + 1) {
        mp_delivery_filter filter = {.webhook_id = w < 0           ? 0
                                                   : w == WEBHOOKS ? 4711
                                                                   : m.webhooks[w],
                                     .state = s,
                                     .limit = limit};
        check(f, &m, filter);
        filter.event_id = 300;
        check(f, &m, filter);
      }
    }
  }
}

static void odd_filters_are_harmless(void **state) {
  fixture *f = *state;
  mp_delivery_filter filter = {.state = MP_STATE_COUNT, .limit = 5};
  page p = {0};
  model m;

  fill(f, &m);
  must_fail(f, MP_EINVAL, mp_store_deliveries(f->store, &filter, keep_row, &p, &f->err));
  filter.state = -1;
  filter.limit = -1;
  must(f, mp_store_deliveries(f->store, &filter, keep_row, &p, &f->err));
  filter.limit = 0;
  must(f, mp_store_deliveries(f->store, &filter, keep_row, &p, &f->err));
  assert_int_equal(p.count, 0);
  filter.limit = 64;
  filter.before_event = 20; /* without before_webhook: only older events */
  must(f, mp_store_deliveries(f->store, &filter, keep_row, &p, &f->err));
  for (int i = 0; i < p.count; i++)
    assert_int_equal(p.event[i], 10);
  must_fail(f, MP_ENOENT, mp_store_delivery(f->store, 10, 4711, keep_row, &p, &f->err));
  must_fail(f, MP_ENOENT, mp_store_delivery(f->store, 0, m.webhooks[0], keep_row, &p, &f->err));
  must_fail(f, MP_ENOENT, mp_store_delivery(f->store, 10, 0, keep_row, &p, &f->err));
}

static mp_code stop(void *arg, const mp_delivery_row *row, mp_error *err) {
  (void)row;
  return ++*(int *)arg == 3 ? mp_fail(err, MP_E2BIG, "enough") : MP_OK;
}

static void a_callback_can_stop_a_listing(void **state) {
  fixture *f = *state;
  mp_delivery_filter filter = {.state = -1, .limit = 50};
  int calls = 0;
  model m;

  fill(f, &m);
  must_fail(f, MP_E2BIG, mp_store_deliveries(f->store, &filter, stop, &calls, &f->err));
  assert_int_equal(calls, 3);
  check(f, &m, filter);
}

static void counts_agree(void **state) {
  fixture *f = *state;
  mp_store_counts counts;
  int64_t expected[MP_STATE_COUNT] = {0};
  model m;

  must(f, mp_store_count(f->store, &counts, &f->err));
  for (int s = 0; s < MP_STATE_COUNT; s++)
    assert_int_equal(counts.deliveries[s], 0);
  fill(f, &m);
  for (int i = 0; i < m.count; i++)
    expected[m.rows[i].state]++;
  must(f, mp_store_count(f->store, &counts, &f->err));
  assert_int_equal(counts.events, EVENTS);
  for (int s = 0; s < MP_STATE_COUNT; s++) {
    assert_true(expected[s] > 0);
    assert_int_equal(counts.deliveries[s], expected[s]);
  }
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      STORE_TEST(every_filter_pages_through_what_it_names),
      STORE_TEST(odd_filters_are_harmless),
      STORE_TEST(a_callback_can_stop_a_listing),
      STORE_TEST(counts_agree),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
