/* An engine under faults: a host that uses it in every way and writes down what it was told, and
 * the check of that against the store and the receiver when the faults are over. The rule: an emit
 * answers an error and the event is nowhere, or the event is safe and delivered in the end.
 *
 * The config's webhook is at /c; the host makes another at /a, and now and then one at /b. */
#ifndef MP_TEST_ENGINE_RUN_H
#define MP_TEST_ENGINE_RUN_H

#include <inttypes.h>

#include "base/clock.h"
#include "engine/log.h"
#include "test/engine_common.h"
#include "test/sink.h"
#include "test/temp_folder.h"

#define RUN_EMITS   256
#define RUN_LIMIT_S 60

/* An emit, and what its host was told. */
typedef struct told {
  int64_t ids[3];
  int count;
  mp_code code;
  int64_t existing;
  int64_t a; /* the webhook at /a; 0: it was not there */
} told;

typedef struct run {
  char path[160]; /* of the store */
  sink *sink;
  bool (*allowed)(mp_code code); /* may the fault of this run have this code? NULL: any goes */
  mp_engine *engine;
  int64_t a;
  told told[RUN_EMITS];
  int emits;
} run;

/* ---- an engine ------------------------------------------------------------------------------ */

static mp_settings *run_settings(const run *r) {
  mp_settings *s = common_settings(r->path, "same");
  char text[256];

  CHECK(mp_headers_set(&s->default_headers, "X-Default", "d", NULL) == MP_OK, "out of memory");
  snprintf(text, sizeof text, "{\"url\":\"http://127.0.0.1:%d/c\",\"events\":[\"*\"]}",
           r->sink->port);
  s->endpoints = sure(calloc(1, sizeof *s->endpoints));
  s->endpoints[s->endpoint_count++] =
      (mp_endpoint){.name = copy_text("config"), .definition = copy_text(text), .enabled = true};
  s->retry_ms = sure(calloc(60, sizeof *s->retry_ms));
  for (s->retry_count = 0; s->retry_count < 60; s->retry_count++)
    s->retry_ms[s->retry_count] = 20;
  s->timeout_ms = 20000;
  s->connect_timeout_ms = 20000;
  s->concurrency = 4;
  s->max_concurrency = 16;
  if (getenv("MOONPOST_FAULT_LOG")) s->log = mp_logger_new(MP_LOG_DEBUG, false);
  return s;
}

/* A call that was begun when the fault was over works; one before may have met it. */
static bool run_answer(run *r, const char *what, bool over, mp_code code, const mp_error *err) {
  if (code == MP_OK) return true;
  if (!r->allowed) return false;
  CHECK(!over, "%s, when the fault was over: %s: %s", what, mp_code_name(code), err->message);
  CHECK(r->allowed(code), "%s: %s: %s", what, mp_code_name(code), err->message);
  CHECK(err->code == code && err->message[0], "%s: %s without a message", what, mp_code_name(code));
  return false;
}

static void run_open(run *r) {
  bool opened = false;

  for (int i = 0; i < (r->allowed ? 100 : 3) && !opened; i++) {
    mp_error err = {0};
    mp_settings *s;
    bool over = fault_over();
    fault_spared = true;
    s = run_settings(r);
    fault_spared = false;
    opened = run_answer(r, "open", over, mp_engine_open(s, &r->engine, &err), &err);
    CHECK(opened == (r->engine != NULL), "open answers an engine and an error");
  }
  CHECK(opened || !r->allowed, "open never worked");
}

static void run_close(run *r) {
  mp_error err = {0};
  mp_code code = mp_engine_close(r->engine, 20000, &err);
  CHECK(code == MP_OK || !r->allowed, "close: %s", err.message);
  r->engine = NULL;
}

/* A run on a store of this process's own in the test's folder. */
static void run_begin(run *r, sink *receiver, bool (*allowed)(mp_code code)) {
  *r = (run){.sink = receiver, .allowed = allowed};
  snprintf(r->path, sizeof r->path, "%s/%d.db", folder, (int)getpid());
  sink_start(receiver);
}

static void run_end(run *r) {
  static const char *const ends[] = {"", "-wal", "-shm", "-journal", "-reserve", ".key"};
  char name[200];

  sink_stop(r->sink);
  for (int i = 0; i < 6; i++) {
    snprintf(name, sizeof name, "%s%s", r->path, ends[i]);
    unlink(name);
  }
}

/* ---- emitting ------------------------------------------------------------------------------- */

static told *run_emit(run *r, int count, bool wait, const char *key, const char *headers) {
  told *t = &r->told[r->emits++];
  mp_list events = {0};
  mp_error err = {0};
  bool over = fault_over();

  CHECK(r->emits < RUN_EMITS, "too many emits");
  *t = (told){.count = count, .a = r->a};
  for (int i = 0; i < count; i++) {
    mp_event_row row = {.id = t->ids[i] = mp_engine_next_id(r->engine),
                        .type = i % 2 ? "entry.update" : "entry.create",
                        .model = "api::a.a",
                        .created_ms = mp_wall_ms(),
                        .body = "{\"entry\":{}}",
                        .body_len = 12,
                        .order_key = key,
                        .headers = headers,
                        .idempotency_key = i == 0 ? key : NULL};
    mp_event *event;
    fault_spared = true; /* the caller's */
    event = mp_event_new(&row, i % 2);
    fault_spared = false;
    CHECK(event, "out of memory");
    mp_list_push(&events, &event->node);
  }
  t->code = mp_engine_emit(r->engine, &events, wait, wait ? &t->existing : NULL, &err);
  run_answer(r, "emit", over, t->code, &err);
  return t;
}

/* ---- calls ---------------------------------------------------------------------------------- */

static bool run_has(const mp_buf *out, const char *text) {
  return out->data && memmem(out->data, out->len, text, strlen(text)) != NULL;
}

/* Makes a webhook at the path and answers its id; 0 when it was refused. */
static int64_t run_webhook(run *r, char path) {
  char definition[1024];
  mp_error err = {0};
  int64_t id = 0;
  bool over = fault_over();
  mp_buf out;

  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  snprintf(definition, sizeof definition,
           "{\"url\":\"http://127.0.0.1:%d/%c\",\"headers\":[[\"X-A\",\"b\"]],"
           "\"events\":[\"entry.*\"],\"models\":[\"api::a.a\",\"api::b.b\"],"
           "\"secrets\":[[\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"],"
           "[\"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\",9e14]],"
           "\"signingKey\":\"whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=\","
           "\"hubSignature\":{\"secret\":\"s\",\"header\":\"X-Hub\",\"encoding\":\"hex\"},"
           "\"auth\":{\"type\":\"basic\",\"username\":\"u\",\"password\":\"p\"},"
           "\"concurrency\":32," /* shared between two threads */
           "\"retrySchedule\":[0.02,0.02,0.02,0.02,0.02,0.02,0.02,0.02,0.02,0.02,0.02,0.02]}",
           r->sink->port, path);
  if (run_answer(r, "create", over,
                 mp_engine_webhook_create(r->engine, "w", definition, true, &out, &err), &err)) {
    CHECK(run_has(&out, "\"id\":\"") && run_has(&out, "\"definition\":{"), "create answers %.*s",
          (int)out.len, out.data);
    id = atoll((const char *)memmem(out.data, out.len, "\"id\":\"", 6) + 6);
  }
  mp_buf_free(&out);
  return id;
}

static void run_update(run *r, int64_t id) {
  char definition[256];
  mp_error err = {0};
  bool over = fault_over();
  mp_buf out;

  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  snprintf(definition, sizeof definition,
           "{\"url\":\"http://127.0.0.1:%d/a\",\"events\":[\"entry.*\"],"
           "\"retrySchedule\":[0.02,0.02,0.02,0.02,0.02,0.02,0.02,0.02,0.02,0.02,0.02,0.02]}",
           r->sink->port);
  run_answer(r, "update", over,
             mp_engine_webhook_update(r->engine, id, "w2", definition, true, 0, &out, &err), &err);
  mp_buf_free(&out);
}

typedef enum run_read {
  RUN_STATS,
  RUN_WEBHOOKS,
  RUN_WEBHOOK,
  RUN_DELIVERIES,
  RUN_DELIVERY,
  RUN_ATTEMPTS,
  RUN_EVENT,
  RUN_EVENTS,
  RUN_TRIGGER,
  RUN_DELETE,
  RUN_READS
} run_read;

/* Makes a call; its answer is whole, or an error. */
static bool run_call(run *r, run_read call, int64_t webhook, int64_t event) {
  static const char *const names[] = {"stats",    "webhooks", "webhook", "deliveries", "delivery",
                                      "attempts", "event",    "events",  "trigger",    "delete"};
  mp_delivery_filter all = {.state = -1, .limit = 100};
  mp_event_filter updates = {.type = "entry.update", .limit = 100};
  const char *name = call < RUN_READS ? names[call] : "";
  mp_engine *e = r->engine;
  bool over = fault_over(), worked;
  mp_error err = {0};
  mp_code code = MP_OK;
  mp_buf out;

  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  switch (call) {
    case RUN_STATS:
      code = mp_engine_stats(e, true, &out, &err);
      break;
    case RUN_WEBHOOKS:
      code = mp_engine_webhooks(e, &out, &err);
      break;
    case RUN_WEBHOOK:
      code = mp_engine_webhook(e, webhook, &out, &err);
      break;
    case RUN_DELIVERIES:
      code = mp_engine_deliveries(e, &all, &out, &err);
      break;
    case RUN_DELIVERY:
      code = mp_engine_delivery(e, event, webhook, &out, &err);
      break;
    case RUN_ATTEMPTS:
      code = mp_engine_attempts(e, event, webhook, &out, &err);
      break;
    case RUN_EVENT:
      code = mp_engine_event(e, event, &out, &err);
      break;
    case RUN_EVENTS:
      code = mp_engine_events(e, &updates, &out, &err);
      break;
    case RUN_TRIGGER:
      code = mp_engine_trigger(e, webhook, mp_wall_ms(), &out, &err);
      break;
    case RUN_DELETE:
      code = mp_engine_webhook_delete(e, webhook, &out, &err);
      break;
    case RUN_READS:
      break;
  }
  worked = run_answer(r, name, over, code, &err);
  if (worked) {
    CHECK(out.len >= 2 && strchr("{[", out.data[0]) && strchr("}]", out.data[out.len - 1]),
          "%s answers %.*s", name, (int)out.len, out.data);
    CHECK(call != RUN_EVENTS || !r->allowed || !run_has(&out, "entry.create"),
          "events are of another type: %.*s", (int)out.len, out.data);
    CHECK(call != RUN_WEBHOOKS || !r->allowed || !r->a || run_has(&out, "/a\""),
          "a webhook is missing: %.*s", (int)out.len, out.data);
  }
  mp_buf_free(&out);
  return worked;
}

static void run_resend(run *r, int64_t event, int64_t webhook) {
  bool over = fault_over();
  mp_error err = {0};
  mp_code code;
  mp_buf out;

  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  code = mp_engine_resend(r->engine, event, webhook, false, &out, &err);
  if (code != MP_EBUSY) run_answer(r, "resend", over, code, &err); /* it is being sent just now */
  mp_buf_free(&out);
}

/* ---- what must hold afterwards -------------------------------------------------------------- */

/* The number after "name": in the engine's stats. */
static long long run_stat(run *r, const char *name) {
  long long value;
  mp_error err = {0};
  mp_buf out;

  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  CHECK(mp_engine_stats(r->engine, true, &out, &err) == MP_OK, "stats: %s", err.message);
  value = number_in(&out, name);
  mp_buf_free(&out);
  return value;
}

static bool run_stored(run *r, int64_t event) {
  mp_error err = {0};
  mp_code code;
  mp_buf out;

  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  code = mp_engine_event(r->engine, event, &out, &err);
  CHECK(code == MP_OK || code == MP_ENOENT, "event: %s", err.message);
  mp_buf_free(&out);
  return code == MP_OK;
}

/* All that was accepted was sent, and nothing waits. */
static bool run_delivered(run *r, char *missing, size_t size) {
  snprintf(missing, size, "nothing");
  for (int i = 0; i < r->emits; i++) {
    const told *t = &r->told[i];
    for (int k = 0; t->code == MP_OK && !t->existing && k < t->count; k++) {
      bool c = sink_got(r->sink, t->ids[k], 'c') > 0;
      bool a = t->a == 0 || sink_got(r->sink, t->ids[k], 'a') > 0;
      if (c && a) continue;
      snprintf(missing, size, "emit %d, event %d, at /%c (%s)", i, k, c ? 'a' : 'c',
               run_stored(r, t->ids[k]) ? "stored" : "not stored");
      return false;
    }
  }
  return run_stat(r, "waiting") + run_stat(r, "leased") == 0;
}

static void run_wait_delivered(run *r) {
  int64_t until = mp_mono_ms() + RUN_LIMIT_S * 1000;
  char missing[128];

  while (!run_delivered(r, missing, sizeof missing)) {
    CHECK(mp_mono_ms() < until, "accepted, but not delivered: %s; waiting %lld, leased %lld",
          missing, run_stat(r, "waiting"), run_stat(r, "leased"));
    usleep(2000);
  }
}

/* The ledger against the store and the receiver. */
static void run_check_emits(run *r) {
  for (int i = 0; i < r->emits; i++) {
    const told *t = &r->told[i];
    for (int k = 0; k < t->count; k++) {
      bool stored = run_stored(r, t->ids[k]);
      int sent = sink_got_anywhere(r->sink, t->ids[k]);
      if (t->code == MP_OK && !t->existing) {
        CHECK(stored, "emit %d, event %d: accepted, and not stored", i, k);
      } else if (t->code != MP_ETIMEDOUT) {
        CHECK(!stored, "emit %d, event %d: refused (%s), and stored", i, k, mp_code_name(t->code));
        CHECK(sent == 0, "emit %d, event %d: refused (%s), and sent", i, k, mp_code_name(t->code));
      }
    }
  }
}

/* With no fault any more: the engine that is open works; so does one opened anew. */
static void run_check(run *r) {
  const told *t;

  fault_end();
  if (!r->engine) run_open(r);
  t = run_emit(r, 1, true, NULL, NULL);
  CHECK(!t->existing, "an emit without a key has been there");
  run_wait_delivered(r);
  run_check_emits(r);
  CHECK(run_stat(r, "dead") == 0, "a delivery is dead");
  run_close(r);
  run_open(r);
  run_wait_delivered(r);
  run_check_emits(r);
  run_close(r);
}

/* ---- the host's work ------------------------------------------------------------------------ */

static void run_work(run *r) {
  static const char headers[] = "[[\"X-Own\",\"1\"],[\"X-More\",\"2\"]]";
  int64_t event = 0, b;
  mp_error err = {0};
  const told *t;
  bool over;

  run_open(r);
  if (!r->engine) return;
  for (int i = 0; i < (r->allowed ? 100 : 1) && !r->a; i++)
    r->a = run_webhook(r, 'a');
  CHECK(r->a || !r->allowed, "a webhook could never be made");
  t = run_emit(r, 1, true, NULL, NULL);
  if (t->code == MP_OK) event = t->ids[0];
  run_emit(r, 1, false, NULL, NULL);
  run_emit(r, 3, false, NULL, headers);
  run_emit(r, 3, true, "key", headers);
  run_emit(r, 1, true, "key", NULL);
  over = fault_over();
  run_answer(r, "wait", over, mp_engine_wait(r->engine, 30000, &err), &err);
  for (int call = RUN_STATS; call <= RUN_TRIGGER; call++) {
    if (event) run_call(r, (run_read)call, r->a, event);
  }
  if (r->a) run_update(r, r->a);
  run_emit(r, 1, true, NULL, NULL);
  if (event) run_resend(r, event, r->a);
  b = run_webhook(r, 'b');
  run_emit(r, 2, true, NULL, NULL);
  if (b) run_call(r, RUN_DELETE, b, 0);
  run_emit(r, 1, false, NULL, NULL);
  run_emit(r, 1, false, "key 2", NULL);
}

#endif
