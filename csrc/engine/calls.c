/* The hosts' calls: what all of them share, waiting and counting. Of each pair the upper function
 * runs on the store thread, the lower on the host's. */
#include <stdlib.h>

#include "engine/answer.h"
#include "engine/internal.h"

#define MAX_ANSWER ((size_t)64 << 20) /* bytes of one call's JSON */

/* ---- the frame ------------------------------------------------------------------------------ */

mp_call *mp_call_new(mp_code (*run)(mp_engine *, mp_call *, mp_error *), mp_error *err) {
  mp_call *call = calloc(1, sizeof *call);
  if (!call) {
    mp_fail(err, MP_ENOMEM, "out of memory");
    return NULL;
  }
  call->run = run;
  mp_buf_init(&call->out, MAX_ANSWER);
  return call;
}

mp_code mp_call_make_within(mp_engine *engine, mp_call *call, int64_t timeout_ms, mp_buf *out,
                            mp_error *err) {
  mp_error why = {0};
  mp_code code = mp_inbox_call(engine, call, timeout_ms, &why);

  if (err) *err = why;
  if (code == MP_ETIMEDOUT) return code; /* the store thread frees it */
  if (code == MP_OK && out) {
    mp_buf_add(out, call->out.data, call->out.len);
    if (out->failed != MP_OK) code = mp_fail(err, out->failed, "the answer is too large");
  }
  mp_call_free(call);
  return code;
}

mp_code mp_call_make(mp_engine *engine, mp_call *call, mp_buf *out, mp_error *err) {
  return mp_call_make_within(engine, call, engine->settings->emit_timeout_ms, out, err);
}

void mp_call_next_element(mp_buf *out) {
  if (out->len > 0 && out->data[out->len - 1] == '}') mp_buf_add_char(out, ',');
}

/* ---- wait ----------------------------------------------------------------------------------- */

/* A host that asks again and again with a short timeout leaves a waiter behind each time. */
static void drop_abandoned(mp_engine *e) {
  mp_list kept = {0};

  for (mp_node *n; (n = mp_list_pop(&e->waiters)) != NULL;) {
    mp_call *call = MP_CONTAINER(n, mp_call, node);
    bool abandoned;
    pthread_mutex_lock(&e->lock);
    abandoned = call->ticket.abandoned;
    pthread_mutex_unlock(&e->lock);
    if (abandoned)
      mp_call_free(call);
    else
      mp_list_push(&kept, n);
  }
  e->waiters = kept;
}

static mp_code run_wait(mp_engine *e, mp_call *call, mp_error *err) {
  (void)err;
  drop_abandoned(e);
  call->deferred = true;
  mp_list_push(&e->waiters, &call->node);
  return MP_OK;
}

mp_code mp_engine_wait(mp_engine *engine, int64_t timeout_ms, mp_error *err) {
  mp_call *call = mp_call_new(run_wait, err);
  return call ? mp_call_make_within(engine, call, timeout_ms, NULL, err) : MP_ENOMEM;
}

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
    mp_log(e->settings->log_level, MP_LOG_ERROR, "the store's counts do not add up: %.*s",
           (int)out->len, out->data);
  }
}

/* flag: the store is counted too. */
static mp_code run_stats(mp_engine *e, mp_call *call, mp_error *err) {
  mp_buf *out = &call->out;
  mp_store_counts counts;
  mp_code code = call->flag ? mp_store_count(e->store, &counts, err) : MP_OK;
  size_t webhooks = 0, inbox;

  if (code != MP_OK) return code;
  for (size_t i = 0; i < e->lanes.count; i++)
    webhooks += mp_lane_is_webhook(e->lanes.items[i]);
  pthread_mutex_lock(&e->lock);
  inbox = e->inbox_count;
  pthread_mutex_unlock(&e->lock);
  mp_buf_add_char(out, '{');
  mp_answer_number(out, "accepted", atomic_load(&e->accepted));
  mp_answer_number(out, "delivered", atomic_load(&e->delivered));
  mp_answer_number(out, "failed_attempts", atomic_load(&e->failed));
  mp_answer_number(out, "dead", atomic_load(&e->dead));
  mp_answer_number(out, "rejected", atomic_load(&e->rejected));
  mp_answer_number(out, "dropped_keys", atomic_load(&e->dropped_keys));
  mp_answer_number(out, "commits", atomic_load(&e->commits));
  mp_answer_number(out, "pruned", atomic_load(&e->forgotten));
  mp_answer_number(out, "inbox", (int64_t)inbox);
  mp_answer_number(out, "leased", e->leased);
  mp_answer_number(out, "webhooks", (int64_t)webhooks);
  if (call->flag) add_store_counts(e, &counts, out);
  mp_buf_add_char(out, '}');
  return MP_OK;
}

mp_code mp_engine_stats(mp_engine *engine, bool count_store, mp_buf *out, mp_error *err) {
  mp_call *call = mp_call_new(run_stats, err);
  if (!call) return MP_ENOMEM;
  call->flag = count_store;
  return mp_call_make(engine, call, out, err);
}

/* ---- scripts -------------------------------------------------------------------------------- */

/* What webhooks name, as mp_scripts_keep takes it. */
static mp_code named_scripts(const mp_engine *e, char **out, mp_error *err) {
  mp_buf names;

  mp_buf_init(&names, MP_BUF_NO_LIMIT);
  for (size_t i = 0; i < e->lanes.count; i++) {
    const mp_webhook *w = e->lanes.items[i]->webhook;
    if (w && w->script) mp_buf_add(&names, w->script, strlen(w->script) + 1);
  }
  mp_buf_add_char(&names, '\0');
  if (names.failed == MP_OK) *out = mp_buf_take(&names, NULL);
  mp_buf_free(&names);
  return *out ? MP_OK : mp_fail(err, MP_ENOMEM, "out of memory");
}

static mp_code run_scripts(mp_engine *e, mp_call *call, mp_error *err) {
  if (e->scripting) {
    if (named_scripts(e, &call->text, err) != MP_OK) return MP_ENOMEM;
    call->deferred = true;
    call->hand_on = mp_script_call;
  } else {
    mp_buf_add_str(&call->out, call->flag ? "{\"loaded\":[],\"failed\":[]}" : "[]");
  }
  return MP_OK;
}

mp_code mp_engine_scripts(mp_engine *engine, bool reload, mp_buf *out, mp_error *err) {
  mp_call *call = mp_call_new(run_scripts, err);
  if (!call) return MP_ENOMEM;
  call->flag = reload;
  return mp_call_make(engine, call, out, err);
}
