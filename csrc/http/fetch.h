/* One HTTP request, waited for: what a command line does, never the engine. */
#ifndef MP_HTTP_FETCH_H
#define MP_HTTP_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/headers.h"

typedef struct mp_fetch {
  const char *method; /* "GET" */
  const char *url;    /* http or https; not checked against anything */
  const mp_headers *headers;
  const char *body; /* NULL: none */
  size_t body_len;
  int64_t timeout_ms;
  size_t max_answer; /* bytes of the answer's body */
} mp_fetch;

typedef struct mp_fetched {
  int status;
  mp_buf body;         /* the caller initialises and frees both */
  mp_buf content_type; /* empty: the answer named none */
} mp_fetched;

/* Redirects are not followed; the environment names no proxy. Blocks the calling thread, at most
 * timeout_ms. MP_EIO: no answer, the message says why; MP_ETIMEDOUT; MP_E2BIG; MP_EINVAL (the URL);
 * MP_ENOMEM. */
mp_code mp_fetch_run(const mp_fetch *request, mp_fetched *out, mp_error *err);

#endif
