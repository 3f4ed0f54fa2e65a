/* The store thread's transactions: outcomes, new events and claims, all in one commit.
 *
 * What is done to lanes and lists in memory while a transaction is open is either made good by its
 * commit or taken back by undo(): between two transactions memory and store agree. Nothing is told
 * to a host, and nothing is handed to a delivery thread, before the commit returned.
 *
 * After a failure the two halves of the work, what is under way (outcomes and claims) and what is
 * new (emits), are tried apart: a disk that has no room for new events may still have room for the
 * outcomes of the old. */
#include "engine/internal.h"
#include "engine/scripts.h"

#define MAX_EVENTS      (2 * MP_FULL_BATCH) /* in one transaction */
#define MAX_ROWS        4096                /* deliveries inserted in one transaction */
#define MAX_CLAIMS      1024                /* in one transaction */
#define CLAIM_TURN      256                 /* of one lane before the next has its turn */
#define MAX_LEASED      8192                /* in memory, all lanes together ... */
#define MAX_LEASED_SIZE ((size_t)64 << 20)  /* ... and the bytes of their bodies */
#define RETRY_MS        500                 /* after a transaction failed */
#define WINDOW_MS       3                   /* so long is gathered for one transaction ... */
#define WINDOW_ROWS     16 /* ... when there were so many events and outcomes in it */

/* ---- leases --------------------------------------------------------------------------------- */

int64_t mp_lease_next(mp_engine *engine) {
  return MP_LEASE(engine->id, ++engine->lease_count);
}

/* What lanes hold ahead of what they send takes at most half of what may be leased, and of that one
 * lane half of what the others leave: a lane that comes later finds room for what it sends. A lane
 * that holds none may always have one, however much the others hold. */
int mp_lease_room(const mp_engine *engine, const mp_lane *lane, int64_t now_ms) {
  int slots = mp_lane_slots(lane), ahead = mp_lane_ahead(lane, now_ms);
  int own = lane->leased > slots ? lane->leased - slots : 0;
  int leased = (int)atomic_load(&engine->leased);
  int most = (MAX_LEASED / 2 - leased + own) / 2;

  if (leased >= MAX_LEASED || engine->leased_bytes >= MAX_LEASED_SIZE)
    return slots > 0 && lane->leased == 0 ? 1 : 0;
  if (ahead > most) ahead = most > 0 ? most : 0;
  if (engine->leased_bytes >= MAX_LEASED_SIZE / 2) ahead = 0;
  return slots + ahead > lane->leased ? slots + ahead - lane->leased : 0;
}

/* The row's order key is "" or the event's own: it lives as long as the delivery does. */
static const char *kept_order_key(const mp_event *event, const char *order_key) {
  if (!order_key) return NULL;
  return order_key[0] ? event->row.order_key : "";
}

mp_code mp_lease_add(mp_engine *engine, mp_batch *batch, mp_lane *lane, mp_event *event,
                     int64_t lease, const char *order_key, int attempts, mp_error *err) {
  mp_delivery *d = mp_delivery_new(lane, lane->webhook, event);
  if (!d) return mp_fail(err, MP_ENOMEM, "out of memory");
  d->lease = lease;
  d->order_key = kept_order_key(event, order_key);
  d->attempts = attempts;
  lane->leased++;
  atomic_fetch_add(&engine->leased, 1);
  engine->leased_bytes += event->row.body_len;
  mp_list_push(&batch->leased, &d->node);
  return MP_OK;
}

void mp_lease_end(mp_engine *engine, mp_delivery *delivery) {
  delivery->lane->leased--;
  if (delivery->share >= 0) delivery->lane->handed[delivery->share]--;
  atomic_fetch_sub(&engine->leased, 1);
  engine->leased_bytes -= delivery->event->row.body_len;
}

/* ---- claims --------------------------------------------------------------------------------- */

typedef struct claiming {
  mp_engine *engine;
  mp_batch *batch;
  mp_lane *lane;
} claiming;

/* Header fields that cannot be unsealed make no JSON: the delivery's attempts fail, and say so. */
static mp_code unseal_headers(mp_engine *e, mp_event_row *row, mp_error *err) {
  mp_code code;

  if (!row->headers) return MP_OK;
  code = mp_secret_show_event(e->sealer, row->id, row->headers, &e->secret, err);
  row->headers = code == MP_OK ? e->secret.data : "";
  return code == MP_EKEY ? MP_OK : code;
}

static mp_code on_claim(void *arg, const mp_claim *claim, mp_error *err) {
  claiming *c = arg;
  mp_event_row row = claim->event;
  mp_event *event;
  mp_code code = unseal_headers(c->engine, &row, err);

  if (code != MP_OK) return code;
  event = mp_event_new(&row, -1);
  if (!event) return mp_fail(err, MP_ENOMEM, "out of memory");
  code = mp_lease_add(c->engine, c->batch, c->lane, event, claim->lease, claim->order_key,
                      claim->attempts, err);
  mp_event_unref(event);
  if (code != MP_OK) return code;
  return mp_scripted_recall(c->engine, MP_CONTAINER(c->batch->leased.tail, mp_delivery, node),
                            claim->script, err);
}

static int least(int a, int b) {
  return a < b ? a : b;
}

static mp_code claim_lane(mp_engine *e, mp_batch *b, mp_lane *lane, int *left, mp_error *err) {
  claiming c = {.engine = e, .batch = b, .lane = lane};
  mp_claim_order order = {
      .webhook_id = lane->webhook_id,
      .pace = lane->webhook->pace,
      .now_ms = b->now_ms,
      .limit = least(least(mp_lease_room(e, lane, b->now_ms), CLAIM_TURN), *left),
      .lease = mp_lease_next(e)};
  int claimed = 0;
  mp_code code = mp_store_claim(e->store, &order, on_claim, &c, &claimed, err);

  if (code != MP_OK) return code;
  *left -= claimed;
  if (claimed == order.limit) return MP_OK; /* there may be more */
  return mp_store_next_due(e->store, lane->webhook_id, &order.pace, b->now_ms, &lane->next_due_ms,
                           err);
}

/* Each lane with room and due work has one turn a transaction, beginning where the last one ended.
 */
static mp_code claim_all(mp_engine *e, mp_batch *b, mp_error *err) {
  mp_code code = MP_OK;
  size_t count = e->lanes.count;
  int left = MAX_CLAIMS;

  for (size_t i = 0; i < count && left > 0 && code == MP_OK; i++) {
    mp_lane *lane = e->lanes.items[(e->lanes.next + i) % count];
    if (lane->next_due_ms > b->now_ms || mp_lease_room(e, lane, b->now_ms) == 0) continue;
    code = claim_lane(e, b, lane, &left, err);
  }
  if (count) e->lanes.next = (e->lanes.next + 1) % count;
  return code;
}

int64_t mp_commit_next_claim(const mp_engine *engine) {
  int64_t next = INT64_MAX, now_ms = mp_engine_now(engine);
  for (size_t i = 0; i < engine->lanes.count; i++) {
    const mp_lane *lane = engine->lanes.items[i];
    if (lane->next_due_ms < next && mp_lease_room(engine, lane, now_ms) > 0)
      next = lane->next_due_ms;
  }
  return next;
}

/* ---- the transaction ------------------------------------------------------------------------ */

static mp_code insert_emits(mp_engine *e, mp_batch *b, mp_error *err) {
  mp_code code = MP_OK;
  while (code == MP_OK && e->taken_emits.head && b->events < MAX_EVENTS && b->rows < MAX_ROWS) {
    mp_node *n = mp_list_pop(&e->taken_emits);
    mp_list_push(&b->emits, n);
    code = mp_insert_emit(e, b, MP_CONTAINER(n, mp_emit, node), err);
  }
  return code;
}

/* Whoever waits is told. Emits that nobody waits for stay, in their order, and are tried again. */
static void refuse_emits(mp_engine *e, mp_batch *b, const mp_error *err) {
  mp_list told = {0}, kept = {0};

  /* Those not reached yet as well: the store is what failed, not one of them. */
  mp_list_append(&b->emits, &e->taken_emits);
  for (mp_node *n; (n = mp_list_pop(&b->emits)) != NULL;) {
    mp_emit *emit = MP_CONTAINER(n, mp_emit, node);
    emit->existing = 0;
    mp_list_push(emit->no_wait ? &kept : &told, n);
  }
  e->taken_emits = kept;
  atomic_fetch_add(&e->rejected, (long long)told.count);
  mp_emits_complete(e, &told, err->code, err);
}

static void undo(mp_engine *e, mp_batch *b) {
  mp_store_rollback(e->store);
  for (mp_node *n; (n = mp_list_pop(&b->leased)) != NULL;) {
    mp_delivery *d = MP_CONTAINER(n, mp_delivery, node);
    d->lane->next_due_ms = 0; /* look again */
    mp_lease_end(e, d);
    mp_delivery_free(d);
  }
  for (size_t i = 0; i < e->lanes.count; i++)
    e->lanes.items[i]->disabling = false;
  mp_reports_free(&b->reports);
}

/* Before what was in the batch is told and freed. */
static void measure(mp_engine *e, const mp_batch *b, size_t outcomes, int64_t began_us) {
  int64_t now_us = mp_mono_us();

  mp_histogram_us(&e->metrics.commit, now_us - began_us);
  mp_histogram_rows(&e->metrics.batch, (int64_t)outcomes + b->events);
  for (const mp_node *n = b->emits.head; n; n = n->next) {
    mp_histogram_us(&e->metrics.accept, now_us - MP_CONTAINER(n, const mp_emit, node)->handed_us);
  }
}

static void settle(mp_engine *e, mp_batch *b) {
  mp_error err;

  atomic_fetch_add(&e->commits, 1);
  atomic_fetch_add(&e->accepted, b->events);
  if (b->reload) mp_registry_changed(e, MP_RELOAD_CHANGED);
  if (mp_registry_reload(e, &err) != MP_OK) { /* the next transaction reads them first */
    mp_log(e->settings->log, MP_LOG_ERROR, "store.webhooks", "reading the webhooks: %s",
           err.message);
  }
  mp_reports_keep(e, &b->reports);
  mp_lease_hand(e, &b->leased);
  mp_emits_complete(e, &b->emits, MP_OK, NULL);
}

/* Under load the next transaction begins later, if nobody waits for it: a few large ones cost less
 * than many small. */
static void widen(mp_engine *e, int64_t began_ms, int rows) {
  if (began_ms - e->window_ms >= WINDOW_MS) {
    e->window_ms = began_ms;
    e->window_rows = 0;
  }
  e->window_rows += rows;
  e->window_at = e->window_rows >= WINDOW_ROWS ? began_ms + WINDOW_MS : 0;
}

static mp_code transact(mp_engine *e, bool under_way, bool emits, bool claim, mp_error *err) {
  mp_batch b = {.now_ms = mp_engine_now(e)};
  size_t outcomes = under_way ? e->taken_finished.count + e->taken_scripted.count : 0;
  int64_t began_ms = mp_mono_ms(), began_us;
  mp_code code = mp_registry_reload(e, err);

  e->window_at = 0;
  e->inserts.event_count = e->inserts.delivery_count = 0;
  if (code == MP_OK) code = mp_store_begin(e->store, err);
  if (code == MP_OK && under_way) code = mp_outcomes_write(e, &b, err);
  if (code == MP_OK && under_way) code = mp_scripted_write(e, &b, err);
  if (code == MP_OK && under_way && e->taken_news.head) {
    code = mp_scripted_release(e, &e->taken_news, err);
  }
  if (code == MP_OK && emits) code = insert_emits(e, &b, err);
  if (code == MP_OK) code = mp_inserts_flush(e, err);
  if (code == MP_OK && claim) code = claim_all(e, &b, err);
  began_us = mp_mono_us();
  if (code == MP_OK) code = mp_store_commit(e->store, err);
  if (code == MP_OK) {
    measure(e, &b, outcomes, began_us);
    widen(e, began_ms, (int)outcomes + b.events);
    if (under_way) {
      mp_outcomes_settle(e);
      mp_scripted_settle(e);
      mp_script_news_free(&e->taken_news);
    }
    settle(e, &b);
  } else {
    undo(e, &b);
    if (emits) refuse_emits(e, &b, err);
  }
  return code;
}

/* ---- failing and recovering ----------------------------------------------------------------- */

static void note_failure(mp_engine *e, mp_half *half, mp_code code, const mp_error *err) {
  bool was_failing = e->under_way.failing || e->emitting.failing;

  half->failing = code != MP_OK;
  half->retry_at = code != MP_OK ? mp_mono_ms() + RETRY_MS : 0;
  if (half->failing && !was_failing) {
    mp_log(e->settings->log, MP_LOG_ERROR, "store.failing", "the store failed, trying again: %s",
           err->message);
  }
  if (was_failing && !e->under_way.failing && !e->emitting.failing) {
    mp_log(e->settings->log, MP_LOG_WARN, "store.recovered", "the store works again");
  }
}

/* Waiting hosts' emits are tried at once, for they are told; what nobody waits for, now and then.
 */
static bool has_waiting_emit(const mp_engine *e) {
  for (const mp_node *n = e->taken_emits.head; n; n = n->next) {
    if (!MP_CONTAINER(n, const mp_emit, node)->no_wait) return true;
  }
  return false;
}

static mp_code try_emitting(mp_engine *e, mp_error *err) {
  mp_batch none = {0};

  if (mp_store_has_room(e->store)) return transact(e, false, true, false, err);
  mp_fail(err, MP_ENOSPC, "%s: the disk is full", e->settings->store);
  refuse_emits(e, &none, err);
  return err->code;
}

static bool has_outcomes(const mp_engine *e) {
  return e->taken_finished.head || e->taken_scripted.head || e->taken_news.head;
}

static void commit_apart(mp_engine *e, bool claim) {
  int64_t now = mp_mono_ms();
  bool try_emits = e->taken_emits.head && (has_waiting_emit(e) || now >= e->emitting.retry_at);
  mp_error err = {0};

  if ((has_outcomes(e) || claim) && now >= e->under_way.retry_at) {
    mp_code code = transact(e, true, false, claim, &err);
    note_failure(e, &e->under_way, code, &err);
    if (code == MP_ENOSPC) mp_store_relieve(e->store);
  }
  if (try_emits) note_failure(e, &e->emitting, try_emitting(e, &err), &err);
}

void mp_commit_batch(mp_engine *engine, bool may_claim) {
  mp_engine *e = engine;
  bool claim = may_claim && mp_commit_next_claim(e) <= mp_engine_now(e);
  bool under_way = has_outcomes(e) || claim, emits = e->taken_emits.head;
  mp_error err = {0};
  mp_code code;

  if (!under_way && !emits) return;
  if (e->under_way.failing || e->emitting.failing) {
    commit_apart(e, claim);
    return;
  }
  code = transact(e, true, true, may_claim, &err);
  if (code == MP_OK) return;
  if (code == MP_ENOSPC) mp_store_relieve(e->store);
  if (under_way) note_failure(e, &e->under_way, code, &err);
  if (emits) note_failure(e, &e->emitting, code, &err);
}
