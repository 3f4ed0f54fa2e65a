/* The hosts' calls: what runs on the store thread for them, and how it answers. The upper half of
 * each pair runs on the store thread, the lower half on the host's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/answer.h"
#include "engine/internal.h"

#define TRIGGER_EVENT "trigger-test"
#define MAX_ANSWER    ((size_t)64 << 20) /* bytes of one call's JSON */

/* ---- the frame ------------------------------------------------------------------------------ */

static mp_call *new_call(mp_code (*run)(mp_engine *, mp_call *, mp_error *), mp_error *err) {
  mp_call *call = calloc(1, sizeof *call);
  if (!call) {
    mp_fail(err, MP_ENOMEM, "out of memory");
    return NULL;
  }
  call->run = run;
  mp_buf_init(&call->out, MAX_ANSWER);
  return call;
}

/* Makes the call and appends its answer to out. Frees the call when it is the host's. */
static mp_code make(mp_engine *e, mp_call *call, int64_t timeout_ms, mp_buf *out, mp_error *err) {
  mp_error why = {0};
  mp_code code = mp_inbox_call(e, call, timeout_ms, &why);

  if (err) *err = why;
  if (code == MP_ETIMEDOUT) return code; /* the store thread frees it */
  if (code == MP_OK && out) {
    mp_buf_add(out, call->out.data, call->out.len);
    if (out->failed != MP_OK) code = mp_fail(err, out->failed, "the answer is too large");
  }
  mp_call_free(call);
  return code;
}

static mp_code make_read(mp_engine *e, mp_call *call, mp_buf *out, mp_error *err) {
  return make(e, call, e->settings->emit_timeout_ms, out, err);
}

/* Puts a comma between the elements of a list. */
static void next_element(mp_buf *out) {
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
  mp_call *call = new_call(run_wait, err);
  return call ? make(engine, call, timeout_ms, NULL, err) : MP_ENOMEM;
}

/* ---- stats ---------------------------------------------------------------------------------- */

static mp_code run_stats(mp_engine *e, mp_call *call, mp_error *err) {
  mp_buf *out = &call->out;
  mp_store_counts counts;
  mp_code code = mp_store_count(e->store, &counts, err);
  size_t webhooks = 0, inbox;

  if (code != MP_OK) return code;
  for (size_t i = 0; i < e->lanes.count; i++)
    webhooks += e->lanes.items[i]->webhook != NULL;
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
  mp_buf_add_str(out, ",\"store\":{");
  mp_answer_number(out, "events", counts.events);
  for (int i = 0; i < MP_STATE_COUNT; i++) {
    mp_answer_number(out, mp_delivery_state_name((mp_delivery_state)i), counts.deliveries[i]);
  }
  mp_buf_add_str(out, "}}");
  return MP_OK;
}

mp_code mp_engine_stats(mp_engine *engine, mp_buf *out, mp_error *err) {
  mp_call *call = new_call(run_stats, err);
  return call ? make_read(engine, call, out, err) : MP_ENOMEM;
}

/* ---- webhooks ------------------------------------------------------------------------------- */

static mp_webhook *webhook_of(mp_engine *e, int64_t id) {
  mp_lane *lane = mp_lanes_find(&e->lanes, id);
  return lane ? lane->webhook : NULL;
}

static void add_webhook(mp_buf *out, mp_lane *lane) {
  mp_answer_webhook(out, lane->webhook, atomic_load(&lane->hold_ms));
}

static mp_code no_webhook(int64_t id, mp_error *err) {
  return mp_fail(err, MP_ENOENT, "no webhook has the id %lld", (long long)id);
}

static mp_code run_webhooks(mp_engine *e, mp_call *call, mp_error *err) {
  (void)err;
  mp_buf_add_char(&call->out, '[');
  for (size_t i = 0; i < e->lanes.count; i++) {
    mp_lane *lane = e->lanes.items[i];
    if (!lane->webhook) continue;
    next_element(&call->out);
    add_webhook(&call->out, lane);
  }
  mp_buf_add_char(&call->out, ']');
  return MP_OK;
}

mp_code mp_engine_webhooks(mp_engine *engine, mp_buf *out, mp_error *err) {
  mp_call *call = new_call(run_webhooks, err);
  return call ? make_read(engine, call, out, err) : MP_ENOMEM;
}

static mp_code run_webhook(mp_engine *e, mp_call *call, mp_error *err) {
  mp_lane *lane = mp_lanes_find(&e->lanes, call->id);
  if (!lane || !lane->webhook) return no_webhook(call->id, err);
  add_webhook(&call->out, lane);
  return MP_OK;
}

mp_code mp_engine_webhook(mp_engine *engine, int64_t id, mp_buf *out, mp_error *err) {
  mp_call *call = new_call(run_webhook, err);
  if (!call) return MP_ENOMEM;
  call->id = id;
  return make_read(engine, call, out, err);
}

/* Does the definition make a webhook? Reading it here keeps a bad one out of the store. */
static mp_code check_definition(mp_engine *e, const mp_webhook_row *row, mp_error *err) {
  mp_webhook *webhook = NULL;
  mp_code code = mp_webhook_new(e->settings, row, &webhook, err);
  mp_webhook_unref(webhook);
  return code;
}

/* After the commit: the lanes as the store now has them, and the webhook as the answer. */
static mp_code then_reload(mp_engine *e, mp_call *call, mp_error *err) {
  mp_code code = mp_registry_load(e, err);
  return code == MP_OK ? run_webhook(e, call, err) : code;
}

static mp_code run_create(mp_engine *e, mp_call *call, mp_error *err) {
  int64_t now = mp_wall_ms();
  mp_webhook_row row = {.name = call->name,
                        .definition = call->text,
                        .enabled = call->flag,
                        .created_ms = now,
                        .updated_ms = now};
  mp_code code = check_definition(e, &row, err);

  if (code == MP_OK) code = mp_store_webhook_insert(e->store, &row, err);
  call->id = row.id;
  return code;
}

/* The webhook's definition may have been changed by another process a moment ago: the store
 * decides. */
static mp_code check_writable(mp_engine *e, int64_t id, mp_error *err) {
  const mp_webhook *w = webhook_of(e, id);
  if (!w) return no_webhook(id, err);
  if (!w->from_config) return MP_OK;
  return mp_fail(err, MP_EROFS, "webhook '%s' is kept in the config: change it there", w->name);
}

static mp_code run_update(mp_engine *e, mp_call *call, mp_error *err) {
  mp_webhook_row row = {.id = call->id,
                        .name = call->name,
                        .definition = call->text,
                        .enabled = call->flag,
                        .updated_ms = mp_wall_ms()};
  mp_code code = check_writable(e, call->id, err);

  if (code == MP_OK) code = check_definition(e, &row, err);
  return code == MP_OK ? mp_store_webhook_update(e->store, &row, err) : code;
}

static mp_code run_delete(mp_engine *e, mp_call *call, mp_error *err) {
  mp_code code = check_writable(e, call->id, err);
  if (code == MP_OK) code = run_webhook(e, call, err);
  if (code == MP_OK) code = mp_store_webhook_delete(e->store, call->id, err);
  return code;
}

static mp_code then_forget(mp_engine *e, mp_call *call, mp_error *err) {
  (void)call;
  return mp_registry_load(e, err);
}

static mp_call *new_write(mp_code (*run)(mp_engine *, mp_call *, mp_error *), const char *name,
                          const char *definition, mp_error *err) {
  mp_call *call = new_call(run, err);
  if (!call) return NULL;
  call->writes = true;
  call->then = then_reload;
  call->name = strdup(name);
  call->text = strdup(definition);
  if (call->name && call->text) return call;
  mp_call_free(call);
  mp_fail(err, MP_ENOMEM, "out of memory");
  return NULL;
}

mp_code mp_engine_webhook_create(mp_engine *engine, const char *name, const char *definition,
                                 bool enabled, mp_buf *out, mp_error *err) {
  mp_call *call = new_write(run_create, name, definition, err);
  if (!call) return MP_ENOMEM;
  call->flag = enabled;
  return make_read(engine, call, out, err);
}

mp_code mp_engine_webhook_update(mp_engine *engine, int64_t id, const char *name,
                                 const char *definition, bool enabled, mp_buf *out, mp_error *err) {
  mp_call *call = new_write(run_update, name, definition, err);
  if (!call) return MP_ENOMEM;
  call->id = id;
  call->flag = enabled;
  return make_read(engine, call, out, err);
}

mp_code mp_engine_webhook_delete(mp_engine *engine, int64_t id, mp_buf *out, mp_error *err) {
  mp_call *call = new_call(run_delete, err);
  if (!call) return MP_ENOMEM;
  call->id = id;
  call->writes = true;
  call->then = then_forget;
  return make_read(engine, call, out, err);
}

/* ---- trigger -------------------------------------------------------------------------------- */

static mp_code run_trigger(mp_engine *e, mp_call *call, mp_error *err) {
  mp_lane *lane = mp_lanes_find(&e->lanes, call->id);
  mp_event_row row = {.type = TRIGGER_EVENT, .created_ms = call->id2, .body = call->text};
  mp_event *event;
  mp_delivery *d = NULL;
  mp_list one = {0};

  if (!lane || !lane->webhook) return no_webhook(call->id, err);
  row.id = mp_engine_next_id(e);
  row.body_len = call->text_len;
  event = mp_event_new(&row, -1);
  if (event) d = mp_delivery_new(lane, lane->webhook, event);
  mp_event_unref(event);
  if (!d) return mp_fail(err, MP_ENOMEM, "out of memory");
  d->trigger = call;
  call->deferred = true;
  mp_list_push(&one, &d->node);
  mp_delivery_hand(e, &one);
  return MP_OK;
}

void mp_call_finish_trigger(mp_engine *engine, mp_delivery *delivery) {
  mp_call *call = delivery->trigger;
  mp_error err = {0};

  mp_answer_attempt(&call->out, 0, &delivery->attempt);
  if (call->out.failed != MP_OK) mp_fail(&err, call->out.failed, "out of memory");
  mp_delivery_free(delivery);
  mp_call_complete(engine, call, err.code, &err);
}

mp_code mp_engine_trigger(mp_engine *engine, int64_t id, int64_t created_ms, mp_buf *out,
                          mp_error *err) {
  mp_call *call = new_call(run_trigger, err);
  char time[MP_ISO8601_SIZE];
  int n;

  if (!call) return MP_ENOMEM;
  mp_iso8601(created_ms, time);
  n = asprintf(&call->text, "{\"event\":\"" TRIGGER_EVENT "\",\"created_at\":\"%s\"}", time);
  if (n < 0) {
    call->text = NULL;
    mp_call_free(call);
    return mp_fail(err, MP_ENOMEM, "out of memory");
  }
  call->text_len = (size_t)n;
  call->id = id;
  call->id2 = created_ms;
  /* The request's own timeout ends it; close ends it sooner. */
  return make(engine, call, MP_TRIGGER_MAX_MS, out, err);
}

/* ---- deliveries ----------------------------------------------------------------------------- */

static mp_code add_delivery(void *arg, const mp_delivery_row *row, mp_error *err) {
  mp_buf *out = arg;
  (void)err;
  next_element(out);
  mp_answer_delivery(out, row);
  return out->failed;
}

static mp_code run_deliveries(mp_engine *e, mp_call *call, mp_error *err) {
  mp_code code;
  mp_buf_add_char(&call->out, '[');
  code = mp_store_deliveries(e->store, &call->filter, add_delivery, &call->out, err);
  mp_buf_add_char(&call->out, ']');
  return code;
}

mp_code mp_engine_deliveries(mp_engine *engine, const mp_delivery_filter *filter, mp_buf *out,
                             mp_error *err) {
  mp_call *call = new_call(run_deliveries, err);
  if (!call) return MP_ENOMEM;
  call->filter = *filter;
  return make_read(engine, call, out, err);
}

static mp_code run_delivery(mp_engine *e, mp_call *call, mp_error *err) {
  return mp_store_delivery(e->store, call->id, call->id2, add_delivery, &call->out, err);
}

static mp_code add_attempt(void *arg, int number, const mp_attempt *attempt, mp_error *err) {
  mp_buf *out = arg;
  (void)err;
  next_element(out);
  mp_answer_attempt(out, number, attempt);
  return out->failed;
}

static mp_code pass_over(void *arg, const mp_delivery_row *row, mp_error *err) {
  (void)arg;
  (void)row;
  (void)err;
  return MP_OK;
}

static mp_code run_attempts(mp_engine *e, mp_call *call, mp_error *err) {
  /* A delivery without attempts is told apart from none. */
  mp_code code = mp_store_delivery(e->store, call->id, call->id2, pass_over, NULL, err);
  if (code != MP_OK) return code;
  mp_buf_add_char(&call->out, '[');
  code = mp_store_attempts(e->store, call->id, call->id2, add_attempt, &call->out, err);
  mp_buf_add_char(&call->out, ']');
  return code;
}

static mp_code run_resend(mp_engine *e, mp_call *call, mp_error *err) {
  return mp_store_resend(e->store, call->id, call->id2, mp_wall_ms(), err);
}

static mp_code then_due(mp_engine *e, mp_call *call, mp_error *err) {
  mp_lane *lane = mp_lanes_find(&e->lanes, call->id2);
  if (lane) lane->next_due_ms = 0; /* look */
  return run_delivery(e, call, err);
}

static mp_code of_delivery(mp_engine *e, mp_code (*run)(mp_engine *, mp_call *, mp_error *),
                           bool writes, int64_t event_id, int64_t webhook_id, mp_buf *out,
                           mp_error *err) {
  mp_call *call = new_call(run, err);
  if (!call) return MP_ENOMEM;
  call->id = event_id;
  call->id2 = webhook_id;
  call->writes = writes;
  call->then = writes ? then_due : NULL;
  return make_read(e, call, out, err);
}

mp_code mp_engine_delivery(mp_engine *engine, int64_t event_id, int64_t webhook_id, mp_buf *out,
                           mp_error *err) {
  return of_delivery(engine, run_delivery, false, event_id, webhook_id, out, err);
}

mp_code mp_engine_attempts(mp_engine *engine, int64_t event_id, int64_t webhook_id, mp_buf *out,
                           mp_error *err) {
  return of_delivery(engine, run_attempts, false, event_id, webhook_id, out, err);
}

mp_code mp_engine_resend(mp_engine *engine, int64_t event_id, int64_t webhook_id, mp_buf *out,
                         mp_error *err) {
  return of_delivery(engine, run_resend, true, event_id, webhook_id, out, err);
}

/* ---- events --------------------------------------------------------------------------------- */

static mp_code add_event(void *arg, const mp_event_row *row, mp_error *err) {
  mp_buf *out = arg;
  (void)err;
  next_element(out);
  mp_answer_event(out, row);
  return out->failed;
}

static mp_code run_event(mp_engine *e, mp_call *call, mp_error *err) {
  return mp_store_event(e->store, call->id, add_event, &call->out, err);
}

mp_code mp_engine_event(mp_engine *engine, int64_t id, mp_buf *out, mp_error *err) {
  mp_call *call = new_call(run_event, err);
  if (!call) return MP_ENOMEM;
  call->id = id;
  return make_read(engine, call, out, err);
}

static mp_code run_events(mp_engine *e, mp_call *call, mp_error *err) {
  mp_code code;
  mp_buf_add_char(&call->out, '[');
  code = mp_store_events(e->store, call->text, call->id, call->limit, add_event, &call->out, err);
  mp_buf_add_char(&call->out, ']');
  return code;
}

mp_code mp_engine_events(mp_engine *engine, const char *type, int64_t before, int limit,
                         mp_buf *out, mp_error *err) {
  mp_call *call = new_call(run_events, err);
  if (!call) return MP_ENOMEM;
  call->id = before;
  call->limit = limit;
  call->text = type ? strdup(type) : NULL;
  return make_read(engine, call, out, err);
}
