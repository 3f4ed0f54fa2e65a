/* What scripts made of events, and events that scripts have yet to route, in the SQLite store. Runs
 * on the store thread.
 *
 * What always holds: only who has the delivery's lease writes its output or ends its routing. */
#include "queue/sqlite.h"

/* A look before the write: an INSERT from a SELECT would keep a journal of its own for each row. */
static mp_code has_lease(mp_sqlite *s, int64_t event_id, int64_t webhook_id, int64_t lease,
                         bool *has, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_read(s, MP_SQL_OUTPUT_LEASE,
                                "SELECT 1 FROM delivery "
                                "WHERE event_id = ?1 AND webhook_id = ?2 AND +lease = ?3",
                                &q, err);

  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, event_id);
  sqlite3_bind_int64(q, 2, webhook_id);
  sqlite3_bind_int64(q, 3, lease);
  code = mp_sqlite_step(s, q, has, err);
  if (code == MP_OK && *has) mp_sqlite_end(q);
  return code;
}

mp_code mp_sqlite_output_put(mp_store *store, int64_t event_id, int64_t webhook_id, int64_t lease,
                             const mp_output_row *output, bool *applied, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  bool has = false;
  mp_code code = mp_sqlite_unbundle(s, err);

  if (code == MP_OK) code = has_lease(s, event_id, webhook_id, lease, &has, err);

  *applied = false;
  if (code != MP_OK || !has) return code;
  code = mp_sqlite_write(
      s, MP_SQL_OUTPUT_PUT,
      "INSERT INTO output(event_id, webhook_id, script, content_type, headers, body) "
      "VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(event_id, webhook_id) DO UPDATE SET "
      "script = ?3, content_type = ?4, headers = ?5, body = ?6",
      &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, event_id);
  sqlite3_bind_int64(q, 2, webhook_id);
  mp_sqlite_bind_text(q, 3, output->script);
  mp_sqlite_bind_text(q, 4, output->content_type);
  mp_sqlite_bind_text(q, 5, output->headers);
  if (output->body) sqlite3_bind_blob64(q, 6, output->body, output->body_len, SQLITE_STATIC);
  code = mp_sqlite_run(s, q, NULL, err);
  *applied = code == MP_OK;
  return code;
}

mp_code mp_sqlite_output(mp_store *store, int64_t event_id, int64_t webhook_id, mp_output_fn fn,
                         void *arg, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  bool row;
  mp_code code = mp_sqlite_read(s, MP_SQL_OUTPUT,
                                "SELECT script, content_type, headers, body FROM output "
                                "WHERE event_id = ?1 AND webhook_id = ?2",
                                &q, err);

  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, event_id);
  sqlite3_bind_int64(q, 2, webhook_id);
  code = mp_sqlite_step(s, q, &row, err);
  if (code == MP_OK && row) {
    bool own = sqlite3_column_type(q, 3) != SQLITE_NULL;
    mp_output_row output = {.script = mp_sqlite_text(q, 0),
                            .content_type = mp_sqlite_text(q, 1),
                            .headers = mp_sqlite_text(q, 2),
                            .body = sqlite3_column_blob(q, 3),
                            .body_len = (size_t)sqlite3_column_bytes(q, 3)};

    if (own && !output.body) output.body = ""; /* SQLite's pointer for no bytes is NULL */
    code = fn(arg, &output, err);
    mp_sqlite_end(q);
  }
  return code;
}

mp_code mp_sqlite_output_forget(mp_sqlite *s, int64_t event_id, int64_t webhook_id, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code =
      mp_sqlite_write(s, MP_SQL_OUTPUT_FORGET,
                      "DELETE FROM output WHERE event_id = ?1 AND webhook_id = ?2", &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, event_id);
  sqlite3_bind_int64(q, 2, webhook_id);
  return mp_sqlite_run(s, q, NULL, err);
}

mp_code mp_sqlite_release(mp_store *store, int64_t webhook_id, int64_t now_ms, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(s, MP_SQL_RELEASE,
                                 "UPDATE delivery INDEXED BY delivery_due SET due_ms = ?2 "
                                 "WHERE webhook_id = ?1 AND state = 0 AND due_ms = " MP_PARKED_SQL,
                                 &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, webhook_id);
  sqlite3_bind_int64(q, 2, now_ms);
  return mp_sqlite_run(s, q, NULL, err);
}

mp_code mp_sqlite_routed(mp_store *store, int64_t event_id, int64_t lease, bool *applied,
                         mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  int64_t changes;
  mp_code code = mp_sqlite_write(
      s, MP_SQL_ROUTED,
      "DELETE FROM delivery WHERE event_id = ?1 AND webhook_id = 0 AND +lease = ?2", &q, err);

  *applied = false;
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, event_id);
  sqlite3_bind_int64(q, 2, lease);
  code = mp_sqlite_run(s, q, &changes, err);
  *applied = code == MP_OK && changes > 0;
  return code;
}
