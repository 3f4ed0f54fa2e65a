/* The inside of a target, for client.c. */
#ifndef MP_HTTP_TARGET_H
#define MP_HTTP_TARGET_H

#include <curl/curl.h>

#include "http/client.h"
#include "http/start.h"

/* The header lines of one event type, ready for CURLOPT_HTTPHEADER. */
typedef struct mp_event_lines {
  struct mp_event_lines *next;
  struct curl_slist *lines;
  char event[];
} mp_event_lines;

struct mp_target {
  unsigned long long number; /* no other target of the process has it, not even a former one */
  CURLU *url;
  char *url_text; /* as libcurl writes it; libcurl's */
  mp_place place;
  mp_place proxy_place; /* of own_proxy */
  bool own_proxy;
  mp_tls tls_options;
  const mp_netguard *guard;
  char *refusal; /* NULL: the guard has nothing against the URL as it is written */
  mp_headers defaults;
  mp_headers headers;
  mp_event_lines *by_event; /* at most one an event type */
  char *proxy;
  char *user_agent;
  char *own_names[MP_OWN_NAMES]; /* NULL: none */
  bool tls;
  long timeout_ms;
  long connect_timeout_ms;
};

/* A header field in libcurl's form, at the list's end; NULL, with the list freed, when out of
 * memory.
 */
struct curl_slist *mp_target_add_line(struct curl_slist *list, const char *name, const char *value);

/* The merged header lines of an event type; made at its first use. NULL when out of memory. */
struct curl_slist *mp_target_lines(mp_target *target, const char *event);

/* The same with fields of one request between the defaults and the webhook's own, and its content
 * type (NULL: JSON). headers may be NULL. The caller frees the list. NULL when out of memory, or
 * when all fields together are too long. */
struct curl_slist *mp_target_lines_with(const mp_target *target, const char *event,
                                        const mp_headers *headers, const char *content_type);

#endif
