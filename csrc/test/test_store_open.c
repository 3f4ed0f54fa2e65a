/* Opening a store: what is made, what is refused, and that a refused file is left as it was. */
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "test/store_fixture.h"

/* ---- files and databases -------------------------------------------------------------------- */

static char *slurp(const char *path, size_t *len) {
  FILE *file = fopen(path, "rb");
  char *bytes;
  long size;

  assert_non_null(file);
  fseek(file, 0, SEEK_END);
  size = ftell(file);
  rewind(file);
  bytes = malloc((size_t)size + 1);
  assert_non_null(bytes);
  *len = fread(bytes, 1, (size_t)size, file);
  fclose(file);
  return bytes;
}

static void spit(const char *path, const char *bytes, size_t len) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, len, file), len);
  fclose(file);
}

static bool beside(const fixture *f, const char *suffix) {
  char name[320];
  snprintf(name, sizeof name, "%s%s", f->path, suffix);
  return access(name, F_OK) == 0;
}

/* Opening must fail with the code, name the path, say what is expected and change nothing. */
static void refused(fixture *f, mp_code expected, const char *says) {
  bool wal = beside(f, "-wal"), shm = beside(f, "-shm"), journal = beside(f, "-journal");
  size_t before_len, after_len;
  char *before = slurp(f->path, &before_len), *after;

  must_fail(f, expected, mp_store_open(f->path, &f->store, &f->err));
  assert_null(f->store);
  if (!strstr(f->err.message, f->path) || !strstr(f->err.message, says)) {
    fail_msg("\"%s\" does not say \"%s\" of %s", f->err.message, says, f->path);
  }
  after = slurp(f->path, &after_len);
  assert_int_equal(before_len, after_len);
  assert_memory_equal(before, after, before_len);
  assert_int_equal(beside(f, "-wal"), wal);
  assert_int_equal(beside(f, "-shm"), shm);
  assert_int_equal(beside(f, "-journal"), journal);
  free(before);
  free(after);
}

/* Runs SQL on the file, with SQLite alone. */
static void sql(const fixture *f, const char *text) {
  char *message = NULL;
  sqlite3 *db;
  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s", message);
  sqlite3_close(db);
}

static void make_store(fixture *f) {
  must(f, mp_store_open(f->path, &f->store, &f->err));
  mp_store_close(f->store);
  f->store = NULL;
}

static void works(fixture *f) {
  static int64_t id;
  must(f, mp_store_open(f->path, &f->store, &f->err));
  begin(f);
  add_event(f, ++id);
  commit(f);
  mp_store_close(f->store);
  f->store = NULL;
}

/* ---- what is not a file for a store --------------------------------------------------------- */

static void a_directory_is_refused(void **state) {
  fixture *f = *state;
  must_fail(f, MP_EINVAL, mp_store_open(f->folder, &f->store, &f->err));
  assert_non_null(strstr(f->err.message, f->folder));
  assert_non_null(strstr(f->err.message, "is a directory"));
}

static void a_missing_folder_is_refused(void **state) {
  fixture *f = *state;
  strcat(f->path, "/missing/moonpost.db");
  must_fail(f, MP_EINVAL, mp_store_open(f->path, &f->store, &f->err));
  assert_non_null(strstr(f->err.message, f->path));
  assert_non_null(strstr(f->err.message, "folder"));
}

static void a_file_as_folder_is_refused(void **state) {
  fixture *f = *state;
  spit(f->path, "x", 1);
  strcat(f->path, "/moonpost.db");
  must_fail(f, MP_EINVAL, mp_store_open(f->path, &f->store, &f->err));
}

static void a_fifo_is_refused(void **state) {
  fixture *f = *state;
  assert_int_equal(mkfifo(f->path, 0600), 0);
  must_fail(f, MP_EINVAL, mp_store_open(f->path, &f->store, &f->err));
  assert_non_null(strstr(f->err.message, "not a regular file"));
}

static void a_name_that_is_too_long_is_refused(void **state) {
  fixture *f = *state;
  char name[5000];
  memset(name, 'a', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  must_fail(f, MP_EINVAL, mp_store_open(name, &f->store, &f->err));
}

/* Root may read everything, so a child gives its rights away first. */
static void what_may_not_be_read_or_written_is_refused(void **state) {
  fixture *f = *state;
  char other[300];
  int status;
  pid_t child;

  snprintf(other, sizeof other, "%s/other.db", f->folder);
  make_store(f);
  assert_int_equal(chmod(f->folder, 0755), 0);
  child = fork();
  if (child == 0) {
    mp_error err;
    mp_store *store;
    if (geteuid() == 0 && seteuid(65534) != 0) _exit(0);
    if (geteuid() != 65534) chmod(f->path, 0); /* not root: it is its own file */
    if (mp_store_open(f->path, &store, &err) != MP_EIO || !strstr(err.message, f->path)) _exit(1);
    if (geteuid() == 65534 && mp_store_open(other, &store, &err) != MP_EIO) _exit(2);
    _exit(0);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  assert_int_equal(chmod(f->path, 0644), 0);
  child = fork();
  if (child == 0) { /* readable, but not writable */
    mp_error err;
    mp_store *store;
    if (geteuid() != 0 || seteuid(65534) != 0) _exit(0);
    _exit(mp_store_open(f->path, &store, &err) == MP_EIO && strstr(err.message, "not writable")
              ? 0
              : 1);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

static void what_everybody_may_write_is_refused(void **state) {
  fixture *f = *state;

  make_store(f);
  assert_int_equal(chmod(f->path, 0602), 0);
  must_fail(f, MP_EINVAL, mp_store_open(f->path, &f->store, &f->err));
  assert_non_null(strstr(f->err.message, "may be written by everybody (mode 0602"));
  assert_int_equal(chmod(f->path, 0644), 0);
  must(f, mp_store_open(f->path, &f->store, &f->err));
}

/* ---- what is made --------------------------------------------------------------------------- */

static void a_new_store_is_for_its_owner_alone(void **state) {
  fixture *f = *state;
  static const char *const suffixes[] = {"", "-wal", "-shm"};
  char name[320];
  struct stat st;

  must(f, mp_store_open(f->path, &f->store, &f->err));
  begin(f);
  add_event(f, 1);
  commit(f);
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s%s", f->path, suffixes[i]);
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
  }
}

static void an_empty_file_is_a_new_store(void **state) {
  fixture *f = *state;
  spit(f->path, "", 0);
  works(f);
  works(f);
}

/* SQLite takes a name that begins with "file:" for a URI. */
static void a_relative_name_is_a_name(void **state) {
  fixture *f = *state;
  char cwd[1024];
  assert_non_null(getcwd(cwd, sizeof cwd));
  assert_int_equal(chdir(f->folder), 0);
  strcpy(f->path, "file:x?mode=memory");
  works(f);
  assert_int_equal(access(f->path, F_OK), 0);
  assert_int_equal(chdir(cwd), 0);
}

static int pragma(const fixture *f, const char *name) {
  char text[64];
  sqlite3 *db;
  sqlite3_stmt *q;
  int value;
  snprintf(text, sizeof text, "PRAGMA %s", name);
  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, text, -1, &q, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(q), SQLITE_ROW);
  value = sqlite3_column_int(q, 0);
  sqlite3_finalize(q);
  sqlite3_close(db);
  return value;
}

static void the_file_says_what_it_is(void **state) {
  fixture *f = *state;
  make_store(f);
  assert_int_equal(pragma(f, "application_id"), 0x6d6f6f6e);
  assert_int_equal(pragma(f, "user_version"), 1);
  assert_int_equal(pragma(f, "auto_vacuum"), 2);
}

/* Its making may be cut short after SQLite wrote the file's first page. */
static void a_store_without_tables_is_made_anew(void **state) {
  fixture *f = *state;
  sql(f, "PRAGMA auto_vacuum = INCREMENTAL");
  works(f);
  assert_int_equal(pragma(f, "auto_vacuum"), 2);
}

static void processes_may_make_it_together(void **state) {
  fixture *f = *state;
  for (int round = 0; round < 25; round++) {
    mp_store_counts counts;
    pid_t children[4];
    int ready[2];
    snprintf(f->path, sizeof f->path, "%s/%d.db", f->folder, round);
    assert_int_equal(pipe(ready), 0);
    for (int i = 0; i < 4; i++) {
      children[i] = fork();
      if (children[i] == 0) {
        mp_event_row event = {.id = i + 1, .type = "t", .body = "", .body_len = 0};
        char c;
        close(ready[1]);
        if (read(ready[0], &c, 1) != 0) _exit(1);
        if (mp_store_open(f->path, &f->store, &f->err) != MP_OK ||
            mp_store_begin(f->store, &f->err) != MP_OK ||
            mp_store_event_insert(f->store, &event, &f->err) != MP_OK ||
            mp_store_commit(f->store, &f->err) != MP_OK) {
          fprintf(stderr, "%s\n", f->err.message);
          _exit(1);
        }
        mp_store_close(f->store);
        _exit(0);
      }
    }
    close(ready[0]);
    close(ready[1]); /* the starting gun */
    for (int i = 0; i < 4; i++) {
      int status;
      assert_int_equal(waitpid(children[i], &status, 0), children[i]);
      assert_int_equal(status, 0);
    }
    must(f, mp_store_open(f->path, &f->store, &f->err));
    must(f, mp_store_count(f->store, &counts, &f->err));
    assert_int_equal(counts.events, 4);
    mp_store_close(f->store);
    f->store = NULL;
  }
}

/* ---- what is not ours, or not whole --------------------------------------------------------- */

static void garbage_is_refused(void **state) {
  fixture *f = *state;
  char bytes[8192];
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (char)(i * 31);
  spit(f->path, bytes, sizeof bytes);
  refused(f, MP_ECORRUPT, "is damaged or not a moonpost store; it was not changed");
  spit(f->path, "x", 1);
  refused(f, MP_ECORRUPT, "is damaged or not a moonpost store");
  spit(f->path, "SQLite format 3", 16);
  refused(f, MP_ECORRUPT, "is damaged or not a moonpost store");
}

static void another_applications_file_is_refused(void **state) {
  fixture *f = *state;
  sql(f, "PRAGMA journal_mode = WAL"); /* no table yet, but somebody's */
  refused(f, MP_ECORRUPT, "another application");
  sql(f, "PRAGMA journal_mode = DELETE");
  sql(f, "CREATE TABLE t(x)");
  refused(f, MP_ECORRUPT, "another application");
  sql(f, "PRAGMA application_id = 77");
  refused(f, MP_ECORRUPT, "application_id 77");
  sql(f, "DROP TABLE t");
  refused(f, MP_ECORRUPT, "another application");
  sql(f, "PRAGMA application_id = 0; PRAGMA journal_mode = WAL");
  refused(f, MP_ECORRUPT, "another application");
}

/* A process that dies without closing leaves its last writes in the -wal. */
static void die_with_a_wal(const fixture *f, const char *text) {
  pid_t child = fork();
  int status;
  if (child == 0) {
    sqlite3 *db;
    if (sqlite3_open(f->path, &db) != SQLITE_OK) _exit(1);
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK) _exit(2);
    _exit(0);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  assert_true(beside(f, "-wal"));
}

static void anothers_wal_is_left_alone(void **state) {
  fixture *f = *state;
  sql(f, "CREATE TABLE t(x); PRAGMA journal_mode = WAL");
  die_with_a_wal(f, "INSERT INTO t VALUES(1)");
  refused(f, MP_ECORRUPT, "another application");
}

static void a_newer_store_is_refused(void **state) {
  fixture *f = *state;
  make_store(f);
  sql(f, "PRAGMA user_version = 7");
  refused(f, MP_EVERSION, "version 7");
  assert_non_null(strstr(f->err.message, "up to version 1"));
}

static void a_newer_store_that_says_so_in_its_wal_is_refused(void **state) {
  fixture *f = *state;
  make_store(f);
  die_with_a_wal(f, "PRAGMA user_version = 7");
  refused(f, MP_EVERSION, "version 7");
}

static void an_altered_schema_is_refused(void **state) {
  static const char *const changes[] = {
      "CREATE TRIGGER tr AFTER INSERT ON event BEGIN DELETE FROM event; END",
      "CREATE VIEW v AS SELECT * FROM event",
      "CREATE TABLE mine(x)",
      "CREATE INDEX mine ON event(model)",
      "DROP INDEX delivery_due",
      "DROP TABLE attempt",
      "ALTER TABLE event ADD COLUMN x TEXT",
      "DROP INDEX event_type; CREATE INDEX event_type ON event(model)",
      "PRAGMA user_version = 0",
      "PRAGMA user_version = -1",
  };
  fixture *f = *state;
  char *whole;
  size_t len;

  make_store(f);
  whole = slurp(f->path, &len);
  for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
    spit(f->path, whole, len);
    sql(f, changes[i]);
    refused(f, strstr(changes[i], "-1") ? MP_EVERSION : MP_ECORRUPT, "it was not changed");
  }
  spit(f->path, whole, len);
  sql(f, "ANALYZE"); /* an operator may */
  works(f);
  free(whole);
}

static void a_damaged_schema_is_refused(void **state) {
  fixture *f = *state;
  make_store(f);
  sql(f,
      "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE TABL event(' "
      "WHERE name = 'event'");
  refused(f, MP_ECORRUPT, "is damaged or not a moonpost store");
}

static mp_code nothing_claim(void *arg, const mp_claim *c, mp_error *err) {
  (void)arg;
  (void)c;
  (void)err;
  return MP_OK;
}

static mp_code nothing_row(void *arg, const mp_delivery_row *row, mp_error *err) {
  (void)arg;
  (void)row;
  (void)err;
  return MP_OK;
}

static mp_code nothing_event(void *arg, const mp_event_row *row, mp_error *err) {
  (void)arg;
  (void)row;
  (void)err;
  return MP_OK;
}

/* Uses the whole store; the first failure's code. */
static mp_code use_all(fixture *f, int64_t hook) {
  mp_delivery_filter filter = {.state = -1, .limit = 100000};
  mp_event_row event = {.id = INT64_C(1) << 40, .type = "t", .body = "x", .body_len = 1};
  mp_claim_order order = {
      .webhook_id = hook, .now_ms = INT64_MAX, .limit = 100000, .lease = MP_LEASE(1, 1)};
  mp_new_delivery delivery = {
      .event_id = event.id, .webhook_id = hook, .state = MP_WAITING, .due_ms = 1};
  mp_store_counts counts;
  int claimed;
  mp_code code = mp_store_begin(f->store, &f->err);
  if (code == MP_OK) {
    code = mp_store_claim(f->store, &order, nothing_claim, NULL, &claimed, &f->err);
  }
  if (code == MP_OK) code = mp_store_event_insert(f->store, &event, &f->err);
  if (code == MP_OK) {
    code = mp_store_delivery_insert(f->store, &delivery, &f->err);
  }
  mp_store_rollback(f->store);
  if (code == MP_OK) code = mp_store_count(f->store, &counts, &f->err);
  if (code == MP_OK) {
    code = mp_store_deliveries(f->store, &filter, nothing_row, NULL, &f->err);
  }
  if (code == MP_OK) {
    code = mp_store_events(f->store, NULL, 0, 100000, nothing_event, NULL, &f->err);
  }
  return code;
}

static void damage_in_the_middle_is_an_error_not_a_crash(void **state) {
  fixture *f = *state;
  int64_t hook;
  size_t len, pages;
  char *whole;
  int found = 0;

  must(f, mp_store_open(f->path, &f->store, &f->err));
  begin(f);
  hook = add_webhook(f, true);
  for (int64_t e = 1; e <= 2000; e++) {
    add_event(f, e);
    add_delivery(f, e, hook, MP_WAITING, e, 0);
  }
  commit(f);
  mp_store_close(f->store);
  f->store = NULL;
  whole = slurp(f->path, &len);
  pages = len / 4096;
  assert_true(pages > 40);
  for (size_t page = 1; page < pages; page++) {
    for (int kind = 0; kind < 3; kind++) {
      char *copy = malloc(len);
      mp_code code;
      memcpy(copy, whole, len);
      if (kind == 0) memset(copy + page * 4096, 0, 4096);
      if (kind == 1) memset(copy + page * 4096, 0xff, 4096);
      if (kind == 2) {
        for (int i = 0; i < 4096; i += 3)
          copy[page * 4096 + (size_t)i] ^= (char)(i * 7 + 1);
      }
      spit(f->path, copy, len);
      free(copy);
      code = mp_store_open(f->path, &f->store, &f->err);
      if (code == MP_OK) code = use_all(f, hook);
      /* A page of nothing but bodies may be damaged without SQLite seeing it. */
      if (code != MP_OK) {
        assert_int_equal(code, MP_ECORRUPT);
        assert_non_null(strstr(f->err.message, f->path));
        found++;
      }
      mp_store_close(f->store);
      f->store = NULL;
    }
  }
  assert_true(found > (int)pages);
  spit(f->path, whole, len - 8 * 4096); /* cut off */
  refused(f, MP_ECORRUPT, "is damaged or not a moonpost store");
  free(whole);
}

#define OPEN_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_folder, fixture_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      OPEN_TEST(a_directory_is_refused),
      OPEN_TEST(a_missing_folder_is_refused),
      OPEN_TEST(a_file_as_folder_is_refused),
      OPEN_TEST(a_fifo_is_refused),
      OPEN_TEST(a_name_that_is_too_long_is_refused),
      OPEN_TEST(what_may_not_be_read_or_written_is_refused),
      OPEN_TEST(what_everybody_may_write_is_refused),
      OPEN_TEST(a_new_store_is_for_its_owner_alone),
      OPEN_TEST(an_empty_file_is_a_new_store),
      OPEN_TEST(a_relative_name_is_a_name),
      OPEN_TEST(the_file_says_what_it_is),
      OPEN_TEST(a_store_without_tables_is_made_anew),
      OPEN_TEST(processes_may_make_it_together),
      OPEN_TEST(garbage_is_refused),
      OPEN_TEST(another_applications_file_is_refused),
      OPEN_TEST(anothers_wal_is_left_alone),
      OPEN_TEST(a_newer_store_is_refused),
      OPEN_TEST(a_newer_store_that_says_so_in_its_wal_is_refused),
      OPEN_TEST(an_altered_schema_is_refused),
      OPEN_TEST(a_damaged_schema_is_refused),
      OPEN_TEST(damage_in_the_middle_is_an_error_not_a_crash),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
