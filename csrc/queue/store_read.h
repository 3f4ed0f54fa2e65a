/* Reading the store: what lists and counts show of events, deliveries and attempts. store.h says
 * what holds for these calls too; they may be made outside or inside a transaction.
 *
 * Rows, and what they point to, are valid only during the call that gives them. A callback that
 * returns anything but MP_OK stops the listing. */
#ifndef MP_QUEUE_STORE_READ_H
#define MP_QUEUE_STORE_READ_H

#include "queue/store.h"

typedef struct mp_delivery_row {
  int64_t event_id;
  int64_t webhook_id;
  mp_delivery_state state;
  int64_t due_ms;     /* of a waiting one; INT64_MAX when it waits behind another; else 0 */
  int attempts;       /* made for the present schedule */
  int attempts_total; /* ever */
  const char *event_type;
  const char *model; /* may be NULL */
  int64_t created_ms;
  int64_t last_at_ms; /* of the last attempt; 0 before the first */
  int64_t last_duration_us;
  int last_status;
  const char *last_error_class; /* may be NULL */
  const char *last_error;       /* may be NULL */
  const char *script;           /* the version of the scripts that it went through; may be NULL */
} mp_delivery_row;

typedef struct mp_delivery_filter {
  int64_t webhook_id; /* 0: any */
  int64_t event_id;   /* 0: any */
  int state;          /* an mp_delivery_state, or -1: any */
  int limit;
  int64_t before_event,
      before_webhook; /* a cursor: only what is older than this delivery; 0: from the newest */
} mp_delivery_filter;

typedef mp_code (*mp_delivery_fn)(void *arg, const mp_delivery_row *row, mp_error *err);
/* Newest first (descending event id, then descending webhook id). */
mp_code mp_store_deliveries(mp_store *store, const mp_delivery_filter *filter, mp_delivery_fn fn,
                            void *arg, mp_error *err);
/* One; MP_ENOENT. */
mp_code mp_store_delivery(mp_store *store, int64_t event_id, int64_t webhook_id, mp_delivery_fn fn,
                          void *arg, mp_error *err);

typedef mp_code (*mp_attempt_fn)(void *arg, int number, const mp_attempt *attempt, mp_error *err);
/* Oldest first, numbered from 1. */
mp_code mp_store_attempts(mp_store *store, int64_t event_id, int64_t webhook_id, mp_attempt_fn fn,
                          void *arg, mp_error *err);

typedef mp_code (*mp_event_fn)(void *arg, const mp_event_row *row, mp_error *err);
/* One; MP_ENOENT. */
mp_code mp_store_event(mp_store *store, int64_t id, mp_event_fn fn, void *arg, mp_error *err);
typedef struct mp_event_filter {
  const char *type;  /* NULL: any */
  bool routing_held; /* only MP_ROUTING_HELD */
  int64_t before;    /* only older ones; 0: from the newest */
  int limit;
} mp_event_filter;

/* Newest first. */
mp_code mp_store_events(mp_store *store, const mp_event_filter *filter, mp_event_fn fn, void *arg,
                        mp_error *err);

/* Reads what waits and is leased, however much that is, and the running totals of the rest. As of
 * the last commit, as the next. */
typedef struct mp_store_counts {
  int64_t events;   /* in the store */
  int64_t accepted; /* deliveries ever inserted */
  /* Those of the accepted that ended so, forgotten ones included (a held one that was forgotten is
   * dead), and those that are leased, waiting or held now. They add up to accepted. */
  int64_t deliveries[MP_STATE_COUNT];
  int64_t routing;      /* events that wait for their routing, or are in it */
  int64_t routing_held; /* of which a script failed */
} mp_store_counts;

mp_code mp_store_count(mp_store *store, mp_store_counts *out, mp_error *err);

/* The running totals, and what is leased: a read whose cost does not grow with what waits. */
typedef struct mp_store_totals {
  int64_t events;
  int64_t accepted, delivered, dead, filtered; /* as in mp_store_counts */
  int64_t leased;                              /* now, by all engines; routings not counted */
} mp_store_totals;

mp_code mp_store_read_totals(mp_store *store, mp_store_totals *out, mp_error *err);

/* What a webhook's deliveries in the store are waiting for; of each no more than the limit is
 * counted. */
typedef struct mp_backlog {
  int waiting; /* for their time, or their turn; or for the webhook to be enabled */
  int held;    /* by a script */
} mp_backlog;

mp_code mp_store_backlog(mp_store *store, int64_t webhook_id, int limit, mp_backlog *out,
                         mp_error *err);

#endif
