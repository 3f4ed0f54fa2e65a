/* The seal of the SQLite store, a text by which a key is known, and the texts that are sealed. Runs
 * on the store thread. */
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

/* ---- all that is sealed --------------------------------------------------------------------- */

/* Where sealed texts are: read in the order of the key, by which a row that is written stays behind
 * the reader. */
static const struct {
  const char *read;  /* the key (one or two columns), name or NULL, event id, text */
  const char *write; /* ?1 and ?2: the key, ?3: the text */
} places[] = {
    {"SELECT id, 0, name, 0, definition FROM webhook WHERE definition IS NOT NULL ORDER BY id",
     "UPDATE webhook SET definition = ?3 WHERE id = ?1 AND ?2 = 0"},
    {"SELECT id, 0, NULL, id, headers FROM event WHERE headers IS NOT NULL ORDER BY id",
     "UPDATE event SET headers = ?3 WHERE id = ?1 AND ?2 = 0"},
    {"SELECT event_id, webhook_id, NULL, event_id, headers FROM output "
     "WHERE headers IS NOT NULL ORDER BY event_id, webhook_id",
     "UPDATE output SET headers = ?3 WHERE event_id = ?1 AND webhook_id = ?2"},
};

static mp_code reseal_row(mp_sqlite *s, sqlite3_stmt *read, sqlite3_stmt *write, mp_reseal_fn fn,
                          void *arg, mp_error *err) {
  mp_sealed_text text = {.webhook = mp_sqlite_text(read, 2),
                         .event_id = sqlite3_column_int64(read, 3),
                         .sealed = mp_sqlite_text(read, 4)};
  const char *sealed = NULL;
  mp_code code = fn(arg, &text, &sealed, err);

  if (code != MP_OK) return code;
  sqlite3_bind_int64(write, 1, sqlite3_column_int64(read, 0));
  sqlite3_bind_int64(write, 2, sqlite3_column_int64(read, 1));
  mp_sqlite_bind_text(write, 3, sealed);
  return mp_sqlite_run(s, write, NULL, err);
}

static mp_code reseal_place(mp_sqlite *s, const char *read_sql, const char *write_sql,
                            mp_reseal_fn fn, void *arg, mp_error *err) {
  sqlite3_stmt *read = NULL, *write = NULL;
  bool row;
  mp_code code;
  int rc = sqlite3_prepare_v2(s->db, read_sql, -1, &read, NULL);

  if (rc == SQLITE_OK) rc = sqlite3_prepare_v2(s->db, write_sql, -1, &write, NULL);
  code = rc == SQLITE_OK ? MP_OK : mp_sqlite_fail(s, rc, err);
  while (code == MP_OK && (code = mp_sqlite_step(s, read, &row, err)) == MP_OK && row)
    code = reseal_row(s, read, write, fn, arg, err);
  sqlite3_finalize(read);
  sqlite3_finalize(write);
  return code;
}

mp_code mp_sqlite_reseal(mp_store *store, mp_reseal_fn fn, void *arg, mp_error *err) {
  mp_code code = MP_OK;

  for (size_t i = 0; i < sizeof places / sizeof places[0] && code == MP_OK; i++) {
    code = reseal_place(mp_sqlite_of(store), places[i].read, places[i].write, fn, arg, err);
  }
  return code;
}
