/* Forgetting old history in the SQLite store, a step at a time. Runs on the store thread.
 *
 * What always holds: an event goes with all its deliveries and attempts, and only when none of them
 * is waiting for a webhook that is enabled, or leased; so events from the first on that a bundle
 * may need are not looked at. */
#include "base/id.h"
#include "queue/sqlite.h"

/* What an event's deliveries come to, the least finished of them. */
enum { ENDED = 0, DEAD = 1, HELD = 2, OPEN = 3 };

static mp_code find_old(mp_sqlite *s, int64_t after, int limit, sqlite3_stmt **q, mp_error *err) {
  mp_code code = mp_sqlite_write(
      s, MP_SQL_PRUNE_FIND,
      "SELECT e.id, coalesce((SELECT max(CASE d.state WHEN 1 THEN 3 WHEN 3 THEN 1 "
      "WHEN 0 THEN iif(d.due_ms = " MP_PARKED_SQL
      ", 2, coalesce((SELECT 2 + w.enabled "
      "FROM webhook w WHERE w.id = d.webhook_id), 3)) ELSE 0 END) "
      "FROM delivery d WHERE d.event_id = e.id), 0) "
      "FROM event e WHERE e.id > ?1 AND "
      "e.id < coalesce((SELECT min(oldest) FROM bundle WHERE open > 0), 9223372036854775807) "
      "ORDER BY e.id LIMIT ?2",
      q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(*q, 1, after);
  sqlite3_bind_int(*q, 2, limit);
  return MP_OK;
}

static mp_code delete_of(mp_sqlite *s, mp_sql slot, const char *sql, int64_t event_id,
                         mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(s, slot, sql, &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, event_id);
  return mp_sqlite_run(s, q, NULL, err);
}

/* The event's held deliveries end as dead, and let go what waits behind them. */
static mp_code end_held(mp_sqlite *s, int64_t event_id, int64_t now_ms, mp_error *err) {
  sqlite3_stmt *q;
  bool row;
  mp_code code = mp_sqlite_write(
      s, MP_SQL_PRUNE_OPEN,
      "SELECT webhook_id, order_key, due_ms FROM delivery WHERE event_id = ?1 AND state = 0", &q,
      err);

  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, event_id);
  while ((code = mp_sqlite_step(s, q, &row, err)) == MP_OK && row) {
    const char *order_key = mp_sqlite_text(q, 1);

    if (sqlite3_column_int64(q, 0) == MP_ROUTING) continue;
    mp_sqlite_total_state(s, MP_DEAD, 1);
    if (!order_key || sqlite3_column_int64(q, 2) == MP_BEHIND) continue;
    code = mp_sqlite_order_next(s, event_id, sqlite3_column_int64(q, 0), order_key, now_ms, err);
    if (code != MP_OK) {
      mp_sqlite_end(q);
      break;
    }
  }
  return code;
}

#define LAST_OF_ITS_TYPE                                                                      \
  "DELETE FROM event_type WHERE ms = ?1 >> " MP_ID_SHIFT_SQL                                  \
  " AND type = (SELECT type FROM event WHERE id = ?1) AND NOT EXISTS (SELECT 1 FROM event e " \
  "WHERE e.id <> ?1 AND " MP_OF_TYPE("e", "event_type") ")"

static mp_code forget(mp_sqlite *s, int64_t event_id, int64_t now_ms, mp_error *err) {
  mp_code code = end_held(s, event_id, now_ms, err);

  if (code == MP_OK) {
    code = delete_of(s, MP_SQL_PRUNE_ATTEMPTS, "DELETE FROM attempt WHERE event_id = ?1", event_id,
                     err);
  }
  if (code == MP_OK) {
    code =
        delete_of(s, MP_SQL_PRUNE_OUTPUTS, "DELETE FROM output WHERE event_id = ?1", event_id, err);
  }
  if (code == MP_OK) {
    code = delete_of(s, MP_SQL_PRUNE_DELIVERIES, "DELETE FROM delivery WHERE event_id = ?1",
                     event_id, err);
  }
  if (code == MP_OK) {
    code = delete_of(s, MP_SQL_PRUNE_TYPE, LAST_OF_ITS_TYPE, event_id, err);
    s->typed[0] = '\0'; /* it may be what this transaction noted last */
  }
  if (code == MP_OK) {
    code = delete_of(s, MP_SQL_PRUNE_EVENT, "DELETE FROM event WHERE id = ?1", event_id, err);
  }
  if (code == MP_OK) s->added[MP_TOTAL_EVENTS]--;
  return code;
}

/* Events of this kind go when they were accepted before then; INT64_MIN: they stay. */
static int64_t before_of(const mp_prune_before *before, int kind) {
  switch (kind) {
    case ENDED:
      return before->ended_ms;
    case DEAD:
      return before->dead_ms;
    case HELD:
      return before->held_ms;
    default:
      return INT64_MIN;
  }
}

/* From this time on no event is old enough, of whatever kind: ids grow with time. */
static int64_t latest(const mp_prune_before *before) {
  int64_t ms = before->ended_ms > before->dead_ms ? before->ended_ms : before->dead_ms;
  return ms > before->held_ms ? ms : before->held_ms;
}

/* Looks at a step's events, and keeps the ids of the old ones. */
static mp_code look_for_old(mp_sqlite *s, const mp_prune_before *before, int64_t now_ms,
                            int64_t after, int64_t *old, mp_pruned *out, mp_error *err) {
  sqlite3_stmt *q;
  int seen = 0;
  bool row;
  mp_code code = find_old(s, after, MP_PRUNE_STEP, &q, err);

  *out = (mp_pruned){.old_ms = INT64_MAX};
  if (code != MP_OK) return code;
  while ((code = mp_sqlite_step(s, q, &row, err)) == MP_OK && row) {
    int64_t id = sqlite3_column_int64(q, 0), accepted_ms = mp_event_id_ms(id);
    bool past = accepted_ms >= latest(before);
    int64_t limit = past ? latest(before) : before_of(before, sqlite3_column_int(q, 1));

    if (accepted_ms < limit)
      old[out->count++] = id;
    else if (limit != INT64_MIN && limit < now_ms && accepted_ms + (now_ms - limit) < out->old_ms)
      out->old_ms = accepted_ms + (now_ms - limit) + 1;
    if (past) {
      mp_sqlite_end(q);
      break;
    }
    seen++;
    out->after = id;
  }
  if (seen < MP_PRUNE_STEP) out->after = 0;
  return code;
}

mp_code mp_sqlite_prune(mp_store *store, const mp_prune_before *before, int64_t now_ms,
                        int64_t after, mp_pruned *out, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  int64_t old[MP_PRUNE_STEP];
  mp_code code = look_for_old(s, before, now_ms, after, old, out, err);

  for (int i = 0; i < out->count && code == MP_OK; i++)
    code = forget(s, old[i], now_ms, err);
  if (code != MP_OK) out->count = 0;
  return code;
}

static mp_code pragma(mp_sqlite *s, mp_sql slot, const char *sql, int64_t *out, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_read(s, slot, sql, &q, err);
  return code == MP_OK ? mp_sqlite_integer(s, q, 0, out, err) : code;
}

mp_code mp_sqlite_size(mp_store *store, int64_t *used, int64_t *spare, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  int64_t pages, page, unused;
  mp_code code = pragma(s, MP_SQL_PAGE_COUNT, "PRAGMA page_count", &pages, err);

  if (code == MP_OK) code = pragma(s, MP_SQL_PAGE_SIZE, "PRAGMA page_size", &page, err);
  if (code == MP_OK) code = pragma(s, MP_SQL_FREE_PAGES, "PRAGMA freelist_count", &unused, err);
  if (code != MP_OK) return code;
  *used = (pages - unused) * page;
  *spare = unused * page;
  return MP_OK;
}

/* The pragma moves the file's last pages into unused ones; the file is cut when the -wal is written
 * back. That it cannot be just now (another process reads) is no failure. */
mp_code mp_sqlite_shrink(mp_store *store, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  mp_code code = mp_sqlite_exec(s, "PRAGMA incremental_vacuum(256)", err);

  sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  return code;
}
