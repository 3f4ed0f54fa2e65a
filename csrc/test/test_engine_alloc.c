/* The engine without memory: every allocation that it, SQLite and libcurl make fails in its turn,
 * once or a few in a row, while a host opens it, makes webhooks, emits, lists, sends again and
 * closes. Whatever fails: the rule of engine_run.h holds, nothing leaks, and the engine goes on. */
#include "test/engine_run.h"
#include "test/fast_disk.h"
#include "test/fault_alloc.h"

static bool is_no_memory(mp_code code) {
  return code == MP_ENOMEM || (code == MP_EIO && atomic_load(&fault_errno) == EMFILE);
}

static void host(const fault_sweep *s, long first) {
  static sink receiver;
  static run r;

  run_begin(&r, &receiver, is_no_memory);
  fault_arm(s->kinds, s->error, first, s->count);
  run_work(&r);
  run_close(&r);
  run_check(&r);
  run_end(&r);
}

static void must_hold(const char *name, int kinds, long count, long most) {
  fault_sweep s = {
      .name = name, .kinds = kinds, .error = ENOMEM, .count = count, .most = most, .work = host};
  fault_sweep_all(&s);
}

static void an_allocation_of_the_engine_fails(void **state) {
  (void)state;
  must_hold("the engine's allocations", FAULT_OWN, 1, 300);
}

static void allocations_of_the_engine_fail_in_a_row(void **state) {
  (void)state;
  must_hold("the engine's allocations", FAULT_OWN, 8, 100);
}

static void an_allocation_of_sqlite_fails(void **state) {
  (void)state;
  must_hold("SQLite's allocations", FAULT_SQLITE, 1, 200);
}

static void an_allocation_of_libcurl_fails(void **state) {
  (void)state;
  must_hold("libcurl's allocations", FAULT_CURL, 1, 200);
}

static void any_allocations_fail_in_a_row(void **state) {
  (void)state;
  must_hold("all allocations", FAULT_OWN | FAULT_SQLITE | FAULT_CURL, 8, 100);
}

/* ---- without descriptors -------------------------------------------------------------------- */

/* /proc cannot be read, libcurl does not start or has nothing to be woken by. */
static void there_is_no_descriptor_to_spare(void **state) {
  fault_sweep s = {.name = "descriptors",
                   .kinds = FAULT_FILES,
                   .error = EMFILE,
                   .count = 1,
                   .most = 100,
                   .work = host};
  (void)state;

  fault_sweep_all(&s);
  s.count = 3;
  fault_sweep_all(&s);
}

/* Both processes' runs are on one store. */
static void begin_shared(run *r, sink *receiver) {
  run_begin(r, receiver, is_no_memory);
  snprintf(r->path, sizeof r->path, "%s/shared.db", folder);
}

/* Opens the store that another process has open, with each of the calls failing in turn. */
static void join_again_and_again(int ready) {
  static sink receiver;
  static run r;
  char byte;

  CHECK(read(ready, &byte, 1) == 1, "the first engine is not there");
  begin_shared(&r, &receiver);
  for (long n = 0; n == 0 || atomic_load(&fault_hits) > 0; n++) {
    fault_end();
    fault_arm(FAULT_FILES, EMFILE, n, 1);
    run_open(&r);
    run_close(&r);
  }
  fault_end();
  sink_stop(&receiver);
}

static int engines_of(const char *path, int pid) {
  sqlite3_stmt *q = NULL;
  sqlite3 *db;
  int n = -1;

  CHECK(sqlite3_open(path, &db) == SQLITE_OK, "the store cannot be opened");
  sqlite3_busy_timeout(db, 30000);
  if (sqlite3_prepare_v2(db, "SELECT count(*) FROM engine WHERE pid = ?1", -1, &q, NULL) ==
      SQLITE_OK) {
    sqlite3_bind_int(q, 1, pid);
    if (sqlite3_step(q) == SQLITE_ROW) n = sqlite3_column_int(q, 0);
  }
  sqlite3_finalize(q);
  sqlite3_close(db);
  return n;
}

static void share(void) {
  static sink receiver;
  static run r;
  int ready[2];
  const char *why;
  pid_t child;

  CHECK(pipe(ready) == 0, "there is no pipe");
  child = fault_fork();
  if (child == 0) {
    alarm(FAULT_LIMIT_S);
    join_again_and_again(ready[0]);
    exit(0);
  }
  begin_shared(&r, &receiver);
  run_open(&r);
  CHECK(write(ready[1], "x", 1) == 1, "the pipe is closed");
  why = fault_status(child);
  CHECK(!why, "the second process %s", why);
  CHECK(engines_of(r.path, (int)getpid()) == 1, "an engine that runs was taken for dead");
  run_check(&r);
  sink_stop(&receiver);
}

static void an_engine_that_runs_is_not_taken_for_dead(void **state) {
  (void)state;
  fault_alone("two processes", share);
}

/* ---- one store, opened twice ---------------------------------------------------------------- */

static void open_twice(void) {
  static sink receiver;
  static run r;
  bool hit = true;

  run_begin(&r, &receiver, is_no_memory);
  run_open(&r);
  for (long n = 0; hit; n++) {
    mp_settings *settings = run_settings(&r);
    mp_engine *second = NULL;
    mp_error err = {0};
    mp_code code;

    fault_arm(FAULT_OWN, ENOMEM, n, 1);
    code = mp_engine_open(settings, &second, &err);
    hit = atomic_load(&fault_hits) > 0;
    fault_end();
    CHECK(code == (second ? MP_OK : MP_ENOMEM), "open: %s: %s", mp_code_name(code), err.message);
    CHECK(!second || second == r.engine, "two engines are on one store, call %ld failing", n);
    if (second) mp_engine_close(second, 1000, NULL);
  }
  run_check(&r);
  sink_stop(&receiver);
}

static void a_store_opened_twice_is_one_engine(void **state) {
  (void)state;
  fault_alone("one store, opened twice", open_twice);
}

/* ---- a request ------------------------------------------------------------------------------ */

static void request(void) {
  static sink receiver;
  static run r;
  mp_buf out;

  run_begin(&r, &receiver, is_no_memory);
  run_open(&r);
  fault_arm(FAULT_CURL, ENOMEM, 0, 3);
  CHECK(run_emit(&r, 1, true, NULL, NULL)->code == MP_OK, "emit");
  run_wait_delivered(&r);
  CHECK(atomic_load(&fault_hits) == 3, "libcurl was not used");
  fault_end();
  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  CHECK(mp_engine_attempts(r.engine, r.told[0].ids[0], 1, &out, NULL) == MP_OK, "attempts");
  CHECK(run_has(&out, "\"class\":\"internal\"") && run_has(&out, "\"status\":200"),
        "the attempts are %.*s", (int)out.len, out.data);
  mp_buf_free(&out);
  run_check(&r);
  sink_stop(&receiver);
}

static void a_request_that_finds_no_memory_is_made_again(void **state) {
  (void)state;
  fault_alone("a request", request);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
      TEST(an_allocation_of_the_engine_fails),
      TEST(allocations_of_the_engine_fail_in_a_row),
      TEST(an_allocation_of_sqlite_fails),
      TEST(an_allocation_of_libcurl_fails),
      TEST(any_allocations_fail_in_a_row),
      TEST(there_is_no_descriptor_to_spare),
      TEST(an_engine_that_runs_is_not_taken_for_dead),
      TEST(a_store_opened_twice_is_one_engine),
      TEST(a_request_that_finds_no_memory_is_made_again),
  };
  if (!fault_sqlite_init()) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
