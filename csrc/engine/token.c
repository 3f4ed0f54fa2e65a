/* Asking for tokens (RFC 6749 sections 4.4, 5.1 and 5.2). The webhook's delivery thread.
 *
 * What always holds: while a webhook's endpoint is asked, deliveries wait in its list and hold the
 * webhook. What the endpoint answers is never shown: it may hold what it was sent. */
#include "engine/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/read.h"
#include "payload/number.h"

#define MAX_TOKEN    4096
#define MAX_LIFE_S   ((double)24 * 60 * 60)
#define USUAL_LIFE_S 300.0 /* of a token whose endpoint does not say */
#define EARLY_S      60.0  /* it is refreshed so long before its end, or a tenth of its life */

bool mp_token_ready(const mp_delivery *delivery) {
  const mp_oauth *o = delivery->webhook->auth.oauth;
  if (!o->bearer) return false;
  /* One that it waited for is used however short its life is. */
  if (delivery->waited_for_token && delivery->token_generation < o->generation) return true;
  return mp_mono_ms() < o->refresh_ms;
}

/* ---- the answer ----------------------------------------------------------------------------- */

typedef struct token_answer {
  char *token;
  char *type;
  double life_s;
} token_answer;

/* Some write it as a string. */
static bool read_life(mp_json *j, double *out) {
  char *text = NULL;
  bool ok;

  if (mp_json_type_of(j) == MP_JSON_NUMBER) return mp_read_number(j, -1e15, 1e15, out);
  if (mp_json_type_of(j) != MP_JSON_STRING) return mp_json_skip(j, NULL);
  if (!mp_read_string(j, &text)) return false;
  ok = mp_number_read(text, out) || mp_json_fail(j, "expected seconds");
  free(text);
  return ok;
}

static bool read_answer(const char *text, size_t len, token_answer *out) {
  mp_error why;
  mp_span key;
  mp_json j;
  bool ok;

  mp_json_init(&j, text, len, "token", &why);
  ok = mp_read_object(&j);
  while (ok && mp_json_next_key(&j, &key)) {
    if (mp_read_is(key, "access_token"))
      ok = mp_read_string(&j, &out->token);
    else if (mp_read_is(key, "token_type"))
      ok = mp_read_string(&j, &out->type);
    else if (mp_read_is(key, "expires_in"))
      ok = read_life(&j, &out->life_s);
    else
      ok = mp_json_skip(&j, NULL);
  }
  mp_json_end(&j);
  mp_json_free(&j);
  return !j.failed;
}

/* What is wrong with it; NULL: nothing. */
static const char *judge(const token_answer *a) {
  size_t len = a->token ? strlen(a->token) : 0;

  if (len == 0) return "answered without an access_token";
  if (len > MAX_TOKEN) return "answered with an access_token of more than 4096 bytes";
  for (const char *c = a->token; *c; c++) {
    if (*c < '!' || *c > '~') return "answered with an access_token that no header field can have";
  }
  if (a->type && strcasecmp(a->type, "Bearer") != 0) {
    return "answered with a token_type other than Bearer";
  }
  return NULL;
}

static const char *keep(mp_oauth *o, const token_answer *a) {
  double life = a->life_s < 0 ? 0 : a->life_s > MAX_LIFE_S ? MAX_LIFE_S : a->life_s;
  double early = life / 10 < EARLY_S ? life / 10 : EARLY_S;
  char *bearer;

  if (asprintf(&bearer, "Bearer %s", a->token) < 0) return "no memory for its answer";
  if (o->bearer) explicit_bzero(o->bearer, strlen(o->bearer));
  free(o->bearer);
  o->bearer = bearer;
  o->refresh_ms = mp_mono_ms() + (int64_t)((life - early) * 1000);
  o->generation++;
  return NULL;
}

static const char *take(mp_oauth *o, const mp_result *result) {
  token_answer a = {.life_s = USUAL_LIFE_S};
  bool read = read_answer(result->response, result->response_len, &a);
  const char *wrong = read ? judge(&a) : "answered with something else than a JSON object of 8 KiB";

  if (!wrong) wrong = keep(o, &a);
  if (a.token) explicit_bzero(a.token, strlen(a.token));
  free(a.token);
  free(a.type);
  return wrong;
}

/* Of the error's fields only the code is told, and only one that RFC 6749 knows: the rest could
 * repeat the secret. */
static const char *error_code(const mp_result *result) {
  static const char *const codes[] = {"invalid_request", "invalid_client",
                                      "invalid_grant",   "unauthorized_client",
                                      "invalid_scope",   "unsupported_grant_type"};
  const char *known = NULL;
  char *text = NULL;
  mp_error why;
  mp_span key;
  mp_json j;

  mp_json_init(&j, result->response, result->response_len, "error", &why);
  if (mp_read_object(&j)) {
    while (mp_json_next_key(&j, &key)) {
      bool ok = mp_read_is(key, "error") && mp_json_type_of(&j) == MP_JSON_STRING
                    ? mp_read_string(&j, &text)
                    : mp_json_skip(&j, NULL);
      if (!ok) break;
    }
  }
  mp_json_free(&j);
  for (size_t i = 0; text && i < sizeof codes / sizeof codes[0]; i++) {
    if (strcmp(text, codes[i]) == 0) known = codes[i];
  }
  if (text) explicit_bzero(text, strlen(text));
  free(text);
  return known;
}

static void describe(const mp_result *result, const char *wrong, char *out, size_t size) {
  const char *code = result->status >= 400 ? error_code(result) : NULL;
  snprintf(out, size, "the token's endpoint: %s%s%s%s", wrong ? wrong : result->error,
           code ? " (" : "", code ? code : "", code ? ")" : "");
}

/* The client's callback: the endpoint answered, or did not. */
static void on_token(void *owner, void *arg, const mp_result *result) {
  mp_sender *s = owner;
  mp_oauth *o = arg;
  bool aborted = result->error_class && strcmp(result->error_class, "aborted") == 0;
  const char *wrong = result->error_class ? NULL : take(o, result);
  mp_result failure = {.at_ms = result->at_ms,
                       .duration_us = result->duration_us,
                       .error_class = aborted ? "aborted" : "auth",
                       .retry_after_s = result->retry_after_s};
  mp_list waiting = {0};
  char text[256];
  mp_node *n;

  o->asking = false;
  mp_list_append(&waiting, &o->waiting);
  if (!result->error_class && !wrong) {
    mp_delivery_again(s, &waiting);
    return;
  }
  describe(result, wrong, text, sizeof text);
  failure.error = text;
  while ((n = mp_list_pop(&waiting)) != NULL)
    mp_delivery_ended(s, MP_CONTAINER(n, mp_delivery, node), &failure);
}

/* ---- asking --------------------------------------------------------------------------------- */

static mp_code target_of(const mp_engine *e, mp_webhook *w, mp_target **out, mp_error *err) {
  mp_oauth *o = w->auth.oauth;
  mp_target_options options;
  mp_headers headers;
  mp_code code = MP_OK;

  *out = o->target;
  if (o->target) return MP_OK;
  mp_headers_init(&headers);
  if (o->authorization) code = mp_headers_set(&headers, "Authorization", o->authorization, err);
  if (code == MP_OK) code = mp_headers_set(&headers, "Accept", "application/json", err);
  mp_delivery_target(e, w, &options);
  options.url = o->token_url;
  options.defaults = NULL;
  options.headers = &headers;
  memset(options.own_names, 0, sizeof options.own_names);
  if (code == MP_OK) code = mp_target_new(&options, &o->target, err);
  mp_headers_free(&headers);
  *out = o->target;
  return code;
}

static mp_code ask(mp_sender *s, mp_webhook *w, mp_error *err) {
  mp_oauth *o = w->auth.oauth;
  mp_request request = {.content_type = "application/x-www-form-urlencoded",
                        .body = o->body,
                        .body_len = strlen(o->body),
                        .done = on_token};
  mp_code code = target_of(s->engine, w, &request.target, err);

  if (code == MP_OK && mp_target_refusal(request.target)) {
    return mp_fail(err, MP_EINVAL, "the token's endpoint: %s", mp_target_refusal(request.target));
  }
  if (code == MP_OK) code = mp_client_start(s->client, &request, o, err);
  if (code == MP_OK) o->asking = true;
  return code;
}

mp_code mp_token_wait(mp_sender *sender, mp_delivery *delivery, mp_error *err) {
  mp_oauth *o = delivery->webhook->auth.oauth;
  mp_code code = o->asking ? MP_OK : ask(sender, delivery->webhook, err);

  if (code != MP_OK) return code;
  delivery->waited_for_token = true;
  delivery->token_generation = o->generation;
  mp_list_push(&o->waiting, &delivery->node);
  return MP_OK;
}

bool mp_token_refused(mp_sender *sender, mp_delivery *delivery) {
  mp_oauth *o = delivery->webhook->auth.oauth;
  mp_list one = {0};
  mp_error err;

  if (delivery->waited_for_token) return false; /* it was a new one, or it had its turn */
  if (o->generation == delivery->token_generation) {
    o->refresh_ms = 0; /* it is no good to any other either */
    return mp_token_wait(sender, delivery, &err) == MP_OK;
  }
  delivery->waited_for_token = true; /* another has got a new one meanwhile */
  mp_list_push(&one, &delivery->node);
  mp_delivery_again(sender, &one);
  return true;
}
