/* Listings of deliveries and attempts in the SQLite store. Runs on the store thread; nothing is
 * written.
 *
 * What always holds: a page costs about the same however long the history is, for each filter reads
 * an index in the listing's order. (Waiting and held deliveries are kept in the order of their due
 * times: of those the whole index is read, but of the rows the page's only.) */
#include <stdio.h>

#include "queue/sqlite.h"

/* How the rows of one state are found: the index, and what is true of them. (SQLite uses a partial
 * index only where its condition is repeated.) */
static const struct {
  const char *index;
  const char *condition;
} by_state[MP_STATE_COUNT] = {
    [MP_WAITING] = {"INDEXED BY delivery_due",
                    "AND state = 0 AND due_ms <> " MP_PARKED_SQL
                    " AND webhook_id IN (SELECT id FROM webhook WHERE enabled = 1)"},
    [MP_LEASED] = {"INDEXED BY delivery_lease", "AND state = 1"},
    [MP_DELIVERED] = {"", "AND +state = 2"},
    [MP_DEAD] = {"INDEXED BY delivery_ended", "AND state >= 3 AND state = 3"},
    [MP_HELD] = {"INDEXED BY delivery_due",
                 "AND state = 0 AND (due_ms = " MP_PARKED_SQL
                 " OR webhook_id IN (SELECT id FROM webhook WHERE enabled = 0))"},
    [MP_FILTERED] = {"INDEXED BY delivery_ended", "AND state >= 3 AND state = 5"},
};

static const char *index_of(const mp_delivery_filter *filter) {
  if (filter->event_id != 0) return "";
  if (filter->state >= 0 && by_state[filter->state].index[0]) return by_state[filter->state].index;
  return filter->webhook_id != 0 ? "INDEXED BY delivery_webhook" : "";
}

/* The page's keys first, then what belongs to each. */
static mp_code prepare_listing(mp_sqlite *s, const mp_delivery_filter *filter, sqlite3_stmt **q,
                               mp_error *err) {
  char sql[2048];
  int rc;

  snprintf(
      sql, sizeof sql,
      "SELECT d.event_id, d.webhook_id, "
      "iif(d.state = 0 AND (w.enabled = 0 OR d.due_ms = " MP_PARKED_SQL
      "), 4, d.state), "
      "iif(d.state = 0 AND w.enabled = 1 AND d.due_ms <> " MP_PARKED_SQL
      ", d.due_ms, 0), "
      "d.attempts, d.attempts_total, e.type, e.model, "
      "e.created_ms, coalesce(d.at_ms, a.at_ms, 0), coalesce(d.duration_us, a.duration_us, 0), "
      "coalesce(d.status, a.status, 0), coalesce(d.cause, a.error_class), "
      "CASE d.cause WHEN 'deleted' THEN 'the webhook was deleted' WHEN 'discarded' THEN "
      "'discarded when the webhook was enabled' ELSE a.error END, d.script "
      "FROM (SELECT event_id, webhook_id FROM delivery %s "
      "WHERE (event_id, webhook_id) < (?1, ?2) AND webhook_id > 0 %s %s %s "
      "ORDER BY event_id DESC, webhook_id DESC LIMIT ?3) k "
      "CROSS JOIN delivery d ON d.event_id = k.event_id AND d.webhook_id = k.webhook_id "
      "CROSS JOIN event e ON e.id = d.event_id "
      "LEFT JOIN webhook w ON w.id = d.webhook_id "
      "LEFT JOIN attempt a ON a.event_id = d.event_id AND a.webhook_id = d.webhook_id "
      "AND a.number = d.attempts_total ORDER BY d.event_id DESC, d.webhook_id DESC",
      index_of(filter), filter->webhook_id != 0 ? "AND webhook_id = ?4" : "",
      filter->event_id != 0 ? "AND event_id = ?5" : "",
      filter->state >= 0 ? by_state[filter->state].condition : "");
  rc = sqlite3_prepare_v2(s->db, sql, -1, q, NULL);
  if (rc != SQLITE_OK) return mp_sqlite_fail(s, rc, err);
  sqlite3_bind_int64(*q, 1, filter->before_event > 0 ? filter->before_event : INT64_MAX);
  sqlite3_bind_int64(*q, 2, filter->before_webhook);
  sqlite3_bind_int(*q, 3, filter->limit > 0 ? filter->limit : 0);
  if (filter->webhook_id != 0) sqlite3_bind_int64(*q, 4, filter->webhook_id);
  if (filter->event_id != 0) sqlite3_bind_int64(*q, 5, filter->event_id);
  return MP_OK;
}

static mp_code each_delivery(mp_sqlite *s, const mp_delivery_filter *filter, mp_delivery_fn fn,
                             void *arg, int *count, mp_error *err) {
  sqlite3_stmt *q = NULL;
  bool row;
  mp_code code = mp_sqlite_unbundle(s, err);

  *count = 0;
  if (code == MP_OK) code = mp_sqlite_ended_flush(s, err);
  if (code == MP_OK) code = prepare_listing(s, filter, &q, err);
  if (code != MP_OK) return code;
  while ((code = mp_sqlite_step(s, q, &row, err)) == MP_OK && row) {
    mp_delivery_row delivery = {
        .event_id = sqlite3_column_int64(q, 0),
        .webhook_id = sqlite3_column_int64(q, 1),
        .state = (mp_delivery_state)sqlite3_column_int(q, 2),
        .due_ms = sqlite3_column_int64(q, 3),
        .attempts = sqlite3_column_int(q, 4),
        .attempts_total = sqlite3_column_int(q, 5),
        .event_type = mp_sqlite_text(q, 6),
        .model = mp_sqlite_text(q, 7),
        .created_ms = sqlite3_column_int64(q, 8),
        .last_at_ms = sqlite3_column_int64(q, 9),
        .last_duration_us = sqlite3_column_int64(q, 10),
        .last_status = sqlite3_column_int(q, 11),
        .last_error_class = mp_sqlite_text(q, 12),
        .last_error = mp_sqlite_text(q, 13),
        .script = mp_sqlite_text(q, 14),
    };
    ++*count;
    if ((code = fn(arg, &delivery, err)) != MP_OK) break;
  }
  sqlite3_finalize(q);
  return code;
}

mp_code mp_sqlite_deliveries(mp_store *store, const mp_delivery_filter *filter, mp_delivery_fn fn,
                             void *arg, mp_error *err) {
  int count;
  if (filter->state >= MP_STATE_COUNT) {
    return mp_fail(err, MP_EINVAL, "there is no delivery state %d", filter->state);
  }
  return each_delivery(mp_sqlite_of(store), filter, fn, arg, &count, err);
}

mp_code mp_sqlite_delivery(mp_store *store, int64_t event_id, int64_t webhook_id, mp_delivery_fn fn,
                           void *arg, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  mp_delivery_filter one = {
      .webhook_id = webhook_id, .event_id = event_id, .state = -1, .limit = 1};
  int count = 0;
  mp_code code = MP_OK;

  if (event_id != 0 && webhook_id != 0) code = each_delivery(s, &one, fn, arg, &count, err);
  if (code == MP_OK && count == 0) {
    return mp_fail(err, MP_ENOENT, "%s: there is no such delivery", s->name);
  }
  return code;
}

mp_code mp_sqlite_attempts(mp_store *store, int64_t event_id, int64_t webhook_id, mp_attempt_fn fn,
                           void *arg, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  bool row;
  mp_code code = mp_sqlite_read(
      s, MP_SQL_ATTEMPTS,
      "SELECT number, at_ms, duration_us, status, error_class, error, response, script "
      "FROM attempt "
      "WHERE event_id = ?1 AND webhook_id = ?2 "
      "UNION ALL SELECT attempts_total, at_ms, duration_us, status, NULL, NULL, response, "
      "script FROM delivery WHERE event_id = ?1 AND webhook_id = ?2 AND at_ms IS NOT NULL ORDER BY "
      "1",
      &q, err);

  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, event_id);
  sqlite3_bind_int64(q, 2, webhook_id);
  while ((code = mp_sqlite_step(s, q, &row, err)) == MP_OK && row) {
    mp_attempt attempt = {
        .at_ms = sqlite3_column_int64(q, 1),
        .duration_us = sqlite3_column_int64(q, 2),
        .status = sqlite3_column_int(q, 3),
        .error_class = mp_sqlite_text(q, 4),
        .error = mp_sqlite_text(q, 5),
        .response = sqlite3_column_blob(q, 6),
        .response_len = (size_t)sqlite3_column_bytes(q, 6),
        .script = mp_sqlite_text(q, 7),
    };
    if ((code = fn(arg, sqlite3_column_int(q, 0), &attempt, err)) != MP_OK) {
      mp_sqlite_end(q);
      break;
    }
  }
  return code;
}
