/* Finding what a replay sends, in the SQLite store. Runs on the store thread; nothing is written.
 *
 * What always holds: a step reads a bounded number of events, however few of them are in its range.
 */
#include "queue/sqlite.h"

#define EVENT_COLUMNS "e.id, e.type, e.model, e.order_key, e.created_ms, "

static mp_code statement_of(mp_sqlite *s, mp_replay_what what, sqlite3_stmt **q, mp_error *err) {
  switch (what) {
    case MP_REPLAY_DEAD:
      return mp_sqlite_read(s, MP_SQL_REPLAY_DEAD,
                            "SELECT " EVENT_COLUMNS
                            "d.state "
                            "FROM delivery d INDEXED BY delivery_ended "
                            "CROSS JOIN event e ON e.id = d.event_id "
                            "WHERE d.state = 3 AND d.state >= 3 AND d.event_id > ?1 "
                            "AND d.webhook_id = ?2 ORDER BY d.event_id LIMIT ?3",
                            q, err);
    case MP_REPLAY_HELD:
      return mp_sqlite_read(s, MP_SQL_REPLAY_HELD,
                            "SELECT " EVENT_COLUMNS
                            "d.state "
                            "FROM delivery d INDEXED BY delivery_due "
                            "CROSS JOIN event e ON e.id = d.event_id "
                            "WHERE d.webhook_id = ?2 AND d.state = 0 AND d.due_ms = " MP_PARKED_SQL
                            " AND d.event_id > ?1 ORDER BY d.event_id LIMIT ?3",
                            q, err);
    case MP_REPLAY_ALL:
      break;
  }
  return mp_sqlite_read(s, MP_SQL_REPLAY_ALL,
                        "SELECT " EVENT_COLUMNS
                        "coalesce(d.state, -1) "
                        "FROM event e LEFT JOIN delivery d "
                        "ON d.event_id = e.id AND d.webhook_id = ?2 "
                        "WHERE e.id > ?1 ORDER BY e.id LIMIT ?3",
                        q, err);
}

static mp_code prepare(mp_sqlite *s, const mp_replay_range *range, sqlite3_stmt **q,
                       mp_error *err) {
  mp_code code = statement_of(s, range->what, q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(*q, 1, range->after);
  sqlite3_bind_int64(*q, 2, range->webhook_id);
  sqlite3_bind_int(*q, 3, range->limit);
  return MP_OK;
}

mp_code mp_sqlite_replay(mp_store *store, const mp_replay_range *range, mp_replay_fn fn, void *arg,
                         int64_t *next, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  int seen = 0;
  bool row;
  mp_code code = mp_sqlite_unbundle(s, err);

  *next = 0;
  if (code == MP_OK) code = prepare(s, range, &q, err);
  if (code != MP_OK) return code;
  while ((code = mp_sqlite_step(s, q, &row, err)) == MP_OK && row) {
    int64_t created_ms = sqlite3_column_int64(q, 4);
    mp_replay_row event = {
        .event_id = sqlite3_column_int64(q, 0),
        .type = mp_sqlite_text(q, 1),
        .model = mp_sqlite_text(q, 2),
        .order_key = mp_sqlite_text(q, 3),
        .state = sqlite3_column_int(q, 5),
    };
    seen++;
    *next = event.event_id;
    if (created_ms < range->since_ms || created_ms >= range->until_ms) continue;
    if ((code = fn(arg, &event, err)) != MP_OK) {
      mp_sqlite_end(q);
      return code;
    }
  }
  if (seen < range->limit) *next = 0;
  return code;
}
