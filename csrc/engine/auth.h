/* How one webhook's requests show their receiver who sends them: read from its definition. Part of
 * the webhook's snapshot. */
#ifndef MP_ENGINE_AUTH_H
#define MP_ENGINE_AUTH_H

#include "base/list.h"
#include "http/client.h"
#include "payload/json_reader.h"

/* OAuth 2.0 client credentials (RFC 6749 section 4.4). */
typedef struct mp_oauth {
  char *token_url;
  char *body;          /* the form that is posted there; holds the secret where in_body */
  char *authorization; /* "Basic ..." for there; NULL: the body has the secret */

  /* the delivery thread of its lane (engine/token.c) */
  mp_target *target;  /* of the token's endpoint; freed with the webhook */
  char *bearer;       /* "Bearer ..."; NULL: there is no token */
  int64_t refresh_ms; /* monotonic: when another is to be asked for */
  int generation;     /* of the token */
  bool asking;        /* its endpoint was asked and has not answered */
  mp_list waiting;    /* of mp_delivery, for the answer */
} mp_oauth;

typedef struct mp_auth {
  char *name;  /* of the header field; NULL: there is none */
  char *value; /* NULL: it has a token, which is asked for */
  mp_oauth *oauth;
} mp_auth;

/* { "type": "bearer", "token" } | { "type": "basic", "username", "password" } |
 * { "type": "header" or "apiKey", "name", "value" } |
 * { "type": "oauth2", "tokenUrl", "clientId", "clientSecret", "scope"?, "audience"?,
 *   "clientAuth": "basic" | "body"? } */
bool mp_auth_read(mp_json *j, mp_auth *auth);
void mp_auth_free(mp_auth *auth); /* wipes what is secret */

#endif
