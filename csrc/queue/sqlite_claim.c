/* Claiming in the SQLite store: leases what is due, at the webhook's pace. Runs on the store
 * thread.
 *
 * What always holds: what two engines claim of one webhook keeps together to its pace and its hold,
 * for both are in the webhook's row and read under the write lock. */
#include "queue/sqlite.h"

/* What a webhook's row says about claims. */
typedef struct lane_row {
  bool open; /* it is there and enabled */
  int64_t hold_ms;
  int64_t pace_us;
} lane_row;

static mp_code read_lane(mp_sqlite *s, int64_t webhook_id, lane_row *out, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code =
      mp_sqlite_read(s, MP_SQL_WEBHOOK_LANE,
                     "SELECT hold_ms, pace_us FROM webhook WHERE id = ?1 AND enabled = 1", &q, err);

  *out = (lane_row){.open = webhook_id == MP_ROUTING};
  if (code != MP_OK || out->open) return code;
  sqlite3_bind_int64(q, 1, webhook_id);
  code = mp_sqlite_step(s, q, &out->open, err);
  if (code != MP_OK || !out->open) return code;
  out->hold_ms = sqlite3_column_int64(q, 0);
  out->pace_us = sqlite3_column_int64(q, 1);
  mp_sqlite_end(q);
  return MP_OK;
}

static mp_code write_pace(mp_sqlite *s, int64_t webhook_id, int64_t pace_us, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(s, MP_SQL_WEBHOOK_PACE,
                                 "UPDATE webhook SET pace_us = ?2 WHERE id = ?1", &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, webhook_id);
  sqlite3_bind_int64(q, 2, pace_us);
  return mp_sqlite_run(s, q, NULL, err);
}

#define DUE                                                        \
  "FROM delivery d INDEXED BY delivery_due WHERE webhook_id = ?1 " \
  "AND state = 0 AND due_ms <= ?2 ORDER BY due_ms, event_id LIMIT ?3"

static mp_code read_due(mp_sqlite *s, mp_sql slot, const char *sql, const mp_claim_order *order,
                        int limit, sqlite3_stmt **q, mp_error *err) {
  mp_code code = mp_sqlite_write(s, slot, sql, q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(*q, 1, order->webhook_id);
  sqlite3_bind_int64(*q, 2, order->now_ms);
  sqlite3_bind_int(*q, 3, limit);
  return MP_OK;
}

/* Hands the due ones over as they are read ... */
static mp_code hand_over(mp_sqlite *s, const mp_claim_order *order, int limit, mp_claim_fn fn,
                         void *arg, int *count, mp_error *err) {
  sqlite3_stmt *q;
  bool row;
  mp_code code = read_due(s, MP_SQL_DUE,
                          "SELECT k.attempts, k.order_key, k.script, e.id, e.type, e.model, "
                          "e.created_ms, e.order_key, e.headers, e.body "
                          "FROM (SELECT event_id, attempts, order_key, script " DUE
                          ") k "
                          "CROSS JOIN event e ON e.id = k.event_id",
                          order, limit, &q, err);

  if (code != MP_OK) return code;
  while ((code = mp_sqlite_step(s, q, &row, err)) == MP_OK && row) {
    mp_claim claim = {.webhook_id = order->webhook_id,
                      .lease = order->lease,
                      .attempts = sqlite3_column_int(q, 0),
                      .order_key = mp_sqlite_text(q, 1),
                      .script = mp_sqlite_text(q, 2)};

    mp_sqlite_event_row(q, 3, &claim.event);
    claim.event_id = claim.event.id;
    ++*count;
    if ((code = fn(arg, &claim, err)) != MP_OK) {
      mp_sqlite_end(q);
      break;
    }
  }
  return code;
}

/* ... and leases them all at once: leasing takes rows out of the index that is read. */
static mp_code lease_all(mp_sqlite *s, const mp_claim_order *order, int limit, int64_t *leased,
                         mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = read_due(s, MP_SQL_LEASE,
                          "UPDATE delivery SET state = 1, lease = ?4 WHERE webhook_id = ?1 "
                          "AND event_id IN (SELECT event_id " DUE ")",
                          order, limit, &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 4, order->lease);
  return mp_sqlite_run(s, q, leased, err);
}

static mp_code lease_due(mp_sqlite *s, const mp_claim_order *order, int limit, mp_claim_fn fn,
                         void *arg, int *claimed, mp_error *err) {
  int64_t leased = 0;
  int count = 0;
  mp_code code = hand_over(s, order, limit, fn, arg, &count, err);

  if (code == MP_OK && count > 0) code = lease_all(s, order, limit, &leased, err);
  if (code != MP_OK) return code;
  if (leased != count) return mp_fail(err, MP_ECORRUPT, "%s: a delivery has no event", s->name);
  *claimed = count;
  return MP_OK;
}

mp_code mp_sqlite_claim(mp_store *store, const mp_claim_order *order, mp_claim_fn fn, void *arg,
                        int *claimed, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  int limit = order->limit, room;
  lane_row lane;
  mp_code code = read_lane(s, order->webhook_id, &lane, err);

  *claimed = 0;
  if (code != MP_OK || !lane.open || lane.hold_ms > order->now_ms) return code;
  room = mp_pace_room(&order->pace, lane.pace_us, order->now_ms);
  if (room < limit) limit = room;
  if (limit <= 0) return MP_OK;
  code = lease_due(s, order, limit, fn, arg, claimed, err);
  if (code != MP_OK || *claimed == 0 || order->pace.interval_us == 0) return code;
  return write_pace(s, order->webhook_id,
                    mp_pace_take(&order->pace, lane.pace_us, order->now_ms, *claimed), err);
}

mp_code mp_sqlite_next_due(mp_store *store, int64_t webhook_id, const mp_pace *pace, int64_t now_ms,
                           int64_t *due_ms, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  int64_t ready_ms;
  sqlite3_stmt *q;
  lane_row lane;
  mp_code code = read_lane(s, webhook_id, &lane, err);

  *due_ms = INT64_MAX;
  if (code != MP_OK || !lane.open) return code;
  code = mp_sqlite_read(s, MP_SQL_NEXT_DUE,
                        "SELECT due_ms FROM delivery INDEXED BY delivery_due "
                        "WHERE webhook_id = ?1 AND state = 0 ORDER BY due_ms LIMIT 1",
                        &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, webhook_id);
  code = mp_sqlite_integer(s, q, INT64_MAX, due_ms, err);
  if (code != MP_OK) return code;
  if (*due_ms >= MP_PARKED) {
    *due_ms = INT64_MAX;
    return MP_OK;
  }
  ready_ms = mp_pace_ready_ms(pace, lane.pace_us, now_ms);
  if (*due_ms < ready_ms) *due_ms = ready_ms;
  if (*due_ms < lane.hold_ms) *due_ms = lane.hold_ms;
  return MP_OK;
}
