/* What comes of attempts: the new state of a delivery, and what it means for its lane. Store
 * thread, inside the transaction of a batch.
 *
 * What always holds: an outcome may be gone through more than once, for a transaction that failed
 * is made again. What it does to a lane in memory is done once (note) or after the commit
 * (mp_outcomes_settle). */
#include "engine/internal.h"

#define HOUR_MS            ((int64_t)60 * 60 * 1000)
#define MAX_RETRY_AFTER_MS (24 * HOUR_MS) /* what a receiver may ask for */
/* Failures further apart are not one failing: nothing was sent meanwhile. Twice the longest wait of
 * the usual schedule. */
#define FAILING_GAP_MS (48 * HOUR_MS)

static uint64_t next_random(mp_engine *e) { /* xorshift64: jitter needs no more */
  e->random ^= e->random << 13;
  e->random ^= e->random >> 7;
  e->random ^= e->random << 17;
  return e->random;
}

static void judge(mp_engine *e, const mp_delivery *d, int64_t now_ms, mp_finish *f) {
  int64_t delay = 0;
  int64_t asked = d->retry_after_ms < MAX_RETRY_AFTER_MS ? d->retry_after_ms : MAX_RETRY_AFTER_MS;

  *f = (mp_finish){.event_id = d->event->row.id,
                   .webhook_id = d->lane->webhook_id,
                   .lease = d->lease,
                   .order_key = d->order_key,
                   .state = MP_WAITING,
                   .due_ms = now_ms,
                   .now_ms = now_ms,
                   .script = d->scripted ? d->scripted->version : NULL};
  if (!d->attempted) return; /* given back */
  f->attempt = &d->attempt;
  if (!d->attempt.error_class)
    f->state = MP_DELIVERED;
  else if (mp_retry_next(&d->webhook->retry, d->attempts + 1, next_random(e), &delay))
    f->due_ms = now_ms + (delay > asked ? delay : asked);
  else
    f->state = MP_DEAD;
}

/* ---- the lane ------------------------------------------------------------------------------- */

static void note(const mp_engine *e, mp_delivery *d, int64_t now_ms) {
  if (d->noted) return;
  d->noted = true;
  d->change = mp_circuit_note(&d->lane->circuit, !d->attempt.error_class, d->started_ms, now_ms,
                              e->settings->probe_ms);
}

static mp_code disable(mp_engine *e, mp_batch *b, mp_delivery *d, const char *reason,
                       mp_error *err) {
  mp_lane *lane = d->lane;
  const mp_webhook *w = lane->webhook;
  mp_webhook_row row;
  mp_code code;

  if (!w || !w->enabled || lane->disabling) return MP_OK;
  row = (mp_webhook_row){.id = w->id,
                         .from_config = w->from_config,
                         .name = w->name,
                         .definition = w->from_config ? NULL : w->definition,
                         .updated_ms = mp_wall_ms(),
                         .seen_ms = w->updated_ms};
  code = mp_registry_update(e, &row, b->now_ms, err);
  if (code == MP_ECHANGED) { /* by another process, and so it may have been mended */
    mp_registry_changed(e, MP_RELOAD_ALL);
    return MP_OK;
  }
  if (code != MP_OK) return code;
  lane->disabling = true;
  b->reload = true;
  return mp_report_add(e, b, MP_REPORT_DISABLED, d, reason, err);
}

/* Since when has the webhook failed? The row is written when that changes, and once an hour. */
static mp_code note_failing(mp_engine *e, mp_batch *b, mp_delivery *d, mp_error *err) {
  const mp_lane *lane = d->lane;
  bool failed = d->attempt.error_class != NULL;
  int64_t since = lane->failing_ms;

  d->failing_changed = false;
  if (!failed && since == 0) return MP_OK;
  if (since == 0 || b->now_ms - lane->failed_ms > FAILING_GAP_MS) since = b->now_ms;
  if (!failed) since = 0;
  d->failing_ms = since;
  d->failed_ms = failed ? b->now_ms : 0;
  if (since == lane->failing_ms && b->now_ms - lane->failed_ms < HOUR_MS) return MP_OK;
  d->failing_changed = true;
  return mp_store_webhook_failing(e->store, lane->webhook_id, d->failing_ms, d->failed_ms, err);
}

static bool has_failed_too_long(const mp_engine *e, const mp_delivery *d, int64_t now_ms) {
  int64_t limit = e->settings->disable_after_ms;
  return limit > 0 && d->attempt.error_class && d->failing_ms > 0 &&
         now_ms - d->failing_ms >= limit;
}

static mp_code report_circuit(mp_engine *e, mp_batch *b, mp_delivery *d, mp_error *err) {
  if (d->change == MP_CIRCUIT_OPENED) {
    return mp_report_add(e, b, MP_REPORT_FAILING, d, NULL, err);
  }
  if (d->change == MP_CIRCUIT_CLOSED) {
    return mp_report_add(e, b, MP_REPORT_RECOVERED, d, NULL, err);
  }
  return MP_OK;
}

/* What an outcome says about the whole lane: a receiver that asked for time gets it from every
 * delivery, one that keeps failing is left alone, one that is gone for good (410) or has failed for
 * days is disabled. */
static mp_code heed(mp_engine *e, mp_batch *b, mp_delivery *d, const mp_finish *f, mp_error *err) {
  const mp_circuit *circuit = &d->lane->circuit;
  mp_code code = MP_OK;

  note(e, d, b->now_ms);
  d->hold_ms = d->retry_after_ms > 0 ? f->due_ms : 0;
  if (circuit->open && circuit->probe_ms > d->hold_ms) d->hold_ms = circuit->probe_ms;
  if (d->hold_ms) code = mp_store_webhook_hold(e->store, d->lane->webhook_id, d->hold_ms, err);
  if (code == MP_OK) code = note_failing(e, b, d, err);
  if (code == MP_OK) code = report_circuit(e, b, d, err);
  if (code == MP_OK && f->state == MP_DEAD) {
    code = mp_report_add(e, b, MP_REPORT_DEAD, d, NULL, err);
  }
  if (code == MP_OK && d->attempt.status == 410) code = disable(e, b, d, "gone", err);
  if (code == MP_OK && has_failed_too_long(e, d, b->now_ms)) {
    code = disable(e, b, d, "failing", err);
  }
  return code;
}

/* ---- the batch ------------------------------------------------------------------------------ */

mp_code mp_outcomes_write(mp_engine *engine, mp_batch *batch, mp_error *err) {
  mp_engine *e = engine;
  mp_code code = MP_OK;

  for (mp_node *n = e->taken_finished.head; n && code == MP_OK; n = n->next) {
    mp_delivery *d = MP_CONTAINER(n, mp_delivery, node);
    mp_finish f;
    bool applied;
    judge(e, d, batch->now_ms, &f);
    code = mp_store_finish(e->store, &f, &applied, err);
    if (code == MP_OK && applied && d->attempted) code = heed(e, batch, d, &f, err);
    d->due_ms = f.state == MP_WAITING ? f.due_ms : INT64_MAX;
    d->state = f.state;
    d->applied = applied;
    /* What waited behind it may be claimed in the same transaction. */
    if (d->order_key && f.state != MP_WAITING) d->lane->next_due_ms = 0;
  }
  return code;
}

/* When was the event accepted? Its id says so to the millisecond, on the store's clock. */
static int64_t waited_us(const mp_delivery *d) {
  return (d->started_ms - mp_event_id_ms(d->event->row.id)) * 1000;
}

static void count(mp_engine *e, const mp_delivery *d) {
  mp_lane_counts *counts = &d->lane->counts;

  if (!d->applied) return;
  if (d->attempted) mp_histogram_us(&e->metrics.send, d->attempt.duration_us);
  if (d->attempted && d->attempts == 0) mp_histogram_us(&e->metrics.wait, waited_us(d));
  if (d->attempted && d->attempt.error_class)
    counts->failed[mp_class_index(d->attempt.error_class)]++;
  counts->delivered += d->state == MP_DELIVERED;
  counts->dead += d->state == MP_DEAD;
  if (d->attempted && d->attempt.error_class) atomic_fetch_add(&e->failed, 1);
  if (d->state == MP_DELIVERED) atomic_fetch_add(&e->delivered, 1);
  if (d->state == MP_DEAD) atomic_fetch_add(&e->dead, 1);
}

static void settle_lane(mp_lane *lane, const mp_delivery *d, int64_t now_ms) {
  mp_lane_ended(lane, now_ms);
  if (d->hold_ms > atomic_load(&lane->hold_ms)) atomic_store(&lane->hold_ms, d->hold_ms);
  if (d->due_ms < lane->next_due_ms) lane->next_due_ms = d->due_ms;
  if (d->applied && d->failing_changed) {
    lane->failing_ms = d->failing_ms;
    lane->failed_ms = d->failed_ms;
  }
}

void mp_outcomes_settle(mp_engine *engine) {
  mp_engine *e = engine;
  int64_t now_ms = mp_engine_now(e);

  for (mp_node *n; (n = mp_list_pop(&e->taken_finished)) != NULL;) {
    mp_delivery *d = MP_CONTAINER(n, mp_delivery, node);
    count(e, d);
    if (d->applied) mp_report_log(e, d);
    mp_lease_end(e, d);
    settle_lane(d->lane, d, now_ms);
    mp_delivery_free(d);
  }
}
