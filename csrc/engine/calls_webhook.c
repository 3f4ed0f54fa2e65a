/* The hosts' calls about webhooks. Of each pair the upper function runs on the store thread, the
 * lower on the host's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/answer.h"
#include "engine/internal.h"
#include "engine/tls.h"

#define TRIGGER_EVENT "trigger-test"

/* ---- webhooks ------------------------------------------------------------------------------- */

static mp_lane *lane_of(mp_engine *e, int64_t id) {
  mp_lane *lane = mp_lanes_find(&e->lanes, id);
  return lane && mp_lane_is_webhook(lane) ? lane : NULL;
}

static mp_webhook *webhook_of(mp_engine *e, int64_t id) {
  mp_lane *lane = lane_of(e, id);
  return lane ? lane->webhook : NULL;
}

static void add_webhook(mp_engine *e, mp_buf *out, mp_lane *lane) {
  int64_t hold_ms = atomic_load(&lane->hold_ms);
  bool held = hold_ms > mp_engine_now(e);
  mp_answer_webhook(out, lane->webhook, held ? mp_engine_to_wall(e, hold_ms) : 0,
                    lane->failing_ms ? mp_engine_to_wall(e, lane->failing_ms) : 0);
}

mp_code mp_call_no_webhook(int64_t id, mp_error *err) {
  return mp_fail(err, MP_ENOENT, "no webhook has the id %lld", (long long)id);
}

static mp_code run_webhooks(mp_engine *e, mp_call *call, mp_error *err) {
  (void)err;
  mp_buf_add_char(&call->out, '[');
  for (size_t i = 0; i < e->lanes.count; i++) {
    mp_lane *lane = e->lanes.items[i];
    if (!mp_lane_is_webhook(lane)) continue;
    mp_call_next_element(&call->out);
    add_webhook(e, &call->out, lane);
  }
  mp_buf_add_char(&call->out, ']');
  return MP_OK;
}

mp_code mp_engine_webhooks(mp_engine *engine, mp_buf *out, mp_error *err) {
  mp_call *call = mp_call_new(run_webhooks, err);
  return call ? mp_call_make(engine, call, out, err) : MP_ENOMEM;
}

static mp_code run_webhook(mp_engine *e, mp_call *call, mp_error *err) {
  mp_code code = mp_registry_reload(e, err);
  mp_lane *lane;

  if (code != MP_OK) return code;
  lane = lane_of(e, call->id);
  if (!lane) return mp_call_no_webhook(call->id, err);
  add_webhook(e, &call->out, lane);
  return MP_OK;
}

mp_code mp_engine_webhook(mp_engine *engine, int64_t id, mp_buf *out, mp_error *err) {
  mp_call *call = mp_call_new(run_webhook, err);
  if (!call) return MP_ENOMEM;
  call->id = id;
  return mp_call_make(engine, call, out, err);
}

/* ---- changing them -------------------------------------------------------------------------- */

static void log_change(const mp_engine *e, const char *event, int64_t id, const char *name,
                       bool enabled) {
  mp_buf text;

  if (!mp_log_wants(e->settings->log, MP_LOG_INFO)) return;
  mp_buf_init(&text, MP_BUF_NO_LIMIT);
  mp_buf_add_char(&text, '{');
  mp_answer_string(&text, "event", event);
  mp_buf_add_str(&text, ",\"webhook\":{");
  mp_answer_id(&text, "id", id);
  mp_answer_string(&text, "name", name);
  mp_answer_flag(&text, "enabled", enabled);
  mp_buf_add_str(&text, "}}");
  if (text.failed == MP_OK) {
    mp_log_object(e->settings->log, MP_LOG_INFO, event, text.data, text.len);
  }
  mp_buf_free(&text);
}

/* After the commit: the lanes as the store now has them, and the webhook as the answer. */
static mp_code then_reload(mp_engine *e, mp_call *call, mp_error *err) {
  log_change(e, call->created ? "webhook.created" : "webhook.changed", call->id, call->name,
             call->flag);
  mp_registry_changed(e, MP_RELOAD_CHANGED);
  return run_webhook(e, call, err);
}

/* A script that a webhook comes to name is there; one that is gone since holds its deliveries. */
static mp_code check_script(mp_engine *e, const mp_webhook *now, const mp_webhook *before,
                            mp_error *err) {
  if (!now->script) return MP_OK;
  if (before && before->script && strcmp(before->script, now->script) == 0) return MP_OK;
  return mp_script_find(e, now->script, err);
}

static mp_code run_create(mp_engine *e, mp_call *call, mp_error *err) {
  int64_t now = mp_wall_ms();
  mp_webhook_row row = {.name = call->name,
                        .definition = call->text,
                        .enabled = call->flag,
                        .created_ms = now,
                        .updated_ms = now};
  mp_webhook *webhook = NULL;
  mp_code code = mp_webhook_new(e->settings, &row, &webhook, err); /* a bad one stays outside */

  if (code == MP_OK) code = mp_tls_check(&webhook->tls, err);
  if (code == MP_OK) code = check_script(e, webhook, NULL, err);
  mp_webhook_unref(webhook);
  if (code == MP_OK) code = mp_registry_insert(e, &row, err);
  call->id = row.id;
  call->created = true;
  return code;
}

/* The webhook's definition may have been changed by another process a moment ago: the store
 * decides. */
static mp_code check_writable(mp_engine *e, int64_t id, mp_error *err) {
  const mp_webhook *w = webhook_of(e, id);
  if (!w) return mp_call_no_webhook(id, err);
  if (!w->from_config) return MP_OK;
  return mp_fail(err, MP_EROFS, "webhook '%s' is kept in the config: change it there", w->name);
}

static mp_code run_update(mp_engine *e, mp_call *call, mp_error *err) {
  mp_webhook_row row = {.id = call->id,
                        .name = call->name,
                        .definition = call->text,
                        .enabled = call->flag,
                        .updated_ms = mp_wall_ms(),
                        .seen_ms = call->id2};
  mp_webhook *webhook = NULL;
  mp_code code = check_writable(e, call->id, err);

  if (code == MP_OK) code = mp_webhook_new(e->settings, &row, &webhook, err);
  if (code == MP_OK) code = mp_tls_check(&webhook->tls, err);
  if (code == MP_OK) code = check_script(e, webhook, webhook_of(e, call->id), err);
  if (code == MP_OK) {
    code = mp_registry_write(e, webhook, &row, webhook_of(e, call->id)->enabled, err);
  }
  mp_webhook_unref(webhook);
  if (code == MP_ECHANGED) mp_registry_changed(e, MP_RELOAD_ALL); /* by another process */
  return code;
}

static mp_code run_delete(mp_engine *e, mp_call *call, mp_error *err) {
  mp_code code = check_writable(e, call->id, err);
  if (code == MP_OK) code = run_webhook(e, call, err);
  if (code == MP_OK) code = mp_store_webhook_delete(e->store, call->id, err);
  return code;
}

static mp_code then_forget(mp_engine *e, mp_call *call, mp_error *err) {
  const mp_webhook *w = webhook_of(e, call->id);

  if (w) log_change(e, "webhook.deleted", w->id, w->name, w->enabled);
  mp_registry_changed(e, MP_RELOAD_CHANGED);
  return mp_registry_reload(e, err);
}

static mp_call *new_write(mp_code (*run)(mp_engine *, mp_call *, mp_error *), const char *name,
                          const char *definition, mp_error *err) {
  mp_call *call = mp_call_new(run, err);
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
  return mp_call_make(engine, call, out, err);
}

mp_code mp_engine_webhook_update(mp_engine *engine, int64_t id, const char *name,
                                 const char *definition, bool enabled, int64_t seen_ms, mp_buf *out,
                                 mp_error *err) {
  mp_call *call = new_write(run_update, name, definition, err);
  if (!call) return MP_ENOMEM;
  call->id = id;
  call->id2 = seen_ms;
  call->flag = enabled;
  return mp_call_make(engine, call, out, err);
}

mp_code mp_engine_webhook_delete(mp_engine *engine, int64_t id, mp_buf *out, mp_error *err) {
  mp_call *call = mp_call_new(run_delete, err);
  if (!call) return MP_ENOMEM;
  call->id = id;
  call->writes = true;
  call->then = then_forget;
  return mp_call_make(engine, call, out, err);
}

/* ---- trigger -------------------------------------------------------------------------------- */

static mp_code run_trigger(mp_engine *e, mp_call *call, mp_error *err) {
  mp_lane *lane = lane_of(e, call->id);
  mp_event_row row = {.type = TRIGGER_EVENT, .created_ms = call->id2, .body = call->text};
  mp_event *event;
  mp_delivery *d = NULL;
  mp_list one = {0};

  if (!lane) return mp_call_no_webhook(call->id, err);
  row.id = mp_engine_next_id(e);
  row.body_len = call->text_len;
  event = mp_event_new(&row, -1);
  if (event) d = mp_delivery_new(lane, lane->webhook, event);
  mp_event_unref(event);
  if (!d) return mp_fail(err, MP_ENOMEM, "out of memory");
  d->trigger = call;
  call->deferred = true;
  mp_list_push(&one, &d->node);
  mp_senders_hand(e, &one);
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
  mp_call *call = mp_call_new(run_trigger, err);
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
  return mp_call_make_within(engine, call, MP_TRIGGER_MAX_MS, out, err);
}
