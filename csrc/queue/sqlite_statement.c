/* Statements, transactions and errors of the SQLite store. Runs on the store thread.
 *
 * What always holds: between calls no statement is in the middle of its rows and none has bindings,
 * so that a transaction can end at any time and no pointer of a caller is kept. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "queue/sqlite.h"

static bool is_full(int error) {
  return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

/* SQLite says SQLITE_FULL for ENOSPC in a write only: a quota, a limit on the file's size and a
 * sync that finds no room are as full. Which of its places holds the error depends on where it came
 * up. */
static bool was_full(sqlite3 *db, int rc) {
  static const int files[] = {SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_FILE_POINTER};

  if (rc != SQLITE_IOERR_WRITE && rc != SQLITE_IOERR_FSYNC && rc != SQLITE_IOERR_SHMSIZE) {
    return false;
  }
  if (is_full(sqlite3_system_errno(db))) return true;
  for (int i = 0; i < 2; i++) {
    sqlite3_file *file = NULL;
    int error = 0;

    sqlite3_file_control(db, "main", files[i], &file);
    if (!file || !file->pMethods) continue;
    file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error);
    if (is_full(error)) return true;
  }
  return false;
}

static mp_code code_of(sqlite3 *db, int rc) {
  switch (rc & 0xff) {
    case SQLITE_FULL:
      return MP_ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return MP_EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return MP_ECORRUPT;
    case SQLITE_NOMEM:
      return MP_ENOMEM;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
      return MP_EINVAL;
    case SQLITE_TOOBIG:
      return MP_E2BIG;
    case SQLITE_IOERR:
      if (rc == SQLITE_IOERR_NOMEM) return MP_ENOMEM;
      return was_full(db, rc) ? MP_ENOSPC : MP_EIO;
    default:
      return MP_EIO;
  }
}

mp_code mp_sqlite_fail(mp_sqlite *s, int rc, mp_error *err) {
  mp_code code = code_of(s->db, rc);
  if (code == MP_ENOSPC) return mp_fail(err, code, "%s: the disk is full", s->name);
  return mp_fail(err, code, "%s: %s", s->name, sqlite3_errmsg(s->db));
}

mp_code mp_sqlite_statement(mp_sqlite *s, mp_sql slot, const char *sql, sqlite3_stmt **out,
                            mp_error *err) {
  *out = NULL;
  if (!s->statements[slot]) {
    int rc =
        sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->statements[slot], NULL);
    if (rc != SQLITE_OK) return mp_sqlite_fail(s, rc, err);
  }
  *out = s->statements[slot];
  return MP_OK;
}

mp_code mp_sqlite_read(mp_sqlite *s, mp_sql slot, const char *sql, sqlite3_stmt **out,
                       mp_error *err) {
  mp_code code = mp_sqlite_ended_flush(s, err);
  *out = NULL;
  return code == MP_OK ? mp_sqlite_statement(s, slot, sql, out, err) : code;
}

static mp_code in_transaction(mp_sqlite *s, mp_error *err) {
  if (!sqlite3_get_autocommit(s->db)) return MP_OK;
  return mp_fail(err, MP_EIO, "%s: no transaction is open, or an error before ended it", s->name);
}

mp_code mp_sqlite_write(mp_sqlite *s, mp_sql slot, const char *sql, sqlite3_stmt **out,
                        mp_error *err) {
  mp_code code = in_transaction(s, err);
  *out = NULL;
  return code == MP_OK ? mp_sqlite_read(s, slot, sql, out, err) : code;
}

void mp_sqlite_end(sqlite3_stmt *q) {
  sqlite3_reset(q);
  sqlite3_clear_bindings(q);
}

mp_code mp_sqlite_step(mp_sqlite *s, sqlite3_stmt *q, bool *row, mp_error *err) {
  int rc = sqlite3_step(q);
  mp_code code;

  *row = rc == SQLITE_ROW;
  if (*row) return MP_OK;
  code = rc == SQLITE_DONE ? MP_OK : mp_sqlite_fail(s, rc, err);
  mp_sqlite_end(q);
  return code;
}

mp_code mp_sqlite_run(mp_sqlite *s, sqlite3_stmt *q, int64_t *changes, mp_error *err) {
  bool row;
  mp_code code = mp_sqlite_step(s, q, &row, err);

  if (row) mp_sqlite_end(q);
  if (changes) *changes = code == MP_OK ? sqlite3_changes(s->db) : 0;
  return code;
}

mp_code mp_sqlite_integer(mp_sqlite *s, sqlite3_stmt *q, int64_t fallback, int64_t *out,
                          mp_error *err) {
  bool row;
  mp_code code = mp_sqlite_step(s, q, &row, err);

  *out = fallback;
  if (row) {
    if (sqlite3_column_type(q, 0) != SQLITE_NULL) *out = sqlite3_column_int64(q, 0);
    mp_sqlite_end(q);
  }
  return code;
}

/* ---- transactions --------------------------------------------------------------------------- */

/* What a transaction before may have left in memory: SQLite ends one by itself after some errors.
 */
static void forget(mp_sqlite *s) {
  memset(s->added, 0, sizeof s->added);
  s->typed[0] = '\0';
  s->ended_count = 0;
  mp_sqlite_bundles_undo(s);
  mp_sqlite_webhook_forget(s);
}

mp_code mp_sqlite_begin(mp_store *store, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  mp_code code;

  forget(s);
  code = mp_sqlite_read(s, MP_SQL_BEGIN, "BEGIN IMMEDIATE", &q, err);
  return code == MP_OK ? mp_sqlite_run(s, q, NULL, err) : code;
}

static mp_code control(mp_store *store, mp_sql slot, const char *sql, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(s, slot, sql, &q, err);
  return code == MP_OK ? mp_sqlite_run(s, q, NULL, err) : code;
}

static const char rollback_sql[] = "ROLLBACK";

void mp_sqlite_rollback(mp_store *store) {
  mp_sqlite *s = mp_sqlite_of(store);
  forget(s);
  if (!sqlite3_get_autocommit(s->db)) control(store, MP_SQL_ROLLBACK, rollback_sql, NULL);
}

/* A sync that failed may leave a whole transaction in the -wal file. SQLite does not count it, but
 * who opens the store after a crash would: so something else, which changes nothing, is written in
 * its place. It may fail as the commit did; then there is no more to be done. */
static void write_over(mp_store *store) {
  mp_sqlite *s = mp_sqlite_of(store);
  char sql[64];

  mp_sqlite_rollback(store);
  if (s->data_version == 0) return; /* it is being opened: there is no -wal of ours yet */
  snprintf(sql, sizeof sql, "BEGIN IMMEDIATE; PRAGMA application_id = %d; COMMIT",
           MP_SQLITE_APPLICATION_ID);
  if (mp_sqlite_exec(s, sql, NULL) != MP_OK) mp_sqlite_rollback(store);
}

mp_code mp_sqlite_commit(mp_store *store, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  mp_code code = mp_sqlite_ended_flush(s, err);

  if (code == MP_OK) code = mp_sqlite_bundles_write(s, err);
  if (code == MP_OK) code = mp_sqlite_total_flush(s, err);
  if (code == MP_OK) code = control(store, MP_SQL_COMMIT, "COMMIT", err);
  if (code == MP_OK)
    mp_sqlite_bundles_settle(s);
  else
    write_over(store);
  return code;
}

mp_code mp_sqlite_changed(mp_store *store, bool *changed, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  int64_t version;
  mp_code code = mp_sqlite_read(s, MP_SQL_DATA_VERSION, "PRAGMA data_version", &q, err);

  *changed = false;
  if (code == MP_OK) code = mp_sqlite_integer(s, q, 0, &version, err);
  if (code != MP_OK) return code;
  *changed = version != s->data_version;
  s->data_version = version;
  return MP_OK;
}

mp_code mp_sqlite_ready(mp_sqlite *s, mp_error *err) {
  sqlite3_stmt *q;
  bool changed;
  mp_code code = mp_sqlite_read(s, MP_SQL_ROLLBACK, rollback_sql, &q, err);
  return code == MP_OK ? mp_sqlite_changed(&s->store, &changed, err) : code;
}
