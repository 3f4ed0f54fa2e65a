/* Reading a webhook's auth. Store thread. */
#include "engine/auth.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/base64.h"
#include "engine/read.h"
#include "http/headers.h"
#include "http/url.h"

typedef enum auth_type { BEARER, BASIC, HEADER, API_KEY, OAUTH2 } auth_type;

enum {
  TYPE,
  TOKEN,
  USERNAME,
  PASSWORD,
  NAME,
  VALUE,
  TOKEN_URL,
  CLIENT_ID,
  CLIENT_SECRET,
  SCOPE,
  AUDIENCE,
  CLIENT_AUTH,
  FIELDS
};

static const char *const field_names[FIELDS] = {"type",         "token", "username", "password",
                                                "name",         "value", "tokenUrl", "clientId",
                                                "clientSecret", "scope", "audience", "clientAuth"};

static void wipe(char *text) {
  if (text) explicit_bzero(text, strlen(text));
  free(text);
}

static bool need(mp_json *j, char *const *fields, int which) {
  return (fields[which] && *fields[which]) || mp_json_fail(j, "expected %s", field_names[which]);
}

/* What was written is over its limit, or found no memory. */
static bool no_room(mp_json *j, mp_buf *text) {
  bool large = text->failed == MP_E2BIG;

  if (text->data) explicit_bzero(text->data, text->cap);
  mp_buf_free(text);
  return large ? mp_json_fail(j, "more than %zu bytes", text->limit) : mp_read_no_memory(j);
}

/* A buffer's text, NUL-terminated and the caller's. */
static bool take(mp_json *j, mp_buf *text, char **out) {
  mp_buf_add_char(text, '\0');
  if (text->failed != MP_OK) return no_room(j, text);
  *out = mp_buf_take(text, NULL);
  return true;
}

/* ---- what is known beforehand --------------------------------------------------------------- */

static bool make_bearer(mp_json *j, char *const *fields, char **out) {
  mp_buf text;

  if (!need(j, fields, TOKEN)) return false;
  mp_buf_init(&text, MP_HEADERS_MAX_BYTES);
  mp_buf_add_str(&text, "Bearer ");
  mp_buf_add_str(&text, fields[TOKEN]);
  return take(j, &text, out);
}

/* RFC 7617 section 2: the user's name has no colon. */
static bool make_basic(mp_json *j, const char *user, const char *password, char **out) {
  mp_buf plain, text;

  if (strchr(user, ':')) return mp_json_fail(j, "username: expected no colon");
  mp_buf_init(&plain, MP_HEADERS_MAX_BYTES);
  mp_buf_init(&text, MP_BUF_NO_LIMIT);
  mp_buf_add_str(&plain, user);
  mp_buf_add_char(&plain, ':');
  mp_buf_add_str(&plain, password);
  if (plain.failed != MP_OK) return no_room(j, &plain);
  mp_buf_add_str(&text, "Basic ");
  mp_base64_add(&text, (unsigned char *)plain.data, plain.len);
  explicit_bzero(plain.data, plain.cap);
  mp_buf_free(&plain);
  return take(j, &text, out);
}

static bool check_field(mp_json *j, const char *name, const char *value) {
  mp_error why;

  if (mp_header_check("auth", name, strlen(name), value, strlen(value), &why) != MP_OK) {
    return mp_json_fail(j, "%s", why.message);
  }
  return !mp_header_is_own(name) || mp_json_fail(j, "auth.name: '%s' is moonpost's own", name);
}

static bool make_field(mp_json *j, const char *name, mp_auth *auth) {
  auth->name = strdup(name);
  if (!auth->name) return mp_read_no_memory(j);
  return !auth->value || check_field(j, auth->name, auth->value);
}

/* ---- OAuth 2.0 ------------------------------------------------------------------------------ */

/* application/x-www-form-urlencoded (RFC 6749 appendix B). */
static void add_encoded(mp_buf *out, const char *text) {
  static const char digits[] = "0123456789ABCDEF";

  for (const char *c = text; *c; c++) {
    unsigned char byte = (unsigned char)*c;
    if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
        (byte >= '0' && byte <= '9') || strchr("-._~", byte)) {
      mp_buf_add_char(out, *c);
    } else {
      char escape[3] = {'%', digits[byte >> 4], digits[byte & 15]};
      mp_buf_add(out, escape, sizeof escape);
    }
  }
}

static void add_parameter(mp_buf *out, const char *name, const char *value) {
  if (!value || !*value) return;
  mp_buf_add_char(out, '&');
  mp_buf_add_str(out, name);
  mp_buf_add_char(out, '=');
  add_encoded(out, value);
}

static bool make_form(mp_json *j, char *const *fields, bool in_body, char **out) {
  mp_buf text;

  mp_buf_init(&text, MP_BUF_NO_LIMIT);
  mp_buf_add_str(&text, "grant_type=client_credentials");
  add_parameter(&text, "scope", fields[SCOPE]);
  add_parameter(&text, "audience", fields[AUDIENCE]);
  if (in_body) {
    add_parameter(&text, "client_id", fields[CLIENT_ID]);
    add_parameter(&text, "client_secret", fields[CLIENT_SECRET]);
  }
  return take(j, &text, out);
}

static bool encoded(mp_json *j, const char *text, char **out) {
  mp_buf buf;
  mp_buf_init(&buf, MP_BUF_NO_LIMIT);
  mp_buf_reserve(&buf, 1);
  add_encoded(&buf, text);
  return take(j, &buf, out);
}

/* RFC 6749 section 2.3.1: both are encoded as in a form first. */
static bool make_client(mp_json *j, char *const *fields, char **out) {
  char *id = NULL, *secret = NULL;
  bool ok = encoded(j, fields[CLIENT_ID], &id) && encoded(j, fields[CLIENT_SECRET], &secret) &&
            make_basic(j, id, secret, out);
  free(id);
  wipe(secret);
  return ok;
}

static bool make_oauth(mp_json *j, char **fields, mp_auth *auth) {
  const char *how = fields[CLIENT_AUTH];
  bool in_body = how && strcmp(how, "body") == 0;
  mp_error why;

  if (!need(j, fields, TOKEN_URL) || !need(j, fields, CLIENT_ID) ||
      !need(j, fields, CLIENT_SECRET)) {
    return false;
  }
  if (how && !in_body && strcmp(how, "basic") != 0) {
    return mp_json_fail(j, "clientAuth: expected basic or body");
  }
  if (mp_url_check(fields[TOKEN_URL], &why) != MP_OK) {
    return mp_json_fail(j, "tokenUrl: %s", why.message);
  }
  auth->oauth = calloc(1, sizeof *auth->oauth);
  if (!auth->oauth) return mp_read_no_memory(j);
  auth->oauth->token_url = fields[TOKEN_URL];
  fields[TOKEN_URL] = NULL;
  if (!in_body && !make_client(j, fields, &auth->oauth->authorization)) return false;
  return make_form(j, fields, in_body, &auth->oauth->body);
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool read_fields(mp_json *j, char **fields) {
  mp_span key;

  if (!mp_read_object(j)) return false;
  while (mp_json_next_key(j, &key)) {
    int i = 0;
    bool ok;
    while (i < FIELDS && !mp_read_is(key, field_names[i]))
      i++;
    ok = i < FIELDS ? mp_read_string(j, &fields[i]) : mp_json_skip(j, NULL);
    if (!ok) return false;
  }
  return !j->failed;
}

static bool type_of(mp_json *j, const char *type, auth_type *out) {
  static const char *const types[] = {"bearer", "basic", "header", "apiKey", "oauth2"};

  for (size_t i = 0; type && i < sizeof types / sizeof types[0]; i++) {
    if (strcmp(type, types[i]) != 0) continue;
    *out = (auth_type)i;
    return true;
  }
  return mp_json_fail(j, "expected a type: bearer, basic, header, apiKey or oauth2");
}

static bool make(mp_json *j, char **fields, mp_auth *auth) {
  auth_type type = BEARER;

  if (!type_of(j, fields[TYPE], &type)) return false;
  switch (type) {
    case BEARER:
      return make_bearer(j, fields, &auth->value) && make_field(j, "Authorization", auth);
    case BASIC:
      return need(j, fields, USERNAME) &&
             make_basic(j, fields[USERNAME], fields[PASSWORD] ? fields[PASSWORD] : "",
                        &auth->value) &&
             make_field(j, "Authorization", auth);
    case HEADER:
    case API_KEY:
      if (!need(j, fields, NAME) || !need(j, fields, VALUE)) return false;
      auth->value = fields[VALUE];
      fields[VALUE] = NULL;
      return make_field(j, fields[NAME], auth);
    case OAUTH2:
      return make_oauth(j, fields, auth) && make_field(j, "Authorization", auth);
  }
  return false;
}

bool mp_auth_read(mp_json *j, mp_auth *auth) {
  char *fields[FIELDS] = {NULL};
  bool ok = read_fields(j, fields);

  mp_auth_free(auth); /* of a key that is there twice: the reader may find that later */
  ok = ok && make(j, fields, auth);
  for (int i = 0; i < FIELDS; i++)
    wipe(fields[i]);
  return ok;
}

void mp_auth_free(mp_auth *auth) {
  mp_oauth *o = auth->oauth;

  free(auth->name);
  wipe(auth->value);
  if (o) {
    free(o->token_url);
    wipe(o->body);
    wipe(o->authorization);
    wipe(o->bearer);
    mp_target_free(o->target);
    free(o);
  }
  *auth = (mp_auth){0};
}
