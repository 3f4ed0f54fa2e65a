/* The store thread's transactions: outcomes, new events and claims, all in one commit.
 *
 * What is done to lanes and lists in memory while a transaction is open is either made good by its
 * commit or taken back by undo(): between two transactions memory and store agree. Nothing is told
 * to a host, and nothing is handed to the delivery thread, before the commit returned. */
#include <stdlib.h>

#include "base/clock.h"
#include "engine/internal.h"

#define MAX_EVENTS         512                /* in one transaction */
#define MAX_ROWS           4096               /* deliveries inserted in one transaction */
#define MAX_CLAIMS         1024               /* in one transaction */
#define CLAIM_TURN         64                 /* of one lane before the next has its turn */
#define MAX_LEASED         4096               /* in memory, all lanes together ... */
#define MAX_LEASED_SIZE    ((size_t)64 << 20) /* ... and the bytes of their bodies */
#define MAX_RETRY_AFTER_MS ((int64_t)24 * 60 * 60 * 1000) /* what a receiver may ask for */
#define RETRY_MS           500                            /* after a transaction failed */

typedef struct batch {
  mp_list emits;  /* of mp_emit: in this transaction */
  mp_list leased; /* of mp_delivery: leased in it, handed over after it */
  int events;
  int rows;
  int64_t now_ms;
} batch;

static uint64_t next_random(mp_engine *e) { /* xorshift64: jitter needs no more */
  e->random ^= e->random << 13;
  e->random ^= e->random >> 7;
  e->random ^= e->random << 17;
  return e->random;
}

static int64_t next_lease(mp_engine *e) {
  return MP_LEASE(e->id, ++e->lease_count);
}

/* May the engine hold one more of this lane's? A lane that holds none may always have one. */
static int room_of(const mp_engine *e, const mp_lane *lane) {
  int room = mp_lane_room(lane);
  if (e->leased < MAX_LEASED && e->leased_bytes < MAX_LEASED_SIZE) return room;
  return room > 0 && lane->leased == 0 ? 1 : 0;
}

static mp_code lease(mp_engine *e, batch *b, mp_lane *lane, mp_event *event, int64_t lease_id,
                     int attempts, mp_error *err) {
  mp_delivery *d = mp_delivery_new(lane, lane->webhook, event);
  if (!d) return mp_fail(err, MP_ENOMEM, "out of memory");
  d->lease = lease_id;
  d->attempts = attempts;
  lane->leased++;
  e->leased++;
  e->leased_bytes += event->row.body_len;
  mp_list_push(&b->leased, &d->node);
  return MP_OK;
}

static void unlease(mp_engine *e, mp_delivery *d) {
  d->lane->leased--;
  e->leased--;
  e->leased_bytes -= d->event->row.body_len;
}

/* ---- outcomes ------------------------------------------------------------------------------- */

static void judge(mp_engine *e, const mp_delivery *d, int64_t now_ms, mp_finish *f) {
  int64_t delay = 0;
  int64_t asked = d->retry_after_ms < MAX_RETRY_AFTER_MS ? d->retry_after_ms : MAX_RETRY_AFTER_MS;

  *f = (mp_finish){.event_id = d->event->row.id,
                   .webhook_id = d->lane->webhook_id,
                   .lease = d->lease,
                   .state = MP_WAITING,
                   .due_ms = now_ms};
  if (!d->attempted) return; /* given back */
  f->attempt = &d->attempt;
  if (!d->attempt.error_class)
    f->state = MP_DELIVERED;
  else if (mp_retry_next(&d->webhook->retry, d->attempts + 1, next_random(e), &delay))
    f->due_ms = now_ms + (delay > asked ? delay : asked);
  else
    f->state = MP_DEAD;
}

static void note_outcome(mp_engine *e, mp_delivery *d, int64_t now_ms) {
  mp_lane *lane = d->lane;
  long long id = (long long)lane->webhook_id;

  if (d->noted) return; /* a transaction that failed is made again */
  d->noted = true;
  switch (mp_circuit_note(&lane->circuit, !d->attempt.error_class, d->attempt.at_ms, now_ms)) {
    case MP_CIRCUIT_OPENED:
      mp_log(e->settings->log_level, MP_LOG_WARN,
             "webhook %lld keeps failing (%s); it is left alone but for a probe now and then", id,
             d->attempt.error_class);
      break;
    case MP_CIRCUIT_CLOSED:
      mp_log(e->settings->log_level, MP_LOG_WARN, "webhook %lld works again", id);
      break;
    case MP_CIRCUIT_POSTPONED:
    case MP_CIRCUIT_SAME:
      break;
  }
}

static mp_code disable_gone(mp_engine *e, const mp_lane *lane, mp_error *err) {
  const mp_webhook *w = lane->webhook;
  mp_webhook_row row;

  if (!w || !w->enabled) return MP_OK;
  row = (mp_webhook_row){.id = w->id,
                         .from_config = w->from_config,
                         .name = w->name,
                         .definition = w->from_config ? NULL : w->definition,
                         .updated_ms = mp_wall_ms()};
  e->reload = true;
  mp_log(e->settings->log_level, MP_LOG_WARN,
         "webhook %lld is disabled: its receiver answered 410 Gone", (long long)w->id);
  return mp_store_webhook_update(e->store, &row, err);
}

/* What an outcome says about the whole lane: a receiver that asked for time gets it from every
 * delivery, one that keeps failing is left alone, one that is gone for good (410) is disabled. */
static mp_code heed(mp_engine *e, mp_delivery *d, const mp_finish *f, int64_t now_ms,
                    mp_error *err) {
  const mp_circuit *circuit = &d->lane->circuit;
  mp_code code = MP_OK;

  note_outcome(e, d, now_ms);
  d->hold_ms = d->retry_after_ms > 0 ? f->due_ms : 0;
  if (circuit->open && circuit->probe_ms > d->hold_ms) d->hold_ms = circuit->probe_ms;
  if (d->hold_ms) code = mp_store_webhook_hold(e->store, d->lane->webhook_id, d->hold_ms, err);
  if (code == MP_OK && d->attempt.status == 410) code = disable_gone(e, d->lane, err);
  return code;
}

static mp_code finish_all(mp_engine *e, int64_t now_ms, mp_error *err) {
  mp_code code = MP_OK;
  for (mp_node *n = e->taken_finished.head; n && code == MP_OK; n = n->next) {
    mp_delivery *d = MP_CONTAINER(n, mp_delivery, node);
    mp_finish f;
    bool applied;
    judge(e, d, now_ms, &f);
    code = mp_store_finish(e->store, &f, &applied, err);
    if (code == MP_OK && applied && d->attempted) code = heed(e, d, &f, now_ms, err);
    d->due_ms = f.state == MP_WAITING ? f.due_ms : INT64_MAX;
    d->state = f.state;
    d->applied = applied;
  }
  return code;
}

static void count_outcome(mp_engine *e, const mp_delivery *d) {
  if (!d->applied) return;
  if (d->attempted && d->attempt.error_class) atomic_fetch_add(&e->failed, 1);
  if (d->state == MP_DELIVERED) atomic_fetch_add(&e->delivered, 1);
  if (d->state == MP_DEAD) atomic_fetch_add(&e->dead, 1);
}

static void forget_finished(mp_engine *e) {
  for (mp_node *n = e->taken_finished.head; n; n = n->next) {
    MP_CONTAINER(n, mp_delivery, node)->lane->drained = 0;
  }
  for (mp_node *n; (n = mp_list_pop(&e->taken_finished)) != NULL;) {
    mp_delivery *d = MP_CONTAINER(n, mp_delivery, node);
    count_outcome(e, d);
    unlease(e, d);
    d->lane->drained++;
    if (d->hold_ms > atomic_load(&d->lane->hold_ms)) atomic_store(&d->lane->hold_ms, d->hold_ms);
    if (d->due_ms < d->lane->next_due_ms) d->lane->next_due_ms = d->due_ms;
    mp_delivery_free(d);
  }
}

/* ---- new events ----------------------------------------------------------------------------- */

static mp_code insert_delivery(mp_engine *e, batch *b, mp_lane *lane, mp_event *event,
                               mp_error *err) {
  int64_t lease_id = 0;
  mp_delivery_state state = MP_WAITING;
  mp_code code;

  if (!lane->webhook->enabled) {
    state = MP_HELD;
  } else if (lane->next_due_ms > b->now_ms && atomic_load(&lane->hold_ms) <= b->now_ms &&
             room_of(e, lane) > 0) {
    /* Nothing older waits: it is leased with its insert, which saves a claim. */
    state = MP_LEASED;
    lease_id = next_lease(e);
  }
  code = mp_store_delivery_insert(e->store, event->row.id, lane->webhook_id, state, b->now_ms,
                                  lease_id, err);
  if (code != MP_OK) return code;
  b->rows++;
  if (state == MP_LEASED) return lease(e, b, lane, event, lease_id, 0, err);
  if (state == MP_WAITING && b->now_ms < lane->next_due_ms) {
    lane->next_due_ms = b->now_ms;
    if (lane->next_due_ms < atomic_load(&lane->hold_ms)) {
      lane->next_due_ms = atomic_load(&lane->hold_ms);
    }
  }
  return MP_OK;
}

static mp_code insert_event(mp_engine *e, batch *b, mp_event *event, mp_error *err) {
  mp_code code = mp_store_event_insert(e->store, &event->row, err);
  for (size_t i = 0; i < e->lanes.count && code == MP_OK; i++) {
    mp_lane *lane = e->lanes.items[i];
    if (lane->webhook && mp_webhook_wants(lane->webhook, event->type_index, event->row.model)) {
      code = insert_delivery(e, b, lane, event, err);
    }
  }
  b->events++;
  return code;
}

static mp_code insert_emit(mp_engine *e, batch *b, mp_emit *emit, mp_error *err) {
  mp_event *first = MP_CONTAINER(emit->events.head, mp_event, node);
  mp_code code = MP_OK;

  if (first->row.idempotency_key) {
    code = mp_store_idempotent(e->store, first->row.idempotency_key, b->now_ms - MP_IDEMPOTENCY_MS,
                               &emit->existing, err);
    if (code != MP_OK || emit->existing) return code;
  }
  for (mp_node *n = emit->events.head; n && code == MP_OK; n = n->next) {
    code = insert_event(e, b, MP_CONTAINER(n, mp_event, node), err);
  }
  return code;
}

static mp_code insert_emits(mp_engine *e, batch *b, mp_error *err) {
  mp_code code = MP_OK;
  while (code == MP_OK && e->taken_emits.head && b->events < MAX_EVENTS && b->rows < MAX_ROWS) {
    mp_node *n = mp_list_pop(&e->taken_emits);
    mp_list_push(&b->emits, n);
    code = insert_emit(e, b, MP_CONTAINER(n, mp_emit, node), err);
  }
  return code;
}

/* ---- claims --------------------------------------------------------------------------------- */

typedef struct claiming {
  mp_engine *engine;
  batch *batch;
  mp_lane *lane;
} claiming;

static mp_code on_claim(void *arg, const mp_claim *claim, mp_error *err) {
  claiming *c = arg;
  mp_event *event = mp_event_new(&claim->event, -1);
  mp_code code;

  if (!event) return mp_fail(err, MP_ENOMEM, "out of memory");
  code = lease(c->engine, c->batch, c->lane, event, claim->lease, claim->attempts, err);
  mp_event_unref(event);
  return code;
}

static mp_code claim_lane(mp_engine *e, batch *b, mp_lane *lane, int *left, mp_error *err) {
  claiming c = {.engine = e, .batch = b, .lane = lane};
  int limit = room_of(e, lane), claimed = 0;
  mp_code code;

  if (limit > CLAIM_TURN) limit = CLAIM_TURN;
  if (limit > *left) limit = *left;
  code = mp_store_claim(e->store, lane->webhook_id, b->now_ms, limit,
                        MP_LEASE(e->id, e->lease_count + 1), on_claim, &c, &claimed, err);
  if (code != MP_OK) return code;
  e->lease_count += claimed;
  *left -= claimed;
  if (claimed == limit) return MP_OK; /* there may be more */
  return mp_store_next_due(e->store, lane->webhook_id, &lane->next_due_ms, err);
}

/* Each lane with room and due work has one turn a transaction, beginning where the last one ended.
 */
static mp_code claim_all(mp_engine *e, batch *b, mp_error *err) {
  mp_code code = MP_OK;
  size_t count = e->lanes.count;
  int left = MAX_CLAIMS;

  for (size_t i = 0; i < count && left > 0 && code == MP_OK; i++) {
    mp_lane *lane = e->lanes.items[(e->lanes.next + i) % count];
    if (lane->next_due_ms > b->now_ms || room_of(e, lane) == 0) continue;
    code = claim_lane(e, b, lane, &left, err);
  }
  if (count) e->lanes.next = (e->lanes.next + 1) % count;
  return code;
}

int64_t mp_commit_next_claim(const mp_engine *engine) {
  int64_t next = INT64_MAX;
  for (size_t i = 0; i < engine->lanes.count; i++) {
    const mp_lane *lane = engine->lanes.items[i];
    if (lane->next_due_ms < next && room_of(engine, lane) > 0) next = lane->next_due_ms;
  }
  return next;
}

/* ---- the transaction ------------------------------------------------------------------------ */

static void undo(mp_engine *e, batch *b, const mp_error *err) {
  mp_list told = {0}, kept = {0};

  mp_store_rollback(e->store);
  for (mp_node *n; (n = mp_list_pop(&b->leased)) != NULL;) {
    mp_delivery *d = MP_CONTAINER(n, mp_delivery, node);
    d->lane->next_due_ms = 0; /* look again */
    unlease(e, d);
    mp_delivery_free(d);
  }
  /* Whoever waits is told. Emits that nobody waits for stay, in their order, and are tried again.
   */
  for (mp_node *n; (n = mp_list_pop(&b->emits)) != NULL;) {
    mp_emit *emit = MP_CONTAINER(n, mp_emit, node);
    mp_list_push(emit->no_wait ? &kept : &told, n);
  }
  mp_list_append(&kept, &e->taken_emits);
  e->taken_emits = kept;
  e->retry_at = mp_mono_ms() + RETRY_MS;
  if (!e->failing) {
    mp_log(e->settings->log_level, MP_LOG_ERROR, "the store failed, trying again: %s",
           err->message);
  }
  e->failing = true;
  atomic_fetch_add(&e->rejected, (long long)told.count);
  mp_emits_complete(e, &told, err->code, err);
}

void mp_commit_batch(mp_engine *engine, bool claim) {
  mp_engine *e = engine;
  batch b = {.now_ms = mp_wall_ms()};
  mp_error err = {0};
  mp_code code = mp_store_begin(e->store, &err);

  if (code == MP_OK) code = finish_all(e, b.now_ms, &err);
  if (code == MP_OK) code = insert_emits(e, &b, &err);
  if (code == MP_OK && claim) code = claim_all(e, &b, &err);
  if (code == MP_OK) code = mp_store_commit(e->store, &err);
  if (code != MP_OK) {
    /* Those not reached yet are told as well: the store is what failed, not one of them. */
    mp_list_append(&b.emits, &e->taken_emits);
    undo(e, &b, &err);
    return;
  }
  if (e->failing) mp_log(e->settings->log_level, MP_LOG_WARN, "the store works again");
  e->failing = false;
  e->retry_at = 0;
  atomic_fetch_add(&e->commits, 1);
  if (e->reload) {
    e->reload = mp_registry_load(e, &err) != MP_OK;
    if (e->reload)
      mp_log(e->settings->log_level, MP_LOG_ERROR, "reading the webhooks: %s", err.message);
  }
  atomic_fetch_add(&e->accepted, b.events);
  forget_finished(e);
  mp_delivery_hand(e, &b.leased);
  mp_emits_complete(e, &b.emits, MP_OK, NULL);
}
