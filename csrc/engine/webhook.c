/* Reading webhook definitions. Store thread. */
#include "engine/webhook.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/read.h"
#include "engine/tls.h"
#include "http/url.h"
#include "payload/json_writer.h"

#define MAX_CONCURRENCY 1000
#define MAX_DELAYS      100
#define MIN_RATE        0.001 /* a second */
#define MAX_RATE        100000.0
#define MAX_BURST       100000

static bool read_header(mp_json *j, mp_headers *headers) {
  char *pair[2] = {NULL, NULL};
  mp_error why = {0};
  int n = 0;
  bool ok = mp_read_list(j);

  while (ok && mp_json_next_element(j)) {
    ok = n < 2 ? mp_read_string(j, &pair[n]) : mp_json_fail(j, "expected a name and a value");
    n++;
  }
  ok = ok && !j->failed && (n == 2 || mp_json_fail(j, "expected a name and a value"));
  if (ok && mp_header_check("headers", pair[0], strlen(pair[0]), pair[1], strlen(pair[1]), &why) !=
                MP_OK) {
    ok = mp_json_fail(j, "%s", why.message);
  }
  if (ok && mp_headers_set(headers, pair[0], pair[1], &why) != MP_OK) ok = mp_read_no_memory(j);
  free(pair[0]);
  free(pair[1]);
  return ok;
}

/* ---- reading fields ------------------------------------------------------------------------- */

static bool read_headers(mp_json *j, mp_headers *headers) {
  if (!mp_read_list(j)) return false;
  while (mp_json_next_element(j)) {
    if (!read_header(j, headers)) return false;
  }
  return !j->failed;
}

mp_code mp_webhook_headers(const char *json, mp_headers *out, mp_error *err) {
  mp_error why = {0};
  mp_json j;

  mp_json_init(&j, json, strlen(json), "headers", &why);
  read_headers(&j, out);
  mp_json_end(&j);
  mp_json_free(&j);
  return j.failed ? mp_read_failure(&why, err) : MP_OK;
}

const mp_header *mp_webhook_headers_write(const mp_headers *headers, mp_buf *out) {
  mp_buf_add_char(out, '[');
  for (size_t i = 0; i < headers->count; i++) {
    const mp_header *h = &headers->items[i];
    mp_buf_add_str(out, i ? ",[" : "[");
    mp_json_add_string(out, h->name, strlen(h->name));
    mp_buf_add_char(out, ',');
    if (!mp_json_add_string(out, h->value, strlen(h->value))) return h;
    mp_buf_add_char(out, ']');
  }
  mp_buf_add_char(out, ']');
  return NULL;
}

/* "*" is every event of the content; reports are asked for by name. */
static void subscribe(const mp_settings *s, const char *pattern, mp_webhook *w) {
  for (size_t i = 0; i < s->event_count; i++) {
    if (mp_event_pattern_matches(pattern, s->events[i])) w->wants[i] = true;
  }
  for (int i = 0; i < MP_REPORT_KINDS && strcmp(pattern, "*") != 0; i++) {
    if (mp_event_pattern_matches(pattern, mp_report_types[i])) w->wants_reports[i] = true;
  }
}

static bool read_events(mp_json *j, const mp_settings *s, mp_webhook *w) {
  bool ok = mp_read_strings(j, &w->patterns, &w->pattern_count);

  w->has_events = true;
  for (size_t i = 0; i < w->pattern_count; i++)
    subscribe(s, w->patterns[i], w);
  return ok;
}

static bool read_schedule(mp_json *j, mp_webhook *w) {
  int64_t *delays = calloc(MAX_DELAYS, sizeof *delays);
  size_t count = 0;

  if (!delays) return mp_read_no_memory(j);
  free(w->own_delays);
  w->own_delays = delays;
  if (!mp_read_list(j)) return false;
  while (mp_json_next_element(j)) {
    double seconds;
    if (count == MAX_DELAYS) return mp_json_fail(j, "more than %d retries", MAX_DELAYS);
    if (!mp_read_number(j, 0, MP_READ_MAX_SECONDS, &seconds)) return false;
    delays[count++] = (int64_t)(seconds * 1000 + 0.5);
  }
  w->retry = (mp_retry){.delays_ms = delays, .count = count};
  return !j->failed;
}

static bool read_rate(mp_json *j, mp_webhook *w) {
  double per_second = 0, burst = 1;
  mp_span key;

  if (!mp_read_object(j)) return false;
  while (mp_json_next_key(j, &key)) {
    bool ok;
    if (mp_read_is(key, "perSecond"))
      ok = mp_read_number(j, MIN_RATE, MAX_RATE, &per_second);
    else if (mp_read_is(key, "burst"))
      ok = mp_read_number(j, 1, MAX_BURST, &burst);
    else
      ok = mp_json_skip(j, NULL);
    if (!ok) return false;
  }
  if (j->failed) return false;
  if (per_second == 0) return mp_json_fail(j, "expected perSecond");
  w->pace = (mp_pace){.interval_us = (int64_t)(1e6 / per_second), .burst = (int)burst};
  return true;
}

static bool read_order(mp_json *j, mp_webhook *w) {
  static const char *const words[] = {"none", "webhook", "key", NULL};
  int order;
  if (!mp_read_word(j, words, &order)) return false;
  w->order = (mp_order)order;
  return true;
}

static bool read_on_enable(mp_json *j, mp_webhook *w) {
  static const char *const words[] = {"send", "discard", NULL};
  int choice;
  if (!mp_read_word(j, words, &choice)) return false;
  w->discard = choice == 1;
  return true;
}

static bool read_field(mp_json *j, const mp_settings *s, mp_webhook *w, mp_span key) {
  double n;

  if (mp_read_is(key, "url")) return mp_read_string(j, &w->url);
  if (mp_read_is(key, "headers")) return read_headers(j, &w->headers);
  if (mp_read_is(key, "events")) return read_events(j, s, w);
  if (mp_read_is(key, "models")) return mp_read_strings(j, &w->models, &w->model_count);
  if (mp_read_is(key, "script")) return mp_read_string(j, &w->script);
  if (mp_read_is(key, "timeout")) return mp_read_milliseconds(j, &w->timeout_ms);
  if (mp_read_is(key, "connectTimeout")) return mp_read_milliseconds(j, &w->connect_timeout_ms);
  if (mp_read_is(key, "retrySchedule")) return read_schedule(j, w);
  if (mp_read_is(key, "rate")) return read_rate(j, w);
  if (mp_read_is(key, "order")) return read_order(j, w);
  if (mp_read_is(key, "on_enable")) return read_on_enable(j, w);
  if (mp_read_is(key, "proxy")) return mp_read_string(j, &w->proxy);
  if (mp_read_is(key, "tls")) return mp_tls_read(j, s->folder, &w->tls);
  if (mp_read_is(key, "secrets")) return mp_signing_read_secrets(j, &w->sendings[0].signing);
  if (mp_read_is(key, "signingKey")) return mp_signing_read_key(j, &w->sendings[0].signing);
  if (mp_read_is(key, "auth")) return mp_auth_read(j, &w->auth);
  if (mp_read_is(key, "hubSignature")) return mp_signing_read_hub(j, &w->sendings[0].signing);
  if (mp_read_is(key, "concurrency")) {
    if (!mp_read_number(j, 1, MAX_CONCURRENCY, &n)) return false;
    w->concurrency = (int)n;
    return true;
  }
  return mp_json_skip(j, NULL);
}

/* A field that moonpost has of its own for this webhook cannot be among its headers. */
static mp_code check_free(const mp_webhook *w, const char *name, const char *what, mp_error *err) {
  if (!name || !mp_headers_get(&w->headers, name)) return MP_OK;
  return mp_fail(err, MP_EINVAL, "webhook.headers['%s']: is that of %s", name, what);
}

static mp_code add_own_headers(mp_webhook *w, mp_error *err) {
  mp_code code = check_free(w, w->sendings[0].signing.body_header, "hubSignature", err);

  if (code == MP_OK) code = check_free(w, w->auth.name, "auth", err);
  if (code != MP_OK || !w->auth.name) return code;
  if (w->sendings[0].signing.body_header &&
      strcasecmp(w->sendings[0].signing.body_header, w->auth.name) == 0) {
    return mp_fail(err, MP_EINVAL, "webhook.hubSignature.header: '%s' is that of auth",
                   w->auth.name);
  }
  return w->auth.value ? mp_headers_set(&w->headers, w->auth.name, w->auth.value, err) : MP_OK;
}

static mp_code read_definition(const mp_settings *s, mp_webhook *w, mp_error *err) {
  mp_error why = {0};
  mp_headers merged;
  mp_json j;
  mp_span key;
  mp_code code;

  mp_json_init(&j, w->definition, strlen(w->definition), "webhook", &why);
  if (mp_read_object(&j)) {
    while (mp_json_next_key(&j, &key) && read_field(&j, s, w, key))
      continue;
    mp_json_end(&j);
  }
  mp_json_free(&j);
  if (j.failed) return mp_read_failure(&why, err);
  if (!w->url) return mp_fail(err, MP_EINVAL, "webhook.url: expected a URL, got none");
  if (!w->has_events) return mp_fail(err, MP_EINVAL, "webhook.events: expected a list, got none");
  code = mp_url_check(w->url, err);
  if (code != MP_OK) return code;
  code = add_own_headers(w, err);
  if (code != MP_OK) return code;
  /* What would fail when it is sent fails now. */
  mp_headers_init(&merged);
  code = mp_headers_merge(&s->default_headers, &w->headers, s->events[0], &merged, err);
  mp_headers_free(&merged);
  return code;
}

/* A webhook that may have many requests under way is sent by several threads; one that may have few
 * gains nothing by it, and would keep more connections. A token is one thread's. */
static mp_code share_out(const mp_settings *s, mp_webhook *w, mp_error *err) {
  mp_code code = MP_OK;

  w->shares = w->concurrency / MP_SHARE_REQUESTS;
  if (w->shares > s->delivery_threads) w->shares = s->delivery_threads;
  if (w->shares < 1 || w->auth.oauth) w->shares = 1;
  for (int i = 1; i < w->shares && code == MP_OK; i++)
    code = mp_signing_copy(&w->sendings[0].signing, &w->sendings[i].signing, err);
  return code;
}

int mp_webhook_share(const mp_webhook *webhook, int share) {
  return webhook->concurrency / webhook->shares +
         (share < webhook->concurrency % webhook->shares ? 1 : 0);
}

/* ---- webhooks ------------------------------------------------------------------------------- */

mp_code mp_webhook_new(const mp_settings *settings, const mp_webhook_row *row, mp_webhook **out,
                       mp_error *err) {
  mp_webhook *w = calloc(1, sizeof *w);
  mp_code code;

  *out = NULL;
  if (!w) return mp_fail(err, MP_ENOMEM, "out of memory");
  atomic_init(&w->refs, 1);
  w->id = row->id;
  w->from_config = row->from_config;
  w->enabled = row->enabled;
  w->created_ms = row->created_ms;
  w->updated_ms = row->updated_ms;
  w->concurrency = settings->concurrency;
  w->timeout_ms = settings->timeout_ms;
  w->connect_timeout_ms = settings->connect_timeout_ms;
  w->retry = (mp_retry){.delays_ms = settings->retry_ms, .count = settings->retry_count};
  mp_headers_init(&w->headers);
  w->name = strdup(row->name);
  w->definition = strdup(row->definition);
  w->wants = calloc(settings->event_count + 1, sizeof *w->wants);
  code = w->name && w->definition && w->wants ? MP_OK : mp_fail(err, MP_ENOMEM, "out of memory");
  if (code == MP_OK) code = read_definition(settings, w, err);
  if (code == MP_OK) code = share_out(settings, w, err);
  if (code != MP_OK) {
    mp_webhook_unref(w);
    return code;
  }
  *out = w;
  return MP_OK;
}

mp_webhook *mp_webhook_ref(mp_webhook *webhook) {
  atomic_fetch_add_explicit(&webhook->refs, 1, memory_order_relaxed);
  return webhook;
}

void mp_webhook_unref(mp_webhook *webhook) {
  mp_webhook *w = webhook;

  if (!w || atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel) > 1) return;
  for (size_t i = 0; i < w->model_count; i++)
    free(w->models[i]);
  for (size_t i = 0; i < w->pattern_count; i++)
    free(w->patterns[i]);
  free(w->patterns);
  free(w->script);
  mp_headers_free(&w->headers);
  mp_auth_free(&w->auth);
  mp_tls_free(&w->tls);
  free(w->proxy);
  for (int i = 0; i < MP_DELIVERY_THREADS; i++) {
    mp_signing_free(&w->sendings[i].signing);
    mp_target_free(w->sendings[i].target);
  }
  free(w->models);
  free(w->name);
  if (w->definition) explicit_bzero(w->definition, strlen(w->definition)); /* it holds secrets */
  free(w->definition);
  free(w->url);
  free(w->wants);
  free(w->own_delays);
  free(w);
}

bool mp_webhook_wants(const mp_webhook *webhook, int type_index, const char *model) {
  if (type_index < 0 || !webhook->wants[type_index]) return false;
  if (!webhook->models) return true;
  for (size_t i = 0; model && i < webhook->model_count; i++) {
    if (strcmp(webhook->models[i], model) == 0) return true;
  }
  return false;
}

bool mp_webhook_wants_type(const mp_webhook *webhook, const mp_settings *settings, const char *type,
                           const char *model) {
  for (int i = 0; i < MP_REPORT_KINDS; i++) {
    if (strcmp(mp_report_types[i], type) == 0) return webhook->wants_reports[i];
  }
  for (size_t i = 0; i < settings->event_count; i++) {
    if (strcmp(settings->events[i], type) == 0) return mp_webhook_wants(webhook, (int)i, model);
  }
  return false;
}

const char *mp_webhook_order_key(const mp_webhook *webhook, const char *event_key) {
  if (webhook->order == MP_ORDER_KEY) return event_key;
  return webhook->order == MP_ORDER_WEBHOOK ? "" : NULL;
}

bool mp_event_pattern_matches(const char *pattern, const char *type) {
  size_t len = strlen(pattern);

  if (strcmp(pattern, "*") == 0) return true;
  if (len > 2 && strcmp(pattern + len - 2, ".*") == 0) return strncmp(pattern, type, len - 1) == 0;
  return strcmp(pattern, type) == 0;
}
