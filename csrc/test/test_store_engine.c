/* The store's engines: their ids and slots, and what becomes of the leases of those that end. */
#include <sqlite3.h>
#include <sys/wait.h>

#include "base/process.h"
#include "test/store_fixture.h"

static int64_t join(fixture *f, const char *host, int64_t pid, int64_t start, int64_t now_ms,
                    unsigned expected_slot) {
  mp_engine_identity who = {host, pid, start};
  int64_t id, newest;
  unsigned slot;
  must(f, mp_store_engine_join(f->store, &who, now_ms, &id, &slot, &newest, &f->err));
  assert_int_equal(slot, expected_slot);
  return id;
}

/* The pids of the engines that are listed, as digits. */
static mp_code add_pid(void *arg, int64_t id, const mp_engine_identity *who, mp_error *err) {
  int64_t *pids = arg;
  (void)err;
  assert_true(id > 0);
  assert_string_equal(who->host, "h");
  assert_int_equal(who->start, 1);
  *pids = *pids * 10 + who->pid;
  return MP_OK;
}

static int64_t listed(fixture *f) {
  int64_t pids = 0;
  must(f, mp_store_engines(f->store, add_pid, &pids, &f->err));
  return pids;
}

static void engines_get_new_ids_and_free_slots(void **state) {
  fixture *f = *state;
  mp_engine_identity who = {"h", 1, 1};
  int64_t a, b, c, id, newest;
  unsigned slot;

  assert_int_equal(listed(f), 0);
  begin(f);
  a = join(f, "h", 1, 1, 0, 0);
  must(f, mp_store_engine_beat(f->store, a, 5, &f->err));
  b = join(f, "h", 2, 1, 0, 1);
  c = join(f, "h", 3, 1, 0, 2);
  assert_true(a >= 1 && b > a && c > b);
  assert_int_equal(listed(f), 123);
  must(f, mp_store_engine_leave(f->store, b, &f->err));
  assert_int_equal(listed(f), 13);
  must_fail(f, MP_ENOENT, mp_store_engine_beat(f->store, b, 7, &f->err));
  assert_true(join(f, "h", 4, 1, 0, 1) > c);
  add_event(f, 41);
  add_event(f, 42);
  must(f, mp_store_engine_join(f->store, &who, 0, &id, &slot, &newest, &f->err));
  assert_int_equal(newest, 42);
  commit(f);
}

static void a_last_engines_id_is_not_given_again(void **state) {
  fixture *f = *state;
  int64_t a;
  begin(f);
  a = join(f, "h", 1, 1, 0, 0);
  must(f, mp_store_engine_leave(f->store, a, &f->err));
  assert_true(join(f, "h", 1, 1, 0, 0) > a);
  commit(f);
}

static void engine_ids_run_out_clearly(void **state) {
  fixture *f = *state;
  mp_engine_identity who = {"h", 1, 1};
  int64_t most = MP_LEASE_ENGINE(INT64_MAX), id, newest, released, hook;
  char sql[128];
  unsigned slot;
  sqlite3 *db;

  begin(f);
  hook = add_webhook(f, true);
  join(f, "h", 1, 1, 0, 0);
  commit(f);
  snprintf(sql, sizeof sql, "UPDATE sqlite_sequence SET seq = %lld WHERE name = 'engine'",
           (long long)most - 1);
  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
  begin(f);
  assert_int_equal(join(f, "h", 2, 1, 0, 1), most);
  must_fail(f, MP_E2BIG, mp_store_engine_join(f->store, &who, 0, &id, &slot, &newest, &f->err));
  mp_store_rollback(f->store);
  begin(f);
  join(f, "h", 2, 1, 0, 1);
  add_event(f, 1);
  add_delivery(f, 1, hook, MP_LEASED, 1, INT64_MAX);
  must(f, mp_store_engine_reap(f->store, most, "other", 0, 9, &released, &f->err));
  assert_int_equal(released, 0);
  must(f, mp_store_engine_leave(f->store, most, &f->err));
  assert_int_equal(state_of(f, 1, hook), MP_WAITING);
  commit(f);
}

static void slots_run_out_clearly(void **state) {
  fixture *f = *state;
  mp_engine_identity who = {"h", MP_ID_SLOTS, 1};
  int64_t id, newest, released;
  unsigned slot;
  begin(f);
  for (unsigned i = 0; i < MP_ID_SLOTS; i++)
    join(f, "h", i, 1, 0, i);
  must_fail(f, MP_EBUSY, mp_store_engine_join(f->store, &who, 0, &id, &slot, &newest, &f->err));
  must(f, mp_store_engine_reap(f->store, 0, "other", 100, 50, &released, &f->err));
  join(f, "h", 1, 1, 0, 0);
  commit(f);
}

/* The disk was full when it closed, say: the process goes on and opens the store again. */
static void joining_anew_ends_the_former_engine_of_the_process(void **state) {
  fixture *f = *state;
  int64_t hook, former, again, released;

  begin(f);
  hook = add_webhook(f, true);
  former = join(f, "h", 1, 7, 0, 0);
  add_event(f, 1);
  add_delivery(f, 1, hook, MP_LEASED, 5, MP_LEASE(former, 1));
  again = join(f, "h", 1, 7, 0, 0);
  must(f, mp_store_engine_reap(f->store, again, "h", 0, 30000, &released, &f->err));
  commit(f);
  assert_int_equal(released, 1);
  assert_int_equal(state_of(f, 1, hook), MP_WAITING);
}

static void leaving_frees_its_leases_alone(void **state) {
  fixture *f = *state;
  int64_t hook, held, gone, a, b;

  begin(f);
  hook = add_webhook(f, true);
  held = add_webhook(f, true);
  gone = add_webhook(f, true);
  a = join(f, "h", 1, 1, 0, 0);
  b = join(f, "h", 2, 1, 0, 1);
  for (int64_t e = 1; e <= 4; e++)
    add_event(f, e);
  add_delivery(f, 1, hook, MP_LEASED, 77, MP_LEASE(a, 1));
  add_delivery(f, 1, held, MP_LEASED, 77, MP_LEASE(b, 0) - 1); /* its very last */
  add_delivery(f, 1, gone, MP_LEASED, 77, MP_LEASE(a, 0));
  add_delivery(f, 2, hook, MP_LEASED, 77, MP_LEASE(b, 1));
  enable(f, held, false, 100);
  must(f, mp_store_webhook_delete(f->store, gone, &f->err));
  must(f, mp_store_engine_leave(f->store, a, &f->err));
  commit(f);
  assert_int_equal(state_of(f, 1, hook), MP_WAITING);
  assert_int_equal(look(f, 1, hook).row.due_ms, 77);
  assert_int_equal(state_of(f, 1, held), MP_HELD);
  assert_int_equal(state_of(f, 1, gone), MP_DEAD);
  assert_string_equal(look(f, 1, gone).error_class, "deleted");
  assert_int_equal(state_of(f, 2, hook), MP_LEASED);
}

/* A process that has ended, with the start time it had. */
static void ended_process(int64_t *pid, int64_t *start) {
  int pipe_ends[2];
  pid_t child;
  char c;

  assert_int_equal(pipe(pipe_ends), 0);
  child = fork();
  if (child == 0) {
    close(pipe_ends[1]);
    if (read(pipe_ends[0], &c, 1) < 0) _exit(1);
    _exit(0);
  }
  *pid = child;
  *start = mp_process_start(child);
  assert_true(*start != 0);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
  assert_int_equal(waitpid(child, NULL, 0), child);
}

static void reap_frees_what_dead_engines_held(void **state) {
  fixture *f = *state;
  int64_t me = getpid(), start = mp_process_start(me), pid, ended_start, hook, released,
          now = 100000;
  int64_t self, living, ended, reused, far_fresh, far_stale, unknown, fresh, ids[8];

  ended_process(&pid, &ended_start);
  begin(f);
  hook = add_webhook(f, true);
  ids[0] = self = join(f, "there", me, start, 0, 0);  /* never its own judge */
  ids[1] = living = join(f, "here", me, start, 0, 1); /* an old beat does not matter here */
  ids[2] = ended = join(f, "here", pid, ended_start, now, 2);
  ids[3] = reused = join(f, "here", me, start + 1, now, 3); /* its pid was given again */
  ids[4] = far_fresh = join(f, "there", pid, ended_start, now - 30000, 4);
  ids[5] = far_stale = join(f, "there", me, start + 7, now - 30001, 5);
  ids[6] = unknown = join(f, "here", me, 0, now - 30001, 6); /* could not read its start */
  ids[7] = fresh = join(f, "here", me, 0, now - 30000, 7);
  for (int i = 0; i < 8; i++) {
    add_event(f, ids[i]);
    add_delivery(f, ids[i], hook, MP_LEASED, 5, MP_LEASE(ids[i], 9));
  }
  add_event(f, 100);
  add_delivery(f, 100, hook, MP_LEASED, 5, MP_LEASE(4711, 1)); /* no such engine */
  commit(f);

  begin(f);
  must(f, mp_store_engine_reap(f->store, self, "here", now, 30000, &released, &f->err));
  commit(f);
  assert_int_equal(released, 5);
  assert_int_equal(state_of(f, self, hook), MP_LEASED);
  assert_int_equal(state_of(f, living, hook), MP_LEASED);
  assert_int_equal(state_of(f, far_fresh, hook), MP_LEASED);
  assert_int_equal(state_of(f, fresh, hook), MP_LEASED);
  assert_int_equal(state_of(f, ended, hook), MP_WAITING);
  assert_int_equal(state_of(f, reused, hook), MP_WAITING);
  assert_int_equal(state_of(f, far_stale, hook), MP_WAITING);
  assert_int_equal(state_of(f, unknown, hook), MP_WAITING);
  assert_int_equal(state_of(f, 100, hook), MP_WAITING);

  begin(f);
  must_fail(f, MP_ENOENT, mp_store_engine_beat(f->store, far_stale, now, &f->err));
  must(f, mp_store_engine_reap(f->store, self, "here", now, 30000, &released, &f->err));
  assert_int_equal(released, 0);
  assert_false(finish(f, ended, hook, MP_LEASE(ended, 9), MP_DELIVERED, 0, NULL));
  commit(f);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      STORE_TEST(engines_get_new_ids_and_free_slots),
      STORE_TEST(a_last_engines_id_is_not_given_again),
      STORE_TEST(engine_ids_run_out_clearly),
      STORE_TEST(slots_run_out_clearly),
      STORE_TEST(joining_anew_ends_the_former_engine_of_the_process),
      STORE_TEST(leaving_frees_its_leases_alone),
      STORE_TEST(reap_frees_what_dead_engines_held),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
