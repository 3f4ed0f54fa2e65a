/* Retention: what a step forgets, what it keeps, and that the file gets smaller. */
#include "store_fixture.h"
/* store_fixture.h has cmocka.h and what it needs */
#include "queue/sqlite.h"

static int prune_all(fixture *f, int64_t ended, int64_t dead, int64_t held) {
  mp_prune_before before = {.ended_ms = ended, .dead_ms = dead, .held_ms = held};
  mp_pruned step = {0};
  int total = 0;
  begin(f);
  do {
    must(f, mp_store_prune(f->store, &before, 900, step.after, &step, &f->err));
    total += step.count;
  } while (step.after != 0);
  commit(f);
  return total;
}

/* Events are named by a number and the time at which they were accepted. */
static int64_t event_at(int64_t ms, int number) {
  return accepted_at(ms) + number;
}

static int64_t add_old_event(fixture *f, int64_t ms, int number) {
  mp_event_row event = {.id = event_at(ms, number), .type = "t", .body = "{}", .body_len = 2};
  must(f, mp_store_event_insert(f->store, &event, &f->err));
  return event.id;
}

static void add_ended(fixture *f, int64_t ms, int number, int64_t hook, mp_delivery_state state) {
  mp_attempt attempt = {.status = state == MP_DELIVERED ? 200 : 500,
                        .error_class = state == MP_DELIVERED ? NULL : "http"};
  int64_t id = add_old_event(f, ms, number);
  add_delivery(f, id, hook, MP_LEASED, 0, MP_LEASE(1, number));
  assert_true(finish(f, id, hook, MP_LEASE(1, number), state, 0, &attempt));
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
  add_ended(f, 100, 1, hook, MP_DELIVERED);
  add_ended(f, 100, 2, hook, MP_DEAD);
  add_old_event(f, 100, 3); /* nobody wanted it */
  add_delivery(f, add_old_event(f, 100, 4), hook, MP_WAITING, 5, 0);
  add_delivery(f, add_old_event(f, 100, 5), hook, MP_LEASED, 5, MP_LEASE(1, 5));
  add_delivery(f, add_old_event(f, 100, 6), off, MP_HELD, 5, 0);
  add_ended(f, 300, 7, hook, MP_DELIVERED);
  /* One delivery delivered, the other held: it counts as held. */
  add_ended(f, 100, 8, hook, MP_DELIVERED);
  add_delivery(f, event_at(100, 8), off, MP_HELD, 5, 0);
  commit(f);

  assert_int_equal(prune_all(f, 100, 100, 100), 0); /* not older */
  assert_int_equal(prune_all(f, 200, 50, 50), 2);   /* 1 and 3 */
  assert_int_equal(events_left(f), 6);
  assert_int_equal(prune_all(f, INT64_MAX, INT64_MAX, 50), 2); /* 2 and 7, whatever their age */
  assert_int_equal(prune_all(f, 0, 0, 200), 2);                /* 6 and 8 */
  assert_int_equal(prune_all(f, INT64_MAX, INT64_MAX, INT64_MAX), 0); /* 4 and 5 are open */
  assert_int_equal(events_left(f), 2);
}

static int64_t types_noted(fixture *f) {
  sqlite3_stmt *q;
  int64_t count;

  assert_int_equal(sqlite3_prepare_v2(mp_sqlite_of(f->store)->db, "SELECT count(*) FROM event_type",
                                      -1, &q, NULL),
                   SQLITE_OK);
  assert_int_equal(sqlite3_step(q), SQLITE_ROW);
  count = sqlite3_column_int64(q, 0);
  sqlite3_finalize(q);
  return count;
}

/* In which milliseconds there are events of a type is forgotten with the last of them. */
static void types_go_with_their_last_event(void **state) {
  fixture *f = *state;
  mp_event_row other = {.id = event_at(100, 9), .type = "other", .body = ""};
  mp_prune_before all = {.ended_ms = INT64_MAX, .dead_ms = INT64_MAX, .held_ms = INT64_MAX};
  mp_pruned step;
  int64_t hook;

  begin(f);
  hook = add_webhook(f, true);
  add_old_event(f, 100, 1);
  add_delivery(f, add_old_event(f, 100, 2), hook, MP_WAITING, 5, 0);
  add_old_event(f, 100, 3);
  must(f, mp_store_event_insert(f->store, &other, &f->err));
  add_old_event(f, 101, 4);
  add_old_event(f, 200, 5);
  commit(f);
  assert_int_equal(types_noted(f), 4);
  assert_int_equal(prune_all(f, 150, 150, 150), 4);
  assert_int_equal(types_noted(f), 2); /* of 2, which is open, and 5, which is young */
  begin(f);
  add_old_event(f, 101, 6); /* it is noted anew */
  commit(f);
  assert_int_equal(types_noted(f), 3);
  begin(f);
  must(f, mp_store_webhook_delete(f->store, hook, &f->err));
  commit(f);
  assert_int_equal(prune_all(f, INT64_MAX, INT64_MAX, INT64_MAX), 3);
  assert_int_equal(types_noted(f), 0);
  begin(f);
  add_old_event(f, 300, 7);
  must(f, mp_store_prune(f->store, &all, 900, 0, &step, &f->err));
  assert_int_equal(step.count, 1);
  add_old_event(f, 300, 8); /* what was noted is gone, though in the same transaction */
  commit(f);
  assert_int_equal(types_noted(f), 1);
}

static void what_waited_behind_a_forgotten_delivery_is_due(void **state) {
  fixture *f = *state;
  int64_t hook;

  begin(f);
  hook = add_webhook(f, true);
  for (int i = 1; i <= 3; i++) {
    mp_new_delivery d = {.event_id = add_old_event(f, 100 * i, i),
                         .webhook_id = hook,
                         .state = MP_WAITING,
                         .due_ms = 100 * i,
                         .order_key = "k"};
    must(f, mp_store_delivery_insert(f->store, &d, &f->err));
  }
  enable(f, hook, false, 500);
  commit(f);
  assert_int_equal(prune_all(f, 0, 0, 150), 1);
  begin(f);
  enable(f, hook, true, 600);
  commit(f);
  assert_int_equal(look(f, event_at(200, 2), hook).row.due_ms, 600);
  assert_true(look(f, event_at(300, 3), hook).row.due_ms == INT64_MAX);
}

static void steps_are_bounded_and_go_on(void **state) {
  fixture *f = *state;
  mp_prune_before before = {.ended_ms = 200, .dead_ms = 200, .held_ms = 200};
  mp_pruned step;

  begin(f);
  for (int i = 1; i <= MP_PRUNE_STEP + 10; i++)
    add_old_event(f, 100, i);
  add_old_event(f, 300, 0);
  commit(f);
  begin(f);
  must(f, mp_store_prune(f->store, &before, 900, 0, &step, &f->err));
  assert_int_equal(step.count, MP_PRUNE_STEP);
  assert_int_equal(step.after, event_at(100, MP_PRUNE_STEP));
  must(f, mp_store_prune(f->store, &before, 900, step.after, &step, &f->err));
  assert_int_equal(step.count, 10);
  assert_int_equal(step.after, 0);
  commit(f);
  assert_int_equal(events_left(f), 1);
}

/* When the step that is asked for leaves nothing to do, it says until when. */
static void it_tells_when_the_next_is_too_old(void **state) {
  fixture *f = *state;
  mp_prune_before before = {
      .ended_ms = 800, .dead_ms = 500, .held_ms = 500}; /* kept for 100, 400 */
  int64_t hook;
  mp_pruned step;

  begin(f);
  must(f, mp_store_prune(f->store, &before, 900, 0, &step, &f->err));
  assert_true(step.old_ms == INT64_MAX);
  hook = add_webhook(f, true);
  add_delivery(f, add_old_event(f, 400, 1), hook, MP_WAITING, 5, 0); /* open: it tells nothing */
  must(f, mp_store_prune(f->store, &before, 900, 0, &step, &f->err));
  assert_true(step.old_ms == INT64_MAX);
  add_ended(f, 600, 2, hook, MP_DEAD);
  must(f, mp_store_prune(f->store, &before, 900, 0, &step, &f->err));
  assert_int_equal(step.old_ms, 1001);
  add_ended(f, 850, 3, hook, MP_DELIVERED);
  must(f, mp_store_prune(f->store, &before, 900, 0, &step, &f->err));
  assert_int_equal(step.old_ms, 951);
  before = (mp_prune_before){.ended_ms = 851, .dead_ms = 551, .held_ms = 551};
  must(f, mp_store_prune(f->store, &before, 951, 0, &step, &f->err));
  assert_int_equal(step.count, 1);
  commit(f);
}

static void the_file_gets_smaller(void **state) {
  static char body[4000];
  fixture *f = *state;
  int64_t used, spare, before;

  memset(body, 'x', sizeof body);
  begin(f);
  for (int i = 1; i <= 1000; i++) {
    mp_event_row event = {.id = event_at(1, i), .type = "t", .body = body, .body_len = sizeof body};
    must(f, mp_store_event_insert(f->store, &event, &f->err));
  }
  commit(f);
  must(f, mp_store_size(f->store, &before, &spare, &f->err));
  assert_true(before > 4000000);
  assert_int_equal(prune_all(f, 2, 2, 2), 1000);
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
      PRUNE_TEST(types_go_with_their_last_event),
      PRUNE_TEST(what_waited_behind_a_forgotten_delivery_is_due),
      PRUNE_TEST(steps_are_bounded_and_go_on),
      PRUNE_TEST(it_tells_when_the_next_is_too_old),
      PRUNE_TEST(the_file_gets_smaller),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
