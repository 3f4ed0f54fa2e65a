/* Deliveries that go in order, in the SQLite store. Runs on the store thread.
 *
 * What always holds: of the deliveries of one webhook with the same order key that have not ended,
 * at most one is leased or waits for a time of its own; the others wait behind it, which is written
 * as a due time that never comes, so that a claim passes over any number of them at no cost. The
 * index delivery_order holds these rows and no others. */
#include "queue/sqlite.h"

mp_code mp_sqlite_order_open(mp_sqlite *s, int64_t event_id, int64_t webhook_id,
                             const char *order_key, bool *open, mp_error *err) {
  sqlite3_stmt *q;
  int64_t found;
  mp_code code = mp_sqlite_write(
      s, MP_SQL_ORDER_OPEN,
      "SELECT 1 FROM delivery INDEXED BY delivery_order WHERE webhook_id = ?1 AND order_key = ?2 "
      "AND order_key IS NOT NULL AND state < 2 AND event_id <> ?3 LIMIT 1",
      &q, err);

  *open = false;
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, webhook_id);
  mp_sqlite_bind_text(q, 2, order_key);
  sqlite3_bind_int64(q, 3, event_id);
  code = mp_sqlite_integer(s, q, 0, &found, err);
  *open = found != 0;
  return code;
}

mp_code mp_sqlite_order_next(mp_sqlite *s, int64_t event_id, int64_t webhook_id,
                             const char *order_key, int64_t now_ms, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(
      s, MP_SQL_ORDER_NEXT,
      "UPDATE delivery SET due_ms = ?3 WHERE webhook_id = ?1 AND state = 0 AND due_ms = ?4 "
      "AND event_id = (SELECT event_id FROM delivery INDEXED BY delivery_order "
      "WHERE webhook_id = ?1 AND order_key = ?2 AND order_key IS NOT NULL AND state < 2 "
      "AND event_id <> ?5 ORDER BY event_id LIMIT 1)",
      &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, webhook_id);
  mp_sqlite_bind_text(q, 2, order_key);
  sqlite3_bind_int64(q, 3, now_ms);
  sqlite3_bind_int64(q, 5, event_id);
  sqlite3_bind_int64(q, 4, MP_BEHIND);
  return mp_sqlite_run(s, q, NULL, err);
}

mp_code mp_sqlite_webhook_unorder(mp_store *store, int64_t id, int64_t now_ms, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(s, MP_SQL_UNORDER,
                                 "UPDATE delivery INDEXED BY delivery_due SET due_ms = ?2 "
                                 "WHERE webhook_id = ?1 AND state = 0 AND due_ms = ?3",
                                 &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, id);
  sqlite3_bind_int64(q, 2, now_ms);
  sqlite3_bind_int64(q, 3, MP_BEHIND);
  return mp_sqlite_run(s, q, NULL, err);
}
