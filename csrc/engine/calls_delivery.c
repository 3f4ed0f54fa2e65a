/* The hosts' calls about deliveries and events. Of each pair the upper function runs on the store
 * thread, the lower on the host's. */
#include <stdlib.h>
#include <string.h>

#include "engine/answer.h"
#include "engine/internal.h"

/* ---- deliveries ----------------------------------------------------------------------------- */

/* A listing ends with the first row that did not fit. */
static mp_code check_out(const mp_buf *out, mp_error *err) {
  return out->failed == MP_OK ? MP_OK : mp_fail(err, out->failed, "%s", mp_strerror(out->failed));
}

typedef struct adding {
  mp_engine *engine;
  mp_buf *out;
} adding;

static mp_code add_delivery(void *arg, const mp_delivery_row *row, mp_error *err) {
  const adding *a = arg;
  bool timed = row->state == MP_WAITING && row->due_ms != INT64_MAX;
  mp_call_next_element(a->out);
  mp_answer_delivery(a->out, row, timed ? mp_engine_to_wall(a->engine, row->due_ms) : 0);
  return check_out(a->out, err);
}

static mp_code run_deliveries(mp_engine *e, mp_call *call, mp_error *err) {
  adding a = {.engine = e, .out = &call->out};
  mp_code code;
  mp_buf_add_char(&call->out, '[');
  code = mp_store_deliveries(e->store, &call->filter, add_delivery, &a, err);
  mp_buf_add_char(&call->out, ']');
  return code;
}

mp_code mp_engine_deliveries(mp_engine *engine, const mp_delivery_filter *filter, mp_buf *out,
                             mp_error *err) {
  mp_call *call = mp_call_new(run_deliveries, err);
  if (!call) return MP_ENOMEM;
  call->filter = *filter;
  return mp_call_make(engine, call, out, err);
}

static mp_code run_delivery(mp_engine *e, mp_call *call, mp_error *err) {
  adding a = {.engine = e, .out = &call->out};
  return mp_store_delivery(e->store, call->id, call->id2, add_delivery, &a, err);
}

static mp_code add_attempt(void *arg, int number, const mp_attempt *attempt, mp_error *err) {
  mp_buf *out = arg;
  mp_call_next_element(out);
  mp_answer_attempt(out, number, attempt);
  return check_out(out, err);
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

typedef struct payload {
  mp_engine *engine;
  int64_t event_id;
  mp_buf *out;
  bool own; /* a script's body is in it */
} payload;

static mp_code add_output(void *arg, const mp_output_row *row, mp_error *err) {
  payload *p = arg;
  mp_engine *e = p->engine;
  mp_code code;

  p->own = row->body != NULL;
  if (p->own) mp_answer_text(p->out, "body", row->body, row->body_len);
  mp_answer_string(p->out, "content_type", row->content_type);
  if (row->headers) {
    code = mp_secret_show_event(e->sealer, p->event_id, row->headers, &e->secret, err);
    if (code != MP_OK) return code;
    mp_buf_add_str(p->out, p->own || row->content_type ? ",\"headers\":" : "\"headers\":");
    mp_buf_add_str(p->out, e->secret.data);
  }
  return check_out(p->out, err);
}

static mp_code add_body(void *arg, const mp_event_row *row, mp_error *err) {
  mp_answer_text(arg, "body", row->body, row->body_len);
  return check_out(arg, err);
}

static mp_code run_payload(mp_engine *e, mp_call *call, mp_error *err) {
  payload p = {.engine = e, .event_id = call->id, .out = &call->out};
  mp_code code = mp_store_delivery(e->store, call->id, call->id2, pass_over, NULL, err);

  if (code != MP_OK) return code;
  mp_buf_add_char(&call->out, '{');
  code = mp_store_output(e->store, call->id, call->id2, add_output, &p, err);
  if (code == MP_OK && !p.own) code = mp_store_event(e->store, call->id, add_body, &call->out, err);
  mp_buf_add_char(&call->out, '}');
  return code;
}

static mp_code run_resend(mp_engine *e, mp_call *call, mp_error *err) {
  return mp_store_resend(e->store, call->id, call->id2, call->flag, mp_engine_now(e), err);
}

static mp_code then_due(mp_engine *e, mp_call *call, mp_error *err) {
  mp_lane *lane = mp_lanes_find(&e->lanes, call->id2);
  if (lane) lane->next_due_ms = 0; /* look */
  return run_delivery(e, call, err);
}

static mp_call *call_of(mp_code (*run)(mp_engine *, mp_call *, mp_error *), int64_t event_id,
                        int64_t webhook_id, mp_error *err) {
  mp_call *call = mp_call_new(run, err);
  if (!call) return NULL;
  call->id = event_id;
  call->id2 = webhook_id;
  return call;
}

mp_code mp_engine_delivery(mp_engine *engine, int64_t event_id, int64_t webhook_id, mp_buf *out,
                           mp_error *err) {
  mp_call *call = call_of(run_delivery, event_id, webhook_id, err);
  return call ? mp_call_make(engine, call, out, err) : MP_ENOMEM;
}

mp_code mp_engine_attempts(mp_engine *engine, int64_t event_id, int64_t webhook_id, mp_buf *out,
                           mp_error *err) {
  mp_call *call = call_of(run_attempts, event_id, webhook_id, err);
  return call ? mp_call_make(engine, call, out, err) : MP_ENOMEM;
}

mp_code mp_engine_payload(mp_engine *engine, int64_t event_id, int64_t webhook_id, mp_buf *out,
                          mp_error *err) {
  mp_call *call = call_of(run_payload, event_id, webhook_id, err);
  return call ? mp_call_make(engine, call, out, err) : MP_ENOMEM;
}

mp_code mp_engine_resend(mp_engine *engine, int64_t event_id, int64_t webhook_id, bool anew,
                         mp_buf *out, mp_error *err) {
  mp_call *call = call_of(run_resend, event_id, webhook_id, err);

  if (!call) return MP_ENOMEM;
  call->flag = anew;
  call->writes = true;
  call->then = then_due;
  return mp_call_make(engine, call, out, err);
}

/* ---- replay --------------------------------------------------------------------------------- */

typedef struct candidate {
  int64_t event_id;
  bool there; /* its delivery to the webhook */
  char *order_key;
} candidate;

typedef struct replaying {
  mp_engine *engine;
  const mp_webhook *webhook;
  candidate items[MP_REPLAY_STEP];
  int count;
} replaying;

static bool may_replay(const replaying *r, const mp_replay_row *row) {
  if (row->state == MP_LEASED) return false; /* it is being sent just now */
  return row->state >= 0 ||
         mp_webhook_wants_type(r->webhook, r->engine->settings, row->type, row->model);
}

static mp_code keep_candidate(void *arg, const mp_replay_row *row, mp_error *err) {
  replaying *r = arg;
  const char *order_key = mp_webhook_order_key(r->webhook, row->order_key);
  candidate c = {.event_id = row->event_id, .there = row->state >= 0};

  if (!may_replay(r, row)) return MP_OK;
  if (order_key) {
    c.order_key = strdup(order_key);
    if (!c.order_key) return mp_fail(err, MP_ENOMEM, "out of memory");
  }
  r->items[r->count++] = c;
  return MP_OK;
}

static mp_code replay_one(mp_engine *e, int64_t webhook_id, const candidate *c, mp_error *err) {
  int64_t now_ms = mp_engine_now(e);
  mp_new_delivery d = {.event_id = c->event_id,
                       .webhook_id = webhook_id,
                       .state = MP_WAITING,
                       .due_ms = now_ms,
                       .order_key = c->order_key};
  return c->there ? mp_store_resend(e->store, c->event_id, webhook_id, false, now_ms, err)
                  : mp_store_delivery_insert(e->store, &d, err);
}

static void answer_replay(mp_buf *out, int count, int64_t next) {
  mp_buf_add_char(out, '{');
  mp_answer_number(out, "count", count);
  if (next) mp_answer_event_id(out, "next", next);
  mp_buf_add_char(out, '}');
}

static mp_code run_replay(mp_engine *e, mp_call *call, mp_error *err) {
  const mp_lane *lane = mp_lanes_find(&e->lanes, call->range.webhook_id);
  replaying *r;
  int64_t next = 0;
  mp_code code;

  if (!lane || !mp_lane_is_webhook(lane)) return mp_call_no_webhook(call->range.webhook_id, err);
  r = calloc(1, sizeof *r);
  if (!r) return mp_fail(err, MP_ENOMEM, "out of memory");
  r->engine = e;
  r->webhook = lane->webhook;
  code = mp_store_replay(e->store, &call->range, keep_candidate, r, &next, err);
  for (int i = 0; i < r->count && code == MP_OK; i++)
    code = replay_one(e, call->range.webhook_id, &r->items[i], err);
  answer_replay(&call->out, r->count, next);
  for (int i = 0; i < r->count; i++)
    free(r->items[i].order_key);
  free(r);
  return code;
}

static mp_code then_replayed(mp_engine *e, mp_call *call, mp_error *err) {
  mp_lane *lane = mp_lanes_find(&e->lanes, call->range.webhook_id);
  (void)err;
  if (lane) lane->next_due_ms = 0; /* look */
  return MP_OK;
}

mp_code mp_engine_replay(mp_engine *engine, const mp_replay_range *range, mp_buf *out,
                         mp_error *err) {
  mp_call *call = mp_call_new(run_replay, err);
  if (!call) return MP_ENOMEM;
  call->range = *range;
  if (call->range.limit < 1 || call->range.limit > MP_REPLAY_STEP) {
    call->range.limit = MP_REPLAY_STEP;
  }
  call->writes = true;
  call->then = then_replayed;
  return mp_call_make(engine, call, out, err);
}

/* ---- events --------------------------------------------------------------------------------- */

static mp_code add_event(void *arg, const mp_event_row *row, mp_error *err) {
  mp_buf *out = arg;
  mp_call_next_element(out);
  mp_answer_event(out, row);
  return check_out(out, err);
}

static mp_code run_event(mp_engine *e, mp_call *call, mp_error *err) {
  return mp_store_event(e->store, call->id, add_event, &call->out, err);
}

mp_code mp_engine_event(mp_engine *engine, int64_t id, mp_buf *out, mp_error *err) {
  mp_call *call = mp_call_new(run_event, err);
  if (!call) return MP_ENOMEM;
  call->id = id;
  return mp_call_make(engine, call, out, err);
}

static mp_code run_events(mp_engine *e, mp_call *call, mp_error *err) {
  const mp_event_filter filter = {
      .type = call->text, .routing_held = call->flag, .before = call->id, .limit = call->limit};
  mp_code code;

  mp_buf_add_char(&call->out, '[');
  code = mp_store_events(e->store, &filter, add_event, &call->out, err);
  mp_buf_add_char(&call->out, ']');
  return code;
}

mp_code mp_engine_events(mp_engine *engine, const mp_event_filter *filter, mp_buf *out,
                         mp_error *err) {
  mp_call *call = mp_call_new(run_events, err);
  if (!call) return MP_ENOMEM;
  call->id = filter->before;
  call->limit = filter->limit;
  call->flag = filter->routing_held;
  call->text = filter->type ? strdup(filter->type) : NULL;
  if (filter->type && !call->text) { /* without it all types would be listed */
    mp_call_free(call);
    return mp_fail(err, MP_ENOMEM, "out of memory");
  }
  return mp_call_make(engine, call, out, err);
}
