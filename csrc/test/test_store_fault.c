/* The store when the system fails it: a full disk, a broken one, no memory. Whatever fails, and
 * wherever: the error has the right code, nothing is half there, what was committed stays, and the
 * same open store works again as soon as the fault is gone.
 *
 * Faults are put under SQLite: into its system calls (sqlite3_vfs.xSetSystemCall) and its
 * allocator. */
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include "test/store_fixture.h"

/* ---- faults --------------------------------------------------------------------------------- */

static long fault_after = -1; /* calls until the fault; -1: none */
static bool fault_hit;
static int fault_errno;

static bool faulty(void) {
  if (fault_after < 0) return false;
  if (fault_after > 0) {
    fault_after--;
    return false;
  }
  fault_hit = true;
  errno = fault_errno;
  return true;
}

static ssize_t faulty_write(int fd, const void *bytes, size_t n) {
  return faulty() ? -1 : write(fd, bytes, n);
}

static ssize_t faulty_pwrite(int fd, const void *bytes, size_t n, off_t at) {
  return faulty() ? -1 : pwrite(fd, bytes, n, at);
}

/* SQLite has no handle on this one: it stands before the C library's. */
static bool sync_fails;

__attribute__((visibility("default"))) int fdatasync(int fd) {
  return sync_fails && faulty() ? -1 : fsync(fd);
}

/* NULL gives SQLite's own call back. */
static void replace(const char *name, void (*call)(void)) {
  sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
  vfs->xSetSystemCall(vfs, name, call);
}

static sqlite3_mem_methods memory;

static void *faulty_malloc(int n) {
  if (fault_errno == ENOMEM && faulty()) return NULL;
  return memory.xMalloc(n);
}

static void *faulty_realloc(void *p, int n) {
  if (fault_errno == ENOMEM && faulty()) return NULL;
  return memory.xRealloc(p, n);
}

/* ---- what is done under faults, and what must hold afterwards ------------------------------- */

#define GROUP  20
#define GROUPS 4

static char body[3000];

/* Group g has the events g * GROUP + 1 and so on. */
static mp_code write_group(fixture *f, int64_t hook, int g) {
  mp_code code = mp_store_begin(f->store, &f->err);
  for (int i = 1; i <= GROUP && code == MP_OK; i++) {
    int64_t id = g * GROUP + i, lease = MP_LEASE(1, id);
    mp_event_row event = {
        .id = id, .type = "t", .body = body, .body_len = sizeof body, .idempotency_key = "k"};
    mp_attempt failed = {.status = 500, .error_class = "http", .response = body, .response_len = 9};
    mp_new_delivery delivery = {
        .event_id = id, .webhook_id = hook, .state = MP_LEASED, .due_ms = 1, .lease = lease};
    mp_finish end = {.event_id = id, .webhook_id = hook, .lease = lease, .attempt = &failed};
    bool applied;

    code = mp_store_event_insert(f->store, &event, &f->err);
    if (code == MP_OK) {
      code = mp_store_delivery_insert(f->store, &delivery, &f->err);
    }
    if (code == MP_OK && i % 2) {
      code = mp_store_finish(f->store, &end, &applied, &f->err);
      if (code == MP_OK) assert_true(applied);
    }
  }
  if (code == MP_OK) code = mp_store_commit(f->store, &f->err);
  if (code != MP_OK) mp_store_rollback(f->store);
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

/* One run with the fault after n calls. False when the run ended before the fault came. */
static bool run(fixture *f, long n, int error, mp_code expected) {
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

  fault_hit = false;
  fault_errno = error;
  fault_after = n;
  for (g = 0; g < GROUPS && code == MP_OK; g++) {
    code = write_group(f, row.id, g);
    if (code == MP_OK) committed++;
  }
  fault_after = -1;
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
  return fault_hit;
}

static int fault_at_each_call(fixture *f, int error, mp_code expected) {
  int runs = 0;
  for (long n = 0; run(f, n, error, expected); n += 1 + n / 16)
    runs++;
  return runs;
}

static void a_full_disk_is_enospc(void **state) {
  replace("write", (void (*)(void))faulty_write);
  replace("pwrite", (void (*)(void))faulty_pwrite);
  replace("pwrite64", (void (*)(void))faulty_pwrite);
  assert_true(fault_at_each_call(*state, ENOSPC, MP_ENOSPC) > 10);
  assert_true(fault_at_each_call(*state, EDQUOT, MP_ENOSPC) > 10);
}

static void a_broken_disk_is_eio(void **state) {
  replace("write", (void (*)(void))faulty_write);
  replace("pwrite", (void (*)(void))faulty_pwrite);
  replace("pwrite64", (void (*)(void))faulty_pwrite);
  assert_true(fault_at_each_call(*state, EIO, MP_EIO) > 10);
}

static void a_failed_sync_is_eio(void **state) {
  sync_fails = true;
  assert_true(fault_at_each_call(*state, EIO, MP_EIO) >= GROUPS);
}

static void no_memory_is_enomem(void **state) {
  assert_true(fault_at_each_call(*state, ENOMEM, MP_ENOMEM) > 50);
}

static void no_memory_while_opening_is_enomem(void **state) {
  fixture *f = *state;
  int failures = 0;

  fault_errno = ENOMEM;
  for (long n = 0;; n++) {
    mp_code code;
    fault_hit = false;
    fault_after = n;
    code = mp_store_open(f->path, &f->store, &f->err);
    fault_after = -1;
    if (code == MP_OK) {
      mp_store_close(f->store);
      f->store = NULL;
    } else {
      assert_int_equal(code, MP_ENOMEM);
      assert_null(f->store);
      failures++;
    }
    if (!fault_hit) break;
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
  fault_after = -1;
  fault_errno = 0;
  sync_fails = false;
  replace("write", NULL);
  replace("pwrite", NULL);
  replace("pwrite64", NULL);
  return fixture_teardown(state);
}

#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_folder, remove_faults)

int main(void) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST(a_full_disk_is_enospc), FAULT_TEST(a_broken_disk_is_eio),
      FAULT_TEST(a_failed_sync_is_eio),  FAULT_TEST(a_file_size_limit_is_enospc),
      FAULT_TEST(no_memory_is_enomem),   FAULT_TEST(no_memory_while_opening_is_enomem),
  };
  sqlite3_mem_methods faulty_memory;

  /* Before anything else is done with SQLite. */
  if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory) != SQLITE_OK) return 1;
  faulty_memory = memory;
  faulty_memory.xMalloc = faulty_malloc;
  faulty_memory.xRealloc = faulty_realloc;
  if (sqlite3_config(SQLITE_CONFIG_MALLOC, &faulty_memory) != SQLITE_OK) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
