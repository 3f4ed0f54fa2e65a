/* The seal of the SQLite store: a text by which a key is known. Runs on the store thread. */
#include "queue/sqlite.h"

mp_code mp_sqlite_seal(mp_store *store, mp_buf *out, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  bool row;
  mp_code code = mp_sqlite_read(s, MP_SQL_SEAL, "SELECT text FROM seal WHERE id = 1", &q, err);

  if (code == MP_OK) code = mp_sqlite_step(s, q, &row, err);
  if (code != MP_OK || !row) return code;
  mp_buf_add_str(out, mp_sqlite_text(q, 0));
  mp_sqlite_end(q);
  return out->failed == MP_OK ? MP_OK : mp_fail(err, out->failed, "%s: out of memory", s->name);
}

mp_code mp_sqlite_set_seal(mp_store *store, const char *text, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(s, MP_SQL_SEAL_SET,
                                 "INSERT INTO seal(id, text) VALUES(1, ?1) "
                                 "ON CONFLICT(id) DO UPDATE SET text = excluded.text",
                                 &q, err);
  if (code != MP_OK) return code;
  mp_sqlite_bind_text(q, 1, text);
  return mp_sqlite_run(s, q, NULL, err);
}
