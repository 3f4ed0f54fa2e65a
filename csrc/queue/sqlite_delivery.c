/* The life of a delivery in the SQLite store: inserted, finished, sent again (sqlite_claim.c:
 * claimed). Runs on the store thread.
 *
 * What always holds: a leased delivery has a lease, any other has none (NULL), and only who knows
 * the lease can end it. at_ms, duration_us, status and response of a delivery are NULL but for the
 * attempt that delivered it; each other attempt is a row of attempt, so that attempts_total is the
 * number of the last, wherever it is. script is written when an attempt ends: a delivery that has
 * one need not go through scripts again. */
#include "queue/sqlite.h"

mp_code mp_sqlite_settle(mp_sqlite *s, int64_t webhook_id, mp_delivery_state *state,
                         const char **cause, mp_error *err) {
  int64_t enabled;
  mp_code code = mp_sqlite_webhook_enabled(s, webhook_id, &enabled, err);

  *state = enabled < 0 ? MP_DEAD : MP_WAITING;
  *cause = enabled < 0 ? "deleted" : NULL;
  return code;
}

/* Where the delivery goes in order and another is before it: the time that it then waits for. */
static mp_code queue_up(mp_sqlite *s, int64_t event_id, int64_t webhook_id, const char *order_key,
                        int64_t *due_ms, mp_error *err) {
  bool open = false;
  mp_code code = MP_OK;

  if (order_key) code = mp_sqlite_order_open(s, event_id, webhook_id, order_key, &open, err);
  if (open) *due_ms = MP_BEHIND;
  return code;
}

/* A new delivery as it is stored: its state is settled, and so is ... */
typedef struct new_row {
  int64_t due_ms;
  const char *cause;
} new_row;

static mp_code settle_new(mp_sqlite *s, mp_new_delivery *d, new_row *row, mp_error *err) {
  mp_code code;

  *row = (new_row){.due_ms = d->due_ms};
  if (d->state != MP_WAITING && d->state != MP_HELD && d->state != MP_LEASED) {
    return mp_fail(err, MP_EINVAL, "a new delivery is waiting, held or leased, not %s",
                   mp_delivery_state_name(d->state));
  }
  code = queue_up(s, d->event_id, d->webhook_id, d->order_key, &row->due_ms, err);
  if (code == MP_OK && (d->state != MP_LEASED || row->due_ms == MP_BEHIND)) {
    code = mp_sqlite_settle(s, d->webhook_id, &d->state, &row->cause, err);
  }
  return code;
}

#define NEW_ROW "(?, ?, ?, ?, ?, ?, ?, 0, 0)"
#define NEW_INSERT                                                                                \
  "INSERT INTO delivery(event_id, webhook_id, state, due_ms, lease, cause, order_key, attempts, " \
  "attempts_total) VALUES"

static void bind_new(sqlite3_stmt *q, int before, const mp_new_delivery *d, const new_row *row) {
  sqlite3_bind_int64(q, before + 1, d->event_id);
  sqlite3_bind_int64(q, before + 2, d->webhook_id);
  sqlite3_bind_int(q, before + 3, d->state);
  sqlite3_bind_int64(q, before + 4, d->state == MP_DEAD ? 0 : row->due_ms);
  if (d->state == MP_LEASED) sqlite3_bind_int64(q, before + 5, d->lease);
  mp_sqlite_bind_text(q, before + 6, row->cause);
  mp_sqlite_bind_text(q, before + 7, d->order_key);
}

/* One, or MP_SQLITE_ROWS. */
static mp_code insert_new(mp_sqlite *s, mp_new_delivery *deliveries, size_t count, mp_error *err) {
  new_row rows[MP_SQLITE_ROWS];
  sqlite3_stmt *q;
  mp_code code = MP_OK;

  for (size_t i = 0; i < count && code == MP_OK; i++)
    code = settle_new(s, &deliveries[i], &rows[i], err);
  if (code != MP_OK) return code;
  code = MP_SQLITE_INSERT(s, count, MP_SQL_DELIVERY_INSERT, MP_SQL_DELIVERIES_INSERT, NEW_INSERT,
                          NEW_ROW, &q, err);
  if (code != MP_OK) return code;
  for (size_t i = 0; i < count; i++)
    bind_new(q, (int)i * 7, &deliveries[i], &rows[i]);
  if ((code = mp_sqlite_run(s, q, NULL, err)) != MP_OK) return code;
  for (size_t i = 0; i < count; i++) {
    if (deliveries[i].webhook_id == MP_ROUTING) continue;
    s->added[MP_TOTAL_ACCEPTED]++;
    mp_sqlite_total_state(s, deliveries[i].state, 1);
  }
  return MP_OK;
}

mp_code mp_sqlite_deliveries_insert(mp_store *store, mp_new_delivery *deliveries, size_t count,
                                    mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  mp_code code = MP_OK;

  for (size_t i = 0, n; i < count && code == MP_OK; i += n) {
    if ((n = mp_sqlite_bundle_of(s, deliveries + i, count - i)) > 0) {
      code = mp_sqlite_bundle_add(s, deliveries + i, n, err);
      continue;
    }
    n = count - i >= MP_SQLITE_ROWS && !deliveries[i].bundled ? MP_SQLITE_ROWS : 1;
    code = insert_new(s, deliveries + i, n, err);
  }
  return code;
}

mp_code mp_sqlite_delivery_insert(mp_store *store, mp_new_delivery *delivery, mp_error *err) {
  return insert_new(mp_sqlite_of(store), delivery, 1, err);
}

/* ---- finishing ------------------------------------------------------------------------------ */

static void bind_blob(sqlite3_stmt *q, int index, const char *bytes, size_t len) {
  if (bytes) sqlite3_bind_blob64(q, index, bytes, len, SQLITE_STATIC);
}

/* After the delivery was updated: its attempts_total is this attempt's number. */
static mp_code insert_attempt(mp_sqlite *s, const mp_finish *finish, mp_error *err) {
  const mp_attempt *attempt = finish->attempt;
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(
      s, MP_SQL_ATTEMPT_INSERT,
      "INSERT INTO attempt(event_id, webhook_id, number, at_ms, duration_us, status, error_class, "
      "error, response, script) "
      "SELECT event_id, webhook_id, attempts_total, ?3, ?4, ?5, ?6, ?7, ?8, script FROM delivery "
      "WHERE event_id = ?1 AND webhook_id = ?2",
      &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, finish->event_id);
  sqlite3_bind_int64(q, 2, finish->webhook_id);
  sqlite3_bind_int64(q, 3, attempt->at_ms);
  sqlite3_bind_int64(q, 4, attempt->duration_us);
  sqlite3_bind_int(q, 5, attempt->status);
  mp_sqlite_bind_text(q, 6, attempt->error_class);
  mp_sqlite_bind_text(q, 7, attempt->error);
  bind_blob(q, 8, attempt->response, attempt->response_len);
  return mp_sqlite_run(s, q, NULL, err);
}

/* What the attempt left, from the parameter on: at_ms, duration_us, status, response. */
static void bind_attempt(sqlite3_stmt *q, int first, const mp_sqlite_ended *e) {
  const mp_attempt *attempt = e->finish.attempt;

  if (!e->delivered) return;
  sqlite3_bind_int64(q, first, attempt->at_ms);
  sqlite3_bind_int64(q, first + 1, attempt->duration_us);
  sqlite3_bind_int(q, first + 2, attempt->status);
  bind_blob(q, first + 3, attempt->response, attempt->response_len);
}

static mp_code update(mp_sqlite *s, const mp_sqlite_ended *e, bool *applied, mp_error *err) {
  const mp_finish *f = &e->finish;
  sqlite3_stmt *q;
  int64_t changes = 0;
  /* The unary + keeps SQLite from looking the lease up in delivery_lease: the key is nearer. */
  mp_code code = mp_sqlite_write(
      s, MP_SQL_FINISH,
      "UPDATE delivery SET state = ?4, due_ms = ?5, lease = NULL, cause = ?6, "
      "attempts = attempts + ?7, attempts_total = attempts_total + ?8, "
      "script = coalesce(?9, script), at_ms = ?10, duration_us = ?11, status = ?12, "
      "response = ?13 WHERE event_id = ?1 AND webhook_id = ?2 AND +lease = ?3",
      &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, f->event_id);
  sqlite3_bind_int64(q, 2, f->webhook_id);
  sqlite3_bind_int64(q, 3, f->lease);
  sqlite3_bind_int(q, 4, e->state);
  sqlite3_bind_int64(q, 5, e->due_ms);
  mp_sqlite_bind_text(q, 6, e->cause);
  sqlite3_bind_int(q, 7, e->attempts);
  sqlite3_bind_int(q, 8, f->attempt ? 1 : 0);
  mp_sqlite_bind_text(q, 9, f->script);
  bind_attempt(q, 10, e);
  code = mp_sqlite_run(s, q, &changes, err);
  *applied = changes > 0;
  return code;
}

#define ENDED_ROW "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#define ENDED_INSERT                                                                            \
  "INSERT INTO delivery(event_id, webhook_id, state, due_ms, cause, attempts, attempts_total, " \
  "script, at_ms, duration_us, status, response) VALUES"

static void bind_ended(sqlite3_stmt *q, int before, const mp_sqlite_ended *e) {
  const mp_finish *f = &e->finish;

  sqlite3_bind_int64(q, before + 1, f->event_id);
  sqlite3_bind_int64(q, before + 2, f->webhook_id);
  sqlite3_bind_int(q, before + 3, e->state);
  sqlite3_bind_int64(q, before + 4, e->due_ms);
  mp_sqlite_bind_text(q, before + 5, e->cause);
  sqlite3_bind_int(q, before + 6, e->attempts);
  sqlite3_bind_int(q, before + 7, f->attempt ? 1 : 0);
  mp_sqlite_bind_text(q, before + 8, f->script);
  bind_attempt(q, before + 9, e);
}

/* One, or MP_SQLITE_ROWS. */
static mp_code insert_ended(mp_sqlite *s, const mp_sqlite_ended *ended, size_t count,
                            mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = MP_SQLITE_INSERT(s, count, MP_SQL_ENDED_INSERT, MP_SQL_ENDED_INSERT_ALL,
                                  ENDED_INSERT, ENDED_ROW, &q, err);

  if (code != MP_OK) return code;
  for (size_t i = 0; i < count; i++)
    bind_ended(q, (int)i * 12, &ended[i]);
  return mp_sqlite_run(s, q, NULL, err);
}

mp_code mp_sqlite_ended_flush(mp_sqlite *s, mp_error *err) {
  size_t count = s->ended_count, n = count == MP_SQLITE_ROWS ? MP_SQLITE_ROWS : 1;
  mp_code code = MP_OK;

  s->ended_count = 0; /* first: writing comes here again */
  for (size_t i = 0; i < count && code == MP_OK; i += n)
    code = insert_ended(s, s->ended + i, n, err);
  return code;
}

static mp_code end_lease(mp_sqlite *s, const mp_sqlite_ended *e, bool *applied, mp_error *err) {
  size_t at;
  mp_sqlite_bundle *bundle = mp_sqlite_bundle_find(s, &e->finish, &at);
  mp_code code;

  if (!bundle) return update(s, e, applied, err);
  code = mp_sqlite_bundle_end(s, bundle, at, applied, err);
  if (code != MP_OK || !*applied) return code;
  s->ended[s->ended_count++] = *e;
  return s->ended_count == MP_SQLITE_ROWS ? mp_sqlite_ended_flush(s, err) : MP_OK;
}

/* The finish as it is stored. */
static mp_code judge(mp_sqlite *s, const mp_finish *finish, mp_sqlite_ended *out, mp_error *err) {
  const mp_attempt *attempt = finish->attempt;
  mp_delivery_state state = finish->state;
  bool held = state == MP_HELD;
  mp_code code = MP_OK;

  *out = (mp_sqlite_ended){.finish = *finish, .state = state};
  if (state == MP_WAITING || held) {
    code = mp_sqlite_settle(s, finish->webhook_id, &out->state, &out->cause, err);
  } else if (state != MP_DELIVERED && state != MP_DEAD && state != MP_FILTERED) {
    return mp_fail(err, MP_EINVAL, "a lease does not end as %s", mp_delivery_state_name(state));
  }
  out->delivered = state == MP_DELIVERED && attempt && !attempt->error_class && !attempt->error;
  out->attempts = attempt && !held ? 1 : 0;
  if (out->state == MP_WAITING) out->due_ms = held ? MP_PARKED : finish->due_ms;
  return code;
}

mp_code mp_sqlite_finish(mp_store *store, const mp_finish *finish, bool *applied, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  mp_sqlite_ended e;
  bool ended = false;
  mp_code code = judge(s, finish, &e, err);

  *applied = false;
  if (code == MP_OK) code = end_lease(s, &e, &ended, err);
  if (code != MP_OK || !ended) return code;
  if (finish->webhook_id != MP_ROUTING) mp_sqlite_total_state(s, e.state, 1);
  if (finish->attempt && !e.delivered) code = insert_attempt(s, finish, err);
  if (code == MP_OK && finish->order_key && e.state != MP_WAITING) {
    code = mp_sqlite_order_next(s, finish->event_id, finish->webhook_id, finish->order_key,
                                finish->now_ms, err);
  }
  *applied = code == MP_OK;
  return code;
}

/* ---- sending again -------------------------------------------------------------------------- */

/* The attempt that delivered makes room in the delivery's row for the next one that does. */
static mp_code move_attempt(mp_sqlite *s, int64_t event_id, int64_t webhook_id, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(
      s, MP_SQL_ATTEMPT_MOVE,
      "INSERT INTO attempt(event_id, webhook_id, number, at_ms, duration_us, status, response, "
      "script) "
      "SELECT event_id, webhook_id, attempts_total, at_ms, duration_us, status, response, script "
      "FROM delivery WHERE event_id = ?1 AND webhook_id = ?2 AND at_ms IS NOT NULL",
      &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, event_id);
  sqlite3_bind_int64(q, 2, webhook_id);
  return mp_sqlite_run(s, q, NULL, err);
}

/* MP_ENOENT or MP_EBUSY when the delivery cannot be sent again. due_ms becomes that of its place in
 * its order. */
static mp_code check_resend(mp_sqlite *s, int64_t event_id, int64_t webhook_id,
                            mp_delivery_state *state, int64_t *due_ms, mp_error *err) {
  sqlite3_stmt *q;
  int64_t enabled;
  bool row;
  mp_code code = mp_sqlite_read(
      s, MP_SQL_DELIVERY_STATE,
      "SELECT state, due_ms, order_key FROM delivery WHERE event_id = ?1 AND webhook_id = ?2", &q,
      err);

  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, event_id);
  sqlite3_bind_int64(q, 2, webhook_id);
  if ((code = mp_sqlite_step(s, q, &row, err)) != MP_OK) return code;
  if (!row) return mp_fail(err, MP_ENOENT, "%s: there is no such delivery", s->name);
  *state = (mp_delivery_state)sqlite3_column_int(q, 0);
  if (*state == MP_WAITING && sqlite3_column_int64(q, 1) == MP_BEHIND)
    *due_ms = MP_BEHIND;
  else if (*state != MP_WAITING)
    code = queue_up(s, event_id, webhook_id, mp_sqlite_text(q, 2), due_ms, err);
  mp_sqlite_end(q);
  if (code != MP_OK) return code;
  if (*state == MP_LEASED) {
    return mp_fail(err, MP_EBUSY, "%s: the delivery is being sent just now", s->name);
  }
  code = mp_sqlite_webhook_enabled(s, webhook_id, &enabled, err);
  if (code == MP_OK && enabled < 0) {
    return mp_fail(err, MP_ENOENT, "%s: the delivery's webhook %lld was deleted", s->name,
                   (long long)webhook_id);
  }
  return code;
}

mp_code mp_sqlite_resend(mp_store *store, int64_t event_id, int64_t webhook_id, bool anew,
                         int64_t due_ms, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  mp_delivery_state state = MP_WAITING;
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_unbundle(s, err);

  if (code == MP_OK) code = check_resend(s, event_id, webhook_id, &state, &due_ms, err);
  if (code == MP_OK) code = move_attempt(s, event_id, webhook_id, err);
  if (code == MP_OK && anew) code = mp_sqlite_output_forget(s, event_id, webhook_id, err);
  if (code != MP_OK) return code;
  code = mp_sqlite_write(
      s, MP_SQL_RESEND,
      "UPDATE delivery SET state = 0, due_ms = ?3, cause = NULL, attempts = 0, at_ms = NULL, "
      "duration_us = NULL, status = NULL, response = NULL, script = iif(?4, NULL, script) "
      "WHERE event_id = ?1 AND webhook_id = ?2",
      &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, event_id);
  sqlite3_bind_int64(q, 2, webhook_id);
  sqlite3_bind_int64(q, 3, due_ms);
  sqlite3_bind_int(q, 4, anew || state == MP_FILTERED); /* no script made what it would send */
  code = mp_sqlite_run(s, q, NULL, err);
  if (code == MP_OK) mp_sqlite_total_state(s, state, -1);
  return code;
}
