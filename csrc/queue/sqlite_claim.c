/* Claiming in the SQLite store: leases what is due, at the webhook's pace. Runs on the store
 * thread.
 *
 * What always holds: what two engines claim of one webhook keeps together to its pace and its hold,
 * for both are in the webhook's row and read under the write lock. */
#include <stdlib.h>

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

  *out = (lane_row){0};
  if (code != MP_OK) return code;
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

/* The keys are read before the first row is leased: leasing takes rows out of the index being read.
 */
static mp_code find_due(mp_sqlite *s, int64_t webhook_id, int64_t now_ms, int limit, int64_t *ids,
                        int *count, mp_error *err) {
  sqlite3_stmt *q;
  bool row;
  mp_code code = mp_sqlite_write(s, MP_SQL_DUE,
                                 "SELECT event_id FROM delivery INDEXED BY delivery_due "
                                 "WHERE webhook_id = ?1 AND state = 0 AND due_ms <= ?2 "
                                 "ORDER BY due_ms, event_id LIMIT ?3",
                                 &q, err);

  *count = 0;
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, webhook_id);
  sqlite3_bind_int64(q, 2, now_ms);
  sqlite3_bind_int(q, 3, limit);
  while ((code = mp_sqlite_step(s, q, &row, err)) == MP_OK && row) {
    ids[(*count)++] = sqlite3_column_int64(q, 0);
  }
  return code;
}

static mp_code lease_one(mp_sqlite *s, int64_t event_id, int64_t webhook_id, int64_t lease,
                         mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(
      s, MP_SQL_LEASE,
      "UPDATE delivery SET state = 1, lease = ?3 WHERE event_id = ?1 AND webhook_id = ?2", &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, event_id);
  sqlite3_bind_int64(q, 2, webhook_id);
  sqlite3_bind_int64(q, 3, lease);
  return mp_sqlite_run(s, q, NULL, err);
}

static mp_code hand_over(mp_sqlite *s, mp_claim *claim, mp_claim_fn fn, void *arg, mp_error *err) {
  sqlite3_stmt *q;
  bool row;
  mp_code code = mp_sqlite_read(
      s, MP_SQL_LEASED,
      "SELECT d.attempts, d.order_key, e.id, e.type, e.model, e.created_ms, e.order_key, "
      "e.headers, e.body "
      "FROM delivery d CROSS JOIN event e ON e.id = d.event_id "
      "WHERE d.event_id = ?1 AND d.webhook_id = ?2",
      &q, err);

  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, claim->event_id);
  sqlite3_bind_int64(q, 2, claim->webhook_id);
  code = mp_sqlite_step(s, q, &row, err);
  if (code != MP_OK) return code;
  if (!row) return mp_fail(err, MP_ECORRUPT, "%s: a delivery has no event", s->name);
  claim->attempts = sqlite3_column_int(q, 0);
  claim->order_key = mp_sqlite_text(q, 1);
  mp_sqlite_event_row(q, 2, &claim->event);
  code = fn(arg, claim, err);
  mp_sqlite_end(q);
  return code;
}

static mp_code lease_due(mp_sqlite *s, const mp_claim_order *order, int limit, mp_claim_fn fn,
                         void *arg, int *claimed, mp_error *err) {
  int64_t *ids = malloc((size_t)limit * sizeof *ids);
  int count;
  mp_code code;

  if (!ids) return mp_fail(err, MP_ENOMEM, "%s: out of memory", s->name);
  code = find_due(s, order->webhook_id, order->now_ms, limit, ids, &count, err);
  for (int i = 0; i < count && code == MP_OK; i++) {
    mp_claim claim = {
        .event_id = ids[i], .webhook_id = order->webhook_id, .lease = order->first_lease + i};

    code = lease_one(s, claim.event_id, claim.webhook_id, claim.lease, err);
    if (code == MP_OK) code = hand_over(s, &claim, fn, arg, err);
    if (code == MP_OK) ++*claimed;
  }
  free(ids);
  return code;
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
  if (code != MP_OK || *due_ms == MP_BEHIND) return code;
  ready_ms = mp_pace_ready_ms(pace, lane.pace_us, now_ms);
  if (*due_ms < ready_ms) *due_ms = ready_ms;
  if (*due_ms < lane.hold_ms) *due_ms = lane.hold_ms;
  return MP_OK;
}
