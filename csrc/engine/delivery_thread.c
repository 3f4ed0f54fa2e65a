/* The delivery thread: takes leased deliveries, sends them lane by lane, hands the outcomes back.
 *
 * It owns the HTTP client and the right half of every lane. It never touches the store. A lane
 * starts at most its webhook's concurrency of requests, and lanes with work take turns, one request
 * a turn: a lane whose receiver hangs holds its own slots and no others. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/internal.h"
#include "engine/token.h"

#define IDLE_POLL_MS INT_MAX /* mp_client_wake ends the wait */

void mp_delivery_hand(mp_engine *engine, mp_list *deliveries) {
  if (!deliveries->head) return;
  pthread_mutex_lock(&engine->work_lock);
  mp_list_append(&engine->handed, deliveries);
  pthread_mutex_unlock(&engine->work_lock);
  mp_client_wake(engine->client);
}

static void take_turns(mp_engine *e, mp_lane *lane) {
  if (lane->in_turns || !lane->queue.head) return;
  lane->in_turns = true;
  mp_list_push(&e->turns, &lane->turn);
}

void mp_delivery_ended(mp_engine *engine, mp_delivery *delivery, const mp_result *result) {
  mp_engine *e = engine;
  mp_delivery *d = delivery;

  /* A request that close cut off is as if it had not been made: it is made again. */
  if (!result->error_class || strcmp(result->error_class, "aborted") != 0 || d->trigger) {
    mp_delivery_record(d, result);
  }
  if (!d->trigger) {
    d->lane->active--;
    take_turns(e, d->lane);
  }
  mp_list_push(&e->outcomes, &d->node);
}

/* The client's callback: a request ended. */
static void on_done(void *owner, void *arg, const mp_result *result) {
  mp_engine *e = owner;
  mp_delivery *d = arg;

  if (result->status == 401 && d->webhook->auth.oauth && mp_token_refused(e, d)) return;
  mp_delivery_ended(e, d, result);
}

void mp_delivery_target(const mp_engine *engine, const mp_webhook *webhook,
                        mp_target_options *out) {
  const mp_settings *s = engine->settings;
  const mp_webhook *w = webhook;
  int own = 0;

  *out = (mp_target_options){.url = w->url,
                             .defaults = &s->default_headers,
                             .headers = &w->headers,
                             .timeout_ms = w->timeout_ms,
                             .connect_timeout_ms = w->connect_timeout_ms,
                             .proxy = w->proxy ? w->proxy : s->proxy,
                             .own_proxy = w->proxy != NULL,
                             .guard = s->guard,
                             .user_agent = s->user_agent};
  if (w->signing.body_header) out->own_names[own++] = w->signing.body_header;
  if (w->auth.oauth) out->own_names[own++] = w->auth.name;
}

static mp_code target_of(mp_engine *e, mp_webhook *w, mp_target **out, mp_error *err) {
  mp_target_options options;
  mp_code code = MP_OK;

  if (!w->target) {
    mp_delivery_target(e, w, &options);
    options.tls = &w->tls;
    code = mp_target_new(&options, &w->target, err);
  }
  *out = w->target;
  return code;
}

/* What scripts made of the event, in place of the event's own. */
static mp_code use_output(const mp_scripted *output, mp_request *request, mp_headers *headers,
                          mp_error *err) {
  if (output->changed) {
    request->body = output->body.len ? output->body.data : "";
    request->body_len = output->body.len;
  }
  if (output->content_type.len) request->content_type = output->content_type.data;
  if (output->headers.len == 0) return MP_OK;
  request->headers = headers;
  return mp_webhook_headers(output->headers.data, headers, err);
}

/* moonpost's own header fields. Each attempt is signed anew, for the time is signed too (Standard
 * Webhooks 1.0.0). */
static mp_code add_fields(mp_delivery *d, const char *id, mp_request *request, mp_signed *out,
                          mp_error *err) {
  const mp_auth *auth = &d->webhook->auth;
  mp_message message = {
      .id = id, .at_ms = mp_wall_ms(), .body = request->body, .body_len = request->body_len};
  mp_code code = mp_signing_sign(&d->webhook->signing, &message, out, err);

  if (code == MP_OK && auth->oauth) {
    if (!d->waited_for_token) d->token_generation = auth->oauth->generation;
    out->fields[out->count++] = (mp_field){auth->name, auth->oauth->bearer};
  }
  request->fields = out->fields;
  request->field_count = out->count;
  return code;
}

static void fail_at_once(mp_engine *e, mp_delivery *d, const char *error_class, const char *error) {
  mp_result failure = {.at_ms = mp_wall_ms(), .error_class = error_class, .error = error};
  mp_delivery_record(d, &failure);
  mp_list_push(&e->outcomes, &d->node);
}

static mp_code send(mp_engine *e, mp_delivery *d, mp_target *target, mp_error *err) {
  const mp_event_row *row = &d->event->row;
  char id[MP_EVENT_ID_SIZE];
  mp_request request = {
      .target = target, .event = row->type, .body = row->body, .body_len = row->body_len};
  mp_headers headers;
  mp_signed signed_fields;
  mp_code code = MP_OK;

  mp_event_id_format(row->id, id);
  mp_headers_init(&headers);
  if (row->headers) {
    code = mp_webhook_headers(row->headers, &headers, err);
    request.headers = &headers;
  }
  if (code == MP_OK && d->scripted) code = use_output(d->scripted, &request, &headers, err);
  if (code == MP_OK) code = add_fields(d, id, &request, &signed_fields, err);
  if (code == MP_OK) code = mp_client_start(e->client, &request, d, err);
  mp_headers_free(&headers);
  return code;
}

/* Starts the delivery's request, or has it wait for a token, or gives it an outcome at once. */
static bool start(mp_engine *e, mp_delivery *d) {
  bool waits = d->webhook->auth.oauth && !mp_token_ready(d);
  mp_target *target;
  mp_error err;
  mp_code code = target_of(e, d->webhook, &target, &err);

  d->started_ms = mp_engine_now(e);
  if (code == MP_OK && mp_target_refusal(target)) {
    fail_at_once(e, d, "guard", mp_target_refusal(target));
    return false;
  }
  if (code == MP_OK) code = waits ? mp_token_wait(e, d, &err) : send(e, d, target, &err);
  if (code != MP_OK) fail_at_once(e, d, waits ? "auth" : "internal", err.message);
  return code == MP_OK;
}

void mp_delivery_again(mp_engine *engine, mp_list *deliveries) {
  mp_engine *e = engine;
  mp_list first = {0};
  mp_lane *lane = NULL;
  mp_node *n;

  while ((n = mp_list_pop(deliveries)) != NULL) {
    mp_delivery *d = MP_CONTAINER(n, mp_delivery, node);
    if (d->trigger) {
      start(e, d);
      continue;
    }
    lane = d->lane; /* of all of them: they are one webhook's */
    lane->active--;
    mp_list_push(&first, n);
  }
  e->again = true;
  if (!lane) return;
  mp_list_append(&first, &lane->queue);
  lane->queue = first;
  take_turns(e, lane);
}

static void accept_handed(mp_engine *e, mp_list *handed) {
  mp_node *n;
  while ((n = mp_list_pop(handed)) != NULL) {
    mp_delivery *d = MP_CONTAINER(n, mp_delivery, node);
    if (d->trigger) {
      start(e, d);
    } else {
      mp_list_push(&d->lane->queue, n);
      take_turns(e, d->lane);
    }
  }
}

/* Starts the first of the lane's queue, or gives it back. */
static void start_one(mp_engine *e, mp_lane *lane) {
  mp_delivery *d = MP_CONTAINER(mp_list_pop(&lane->queue), mp_delivery, node);

  if (atomic_load(&lane->stopped) || atomic_load(&lane->hold_ms) > mp_engine_now(e))
    mp_list_push(&e->outcomes, &d->node); /* given back without an attempt */
  else if (start(e, d))
    lane->active++;
}

/* Lanes take turns, one request a turn. When all slots are taken, a lane that has nothing under way
 * still gets one: however many receivers hang, they slow no other. */
static void start_turns(mp_engine *e) {
  mp_list later = {0};

  while (e->turns.head && mp_client_room(e->client)) {
    mp_lane *lane = MP_CONTAINER(mp_list_pop(&e->turns), mp_lane, turn);
    const mp_delivery *next;

    if (lane->active > 0 && mp_client_active(e->client) >= e->settings->max_concurrency) {
      mp_list_push(&later, &lane->turn);
      continue;
    }
    lane->in_turns = false;
    if (!lane->queue.head) continue;
    next = MP_CONTAINER(lane->queue.head, mp_delivery, node);
    if (lane->active >= next->webhook->concurrency)
      continue; /* comes back when one of its own ends */
    start_one(e, lane);
    take_turns(e, lane);
  }
  mp_list_append(&later, &e->turns); /* those that waited keep their place */
  e->turns = later;
}

static void give_back_queued(mp_engine *e) {
  for (mp_node *n; (n = mp_list_pop(&e->turns)) != NULL;) {
    mp_lane *lane = MP_CONTAINER(n, mp_lane, turn);
    lane->in_turns = false;
    mp_list_append(&e->outcomes, &lane->queue);
  }
}

static void hand_back(mp_engine *e) {
  bool wake;

  if (!e->outcomes.head) return;
  pthread_mutex_lock(&e->lock);
  mp_list_append(&e->finished, &e->outcomes);
  wake = mp_must_wake(e);
  pthread_mutex_unlock(&e->lock);
  if (wake) mp_watch_ring(e->watch);
}

void *mp_delivery_thread(void *engine) {
  mp_engine *e = engine;

  for (;;) {
    mp_list handed = {0};
    bool stop, abort;

    pthread_mutex_lock(&e->work_lock);
    mp_list_append(&handed, &e->handed);
    stop = e->stop;
    abort = e->abort;
    pthread_mutex_unlock(&e->work_lock);

    accept_handed(e, &handed);
    if (abort) {
      mp_client_abort(e->client);
      give_back_queued(e);
    }
    e->again = false;
    start_turns(e);
    mp_client_poll(e->client, 0);
    if (!e->outcomes.head && !e->again) {
      if (stop && mp_client_active(e->client) == 0 && !e->turns.head) break;
      mp_client_poll(e->client, IDLE_POLL_MS);
    }
    hand_back(e);
  }
  return NULL;
}

mp_code mp_delivery_client(mp_engine *engine, mp_error *err) {
  mp_client_options options = {.max_requests = engine->settings->max_concurrency * 2,
                               .response_keep = MP_RESPONSE_KEEP,
                               .done = on_done,
                               .owner = engine};
  return mp_client_new(&options, &engine->client, err);
}
