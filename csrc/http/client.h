/* The HTTP client: many POST requests at a time on one libcurl multi handle.
 *
 * Owned by one thread (one of the engine's delivery threads), which starts requests and polls; only
 * mp_client_wake may be called from others. libcurl is seen nowhere outside http/. */
#ifndef MP_HTTP_CLIENT_H
#define MP_HTTP_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "http/headers.h"
#include "http/netguard.h"
#include "http/tls.h"

#define MP_OWN_NAMES      2
#define MP_REQUEST_FIELDS 5

typedef struct mp_client mp_client;
typedef struct mp_target mp_target;

/* ---- targets -------------------------------------------------------------------------------- */

typedef struct mp_target_options {
  const char *url;            /* checked with mp_url_check */
  const mp_headers *defaults; /* defaultHeaders */
  const mp_headers *headers;  /* the webhook's own */
  int64_t timeout_ms;         /* the whole request */
  int64_t connect_timeout_ms;
  const char *proxy;        /* NULL: none, whatever the environment says */
  bool own_proxy;           /* it is the webhook's, and the guard judges it too */
  const mp_tls *tls;        /* NULL: as usual */
  const mp_netguard *guard; /* stays with the caller; NULL: without rules of its own */
  const char *user_agent;   /* when no header sets one */
  /* Names that each request has fields of its own for (mp_request's), besides those that are always
   * reserved: such a field of the defaults, the webhook or an event is left out. */
  const char *own_names[MP_OWN_NAMES];
} mp_target_options;

/* Where and how one webhook's requests go, prepared once: the parsed URL, and the merged header
 * lines for each event type that was sent. Used by one thread at a time. */
mp_code mp_target_new(const mp_target_options *options, mp_target **out, mp_error *err);
void mp_target_free(mp_target *target); /* NULL-safe; not while a request uses it */

/* Why the guard lets no request go there, whatever a resolver says; NULL: it may. Starting one for
 * a target that is refused fails with this. */
const char *mp_target_refusal(const mp_target *target);

/* ---- requests ------------------------------------------------------------------------------- */

/* What came of a request. Pointers are valid during the callback only. */
typedef struct mp_result {
  int64_t at_ms;           /* wall clock, when it was started */
  int64_t duration_us;     /* until the answer was read or the failure known */
  int status;              /* HTTP status; 0 when none came */
  const char *error_class; /* NULL: answered 2xx. Else "http", "dns", "guard", "connect", "tls",
                              "timeout", "reset", "response" or "internal"; a static string */
  const char *error;       /* a sentence; "" when error_class is NULL */
  const char *response;    /* the first bytes of the body */
  size_t response_len;     /* at most the client's response_keep */
  int64_t retry_after_s;   /* Retry-After of a 429 or 503 (RFC 9110 section 10.2.3), as seconds from
                              now; 0: none */
} mp_result;

/* arg is the one given to mp_client_start. */
typedef void (*mp_done_fn)(void *owner, void *arg, const mp_result *result);

/* A header field that is moonpost's own. Neither part is empty. */
typedef struct mp_field {
  const char *name;
  const char *value;
} mp_field;

typedef struct mp_request {
  mp_target *target;
  const char *event;      /* X-Strapi-Event; NULL: no event, so the target's own headers alone */
  const mp_field *fields; /* sent before all others; copied */
  size_t field_count;     /* at most MP_REQUEST_FIELDS */
  const mp_headers
      *headers; /* of this request alone: over the defaults, under the webhook's own; NULL: none */
  const char *content_type; /* NULL: JSON */
  const char *body;         /* stays with the caller until the request is done */
  size_t body_len;
  mp_done_fn done; /* NULL: the client's */
} mp_request;

typedef struct mp_client_options {
  int max_requests;      /* under way at a time */
  atomic_int *under_way; /* counts them, with those of other clients; NULL: not counted */
  size_t response_keep;  /* bytes of each response's body that are kept */
  mp_done_fn done;       /* called from mp_client_poll and mp_client_abort */
  void *owner;
} mp_client_options;

mp_code mp_client_new(const mp_client_options *options, mp_client **out, mp_error *err);

/* Only when nothing is under way: mp_client_abort first. NULL-safe. */
void mp_client_free(mp_client *client);

/* Is there room for one more request? */
bool mp_client_room(const mp_client *client);
int mp_client_active(const mp_client *client);

/* Starts a request. A failure (MP_ENOMEM, MP_EAGAIN without room, MP_EINVAL for a refused target)
 * means done is not called. */
mp_code mp_client_start(mp_client *client, const mp_request *request, void *arg, mp_error *err);

/* Moves the requests on, calling done for those that ended; waits up to timeout_ms for something to
 * happen (0: does not wait), or until mp_client_wake. */
void mp_client_poll(mp_client *client, int timeout_ms);

/* Makes a poll return at once. From any thread. */
void mp_client_wake(mp_client *client);

/* Ends every request under way, calling done with the class "aborted" for each. Does not wait for
 * resolver threads. */
void mp_client_abort(mp_client *client);

#endif
