/* The engine while its store is out of order for longer: a full disk, a lock that another program
 * holds, pages that come back damaged, and a crash right after a failure. */
#include "test/engine_run.h"
#include "test/fault_disk.h"

static sink receiver;
static run r;

static bool is_full(mp_code code) {
  return code == MP_ENOSPC;
}

/* The limit is generous: what is waited for comes. */
#define UNTIL(condition)                                                  \
  do {                                                                    \
    int64_t until_ = mp_mono_ms() + RUN_LIMIT_S * 1000;                   \
    while (!(condition)) {                                                \
      CHECK(mp_mono_ms() < until_, "waited in vain for: %s", #condition); \
      usleep(2000);                                                       \
    }                                                                     \
  } while (0)

/* Another connection on the store. */
static void other(sqlite3 **db, const char *sql) {
  char *message = NULL;
  if (!*db) CHECK(sqlite3_open(r.path, db) == SQLITE_OK, "the store cannot be opened");
  sqlite3_busy_timeout(*db, 30000);
  CHECK(sqlite3_exec(*db, sql, NULL, NULL, &message) == SQLITE_OK, "%s: %s", sql, message);
}

/* ---- a full disk ---------------------------------------------------------------------------- */

#define SLOTS   4 /* the config's webhook's */
#define WAITING 20
#define REFUSED 10

/* Some requests are under way and get no answer, and more wait behind them. */
static void fill_lane(void) {
  atomic_store(&receiver.status, 0);
  for (int i = 0; i < WAITING; i++)
    CHECK(run_emit(&r, 1, true, NULL, NULL)->code == MP_OK, "emit");
  UNTIL(atomic_load(&receiver.kept) >= SLOTS);
}

static void emit_refused(void) {
  const told *t = run_emit(&r, 1, true, NULL, NULL);
  CHECK(t->code == MP_ENOSPC, "emit on a full disk: %s", mp_code_name(t->code));
}

static void write_nothing(void) {
  run_begin(&r, &receiver, is_full);
  run_open(&r);
  fill_lane();
  fault_arm(FAULT_WRITE | FAULT_TRUNCATE, ENOSPC, 0, 1L << 40);
  for (int i = 0; i < REFUSED; i++)
    emit_refused();
  CHECK(run_emit(&r, 1, false, NULL, NULL)->code == MP_OK, "an emit that nobody waits for");
  emit_refused();
  fault_end();
  atomic_store(&receiver.status, 200);
  CHECK(run_emit(&r, 1, true, NULL, NULL)->code == MP_OK, "emit, with room again");
  run_check(&r);
  run_end(&r);
}

static void emits_on_a_full_disk_are_refused_and_go_on_when_there_is_room(void **state) {
  (void)state;
  fault_alone("a full disk", write_nothing);
}

/* As on a full disk of a store in use: its files do not grow, but there is room in the -wal file
 * that is written over. The receiver answers while emits keep coming and are refused. */
static void deliver(void) {
  sqlite3 *db = NULL;

  run_begin(&r, &receiver, is_full);
  run_open(&r);
  for (int i = 0; i < 40; i++)
    CHECK(run_emit(&r, 3, true, NULL, NULL)->code == MP_OK, "emit");
  run_wait_delivered(&r);
  other(&db, "PRAGMA wal_checkpoint(PASSIVE)");
  sqlite3_close(db);
  fill_lane();
  atomic_store(&fault_disk_full, true);
  atomic_store(&fault_outside, true);
  while (run_emit(&r, 1, true, NULL, NULL)->code == MP_OK)
    continue;
  atomic_store(&receiver.status, 200);
  UNTIL(sink_got(&receiver, r.told[40].ids[0], 'c'));
  for (int i = 0; i < REFUSED; i++) {
    usleep(100000);
    run_emit(&r, 1, true, NULL, NULL); /* either may be: what was delivered makes no room */
  }
  fprintf(stderr, "# on a full disk %d requests were made of %d\n", receiver.count - 120,
          r.emits - 40);
  atomic_store(&fault_disk_full, false);
  atomic_store(&fault_outside, false);
  run_check(&r);
  run_end(&r);
}

static void what_was_accepted_before_the_disk_was_full_is_delivered(void **state) {
  (void)state;
  fault_alone("deliveries on a full disk", deliver);
}

/* Nothing is written until after close: what nobody waited for is lost, and only that. */
static void close_full(void) {
  mp_error err = {0};
  told *t;

  run_begin(&r, &receiver, is_full);
  run_open(&r);
  fill_lane();
  fault_arm(FAULT_WRITE | FAULT_TRUNCATE, ENOSPC, 0, 1L << 40);
  emit_refused();
  t = run_emit(&r, 1, false, NULL, NULL);
  mp_engine_close(r.engine, 0, &err); /* bounded, whatever it answers */
  r.engine = NULL;
  fault_end();
  t->code = MP_ETIMEDOUT; /* it may be there or not */
  atomic_store(&receiver.status, 200);
  run_check(&r);
  run_end(&r);
}

static void close_on_a_full_disk_is_bounded_and_loses_nothing_that_was_committed(void **state) {
  (void)state;
  fault_alone("close on a full disk", close_full);
}

/* ---- a crash after a failure ---------------------------------------------------------------- */

static void copy_file(const char *end_of_name) {
  char command[512];
  snprintf(command, sizeof command, "cp '%s%s' '%s.copy%s'", r.path, end_of_name, r.path,
           end_of_name);
  CHECK(system(command) == 0, "%s", command);
}

static bool is_io(mp_code code) {
  return code == MP_EIO;
}

/* The last write of a commit is there when its sync fails. What the disk then has is what a crash
 * would leave. */
static void crash(void) {
  const told *t;
  int64_t refused;
  int stored = 0;

  run_begin(&r, &receiver, is_io);
  run_open(&r);
  run_emit(&r, 1, true, NULL, NULL);
  run_wait_delivered(&r);
  fault_arm(FAULT_SYNC, EIO, 0, 1);
  t = run_emit(&r, 1, true, NULL, NULL);
  CHECK(t->code == MP_EIO, "emit with a sync that fails: %s", mp_code_name(t->code));
  refused = t->ids[0];
  usleep(1500000); /* what the engine does about it, it does in its next round */
  copy_file("");
  copy_file("-wal");
  copy_file(".key");
  run_check(&r);
  strcat(r.path, ".copy");
  run_open(&r);
  stored = run_stored(&r, refused);
  run_close(&r);
  CHECK(!stored, "an emit was refused, and is there after a crash");
  run_end(&r);
}

static void what_was_refused_is_not_there_after_a_crash(void **state) {
  (void)state;
  fault_alone("a crash", crash);
}

/* ---- a store that another program holds ----------------------------------------------------- */

static bool is_busy(mp_code code) {
  return code == MP_EBUSY;
}

static void hold(void) {
  sqlite3 *db = NULL;
  const told *t;

  run_begin(&r, &receiver, is_busy);
  run_open(&r);
  fill_lane();
  other(&db, "BEGIN IMMEDIATE");
  atomic_store(&fault_outside, true);
  t = run_emit(&r, 1, true, NULL, NULL);
  CHECK(t->code == MP_EBUSY, "emit into a locked store: %s", mp_code_name(t->code));
  run_emit(&r, 1, false, NULL, NULL);
  atomic_store(&receiver.status, 200);
  other(&db, "ROLLBACK");
  sqlite3_close(db);
  UNTIL(run_emit(&r, 1, true, NULL, NULL)->code == MP_OK);
  atomic_store(&fault_outside, false);
  run_check(&r);
  run_end(&r);
}

static void a_store_that_another_program_holds_is_ebusy(void **state) {
  (void)state;
  fault_alone("a locked store", hold);
}

/* ---- damaged pages -------------------------------------------------------------------------- */

/* A store with something of everything in it, made once. */
static void make_store(void) {
  run_begin(&r, &receiver, is_io);
  snprintf(r.path, sizeof r.path, "%s/whole.db", folder);
  run_work(&r);
  atomic_store(&receiver.status, 0);
  fill_lane();
  CHECK(mp_engine_close(r.engine, 0, NULL) == MP_ETIMEDOUT, "close");
  sink_stop(&receiver);
}

/* Each read of the store gives one wrong byte in turn, when the engine starts and while it works: a
 * commit of another connection makes SQLite read anew. Nothing is promised but that it ends. */
static void damaged(const fault_sweep *s, long first) {
  char command[512];
  sqlite3 *db = NULL;
  mp_error err = {0};

  run_begin(&r, &receiver, NULL);
  atomic_store(&receiver.lenient, true);
  snprintf(command, sizeof command, "cp %s/whole.db '%s'", folder, r.path);
  CHECK(system(command) == 0, "%s", command);
  fault_arm(s->kinds, 0, first, s->count);
  run_work(&r);
  if (r.engine) {
    if (sqlite3_open(r.path, &db) == SQLITE_OK) {
      sqlite3_exec(db, "UPDATE webhook SET updated_ms = updated_ms + 1", NULL, NULL, NULL);
    }
    sqlite3_close(db);
    run_emit(&r, 1, true, NULL, NULL);
    for (int call = RUN_STATS; call <= RUN_TRIGGER; call++)
      run_call(&r, (run_read)call, r.a, r.told[0].ids[0]);
    mp_engine_close(r.engine, 0, &err);
  }
  run_end(&r);
}

static void a_damaged_page_crashes_nothing(void **state) {
  fault_sweep s = {
      .name = "damaged reads", .kinds = FAULT_FLIP, .count = 1, .most = 200, .work = damaged};
  (void)state;

  fault_alone("a whole store", make_store);
  fault_sweep_all(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
      TEST(emits_on_a_full_disk_are_refused_and_go_on_when_there_is_room),
      TEST(what_was_accepted_before_the_disk_was_full_is_delivered),
      TEST(close_on_a_full_disk_is_bounded_and_loses_nothing_that_was_committed),
      TEST(what_was_refused_is_not_there_after_a_crash),
      TEST(a_store_that_another_program_holds_is_ebusy),
      TEST(a_damaged_page_crashes_nothing),
  };
  if (!fault_disk_init()) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
