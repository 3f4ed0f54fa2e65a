/* Opening a store: what is no file for one, and what is made. (What is not ours, or not whole:
 * test_store_damage.c.) */
#include <sys/stat.h>
#include <sys/wait.h>

#include "test/store_file.h"

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
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
