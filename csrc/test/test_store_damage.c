/* Opening what is not a moonpost store, or not whole: it is refused, and left as it was. */
#include <sys/wait.h>

#include "test/store_file.h"

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
      "DROP INDEX delivery_lease; CREATE INDEX delivery_lease ON delivery(lease)",
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
  const mp_event_filter every = {.limit = 100000};
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
    code = mp_store_events(f->store, &every, nothing_event, NULL, &f->err);
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
