/* The store when the system fails it: a full disk, a broken one, no memory. Whatever fails, and
 * wherever: the error has the right code, nothing is half there, what was committed stays, and the
 * same open store works again as soon as the fault is gone. */
#include <sys/resource.h>

#include "test/fault_disk.h"
#include "test/fault_sqlite.h"
#include "test/store_fixture.h"

/* ---- what is done under faults, and what must hold afterwards ------------------------------- */

#define GROUP  20
#define GROUPS 4

static char body[3000];

static mp_code ignore(void *arg, const mp_delivery_row *row, mp_error *err) {
  (void)arg;
  (void)row;
  (void)err;
  return MP_OK;
}

static mp_code insert_group(fixture *f, mp_new_delivery *deliveries, bool bundled) {
  mp_code code = MP_OK;

  for (int i = 0; i < GROUP && code == MP_OK; i++) {
    mp_event_row event = {.id = deliveries[i].event_id,
                          .type = "t",
                          .body = body,
                          .body_len = sizeof body,
                          .idempotency_key = "k"};
    code = mp_store_event_insert(f->store, &event, &f->err);
    if (code == MP_OK && !bundled)
      code = mp_store_delivery_insert(f->store, &deliveries[i], &f->err);
  }
  if (code == MP_OK && bundled)
    code = mp_store_deliveries_insert(f->store, deliveries, GROUP, &f->err);
  return code;
}

/* Every other one's first attempt fails. */
static mp_code end_group(fixture *f, const mp_new_delivery *deliveries) {
  mp_attempt failed = {.status = 500, .error_class = "http", .response = body, .response_len = 9};
  mp_code code = MP_OK;

  for (int i = 0; i < GROUP && code == MP_OK; i += 2) {
    mp_finish end = {.event_id = deliveries[i].event_id,
                     .webhook_id = deliveries[i].webhook_id,
                     .lease = deliveries[i].lease,
                     .attempt = &failed};
    bool applied;

    code = mp_store_finish(f->store, &end, &applied, &f->err);
    if (code == MP_OK) assert_true(applied);
  }
  return code;
}

/* Group g has the events g * GROUP + 1 and so on; of every other group the deliveries are bundled.
 * Then somebody looks, which may fail. */
static mp_code write_group(fixture *f, int64_t hook, int g) {
  mp_delivery_filter all = {.state = -1, .limit = 1};
  mp_new_delivery deliveries[GROUP];
  mp_error unheard;
  mp_code code = mp_store_begin(f->store, &f->err);

  for (int i = 0; i < GROUP; i++) {
    int64_t id = g * GROUP + i + 1;
    deliveries[i] = (mp_new_delivery){.event_id = id,
                                      .webhook_id = hook,
                                      .state = MP_LEASED,
                                      .due_ms = 1,
                                      .lease = MP_LEASE(1, id),
                                      .bundled = g % 2};
  }
  if (code == MP_OK) code = insert_group(f, deliveries, g % 2);
  if (code == MP_OK) code = end_group(f, deliveries);
  if (code == MP_OK) code = mp_store_commit(f->store, &f->err);
  if (code == MP_OK)
    mp_store_deliveries(f->store, &all, ignore, NULL, &unheard);
  else
    mp_store_rollback(f->store);
  return code;
}

/* Each group is there whole or not at all; the first `committed` of them are. */
static void check_groups(fixture *f, int64_t hook, int committed) {
  sqlite3 *db;
  sqlite3_stmt *q;

  for (int g = 0; g < GROUPS; g++) {
    int there = 0;
    for (int i = 1; i <= GROUP; i++) {
      seen s = {0};
      mp_code code = mp_store_delivery(f->store, g * GROUP + i, hook, see, &s, &f->err);
      if (code == MP_ENOENT) continue;
      must(f, code);
      assert_int_equal(s.row.state, i % 2 ? MP_WAITING : MP_LEASED);
      assert_int_equal(s.row.attempts_total, i % 2);
      there++;
    }
    if (there != GROUP && (there != 0 || g < committed)) {
      fail_msg("%d of group %d are there; %d groups were committed", there, g, committed);
    }
  }
  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db,
                                      "SELECT integrity_check, (SELECT count(*) FROM event) - "
                                      "(SELECT count(*) FROM delivery) FROM pragma_integrity_check",
                                      -1, &q, NULL),
                   SQLITE_OK);
  assert_int_equal(sqlite3_step(q), SQLITE_ROW);
  assert_string_equal((const char *)sqlite3_column_text(q, 0), "ok");
  assert_int_equal(sqlite3_column_int(q, 1), 0);
  sqlite3_finalize(q);
  sqlite3_close(db);
}

#define EVER_AFTER (1L << 40)

/* One run in which the calls fail from the n-th on. False when it ended before that. */
static bool run(fixture *f, int kinds, long n, int error, mp_code expected) {
  mp_webhook_row row = {.name = "hook", .definition = "{}", .enabled = true};
  int committed = 0, g = 0;
  mp_code code = MP_OK;
  char command[1000];

  snprintf(command, sizeof command, "rm -f '%s' '%s-wal' '%s-shm'", f->path, f->path, f->path);
  assert_int_equal(system(command), 0);
  must(f, mp_store_open(f->path, &f->store, &f->err));
  begin(f);
  must(f, mp_store_webhook_insert(f->store, &row, &f->err));
  commit(f);

  fault_arm(kinds, error, n, EVER_AFTER);
  for (g = 0; g < GROUPS && code == MP_OK; g++) {
    code = write_group(f, row.id, g);
    if (code == MP_OK) committed++;
  }
  fault_end();
  if (code != MP_OK) {
    if (code != expected) fail_msg("after %ld: %s", n, f->err.message);
    assert_non_null(strstr(f->err.message, f->path));
    /* The same group again, and the rest: the store works as it is. Its events are not there yet.
     */
    for (g--; g < GROUPS; g++, committed++)
      must(f, write_group(f, row.id, g));
  }
  check_groups(f, row.id, GROUPS);
  assert_int_equal(committed, GROUPS);
  mp_store_close(f->store);
  must(f, mp_store_open(f->path, &f->store, &f->err));
  check_groups(f, row.id, GROUPS);
  mp_store_close(f->store);
  f->store = NULL;
  return atomic_load(&fault_hits) > 0;
}

static int fault_at_each_call(fixture *f, int kinds, int error, mp_code expected) {
  int runs = 0;
  for (long n = 0; run(f, kinds, n, error, expected); n += 1 + n / 16)
    runs++;
  return runs;
}

static void a_full_disk_is_enospc(void **state) {
  assert_true(fault_at_each_call(*state, FAULT_WRITE, ENOSPC, MP_ENOSPC) > 10);
  assert_true(fault_at_each_call(*state, FAULT_WRITE, EDQUOT, MP_ENOSPC) > 10);
}

static void a_broken_disk_is_eio(void **state) {
  assert_true(fault_at_each_call(*state, FAULT_WRITE, EIO, MP_EIO) > 10);
}

static void a_failed_sync_is_eio(void **state) {
  assert_true(fault_at_each_call(*state, FAULT_SYNC, EIO, MP_EIO) >= GROUPS);
}

static void no_memory_is_enomem(void **state) {
  assert_true(fault_at_each_call(*state, FAULT_SQLITE, ENOMEM, MP_ENOMEM) > 50);
}

static void no_memory_while_opening_is_enomem(void **state) {
  fixture *f = *state;
  int failures = 0;

  for (long n = 0;; n++) {
    mp_code code;
    fault_arm(FAULT_SQLITE, ENOMEM, n, EVER_AFTER);
    code = mp_store_open(f->path, &f->store, &f->err);
    fault_end();
    if (code == MP_OK) {
      mp_store_close(f->store);
      f->store = NULL;
    } else {
      assert_int_equal(code, MP_ENOMEM);
      assert_null(f->store);
      failures++;
    }
    if (atomic_load(&fault_hits) == 0) break;
    must(f, mp_store_open(f->path, &f->store, &f->err)); /* nothing worse was left behind */
    mp_store_close(f->store);
    f->store = NULL;
    if (n % 7 == 0) assert_int_equal(unlink(f->path), 0); /* new stores too */
  }
  assert_true(failures > 50);
}

/* A limit on the file's size, as a quota of the service manager: the kernel says EFBIG. */
static void a_file_size_limit_is_enospc(void **state) {
  fixture *f = *state;
  struct rlimit before, limit;
  int64_t hook;
  int g = 1;

  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  limit = before;
  limit.rlim_cur = 300 * 1024;
  must(f, mp_store_open(f->path, &f->store, &f->err));
  begin(f);
  hook = add_webhook(f, true);
  commit(f);
  must(f, write_group(f, hook, 0));
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
  while (g < GROUPS && write_group(f, hook, g) == MP_OK)
    g++;
  must_fail(f, MP_ENOSPC, write_group(f, hook, g));
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  for (; g < GROUPS; g++)
    must(f, write_group(f, hook, g));
  check_groups(f, hook, GROUPS);
}

static int remove_faults(void **state) {
  fault_end();
  return fixture_teardown(state);
}

#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_folder, remove_faults)

int main(void) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST(a_full_disk_is_enospc), FAULT_TEST(a_broken_disk_is_eio),
      FAULT_TEST(a_failed_sync_is_eio),  FAULT_TEST(a_file_size_limit_is_enospc),
      FAULT_TEST(no_memory_is_enomem),   FAULT_TEST(no_memory_while_opening_is_enomem),
  };
  if (!fault_sqlite_init() || !fault_disk_init()) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
