/* New events with their deliveries. Store thread, inside the transaction of a batch.
 *
 * Rows are gathered and inserted many at a time; mp_inserts_flush inserts the rest. */
#include "engine/internal.h"

/* A fresh delivery is leased with its insert, which saves a claim, where nothing older waits. */
static bool may_lease(const mp_engine *e, const mp_batch *b, const mp_lane *lane) {
  return lane->webhook->enabled && lane->webhook->pace.interval_us == 0 &&
         lane->next_due_ms > b->now_ms && atomic_load(&lane->hold_ms) <= b->now_ms &&
         mp_lease_room(e, lane, b->now_ms) > 0;
}

/* Scripts write of a delivery while it is under way, and other processes may read of it. */
static bool may_bundle(const mp_engine *e, const mp_lane *lane) {
  return e->upkeep.alone && !e->scripting && !lane->webhook->script;
}

/* It waits: when is its lane looked at? */
static void expect(mp_lane *lane, int64_t now_ms) {
  int64_t hold_ms = atomic_load(&lane->hold_ms);
  int64_t due_ms = hold_ms > now_ms ? hold_ms : now_ms;
  if (due_ms < lane->next_due_ms) lane->next_due_ms = due_ms;
}

mp_code mp_inserts_flush(mp_engine *engine, mp_error *err) {
  mp_inserts *rows = &engine->inserts;
  mp_code code = mp_store_events_insert(engine->store, rows->events, rows->event_count, err);

  if (code == MP_OK) {
    code = mp_store_deliveries_insert(engine->store, rows->deliveries, rows->delivery_count, err);
  }
  rows->event_count = rows->delivery_count = 0;
  return code;
}

/* What has an order needs to see what is in the store; all else may wait for its fellows. */
static mp_code insert(mp_engine *e, mp_new_delivery *d, mp_error *err) {
  mp_inserts *rows = &e->inserts;

  if (d->order_key) return mp_store_delivery_insert(e->store, d, err);
  rows->deliveries[rows->delivery_count++] = *d;
  return rows->delivery_count == MP_INSERTS ? mp_inserts_flush(e, err) : MP_OK;
}

mp_code mp_insert_delivery(mp_engine *engine, mp_batch *batch, mp_lane *lane, mp_event *event,
                           mp_error *err) {
  mp_engine *e = engine;
  bool lease = may_lease(e, batch, lane);
  mp_new_delivery d = {.event_id = event->row.id,
                       .webhook_id = lane->webhook_id,
                       .state = lease ? MP_LEASED : MP_WAITING,
                       .due_ms = batch->now_ms,
                       .lease = lease ? mp_lease_next(e) : 0,
                       .bundled = lease && may_bundle(e, lane),
                       .order_key = mp_webhook_order_key(lane->webhook, event->row.order_key)};
  mp_code code = insert(e, &d, err);

  if (code != MP_OK) return code;
  batch->rows++;
  if (d.state == MP_LEASED) {
    return mp_lease_add(e, batch, lane, event, d.lease, d.order_key, 0, err);
  }
  if (d.state == MP_WAITING && lane->webhook->enabled) expect(lane, batch->now_ms);
  return MP_OK;
}

/* Header fields are sealed, and an idempotency key has a row of its own: such an event goes alone,
 * after those before it. */
static mp_code insert_alone(mp_engine *e, mp_event_row row, mp_error *err) {
  mp_code code = mp_inserts_flush(e, err);

  if (code == MP_OK && row.headers) {
    code = mp_secret_hide_event(e->sealer, row.id, row.headers, &e->secret, err);
    row.headers = e->secret.data;
  }
  return code == MP_OK ? mp_store_event_insert(e->store, &row, err) : code;
}

static mp_code insert_row(mp_engine *e, const mp_event *event, mp_error *err) {
  mp_inserts *rows = &e->inserts;

  if (event->row.headers || event->row.idempotency_key) return insert_alone(e, event->row, err);
  rows->events[rows->event_count++] = &event->row;
  return rows->event_count == MP_INSERTS ? mp_inserts_flush(e, err) : MP_OK;
}

static mp_code insert_event(mp_engine *e, mp_batch *b, mp_event *event, mp_error *err) {
  mp_code code = insert_row(e, event, err);

  b->events++;
  if (code == MP_OK && mp_script_routes(e, &event->row)) {
    return mp_insert_delivery(e, b, mp_lanes_find(&e->lanes, MP_ROUTING), event, err);
  }
  for (size_t i = 0; i < e->lanes.count && code == MP_OK; i++) {
    mp_lane *lane = e->lanes.items[i];
    if (lane->webhook && mp_webhook_wants(lane->webhook, event->type_index, event->row.model)) {
      code = mp_insert_delivery(e, b, lane, event, err);
    }
  }
  return code;
}

mp_code mp_insert_emit(mp_engine *engine, mp_batch *batch, mp_emit *emit, mp_error *err) {
  mp_event *first = MP_CONTAINER(emit->events.head, mp_event, node);
  mp_code code = MP_OK;

  if (first->row.idempotency_key) {
    code = mp_store_idempotent(engine->store, first->row.idempotency_key,
                               batch->now_ms - MP_IDEMPOTENCY_MS, &emit->existing, err);
    if (code != MP_OK || emit->existing) return code;
  }
  for (mp_node *n = emit->events.head; n && code == MP_OK; n = n->next) {
    code = insert_event(engine, batch, MP_CONTAINER(n, mp_event, node), err);
  }
  return code;
}
