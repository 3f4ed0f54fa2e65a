/* The hosts' calls that count: what the store holds, and what this engine did. Of each pair the
 * upper function runs on the store thread, the lower on the host's. What the engine alone counts
 * the host's thread reads by itself. */
#include "engine/answer.h"
#include "engine/internal.h"

#define MAX_WEBHOOKS 1000  /* that are counted one by one; the others together */
#define MAX_BACKLOG  1000  /* that is counted of one webhook ... */
#define MAX_COUNTED  50000 /* ... and of all: some milliseconds of the store thread */

/* ---- stats ---------------------------------------------------------------------------------- */

/* Every delivery that was ever accepted is in one state: if not, a row was lost or counted twice.
 */
static bool adds_up(const mp_store_counts *counts) {
  int64_t sum = 0;
  for (int i = 0; i < MP_STATE_COUNT; i++)
    sum += counts->deliveries[i];
  return sum == counts->accepted;
}

static void add_store_counts(mp_engine *e, const mp_store_counts *counts, mp_buf *out) {
  mp_buf_add_str(out, ",\"store\":{");
  mp_answer_number(out, "events", counts->events);
  mp_answer_number(out, "accepted", counts->accepted);
  for (int i = 0; i < MP_STATE_COUNT; i++) {
    mp_answer_number(out, mp_delivery_state_name((mp_delivery_state)i), counts->deliveries[i]);
  }
  mp_answer_number(out, "routing", counts->routing);
  mp_answer_number(out, "routing_held", counts->routing_held);
  mp_answer_flag(out, "adds_up", adds_up(counts));
  mp_buf_add_char(out, '}');
  if (!adds_up(counts)) {
    mp_log(e->settings->log, MP_LOG_ERROR, "store.counts", "the store's counts do not add up: %.*s",
           (int)out->len, out->data);
  }
}

/* Any thread. */
static void add_engine_counts(mp_engine *e, mp_buf *out) {
  size_t inbox, bytes;

  pthread_mutex_lock(&e->lock);
  inbox = e->inbox_count;
  bytes = e->inbox_bytes;
  pthread_mutex_unlock(&e->lock);
  mp_answer_number(out, "accepted", atomic_load(&e->accepted));
  mp_answer_number(out, "delivered", atomic_load(&e->delivered));
  mp_answer_number(out, "failed_attempts", atomic_load(&e->failed));
  mp_answer_number(out, "dead", atomic_load(&e->dead));
  mp_answer_number(out, "rejected", atomic_load(&e->rejected));
  mp_answer_number(out, "dropped_keys", atomic_load(&e->dropped_keys));
  mp_answer_number(out, "commits", atomic_load(&e->commits));
  mp_answer_number(out, "pruned", atomic_load(&e->forgotten));
  mp_answer_number(out, "inbox", (int64_t)inbox);
  mp_answer_number(out, "inbox_bytes", (int64_t)bytes);
  mp_answer_number(out, "leased", atomic_load(&e->leased));
  mp_answer_number(out, "webhooks", atomic_load(&e->webhook_count));
}

static mp_code run_stats(mp_engine *e, mp_call *call, mp_error *err) {
  mp_buf *out = &call->out;
  mp_store_counts counts;
  mp_code code = mp_store_count(e->store, &counts, err);

  if (code != MP_OK) return code;
  mp_buf_add_char(out, '{');
  add_engine_counts(e, out);
  add_store_counts(e, &counts, out);
  mp_buf_add_char(out, '}');
  return MP_OK;
}

static mp_code engine_counts(mp_engine *e, mp_buf *out, mp_error *err) {
  mp_code code = mp_engine_check(e, err);

  if (code != MP_OK) return code;
  mp_buf_reset(out);
  mp_buf_add_char(out, '{');
  add_engine_counts(e, out);
  mp_buf_add_char(out, '}');
  return out->failed == MP_OK ? MP_OK : mp_fail(err, out->failed, "%s", mp_strerror(out->failed));
}

mp_code mp_engine_stats(mp_engine *engine, bool count_store, mp_buf *out, mp_error *err) {
  mp_call *call;

  if (!count_store) return engine_counts(engine, out, err);
  call = mp_call_new(run_stats, err);
  return call ? mp_call_make(engine, call, out, err) : MP_ENOMEM;
}

/* ---- metrics -------------------------------------------------------------------------------- */

/* Of a disabled webhook everything is held. left: how many may yet be counted; without any the
 * webhook has no figure. */
static mp_code add_backlog(mp_engine *e, const mp_lane *lane, int *left, mp_buf *out,
                           mp_error *err) {
  int limit = *left < MAX_BACKLOG ? *left : MAX_BACKLOG;
  mp_backlog backlog;
  mp_code code;

  if (limit == 0) return MP_OK;
  code = mp_store_backlog(e->store, lane->webhook_id, limit, &backlog, err);
  if (code != MP_OK) return code;
  *left -= backlog.waiting + backlog.held;
  if (*left < 0) *left = 0;
  if (!lane->webhook->enabled) {
    backlog.held += backlog.waiting;
    backlog.waiting = 0;
  }
  mp_answer_number(out, "waiting", backlog.waiting);
  mp_answer_number(out, "held_now", backlog.held);
  return MP_OK;
}

static mp_code add_webhook(mp_engine *e, const mp_lane *lane, int *left, mp_buf *out,
                           mp_error *err) {
  const mp_webhook *w = lane->webhook;
  mp_code code;

  mp_call_next_element(out);
  mp_buf_add_char(out, '{');
  mp_answer_id(out, "id", w->id);
  mp_answer_string(out, "name", w->name);
  mp_answer_flag(out, "enabled", w->enabled);
  mp_answer_flag(out, "open", lane->circuit.open);
  mp_answer_number(out, "leased", lane->leased);
  code = add_backlog(e, lane, left, out, err);
  mp_lane_counts_write(&lane->counts, out);
  mp_buf_add_char(out, '}');
  return code;
}

/* Lanes of webhooks that were deleted count among the others: what was counted stays counted. They
 * keep their places: else another webhook's counts would leave the others, which only grow. */
static mp_code add_webhooks(mp_engine *e, mp_buf *out, mp_error *err) {
  mp_lane_counts others = {0};
  mp_code code = MP_OK;
  int left = MAX_COUNTED;

  mp_buf_add_str(out, ",\"by_webhook\":[");
  for (size_t i = 0; i < e->lanes.count && code == MP_OK; i++) {
    const mp_lane *lane = e->lanes.items[i];
    if (i < MAX_WEBHOOKS && mp_lane_is_webhook(lane))
      code = add_webhook(e, lane, &left, out, err);
    else
      mp_lane_counts_add(&others, &lane->counts);
  }
  mp_buf_add_str(out, "],\"others\":{");
  mp_lane_counts_write(&others, out);
  mp_buf_add_char(out, '}');
  return code;
}

static void add_totals(const mp_store_totals *totals, int64_t bytes, mp_buf *out) {
  mp_buf_add_str(out, ",\"store\":{");
  mp_answer_number(out, "events", totals->events);
  mp_answer_number(out, "accepted", totals->accepted);
  mp_answer_number(out, "delivered", totals->delivered);
  mp_answer_number(out, "dead", totals->dead);
  mp_answer_number(out, "filtered", totals->filtered);
  mp_answer_number(out, "leased", totals->leased);
  mp_answer_number(out, "bytes", bytes);
  mp_buf_add_char(out, '}');
}

static mp_code run_metrics(mp_engine *e, mp_call *call, mp_error *err) {
  mp_buf *out = &call->out;
  mp_store_totals totals;
  int64_t used = 0, spare;
  mp_code code = mp_store_read_totals(e->store, &totals, err);

  if (code == MP_OK) code = mp_store_size(e->store, &used, &spare, err);
  if (code != MP_OK) return code;
  mp_buf_add_char(out, '{');
  add_engine_counts(e, out);
  mp_metrics_write(&e->metrics, out);
  add_totals(&totals, used, out);
  code = add_webhooks(e, out, err);
  mp_buf_add_char(out, '}');
  return code;
}

mp_code mp_engine_metrics(mp_engine *engine, mp_buf *out, mp_error *err) {
  mp_call *call = mp_call_new(run_metrics, err);
  return call ? mp_call_make(engine, call, out, err) : MP_ENOMEM;
}
