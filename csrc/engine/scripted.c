/* What comes back from the script thread: filtered and held deliveries end, outputs are stored
 * before they are sent, routed events get their deliveries. Store thread, inside the transaction of
 * a batch; after the commit what is to be sent is handed to the delivery threads.
 *
 * What always holds: an outcome may be gone through more than once, for a transaction that failed
 * is made again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"
#include "engine/scripts.h"
#include "payload/json_reader.h"

/* ---- routing -------------------------------------------------------------------------------- */

static mp_lane *lane_named(mp_engine *e, mp_json *j) {
  mp_lane *found = NULL;
  mp_buf name;

  mp_buf_init(&name, MP_BUF_NO_LIMIT);
  if (mp_json_string(j, &name)) {
    mp_buf_add_char(&name, '\0');
    for (size_t i = 0; i < e->lanes.count && !found && name.failed == MP_OK; i++) {
      mp_lane *lane = e->lanes.items[i];
      if (mp_lane_is_webhook(lane) && strcmp(lane->webhook->name, name.data) == 0) found = lane;
    }
    if (!found) mp_json_fail(j, "no webhook has the name '%.100s'", name.data ? name.data : "");
  }
  mp_buf_free(&name);
  return found;
}

static void mark_subscribers(mp_engine *e, const mp_event *event) {
  int type = mp_engine_event_type(e, event->row.type, strlen(event->row.type));

  for (size_t i = 0; i < e->lanes.count; i++) {
    mp_lane *lane = e->lanes.items[i];
    lane->chosen =
        mp_lane_is_webhook(lane) && mp_webhook_wants(lane->webhook, type, event->row.model);
  }
}

/* Marks the lanes that the event goes to. MP_EINVAL: a script named a webhook that is not there. */
static mp_code mark(mp_engine *e, const mp_delivery *d, mp_error *err) {
  const mp_buf *names = &d->scripted->names;
  mp_error why = {0};
  mp_json j;

  if (names->len == 0) {
    mark_subscribers(e, d->event);
    return MP_OK;
  }
  for (size_t i = 0; i < e->lanes.count; i++)
    e->lanes.items[i]->chosen = false;
  mp_json_init(&j, names->data, names->len, "route", &why);
  mp_json_begin_array(&j);
  while (mp_json_next_element(&j)) {
    mp_lane *lane = lane_named(e, &j);
    if (lane) lane->chosen = true; /* named twice is named once */
  }
  mp_json_free(&j);
  return j.failed ? mp_fail(err, MP_EINVAL, "%s", why.message) : MP_OK;
}

static mp_code insert_chosen(mp_engine *e, mp_batch *b, mp_delivery *d, mp_error *err) {
  mp_code code = mp_store_routed(e->store, d->event->row.id, d->lease, &d->applied, err);

  for (size_t i = 0; i < e->lanes.count && code == MP_OK && d->applied; i++) {
    if (e->lanes.items[i]->chosen)
      code = mp_insert_delivery(e, b, e->lanes.items[i], d->event, err);
  }
  return code;
}

/* ---- endings -------------------------------------------------------------------------------- */

static mp_code finish(mp_engine *e, mp_batch *b, mp_delivery *d, mp_delivery_state state,
                      mp_error *err) {
  mp_finish f = {.event_id = d->event->row.id,
                 .webhook_id = d->lane->webhook_id,
                 .lease = d->lease,
                 .order_key = d->order_key,
                 .state = state,
                 .due_ms = b->now_ms,
                 .now_ms = b->now_ms,
                 .script = d->scripted ? d->scripted->version : NULL,
                 .attempt = state == MP_HELD ? &d->attempt : NULL};
  mp_code code = mp_store_finish(e->store, &f, &d->applied, err);

  d->state = state;
  if (code == MP_OK && d->order_key && state == MP_FILTERED) d->lane->next_due_ms = 0;
  if (code == MP_OK && d->applied && state == MP_HELD && d->scripted && d->scripted->paused) {
    code = mp_report_add(e, b, MP_REPORT_PAUSED, d, NULL, err);
  }
  return code;
}

static mp_code hold(mp_engine *e, mp_batch *b, mp_delivery *d, const mp_error *why, mp_error *err) {
  mp_result failure = {.at_ms = mp_wall_ms(), .error_class = "script", .error = why->message};
  mp_delivery_record(d, &failure);
  return finish(e, b, d, MP_HELD, err);
}

static mp_code end_routing(mp_engine *e, mp_batch *b, mp_delivery *d, mp_error *err) {
  mp_error why;
  mp_code code = mark(e, d, &why);

  if (code == MP_EINVAL) {
    char id[MP_EVENT_ID_SIZE];
    mp_event_id_format(d->event->row.id, id);
    if (!b->told) { /* no listing has it: it is for no webhook yet */
      mp_log(e->settings->log, MP_LOG_WARN, "event.held", "%s is held: %s", id, why.message);
    }
    b->told = true;
    return hold(e, b, d, &why, err);
  }
  return code == MP_OK ? insert_chosen(e, b, d, err) : mp_fail(err, code, "%s", why.message);
}

/* ---- outputs -------------------------------------------------------------------------------- */

static const char *text_of(const mp_buf *b) {
  return b->len ? b->data : NULL;
}

static mp_code store_output(mp_engine *e, mp_delivery *d, mp_error *err) {
  const mp_scripted *s = d->scripted;
  mp_output_row row = {.script = s->version,
                       .content_type = text_of(&s->content_type),
                       .headers = text_of(&s->headers)};
  mp_code code = MP_OK;

  d->applied = true;
  d->state = MP_LEASED;
  if (s->stored || (!s->changed && !row.headers)) return MP_OK;
  if (s->changed) {
    row.body = s->body.len ? s->body.data : "";
    row.body_len = s->body.len;
  }
  if (row.headers) {
    code = mp_secret_hide_event(e->sealer, d->event->row.id, row.headers, &e->secret, err);
    row.headers = e->secret.data;
  }
  if (code != MP_OK) return code;
  return mp_store_output_put(e->store, d->event->row.id, d->lane->webhook_id, d->lease, &row,
                             &d->applied, err);
}

static mp_code settle_one(mp_engine *e, mp_batch *b, mp_delivery *d, mp_error *err) {
  switch (d->scripted ? d->scripted->verdict : MP_VERDICT_NONE) {
    case MP_VERDICT_SEND:
      return store_output(e, d, err);
    case MP_VERDICT_FILTERED:
      return finish(e, b, d, MP_FILTERED, err);
    case MP_VERDICT_HELD:
      return finish(e, b, d, MP_HELD, err);
    case MP_VERDICT_ROUTED:
      return end_routing(e, b, d, err);
    case MP_VERDICT_NONE:
      break;
  }
  return finish(e, b, d, MP_WAITING, err);
}

mp_code mp_scripted_write(mp_engine *engine, mp_batch *batch, mp_error *err) {
  mp_code code = MP_OK;

  for (mp_node *n = engine->taken_scripted.head; n && code == MP_OK; n = n->next)
    code = settle_one(engine, batch, MP_CONTAINER(n, mp_delivery, node), err);
  return code;
}

void mp_scripted_settle(mp_engine *engine) {
  mp_engine *e = engine;
  mp_list ready = {0};

  for (mp_node *n; (n = mp_list_pop(&e->taken_scripted)) != NULL;) {
    mp_delivery *d = MP_CONTAINER(n, mp_delivery, node);
    if (d->applied && d->state == MP_LEASED && d->lane->webhook_id != MP_ROUTING) {
      mp_list_push(&ready, n);
      continue;
    }
    if (d->applied && d->state == MP_WAITING) d->lane->next_due_ms = 0;
    if (d->applied) {
      d->lane->counts.filtered += d->state == MP_FILTERED;
      d->lane->counts.held += d->state == MP_HELD;
      mp_report_log(e, d);
    }
    mp_lease_end(e, d);
    mp_delivery_free(d);
  }
  mp_senders_hand(e, &ready);
}

/* ---- what was stored ------------------------------------------------------------------------ */

typedef struct reading {
  mp_engine *engine;
  mp_delivery *delivery;
} reading;

static void copy(mp_buf *to, const char *text) {
  if (text) mp_buf_add(to, text, strlen(text) + 1);
}

static mp_code keep_output(void *arg, const mp_output_row *row, mp_error *err) {
  const reading *r = arg;
  mp_engine *e = r->engine;
  mp_scripted *s = mp_scripted_new();
  mp_code code = MP_OK;

  if (!s) return mp_fail(err, MP_ENOMEM, "out of memory");
  r->delivery->scripted = s;
  s->stored = true;
  s->verdict = MP_VERDICT_SEND;
  s->version = strdup(row->script);
  s->changed = row->body != NULL;
  if (row->body) mp_buf_add(&s->body, row->body, row->body_len);
  copy(&s->content_type, row->content_type);
  if (row->headers) {
    code =
        mp_secret_show_event(e->sealer, r->delivery->event->row.id, row->headers, &e->secret, err);
    copy(&s->headers, code == MP_OK ? e->secret.data : "");
    if (code == MP_EKEY) code = MP_OK; /* its attempts fail, and say so */
  }
  if (code == MP_OK && (!s->version || s->body.failed != MP_OK || s->headers.failed != MP_OK)) {
    code = mp_fail(err, MP_ENOMEM, "out of memory");
  }
  return code;
}

mp_code mp_scripted_recall(mp_engine *engine, mp_delivery *delivery, const char *version,
                           mp_error *err) {
  reading r = {.engine = engine, .delivery = delivery};
  mp_code code;

  if (delivery->lane->webhook_id == MP_ROUTING) return MP_OK;
  if (!version && !mp_script_applies(engine, delivery)) return MP_OK;
  code = mp_store_output(engine->store, delivery->event->row.id, delivery->lane->webhook_id,
                         keep_output, &r, err);
  if (code != MP_OK || delivery->scripted || !version) return code;
  /* It went through them unchanged. */
  delivery->scripted = mp_scripted_new();
  if (!delivery->scripted) return mp_fail(err, MP_ENOMEM, "out of memory");
  delivery->scripted->stored = true;
  delivery->scripted->verdict = MP_VERDICT_SEND;
  delivery->scripted->version = strdup(version);
  if (!delivery->scripted->version) return mp_fail(err, MP_ENOMEM, "out of memory");
  return MP_OK;
}

/* ---- handing over --------------------------------------------------------------------------- */

/* The config names no scripts any more. Events that wait to be routed go by subscription; what a
 * script was to change must not go without it. */
static void settle_unscripted(mp_delivery *d) {
  mp_result failure = {.at_ms = mp_wall_ms(), .error_class = "script"};
  char why[256];

  d->scripted = mp_scripted_new();
  if (!d->scripted) return; /* it is given back */
  if (d->lane->webhook_id == MP_ROUTING) {
    d->scripted->verdict = MP_VERDICT_ROUTED;
    return;
  }
  snprintf(why, sizeof why, "%.100s.lua: the config has no webhooks.scripts, the folder of scripts",
           d->webhook->script);
  failure.error = why;
  mp_delivery_record(d, &failure);
  d->scripted->verdict = MP_VERDICT_HELD;
}

void mp_lease_hand(mp_engine *engine, mp_list *leased) {
  mp_list to_scripts = {0}, to_send = {0}, unscripted = {0};

  for (mp_node *n; (n = mp_list_pop(leased)) != NULL;) {
    mp_delivery *d = MP_CONTAINER(n, mp_delivery, node);
    if (d->scripted || !mp_script_applies(engine, d))
      mp_list_push(&to_send, n);
    else
      mp_list_push(engine->scripting ? &to_scripts : &unscripted, n);
  }
  if (to_scripts.head) mp_script_hand(engine, &to_scripts);
  mp_senders_hand(engine, &to_send);
  for (mp_node *n; (n = mp_list_pop(&unscripted)) != NULL;) {
    settle_unscripted(MP_CONTAINER(n, mp_delivery, node));
    mp_list_push(&engine->taken_scripted, n);
  }
}

/* ---- news of scripts ------------------------------------------------------------------------ */

static bool concerns(const mp_script_news *news, const mp_lane *lane) {
  if (news->global) return true;
  return mp_lane_is_webhook(lane) && lane->webhook->script &&
         strcmp(lane->webhook->script, news->name) == 0;
}

mp_code mp_scripted_release(mp_engine *engine, const mp_list *news, mp_error *err) {
  mp_code code = MP_OK;

  for (size_t i = 0; i < engine->lanes.count && code == MP_OK; i++) {
    mp_lane *lane = engine->lanes.items[i];
    bool any = !news;
    for (const mp_node *n = news ? news->head : NULL; n && !any; n = n->next)
      any = concerns(MP_CONTAINER(n, const mp_script_news, node), lane);
    if (!any) continue;
    code = mp_store_release(engine->store, lane->webhook_id, mp_engine_now(engine), err);
    lane->next_due_ms = 0; /* look */
  }
  return code;
}
