/* Running totals in the SQLite store, so that counting reads no history. Runs on the store thread.
 *
 * What always holds: what a transaction does to the numbers is written by that transaction. A
 * delivery counts as accepted for ever, and by the state in which it ended for as long as it is not
 * sent again; that its row was forgotten changes neither. So accepted is the sum of the ended, the
 * leased, the waiting and the held: the last three are counted from their rows, which makes it a
 * check. */
#include <string.h>

#include "queue/sqlite.h"

void mp_sqlite_total_state(mp_sqlite *s, mp_delivery_state state, int64_t by) {
  if (state == MP_DELIVERED) s->added[MP_TOTAL_DELIVERED] += by;
  if (state == MP_DEAD) s->added[MP_TOTAL_DEAD] += by;
  if (state == MP_FILTERED) s->added[MP_TOTAL_FILTERED] += by;
}

mp_code mp_sqlite_total_flush(mp_sqlite *s, mp_error *err) {
  static const int64_t none[MP_TOTAL_COUNT];
  sqlite3_stmt *q;
  mp_code code;

  if (memcmp(s->added, none, sizeof none) == 0) return MP_OK;
  code = mp_sqlite_write(s, MP_SQL_TOTAL_ADD,
                         "INSERT INTO total(id, events, accepted, delivered, dead, filtered) "
                         "VALUES(1, ?1, ?2, ?3, ?4, ?5) ON CONFLICT(id) DO UPDATE SET "
                         "events = events + ?1, accepted = accepted + ?2, "
                         "delivered = delivered + ?3, dead = dead + ?4, filtered = filtered + ?5",
                         &q, err);
  if (code != MP_OK) return code;
  for (int i = 0; i < MP_TOTAL_COUNT; i++)
    sqlite3_bind_int64(q, i + 1, s->added[i]);
  code = mp_sqlite_run(s, q, NULL, err);
  if (code == MP_OK) memset(s->added, 0, sizeof s->added);
  return code;
}

mp_code mp_sqlite_count(mp_store *store, mp_store_counts *out, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  int64_t held, routing;
  bool row;
  mp_code code = mp_sqlite_read(
      s, MP_SQL_COUNT_ALL,
      "SELECT t.events, t.accepted, t.delivered, t.dead, t.filtered, "
      "(SELECT count(*) FROM delivery INDEXED BY delivery_lease WHERE state = 1) "
      "+ (SELECT coalesce(sum(open), 0) FROM bundle), "
      "(SELECT count(*) FROM webhook w CROSS JOIN delivery d INDEXED BY delivery_due "
      "ON d.webhook_id = w.id AND d.state = 0 WHERE w.enabled = 1), "
      "(SELECT count(*) FROM webhook w CROSS JOIN delivery d INDEXED BY delivery_due "
      "ON d.webhook_id = w.id AND d.state = 0 WHERE w.enabled = 0), "
      "(SELECT count(*) FROM webhook w CROSS JOIN delivery d INDEXED BY delivery_due "
      "ON d.webhook_id = w.id AND d.state = 0 AND d.due_ms = " MP_PARKED_SQL
      " WHERE w.enabled = 1), "
      "(SELECT count(*) FROM delivery INDEXED BY delivery_lease WHERE state = 1 "
      "AND webhook_id = 0), "
      "(SELECT count(*) FROM delivery INDEXED BY delivery_due WHERE state = 0 "
      "AND webhook_id = 0), "
      "(SELECT count(*) FROM delivery INDEXED BY delivery_due WHERE state = 0 "
      "AND webhook_id = 0 AND due_ms = " MP_PARKED_SQL
      ") "
      "FROM (SELECT 1) LEFT JOIN total t ON t.id = 1",
      &q, err);

  *out = (mp_store_counts){0};
  if (code == MP_OK) code = mp_sqlite_step(s, q, &row, err);
  if (code != MP_OK || !row) return code;
  out->events = sqlite3_column_int64(q, MP_TOTAL_EVENTS);
  out->accepted = sqlite3_column_int64(q, MP_TOTAL_ACCEPTED);
  out->deliveries[MP_DELIVERED] = sqlite3_column_int64(q, MP_TOTAL_DELIVERED);
  out->deliveries[MP_DEAD] = sqlite3_column_int64(q, MP_TOTAL_DEAD);
  out->deliveries[MP_FILTERED] = sqlite3_column_int64(q, MP_TOTAL_FILTERED);
  held = sqlite3_column_int64(q, MP_TOTAL_COUNT + 3);    /* of webhooks that are enabled */
  routing = sqlite3_column_int64(q, MP_TOTAL_COUNT + 4); /* leased */
  out->deliveries[MP_LEASED] = sqlite3_column_int64(q, MP_TOTAL_COUNT) - routing;
  out->deliveries[MP_WAITING] = sqlite3_column_int64(q, MP_TOTAL_COUNT + 1) - held;
  out->deliveries[MP_HELD] = sqlite3_column_int64(q, MP_TOTAL_COUNT + 2) + held;
  out->routing = routing + sqlite3_column_int64(q, MP_TOTAL_COUNT + 5);
  out->routing_held = sqlite3_column_int64(q, MP_TOTAL_COUNT + 6);
  mp_sqlite_end(q);
  return MP_OK;
}

mp_code mp_sqlite_read_totals(mp_store *store, mp_store_totals *out, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  bool row;
  mp_code code =
      mp_sqlite_read(s, MP_SQL_TOTALS,
                     "SELECT t.events, t.accepted, t.delivered, t.dead, t.filtered, "
                     "(SELECT count(*) FROM delivery INDEXED BY delivery_lease WHERE state = 1 "
                     "AND webhook_id <> 0) + (SELECT coalesce(sum(open), 0) FROM bundle) "
                     "FROM (SELECT 1) LEFT JOIN total t ON t.id = 1",
                     &q, err);

  *out = (mp_store_totals){0};
  if (code == MP_OK) code = mp_sqlite_step(s, q, &row, err);
  if (code != MP_OK || !row) return code;
  out->events = sqlite3_column_int64(q, MP_TOTAL_EVENTS);
  out->accepted = sqlite3_column_int64(q, MP_TOTAL_ACCEPTED);
  out->delivered = sqlite3_column_int64(q, MP_TOTAL_DELIVERED);
  out->dead = sqlite3_column_int64(q, MP_TOTAL_DEAD);
  out->filtered = sqlite3_column_int64(q, MP_TOTAL_FILTERED);
  out->leased = sqlite3_column_int64(q, MP_TOTAL_COUNT);
  mp_sqlite_end(q);
  return MP_OK;
}

mp_code mp_sqlite_backlog(mp_store *store, int64_t webhook_id, int limit, mp_backlog *out,
                          mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  bool row;
  mp_code code = mp_sqlite_read(
      s, MP_SQL_BACKLOG,
      "SELECT (SELECT count(*) FROM (SELECT 1 FROM delivery INDEXED BY delivery_due "
      "WHERE webhook_id = ?1 AND state = 0 AND due_ms < " MP_PARKED_SQL
      " LIMIT ?2)), (SELECT count(*) FROM (SELECT 1 FROM delivery INDEXED BY delivery_due "
      "WHERE webhook_id = ?1 AND state = 0 AND due_ms > " MP_PARKED_SQL
      " LIMIT ?2)), (SELECT count(*) FROM (SELECT 1 FROM delivery INDEXED BY delivery_due "
      "WHERE webhook_id = ?1 AND state = 0 AND due_ms = " MP_PARKED_SQL " LIMIT ?2))",
      &q, err);

  *out = (mp_backlog){0};
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, webhook_id);
  sqlite3_bind_int(q, 2, limit);
  code = mp_sqlite_step(s, q, &row, err);
  if (code != MP_OK || !row) return code;
  out->waiting = sqlite3_column_int(q, 0) + sqlite3_column_int(q, 1); /* those behind others too */
  if (out->waiting > limit) out->waiting = limit;
  out->held = sqlite3_column_int(q, 2);
  mp_sqlite_end(q);
  return MP_OK;
}
