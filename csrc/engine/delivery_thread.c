/* A delivery thread: takes leased deliveries, sends them lane by lane, hands the outcomes back.
 *
 * It owns an HTTP client and a share of every lane. It never touches the store. A share starts at
 * most its part of the webhook's concurrency, and shares with work take turns, one request a turn:
 * a lane whose receiver hangs holds its own slots and no others. */
#include "engine/delivery_thread.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/token.h"

#define IDLE_POLL_MS INT_MAX /* mp_client_wake ends the wait */

static mp_lane_share *share_of(const mp_delivery *d) {
  return &d->lane->shares[d->share];
}

static mp_sending *sending_of(const mp_delivery *d) {
  return &d->webhook->sendings[d->share];
}

static void take_turns(mp_sender *s, mp_lane_share *share) {
  if (share->in_turns || !share->queue.head) return;
  share->in_turns = true;
  mp_list_push(&s->turns, &share->turn);
}

void mp_delivery_ended(mp_sender *sender, mp_delivery *delivery, const mp_result *result) {
  mp_sender *s = sender;
  mp_delivery *d = delivery;

  /* A request that close cut off is as if it had not been made: it is made again. */
  if (!result->error_class || strcmp(result->error_class, "aborted") != 0 || d->trigger) {
    mp_delivery_record(d, result);
  }
  if (!d->trigger) {
    share_of(d)->active--;
    take_turns(s, share_of(d));
  }
  mp_list_push(&s->outcomes, &d->node);
}

void mp_delivery_done(void *owner, void *arg, const mp_result *result) {
  mp_sender *s = owner;
  mp_delivery *d = arg;

  if (result->status == 401 && d->webhook->auth.oauth && mp_token_refused(s, d)) return;
  mp_delivery_ended(s, d, result);
}

void mp_delivery_target(const mp_engine *engine, const mp_webhook *webhook,
                        mp_target_options *out) {
  const mp_settings *s = engine->settings;
  const mp_webhook *w = webhook;
  const mp_signing *signing = &w->sendings[0].signing;
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
  if (signing->body_header) out->own_names[own++] = signing->body_header;
  if (w->auth.oauth) out->own_names[own++] = w->auth.name;
}

static mp_code target_of(const mp_engine *e, const mp_delivery *d, mp_target **out, mp_error *err) {
  mp_sending *sending = sending_of(d);
  mp_target_options options;
  mp_code code = MP_OK;

  if (!sending->target) {
    mp_delivery_target(e, d->webhook, &options);
    options.tls = &d->webhook->tls;
    code = mp_target_new(&options, &sending->target, err);
  }
  *out = sending->target;
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
  mp_code code = mp_signing_sign(&sending_of(d)->signing, &message, out, err);

  if (code == MP_OK && auth->oauth) {
    if (!d->waited_for_token) d->token_generation = auth->oauth->generation;
    out->fields[out->count++] = (mp_field){auth->name, auth->oauth->bearer};
  }
  request->fields = out->fields;
  request->field_count = out->count;
  return code;
}

static void fail_at_once(mp_sender *s, mp_delivery *d, const char *error_class, const char *error) {
  mp_result failure = {.at_ms = mp_wall_ms(), .error_class = error_class, .error = error};
  mp_delivery_record(d, &failure);
  mp_list_push(&s->outcomes, &d->node);
}

static mp_code send(mp_sender *s, mp_delivery *d, mp_target *target, mp_error *err) {
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
  if (code == MP_OK) code = mp_client_start(s->client, &request, d, err);
  mp_headers_free(&headers);
  return code;
}

/* Starts the delivery's request, or has it wait for a token, or gives it an outcome at once. */
static bool start(mp_sender *s, mp_delivery *d) {
  bool waits = d->webhook->auth.oauth && !mp_token_ready(d);
  mp_target *target;
  mp_error err;
  mp_code code = target_of(s->engine, d, &target, &err);

  d->started_ms = mp_engine_now(s->engine);
  if (code == MP_OK && mp_target_refusal(target)) {
    fail_at_once(s, d, "guard", mp_target_refusal(target));
    return false;
  }
  if (code == MP_OK) code = waits ? mp_token_wait(s, d, &err) : send(s, d, target, &err);
  if (code != MP_OK) fail_at_once(s, d, waits ? "auth" : "internal", err.message);
  return code == MP_OK;
}

void mp_delivery_again(mp_sender *sender, mp_list *deliveries) {
  mp_sender *s = sender;
  mp_list first = {0};
  mp_lane_share *share = NULL;
  mp_node *n;

  while ((n = mp_list_pop(deliveries)) != NULL) {
    mp_delivery *d = MP_CONTAINER(n, mp_delivery, node);
    if (d->trigger) {
      start(s, d);
      continue;
    }
    share = share_of(d); /* of all of them: they are one webhook's */
    share->active--;
    mp_list_push(&first, n);
  }
  s->again = true;
  if (!share) return;
  mp_list_append(&first, &share->queue);
  share->queue = first;
  take_turns(s, share);
}

static void accept_handed(mp_sender *s, mp_list *handed) {
  mp_node *n;
  while ((n = mp_list_pop(handed)) != NULL) {
    mp_delivery *d = MP_CONTAINER(n, mp_delivery, node);
    if (d->trigger) {
      start(s, d);
    } else {
      mp_list_push(&share_of(d)->queue, n);
      take_turns(s, share_of(d));
    }
  }
}

/* Starts the first of the share's queue, or gives it back. */
static void start_one(mp_sender *s, mp_lane_share *share) {
  mp_delivery *d = MP_CONTAINER(mp_list_pop(&share->queue), mp_delivery, node);
  const mp_lane *lane = share->lane;

  if (atomic_load(&lane->stopped) || atomic_load(&lane->hold_ms) > mp_engine_now(s->engine))
    mp_list_push(&s->outcomes, &d->node); /* given back without an attempt */
  else if (start(s, d))
    share->active++;
}

/* Below how many requests in all threads may the share start one? When all slots are taken, one
 * that has nothing under way still gets one: however many receivers hang, they slow no other. */
static int limit_of(const mp_engine *e, const mp_lane_share *share) {
  return share->active > 0 ? e->settings->max_concurrency : 2 * e->settings->max_concurrency;
}

static bool are_fewer(const mp_engine *e, int limit) {
  return atomic_load(&e->requests) < limit;
}

/* Shares take turns, one request a turn. Answers the highest limit that a share waits for; 0: none
 * does. */
static int start_turns(mp_sender *s) {
  mp_list later = {0};
  int waits = 0;

  while (s->turns.head && mp_client_room(s->client)) {
    mp_lane_share *share = MP_CONTAINER(mp_list_pop(&s->turns), mp_lane_share, turn);
    int limit = limit_of(s->engine, share);
    const mp_delivery *next;

    if (!are_fewer(s->engine, limit)) {
      mp_list_push(&later, &share->turn);
      if (limit > waits) waits = limit;
      continue;
    }
    share->in_turns = false;
    if (!share->queue.head) continue;
    next = MP_CONTAINER(share->queue.head, mp_delivery, node);
    if (share->active >= mp_webhook_share(next->webhook, next->share))
      continue; /* comes back when one of its own ends */
    start_one(s, share);
    take_turns(s, share);
  }
  mp_list_append(&later, &s->turns); /* those that waited keep their place */
  s->turns = later;
  return waits;
}

/* A request of another thread that ends before it could see that this one waits is seen by the look
 * after that; one that ends later, by the other's tell_others. */
static void start_all(mp_sender *s) {
  int waits;

  do {
    waits = start_turns(s);
    atomic_store(&s->starts_below, waits);
  } while (waits > 0 && are_fewer(s->engine, waits));
}

static void tell_others(const mp_sender *s) {
  const mp_engine *e = s->engine;

  for (int i = 0; i < e->sender_count; i++) {
    mp_sender *other = &e->senders[i];
    if (other != s && are_fewer(e, atomic_load(&other->starts_below)))
      mp_client_wake(other->client);
  }
}

static void give_back_queued(mp_sender *s) {
  for (mp_node *n; (n = mp_list_pop(&s->turns)) != NULL;) {
    mp_lane_share *share = MP_CONTAINER(n, mp_lane_share, turn);
    share->in_turns = false;
    mp_list_append(&s->outcomes, &share->queue);
  }
}

static void hand_back(mp_sender *s) {
  mp_engine *e = s->engine;
  bool wake;

  if (!s->outcomes.head) return;
  pthread_mutex_lock(&e->lock);
  mp_list_append(&e->finished, &s->outcomes);
  wake = mp_must_wake(e);
  pthread_mutex_unlock(&e->lock);
  if (wake) mp_watch_ring(e->watch);
}

void *mp_delivery_thread(void *sender) {
  mp_sender *s = sender;

  for (;;) {
    mp_list handed = {0};
    bool stop, abort;

    pthread_mutex_lock(&s->lock);
    mp_list_append(&handed, &s->handed);
    stop = s->stop;
    abort = s->abort;
    pthread_mutex_unlock(&s->lock);

    accept_handed(s, &handed);
    if (abort) {
      mp_client_abort(s->client);
      give_back_queued(s);
    }
    s->again = false;
    start_all(s);
    mp_client_poll(s->client, 0);
    if (!s->outcomes.head && !s->again) {
      if (stop && mp_client_active(s->client) == 0 && !s->turns.head) break;
      mp_client_poll(s->client, IDLE_POLL_MS);
    }
    tell_others(s);
    hand_back(s);
  }
  return NULL;
}
