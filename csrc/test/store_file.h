/* A store's file as others may leave it: read, written and changed past the store. */
#ifndef MP_TEST_STORE_FILE_H
#define MP_TEST_STORE_FILE_H

#include <sqlite3.h>

#include "test/store_fixture.h"

static inline char *slurp(const char *path, size_t *len) {
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

static inline void spit(const char *path, const char *bytes, size_t len) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, len, file), len);
  fclose(file);
}

static inline bool beside(const fixture *f, const char *suffix) {
  char name[320];
  snprintf(name, sizeof name, "%s%s", f->path, suffix);
  return access(name, F_OK) == 0;
}

/* Opening must fail with the code, name the path, say what is expected and change nothing. */
static inline void refused(fixture *f, mp_code expected, const char *says) {
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
static inline void sql(const fixture *f, const char *text) {
  char *message = NULL;
  sqlite3 *db;
  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s", message);
  sqlite3_close(db);
}

static inline void make_store(fixture *f) {
  must(f, mp_store_open(f->path, &f->store, &f->err));
  mp_store_close(f->store);
  f->store = NULL;
}

static inline void works(fixture *f) {
  static int64_t id;
  must(f, mp_store_open(f->path, &f->store, &f->err));
  begin(f);
  add_event(f, ++id);
  commit(f);
  mp_store_close(f->store);
  f->store = NULL;
}

#endif
