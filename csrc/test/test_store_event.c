/* The store: events, their listings, and the keys that keep one from being stored twice. */
#include "test/store_fixture.h"

typedef struct events {
  int64_t ids[16];
  int count;
  char text[512]; /* of the last: type model created order_key body */
} events;

static mp_code keep_event(void *arg, const mp_event_row *row, mp_error *err) {
  events *e = arg;
  (void)err;
  e->ids[e->count++] = row->id;
  snprintf(e->text, sizeof e->text, "%s %s %d %s %zu %.*s", row->type,
           row->model ? row->model : "-", (int)row->created_ms,
           row->order_key ? row->order_key : "-", row->body_len, (int)row->body_len, row->body);
  return MP_OK;
}

static void events_are_kept_as_given(void **state) {
  fixture *f = *state;
  mp_event_row full = {.id = INT64_C(1) << 62,
                       .type = "entry.create",
                       .model = "m\xc3\xa4",
                       .created_ms = 7,
                       .body = "{\"a\":1}",
                       .body_len = 7,
                       .order_key = "k"};
  mp_event_row bare = {.id = 5, .type = "t", .created_ms = -1, .body = NULL, .body_len = 0};
  mp_event_row binary = {.id = 6, .type = "t", .body = "a\0b", .body_len = 3};
  events seen_events = {0};

  begin(f);
  must(f, mp_store_event_insert(f->store, &full, &f->err));
  must(f, mp_store_event_insert(f->store, &bare, &f->err));
  must(f, mp_store_event_insert(f->store, &binary, &f->err));
  must_fail(f, MP_EINVAL, mp_store_event_insert(f->store, &bare, &f->err));
  commit(f); /* a refused row leaves its transaction usable */

  must(f, mp_store_event(f->store, full.id, keep_event, &seen_events, &f->err));
  assert_string_equal(seen_events.text, "entry.create m\xc3\xa4 7 k 7 {\"a\":1}");
  must(f, mp_store_event(f->store, 5, keep_event, &seen_events, &f->err));
  assert_string_equal(seen_events.text, "t - -1 - 0 ");
  must(f, mp_store_event(f->store, 6, keep_event, &seen_events, &f->err));
  assert_string_equal(seen_events.text, "t - 0 - 3 a");
  must_fail(f, MP_ENOENT, mp_store_event(f->store, 7, keep_event, &seen_events, &f->err));
}

static void list(fixture *f, const char *type, int64_t before, int limit, events *out) {
  const mp_event_filter filter = {.type = type, .before = before, .limit = limit};
  must(f, mp_store_events(f->store, &filter, keep_event, out, &f->err));
}

static void events_are_listed_newest_first(void **state) {
  fixture *f = *state;
  events page = {0}, next = {0}, typed = {0}, none = {0};

  begin(f);
  for (int64_t id = 1; id <= 9; id++) {
    mp_event_row row = {.id = id, .type = id % 3 ? "a" : "b", .body = "", .body_len = 0};
    must(f, mp_store_event_insert(f->store, &row, &f->err));
  }
  commit(f);
  list(f, NULL, 0, 4, &page);
  assert_int_equal(page.count, 4);
  assert_int_equal(page.ids[0], 9);
  assert_int_equal(page.ids[3], 6);
  list(f, NULL, page.ids[3], 16, &next);
  assert_int_equal(next.count, 5);
  assert_int_equal(next.ids[0], 5);
  list(f, "b", 9, 16, &typed);
  assert_int_equal(typed.count, 2);
  assert_int_equal(typed.ids[0], 6);
  list(f, "c", 0, 16, &none);
  list(f, NULL, 0, 0, &none);
  list(f, NULL, 0, -1, &none);
  assert_int_equal(none.count, 0);
}

/* Two types in turns, in milliseconds that they share and in some of their own, over two
 * transactions: pages of any size give each event of the type once. */
static void events_of_a_type_are_listed_newest_first(void **state) {
  static const int64_t times[] = {100, 100, 100, 100, 101, 103, 103, 107, 107, 107, 107, 500};
  enum { COUNT = sizeof times / sizeof times[0] };
  fixture *f = *state;
  char longest[200];

  memset(longest, 'l', sizeof longest);
  longest[sizeof longest - 1] = '\0';
  for (int half = 0; half < 2; half++) {
    begin(f);
    for (int i = half * COUNT / 2; i < (half + 1) * COUNT / 2; i++) {
      mp_event_row row = {
          .id = accepted_at(times[i]) + i, .type = i % 2 ? "a" : longest, .body = ""};
      must(f, mp_store_event_insert(f->store, &row, &f->err));
    }
    commit(f);
  }
  for (int limit = 1; limit <= COUNT; limit++) {
    for (int odd = 0; odd < 2; odd++) {
      int64_t before = 0;
      int expected = COUNT - 2 + odd;
      for (;;) {
        events page = {0};
        list(f, odd ? "a" : longest, before, limit, &page);
        assert_true(page.count == limit || (page.count < limit && expected - 2 * page.count < 0));
        for (int i = 0; i < page.count; i++, expected -= 2)
          assert_int_equal(page.ids[i], accepted_at(times[expected]) + expected);
        if (page.count < limit) break;
        before = page.ids[page.count - 1];
      }
      assert_true(expected < 0);
    }
  }
}

static int64_t event_of_key(fixture *f, const char *key, int64_t since_ms) {
  int64_t id = -1;
  must(f, mp_store_idempotent(f->store, key, since_ms, &id, &f->err));
  return id;
}

static void idempotency_keys_last_for_their_window(void **state) {
  fixture *f = *state;
  mp_event_row a = {.id = accepted_at(100), .type = "t", .body = "", .idempotency_key = "k"};
  mp_event_row b = {.id = accepted_at(300), .type = "t", .body = "", .idempotency_key = "k"};

  begin(f);
  assert_int_equal(event_of_key(f, "k", 0), 0);
  must(f, mp_store_event_insert(f->store, &a, &f->err));
  commit(f);
  begin(f);
  assert_int_equal(event_of_key(f, "k", 99), a.id);
  assert_int_equal(event_of_key(f, "k", 100), a.id);
  assert_int_equal(event_of_key(f, "K", 100), 0);
  assert_int_equal(event_of_key(f, "k", 101), 0);
  assert_int_equal(event_of_key(f, "k", 0), 0); /* it was forgotten, not only hidden */
  must(f, mp_store_event_insert(f->store, &b, &f->err));
  assert_int_equal(event_of_key(f, "k", 101), b.id);
  commit(f);
}

/* One look-up forgets a few keys only: those that are left must be hidden, and be replaced. */
static void an_expired_key_that_is_still_there_does_not_count(void **state) {
  fixture *f = *state;
  char key[16];
  mp_event_row row = {.type = "t", .body = "", .idempotency_key = key};

  begin(f);
  for (int i = 1; i <= 100; i++) {
    row.id = accepted_at(100) + i;
    snprintf(key, sizeof key, "k%02d", i);
    must(f, mp_store_event_insert(f->store, &row, &f->err));
  }
  assert_int_equal(event_of_key(f, "k99", 200), 0);
  snprintf(key, sizeof key, "k99");
  row.id = accepted_at(250);
  must(f, mp_store_event_insert(f->store, &row, &f->err));
  assert_int_equal(event_of_key(f, "k99", 200), row.id);
  commit(f);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      STORE_TEST(events_are_kept_as_given),
      STORE_TEST(events_are_listed_newest_first),
      STORE_TEST(events_of_a_type_are_listed_newest_first),
      STORE_TEST(idempotency_keys_last_for_their_window),
      STORE_TEST(an_expired_key_that_is_still_there_does_not_count),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
