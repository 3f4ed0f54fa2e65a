/* What an engine is opened with. Built by the Lua binding from the checked config, copied by the
 * engine, immutable afterwards. */
#ifndef MP_ENGINE_SETTINGS_H
#define MP_ENGINE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/log.h"
#include "http/headers.h"
#include "http/netguard.h"
#include "payload/sanitize.h"
#include "script/script.h"

#define MP_MAX_EVENT_TYPES  256
#define MP_DELIVERY_THREADS 8 /* at most */

/* A webhook kept as code. */
typedef struct mp_endpoint {
  char *name;
  char *definition; /* JSON, as in mp_webhook_row */
  bool enabled;
} mp_endpoint;

/* The scripts of the deployment. */
typedef struct mp_script_settings {
  const mp_script_ops *ops; /* of the Lua that this is built for */
  char *folder;             /* NULL: there are no scripts */
  char **global;            /* names of those that are run for every event, in this order */
  size_t global_count;
  char *constants; /* a JSON object */
  mp_script_limits limits;
  size_t max_output; /* bytes of what a script makes of an event */
  mp_schema *schema; /* what scripts return is sanitized by; a reference */
  mp_sanitize_options sanitize;
} mp_script_settings;

typedef struct mp_settings {
  char *store;  /* a path or ":memory:" */
  char *folder; /* the config's, to which paths in webhooks are relative; NULL: the process's */
  char *key;    /* the base64 of the key that secrets are sealed with; NULL: it is in the file */
  char *key_file;
  char *fingerprint; /* two opens of one store in one process must agree in it */
  char **events;     /* every known event type */
  size_t event_count;
  mp_headers default_headers;
  mp_endpoint *endpoints;
  size_t endpoint_count;
  int64_t *retry_ms; /* the schedule, for webhooks without their own */
  size_t retry_count;
  int64_t timeout_ms;
  int64_t connect_timeout_ms;
  int concurrency;     /* requests under way of one webhook */
  int max_concurrency; /* of all webhooks together (each delivery thread but one may be one ahead);
                          above it, up to twice as many, only one of each */
  int delivery_threads;
  char *proxy;        /* NULL: none */
  mp_netguard *guard; /* NULL: public addresses alone */
  char *user_agent;
  size_t inbox_count; /* emits handed over and not committed */
  size_t inbox_bytes; /* their bodies together */
  int64_t emit_timeout_ms;
  int64_t keep_delivered_ms; /* how long history is kept ... */
  int64_t keep_dead_ms;      /* ... with a dead or held delivery in it */
  int64_t max_store_bytes;   /* above it the oldest history goes sooner; 0: no limit */
  int64_t probe_ms;          /* how long a receiver that keeps failing is left alone at first */
  int64_t disable_after_ms;  /* a webhook that has failed for so long is disabled; 0: never */
  bool give_way;             /* waking up, its threads take the CPU from nobody */
  mp_logger *log;            /* a reference; NULL: nothing is logged */
  mp_script_settings scripts;
} mp_settings;

void mp_settings_free(mp_settings *settings); /* NULL-safe; frees the struct too */

#endif
