/* The tables of the SQLite store: making them, bringing them up to date, checking them. Runs on the
 * store thread, when a store is opened.
 *
 * The layout, and why. An event that is delivered at once costs a write to each of event,
 * delivery and delivery_webhook, and a part of one to event_type and bundle.
 * - event is keyed by its id, which grows with time: new events are appended.
 * - event_type says in which milliseconds, by their ids, there are events of a type: under load
 *   many share one, where an index would have an entry for each. A listing looks through the events
 *   of such a millisecond.
 * - delivery is keyed by (event, webhook), so that it is appended too. It stays small: the event's
 *   body is in event, the attempts that failed are in attempt. The attempt that delivered is in the
 *   delivery's own row (at_ms, duration_us, status, response; NULL in every other row): the usual
 *   delivery has just this one, and needs no row in attempt.
 * - bundle has deliveries that were leased as they were inserted, until their first attempt has
 *   ended; they have no row in delivery meanwhile (sqlite_bundle.c).
 * - A delivery is held when it is waiting (state 0) and its webhook is disabled, or its due time
 *   never comes because a script failed (MP_PARKED): MP_HELD is not stored, so that disabling a
 *   webhook with a million waiting deliveries writes one row.
 * - output has what scripts made of an event for a webhook; an unchanged one has no row.
 * - Each partial index holds just the rows of its states: a claim reads delivery_due from its first
 *   due row, however many wait; delivery_lease holds what is in flight; delivery_order what goes in
 *   order (sqlite_order.c); delivery_ended (dead and filtered) is seldom written.
 * - event_type and delivery_webhook give the history of a type and of a webhook, newest first: a
 *   listing must not read the whole store while emits wait for the store thread. */
#include <stdio.h>
#include <string.h>

#include "queue/sqlite.h"

/* Each text is as SQLite keeps it in sqlite_schema, so that it can be compared. */
static const struct {
  const char *name;
  const char *sql;
} schema[] = {
    {"event",
     "CREATE TABLE event("
     "id INTEGER PRIMARY KEY, type TEXT NOT NULL, model TEXT, created_ms INTEGER NOT NULL, "
     "order_key TEXT, headers TEXT, body BLOB NOT NULL) STRICT"},
    {"event_type",
     "CREATE TABLE event_type("
     "type TEXT NOT NULL, ms INTEGER NOT NULL, PRIMARY KEY(type, ms)) STRICT, WITHOUT ROWID"},
    {"delivery",
     "CREATE TABLE delivery("
     "event_id INTEGER NOT NULL, webhook_id INTEGER NOT NULL, state INTEGER NOT NULL, "
     "due_ms INTEGER NOT NULL, lease INTEGER, cause TEXT, attempts INTEGER NOT NULL, "
     "attempts_total INTEGER NOT NULL, order_key TEXT, script TEXT, at_ms INTEGER, "
     "duration_us INTEGER, status INTEGER, response BLOB, PRIMARY KEY(event_id, webhook_id)) "
     "STRICT, WITHOUT ROWID"},
    {"delivery_due",
     "CREATE INDEX delivery_due ON delivery(webhook_id, due_ms, event_id) WHERE state = 0"},
    {"delivery_lease", "CREATE INDEX delivery_lease ON delivery(lease) WHERE state = 1"},
    {"delivery_order",
     "CREATE INDEX delivery_order ON delivery(webhook_id, order_key, event_id) "
     "WHERE order_key IS NOT NULL AND state < 2"},
    {"delivery_ended",
     "CREATE INDEX delivery_ended ON delivery(state, event_id, webhook_id) WHERE state >= 3"},
    {"delivery_webhook", "CREATE INDEX delivery_webhook ON delivery(webhook_id, event_id)"},
    {"bundle",
     "CREATE TABLE bundle("
     "id INTEGER PRIMARY KEY, open INTEGER NOT NULL, oldest INTEGER NOT NULL, "
     "deliveries BLOB NOT NULL) STRICT"},
    {"attempt",
     "CREATE TABLE attempt("
     "event_id INTEGER NOT NULL, webhook_id INTEGER NOT NULL, number INTEGER NOT NULL, "
     "at_ms INTEGER NOT NULL, duration_us INTEGER NOT NULL, status INTEGER NOT NULL, "
     "error_class TEXT, error TEXT, response BLOB, script TEXT, "
     "PRIMARY KEY(event_id, webhook_id, number)) STRICT, WITHOUT ROWID"},
    {"output",
     "CREATE TABLE output("
     "event_id INTEGER NOT NULL, webhook_id INTEGER NOT NULL, script TEXT NOT NULL, "
     "content_type TEXT, headers TEXT, body BLOB, PRIMARY KEY(event_id, webhook_id)) "
     "STRICT, WITHOUT ROWID"},
    {"webhook",
     "CREATE TABLE webhook("
     "id INTEGER PRIMARY KEY AUTOINCREMENT, from_config INTEGER NOT NULL, name TEXT NOT NULL, "
     "definition TEXT, enabled INTEGER NOT NULL, created_ms INTEGER NOT NULL, "
     "updated_ms INTEGER NOT NULL, hold_ms INTEGER NOT NULL DEFAULT 0, "
     "pace_us INTEGER NOT NULL DEFAULT 0, failing_ms INTEGER NOT NULL DEFAULT 0, "
     "failed_ms INTEGER NOT NULL DEFAULT 0, CHECK (from_config = (definition IS NULL))) STRICT"},
    {"total",
     "CREATE TABLE total("
     "id INTEGER PRIMARY KEY CHECK (id = 1), events INTEGER NOT NULL, accepted INTEGER NOT NULL, "
     "delivered INTEGER NOT NULL, dead INTEGER NOT NULL, filtered INTEGER NOT NULL) STRICT"},
    {"seal", "CREATE TABLE seal(id INTEGER PRIMARY KEY CHECK (id = 1), text TEXT NOT NULL) STRICT"},
    {"clock",
     "CREATE TABLE clock("
     "id INTEGER PRIMARY KEY CHECK (id = 1), boot TEXT NOT NULL, base_ms INTEGER NOT NULL, "
     "seen_ms INTEGER NOT NULL) STRICT"},
    {"engine",
     "CREATE TABLE engine("
     "id INTEGER PRIMARY KEY AUTOINCREMENT, slot INTEGER NOT NULL, host TEXT NOT NULL, "
     "pid INTEGER NOT NULL, start INTEGER NOT NULL, beat_ms INTEGER NOT NULL) STRICT"},
    {"engine_slot", "CREATE UNIQUE INDEX engine_slot ON engine(slot)"},
    {"idempotency",
     "CREATE TABLE idempotency("
     "key TEXT PRIMARY KEY, event_id INTEGER NOT NULL, at_ms INTEGER NOT NULL) "
     "STRICT, WITHOUT ROWID"},
    {"idempotency_at", "CREATE INDEX idempotency_at ON idempotency(at_ms)"},
};

#define SCHEMA_COUNT (sizeof schema / sizeof schema[0])

mp_code mp_sqlite_exec(mp_sqlite *s, const char *sql, mp_error *err) {
  int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
  return rc == SQLITE_OK ? MP_OK : mp_sqlite_fail(s, rc, err);
}

mp_code mp_sqlite_damaged(mp_sqlite *s, mp_error *err) {
  return mp_fail(err, MP_ECORRUPT, "%s is damaged or not a moonpost store; it was not changed",
                 s->name);
}

mp_code mp_sqlite_newer(mp_sqlite *s, int64_t version, mp_error *err) {
  return mp_fail(err, MP_EVERSION,
                 "%s was written by a newer moonpost: its schema has version %lld, this one knows "
                 "up to version %d; it was not changed",
                 s->name, (long long)version, MP_SQLITE_VERSION);
}

/* One integer of a statement that is used while opening only. */
static mp_code read_integer(mp_sqlite *s, const char *sql, int64_t *out, mp_error *err) {
  sqlite3_stmt *q = NULL;
  int rc = sqlite3_prepare_v2(s->db, sql, -1, &q, NULL);
  mp_code code =
      rc == SQLITE_OK ? mp_sqlite_integer(s, q, 0, out, err) : mp_sqlite_fail(s, rc, err);
  sqlite3_finalize(q);
  return code;
}

/* Inside a transaction, in a file without tables. */
static mp_code create(mp_sqlite *s, mp_error *err) {
  char sql[96];
  mp_code code = MP_OK;

  for (size_t i = 0; i < SCHEMA_COUNT && code == MP_OK; i++) {
    code = mp_sqlite_exec(s, schema[i].sql, err);
  }
  if (code != MP_OK) return code;
  snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d",
           MP_SQLITE_APPLICATION_ID, MP_SQLITE_VERSION);
  return mp_sqlite_exec(s, sql, err);
}

mp_code mp_sqlite_migrate(mp_sqlite *s, mp_error *err) {
  static const char count_sql[] = "SELECT count(*) FROM sqlite_schema";
  int64_t version, tables;
  mp_code code = read_integer(s, "PRAGMA user_version", &version, err);

  if (code != MP_OK || version == MP_SQLITE_VERSION) return code;
  if (version > MP_SQLITE_VERSION) return mp_sqlite_newer(s, version, err);

  code = read_integer(s, count_sql, &tables, err);
  if (code == MP_OK && tables == 0) {
    /* They take effect before the first table only, and not inside a transaction. Pages of 8 KiB:
     * bodies fill most of what is written, and half as many frames of the -wal hold them. */
    code = mp_sqlite_exec(s, "PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL", err);
  }
  if (code == MP_OK) code = mp_sqlite_begin(&s->store, err);
  if (code != MP_OK) return code;
  /* Under the write lock: another process may have made the store since. */
  code = read_integer(s, "PRAGMA user_version", &version, err);
  if (code == MP_OK && version != MP_SQLITE_VERSION) {
    code = read_integer(s, count_sql, &tables, err);
    if (code == MP_OK) {
      code = version == 0 && tables == 0 ? create(s, err) : mp_sqlite_damaged(s, err);
    }
  }
  if (code == MP_OK) code = mp_sqlite_commit(&s->store, err);
  mp_sqlite_rollback(&s->store);
  return code;
}

static bool is_ours(const char *name, const char *sql) {
  for (size_t i = 0; i < SCHEMA_COUNT; i++) {
    if (strcmp(name, schema[i].name) == 0) return sql && strcmp(sql, schema[i].sql) == 0;
  }
  return false;
}

/* SQLite's own tables: AUTOINCREMENT's, and those of ANALYZE, which an operator may have run. */
static bool is_internal(const char *name) {
  return strcmp(name, "sqlite_sequence") == 0 || strncmp(name, "sqlite_stat", 11) == 0;
}

mp_code mp_sqlite_verify(mp_sqlite *s, mp_error *err) {
  sqlite3_stmt *q = NULL;
  size_t ours = 0;
  bool row = false;
  mp_code code;
  int rc = sqlite3_prepare_v2(s->db, "SELECT type, name, sql FROM sqlite_schema", -1, &q, NULL);

  if (rc != SQLITE_OK) return mp_sqlite_fail(s, rc, err);
  while ((code = mp_sqlite_step(s, q, &row, err)) == MP_OK && row) {
    const char *type = mp_sqlite_text(q, 0);
    const char *name = mp_sqlite_text(q, 1);

    if (!type || !name) {
      code = mp_sqlite_damaged(s, err);
      break;
    }
    if (is_ours(name, mp_sqlite_text(q, 2))) {
      ours++;
    } else if (strcmp(type, "table") != 0 || !is_internal(name)) {
      code = mp_fail(err, MP_ECORRUPT,
                     "%s: its %s \"%s\" is not moonpost's, was altered, or is that of a version "
                     "before the first release; it was not changed",
                     s->name, type, name);
      break;
    }
  }
  sqlite3_finalize(q);
  if (code == MP_OK && ours != SCHEMA_COUNT) code = mp_sqlite_damaged(s, err);
  return code;
}
