/* A webhook as the engine uses it: an immutable snapshot of its row, shared by the lane and by the
 * deliveries that were made under it. An update makes a new snapshot. */
#ifndef MP_ENGINE_WEBHOOK_H
#define MP_ENGINE_WEBHOOK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/auth.h"
#include "engine/report.h"
#include "engine/settings.h"
#include "engine/signing.h"
#include "http/client.h"
#include "http/tls.h"
#include "queue/retry.h"
#include "queue/store.h"

typedef enum mp_order {
  MP_ORDER_NONE,
  MP_ORDER_WEBHOOK, /* one delivery at a time */
  MP_ORDER_KEY      /* one of each emit key at a time */
} mp_order;

#define MP_SHARE_REQUESTS 16 /* at a time, that a share of a lane has at least */

/* What one delivery thread needs to send a webhook's requests: nothing in it is shared. */
typedef struct mp_sending {
  mp_signing signing;
  mp_target *target; /* made at the first request */
} mp_sending;

typedef struct mp_webhook {
  atomic_int refs;
  int64_t id;
  bool from_config;
  bool enabled;
  int64_t created_ms;
  int64_t updated_ms;
  char *name;
  char *definition; /* the JSON it was made from */
  char *url;
  mp_headers headers;
  mp_auth auth; /* what is known of it beforehand is among the headers */
  char *proxy;  /* NULL: the settings' */
  mp_tls tls;
  bool has_events;
  bool *wants; /* for each of the settings' event types */
  bool wants_reports[MP_REPORT_KINDS];
  char **patterns; /* of its events, as they were given */
  size_t pattern_count;
  char **models; /* uids; NULL: every model, and events without one */
  size_t model_count;
  char *script; /* the name of its own script; NULL: none */
  int concurrency;
  mp_pace pace;
  mp_order order;
  bool discard; /* enabling it discards what was held */
  int64_t timeout_ms;
  int64_t connect_timeout_ms;
  mp_retry retry;      /* the settings' delays, or own_delays */
  int64_t *own_delays; /* NULL: none */
  int shares;          /* how many delivery threads its requests are shared among */
  mp_sending sendings[MP_DELIVERY_THREADS]; /* one for each share */
} mp_webhook;

/* Reads a definition:
 *   { "url": "...", "headers": [["Name", "value"], ...], "events": ["entry.*", ...],
 *     "models": ["uid", ...]?, "timeout": seconds?, "connectTimeout": seconds?, "concurrency": n?,
 *     "retrySchedule": [seconds, ...]?, "rate": { "perSecond": n, "burst": n? }?,
 *     "order": "none" | "webhook" | "key"?, "on_enable": "send" | "discard"?, "script": "name"?,
 *     "secrets"?, "signingKey"?, "hubSignature"? (engine/signing.h), "auth"? (engine/auth.h),
 *     "proxy": "URL"?, "tls"? (engine/tls.h) }
 * with what is absent taken from the settings (which must outlive the webhook). Other keys are
 * passed over: a newer moonpost may have written them. MP_EINVAL, MP_ENOMEM. */
mp_code mp_webhook_new(const mp_settings *settings, const mp_webhook_row *row, mp_webhook **out,
                       mp_error *err);
mp_webhook *mp_webhook_ref(mp_webhook *webhook);
void mp_webhook_unref(mp_webhook *webhook); /* NULL-safe */

/* How many requests may be under way at a time of this share? All shares' together: concurrency. */
int mp_webhook_share(const mp_webhook *webhook, int share);

/* Is this event for this webhook? model is a uid or NULL. */
bool mp_webhook_wants(const mp_webhook *webhook, int type_index, const char *model);

/* The same for a type by its name: one of the settings', or a report's. */
bool mp_webhook_wants_type(const mp_webhook *webhook, const mp_settings *settings, const char *type,
                           const char *model);

/* What an event's delivery is ordered by (mp_new_delivery): "" is all of the webhook's. */
const char *mp_webhook_order_key(const mp_webhook *webhook, const char *event_key);

/* Reads header fields from JSON, [["Name", "value"], ...], onto out. MP_EINVAL, MP_ENOMEM. */
mp_code mp_webhook_headers(const char *json, mp_headers *out, mp_error *err);

/* And writes them so. Answers the first field that is not UTF-8, with nothing usable written; NULL:
 * all are. */
const mp_header *mp_webhook_headers_write(const mp_headers *headers, mp_buf *out);

/* Does an event pattern ("entry.create", "entry.*", "*") name this event type? */
bool mp_event_pattern_matches(const char *pattern, const char *type);

#endif
