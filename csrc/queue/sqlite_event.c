/* Events in the SQLite store, and the keys that keep a repeated emit from storing one twice. Runs
 * on the store thread. */
#include <string.h>

#include "base/id.h"
#include "queue/sqlite.h"

/* Expired keys that one look-up forgets: more than it can add, and few enough not to be felt. */
#define EXPIRE_AT_ONCE 16

static mp_code store_key(mp_sqlite *s, const mp_event_row *event, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(
      s, MP_SQL_KEY_STORE,
      "INSERT INTO idempotency(key, event_id, at_ms) VALUES(?1, ?2, ?3) "
      "ON CONFLICT(key) DO UPDATE SET event_id = excluded.event_id, at_ms = excluded.at_ms",
      &q, err);
  if (code != MP_OK) return code;
  mp_sqlite_bind_text(q, 1, event->idempotency_key);
  sqlite3_bind_int64(q, 2, event->id);
  sqlite3_bind_int64(q, 3, mp_event_id_ms(event->id));
  return mp_sqlite_run(s, q, NULL, err);
}

/* There is an event of this type in the millisecond of its id. */
static mp_code note_type(mp_sqlite *s, const mp_event_row *event, mp_error *err) {
  int64_t ms = mp_event_id_ms(event->id);
  size_t len = strlen(event->type);
  sqlite3_stmt *q;
  mp_code code;

  if (s->typed[0] && s->typed_ms == ms && strcmp(s->typed, event->type) == 0) return MP_OK;
  code = mp_sqlite_write(s, MP_SQL_EVENT_TYPE,
                         "INSERT OR IGNORE INTO event_type(type, ms) VALUES(?1, ?2)", &q, err);
  if (code != MP_OK) return code;
  mp_sqlite_bind_text(q, 1, event->type);
  sqlite3_bind_int64(q, 2, ms);
  code = mp_sqlite_run(s, q, NULL, err);
  if (code != MP_OK || len >= sizeof s->typed) return code;
  s->typed_ms = ms;
  memcpy(s->typed, event->type, len + 1);
  return MP_OK;
}

#define EVENT_ROW     "(?, ?, ?, ?, ?, ?, ?)"
#define EVENT_COLUMNS "id, type, model, created_ms, order_key, headers, body"
#define EVENT_INSERT  "INSERT INTO event(" EVENT_COLUMNS ") VALUES"

static void bind_event(sqlite3_stmt *q, int before, const mp_event_row *event) {
  sqlite3_bind_int64(q, before + 1, event->id);
  mp_sqlite_bind_text(q, before + 2, event->type);
  mp_sqlite_bind_text(q, before + 3, event->model);
  sqlite3_bind_int64(q, before + 4, event->created_ms);
  mp_sqlite_bind_text(q, before + 5, event->order_key);
  mp_sqlite_bind_text(q, before + 6, event->headers);
  /* A NULL pointer would bind NULL, even with no bytes behind it. */
  sqlite3_bind_blob64(q, before + 7, event->body ? event->body : "", event->body_len,
                      SQLITE_STATIC);
}

/* One, or MP_SQLITE_ROWS. */
static mp_code insert_rows(mp_sqlite *s, const mp_event_row *const *events, size_t count,
                           mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = MP_SQLITE_INSERT(s, count, MP_SQL_EVENT_INSERT, MP_SQL_EVENTS_INSERT, EVENT_INSERT,
                                  EVENT_ROW, &q, err);

  if (code != MP_OK) return code;
  for (size_t i = 0; i < count; i++)
    bind_event(q, (int)i * 7, events[i]);
  code = mp_sqlite_run(s, q, NULL, err);
  for (size_t i = 0; i < count && code == MP_OK; i++)
    code = note_type(s, events[i], err);
  if (code == MP_OK) s->added[MP_TOTAL_EVENTS] += (int64_t)count;
  return code;
}

mp_code mp_sqlite_events_insert(mp_store *store, const mp_event_row *const *events, size_t count,
                                mp_error *err) {
  mp_code code = MP_OK;

  for (size_t i = 0, n; i < count && code == MP_OK; i += n) {
    n = count - i >= MP_SQLITE_ROWS ? MP_SQLITE_ROWS : 1;
    code = insert_rows(mp_sqlite_of(store), events + i, n, err);
  }
  return code;
}

mp_code mp_sqlite_event_insert(mp_store *store, const mp_event_row *event, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  mp_code code = insert_rows(s, &event, 1, err);

  if (code == MP_OK && event->idempotency_key) code = store_key(s, event, err);
  return code;
}

static mp_code expire_keys(mp_sqlite *s, int64_t since_ms, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(
      s, MP_SQL_KEY_EXPIRE,
      "DELETE FROM idempotency WHERE key IN "
      "(SELECT key FROM idempotency INDEXED BY idempotency_at WHERE at_ms < ?1 ORDER BY at_ms "
      "LIMIT ?2)",
      &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, since_ms);
  sqlite3_bind_int(q, 2, EXPIRE_AT_ONCE);
  return mp_sqlite_run(s, q, NULL, err);
}

mp_code mp_sqlite_idempotent(mp_store *store, const char *key, int64_t since_ms, int64_t *event_id,
                             mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  mp_code code = expire_keys(s, since_ms, err);

  if (code != MP_OK) return code;
  code = mp_sqlite_read(s, MP_SQL_KEY_FIND,
                        "SELECT event_id FROM idempotency WHERE key = ?1 AND at_ms >= ?2", &q, err);
  if (code != MP_OK) return code;
  mp_sqlite_bind_text(q, 1, key);
  sqlite3_bind_int64(q, 2, since_ms);
  return mp_sqlite_integer(s, q, 0, event_id, err);
}

/* ---- reading -------------------------------------------------------------------------------- */

void mp_sqlite_event_row(sqlite3_stmt *q, int first, mp_event_row *row) {
  *row = (mp_event_row){
      .id = sqlite3_column_int64(q, first),
      .type = mp_sqlite_text(q, first + 1),
      .model = mp_sqlite_text(q, first + 2),
      .created_ms = sqlite3_column_int64(q, first + 3),
      .order_key = mp_sqlite_text(q, first + 4),
      .headers = mp_sqlite_text(q, first + 5),
      .body = sqlite3_column_blob(q, first + 6),
      .body_len = (size_t)sqlite3_column_bytes(q, first + 6),
  };
  if (!row->body) row->body = ""; /* SQLite's pointer for no bytes is NULL */
}

/* An event and its routing, which is a delivery to no webhook, until it is done. One that a script
 * failed of is held, also while it is tried again. */
#define SHOWN                                                                    \
  "SELECT e.id, e.type, e.model, e.created_ms, e.order_key, e.headers, e.body, " \
  "r.attempts_total, a.error FROM "
#define WITH_ROUTING " LEFT JOIN delivery r ON r.event_id = e.id AND r.webhook_id = 0 " WITH_ERROR
#define WITH_ERROR                                                        \
  " LEFT JOIN attempt a ON a.event_id = r.event_id AND a.webhook_id = 0 " \
  "AND a.number = r.attempts_total "

static mp_event_routing routing_of(sqlite3_stmt *q) {
  if (sqlite3_column_type(q, 7) == SQLITE_NULL) return MP_ROUTED;
  return sqlite3_column_int(q, 7) > 0 ? MP_ROUTING_HELD : MP_ROUTING_DUE;
}

static mp_code each_event(mp_sqlite *s, sqlite3_stmt *q, mp_event_fn fn, void *arg, int *count,
                          mp_error *err) {
  mp_event_row event;
  mp_code code;
  bool row;

  *count = 0;
  while ((code = mp_sqlite_step(s, q, &row, err)) == MP_OK && row) {
    mp_sqlite_event_row(q, 0, &event);
    event.routing = routing_of(q);
    event.routing_error = mp_sqlite_text(q, 8);
    ++*count;
    if ((code = fn(arg, &event, err)) != MP_OK) {
      mp_sqlite_end(q);
      break;
    }
  }
  return code;
}

mp_code mp_sqlite_event(mp_store *store, int64_t id, mp_event_fn fn, void *arg, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  int count;
  mp_code code =
      mp_sqlite_read(s, MP_SQL_EVENT, SHOWN "event e" WITH_ROUTING "WHERE e.id = ?1", &q, err);

  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, id);
  code = each_event(s, q, fn, arg, &count, err);
  if (code == MP_OK && count == 0) {
    return mp_fail(err, MP_ENOENT, "%s: there is no such event", s->name);
  }
  return code;
}

static mp_code read_events(mp_sqlite *s, const mp_event_filter *filter, sqlite3_stmt **q,
                           mp_error *err) {
  if (filter->routing_held) {
    return mp_sqlite_read(s, MP_SQL_EVENTS_HELD,
                          SHOWN
                          "delivery r INDEXED BY delivery_webhook CROSS JOIN event e ON "
                          "e.id = r.event_id" WITH_ERROR
                          "WHERE r.webhook_id = 0 AND r.event_id < ?1 "
                          "AND r.attempts_total > 0 AND (?3 IS NULL OR e.type = ?3) "
                          "ORDER BY r.event_id DESC LIMIT ?2",
                          q, err);
  }
  if (filter->type) {
    return mp_sqlite_read(s, MP_SQL_EVENTS_OF_TYPE,
                          SHOWN "event_type t CROSS JOIN event e ON " MP_OF_TYPE("e", "t")
                              WITH_ROUTING "WHERE t.type = ?3 AND t.ms <= ?1 >> " MP_ID_SHIFT_SQL
                                           " AND e.id < ?1 ORDER BY t.ms DESC, e.id DESC LIMIT ?2",
                          q, err);
  }
  return mp_sqlite_read(s, MP_SQL_EVENTS,
                        SHOWN "event e" WITH_ROUTING "WHERE e.id < ?1 ORDER BY e.id DESC LIMIT ?2",
                        q, err);
}

mp_code mp_sqlite_events(mp_store *store, const mp_event_filter *filter, mp_event_fn fn, void *arg,
                         mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  int count;
  mp_code code = read_events(s, filter, &q, err);

  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, filter->before > 0 ? filter->before : INT64_MAX);
  sqlite3_bind_int(q, 2, filter->limit > 0 ? filter->limit : 0);
  if (filter->type || filter->routing_held) mp_sqlite_bind_text(q, 3, filter->type);
  return each_event(s, q, fn, arg, &count, err);
}
