/* Lanes: one for each webhook, so that what one receiver does costs the others nothing.
 *
 * The store thread owns the left half of a lane (what is claimed), the delivery threads the right
 * half (what is sent), each a share of it. A lane lives as long as its engine. */
#ifndef MP_ENGINE_LANE_H
#define MP_ENGINE_LANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "engine/circuit.h"
#include "engine/event.h"
#include "engine/metrics.h"
#include "engine/scripted.h"
#include "engine/webhook.h"

/* What different threads write for each event begins a cache line, so that they do not wait for
 * each other's. */
#define MP_OWN_LINE _Alignas(64)

typedef struct mp_lane mp_lane;

/* What one delivery thread has of a lane. */
typedef struct mp_lane_share {
  MP_OWN_LINE mp_lane *lane;
  mp_list queue; /* of mp_delivery, in claim order */
  int active;    /* requests under way */
  bool in_turns;
  mp_node turn; /* in the thread's turns, while it has something to start */
} mp_lane_share;

struct mp_lane {
  int64_t webhook_id; /* MP_ROUTING: the lane of events that scripts have yet to route */

  /* store thread */
  mp_webhook *webhook; /* NULL: deleted, or kept in the config of another process */
  int leased;          /* claimed by this engine and not finished */
  int64_t window_ms;   /* when the present window of MP_LANE_WINDOW_MS began ... */
  int window[2];       /* ... how many it finished since, and in the window before */
  int64_t next_due_ms; /* nothing of it waits in the store that is due earlier */
  mp_circuit circuit;
  int64_t failing_ms; /* its attempts have failed since; 0: they do not */
  int64_t failed_ms;  /* the last failure that the store knows of */
  bool disabling;     /* the open transaction, or the last one, disables its webhook */
  bool stale;         /* next_due_ms is to be read anew */
  bool seen;          /* while the webhooks are read anew */
  bool chosen;        /* while an event is routed */
  int home;           /* the delivery thread that has its first share; the next have the others */
  int handed[MP_DELIVERY_THREADS]; /* of each share: deliveries that have not come back */
  mp_lane_counts counts;

  /* both */
  MP_OWN_LINE atomic_bool stopped; /* disabled or deleted: what is queued is given back */
  atomic_llong hold_ms; /* until then too (store's clock), for the receiver asked for it or keeps
                           failing; written by the store thread */

  /* script thread */
  mp_list scripting;   /* of mp_delivery: to be run through scripts */
  int64_t script_us;   /* what that took of the thread, made equal when it begins anew */
  mp_node script_turn; /* in the list of lanes that have some */

  /* delivery threads: as many as there are */
  mp_lane_share shares[];
};

typedef struct mp_lanes {
  mp_lane **items; /* in ascending webhook id */
  size_t count;
  size_t cap;
  size_t next;          /* whose turn it is to claim */
  int delivery_threads; /* that lanes are shared among */
} mp_lanes;

static inline bool mp_lane_is_webhook(const mp_lane *lane) {
  return lane->webhook && lane->webhook_id != MP_ROUTING;
}

mp_lane *mp_lanes_find(const mp_lanes *lanes, int64_t webhook_id); /* NULL when there is none */
mp_lane *mp_lanes_add(mp_lanes *lanes, int64_t webhook_id); /* found or made; NULL: no memory */
void mp_lanes_free(mp_lanes *lanes);

#define MP_LANE_WINDOW_MS 100

/* One more of its deliveries has ended. */
void mp_lane_ended(mp_lane *lane, int64_t now_ms);

/* How many of the lane's deliveries may this engine hold? As many as it sends at once, and ahead of
 * them what it finishes in a window: so a fast lane waits for no commit, and one that hangs holds
 * its slots alone. A lane with a rate holds nothing ahead: what is claimed begins at once. */
int mp_lane_slots(const mp_lane *lane);
int mp_lane_ahead(const mp_lane *lane, int64_t now_ms);

/* A delivery in memory: claimed by this engine, or a trigger. In one list at a time. */
typedef struct mp_delivery {
  mp_node node;
  mp_lane *lane;
  mp_event *event;         /* a reference */
  mp_webhook *webhook;     /* a reference */
  int64_t lease;           /* 0: a trigger */
  int share;               /* of the lane, once it is handed over; -1: it is not yet */
  const char *order_key;   /* in the event, or ""; NULL: none */
  int attempts;            /* made before this lease */
  struct mp_call *trigger; /* whom to tell; NULL for a claimed delivery */
  mp_scripted *scripted;   /* what scripts made of it; NULL: it did not go through any */

  /* Written by its delivery thread before it hands the delivery back. */
  bool attempted;
  bool waited_for_token; /* in this attempt ... */
  int token_generation;  /* ... for one after this; else the one that it was sent with */
  int64_t started_ms;    /* on the store's clock */
  mp_attempt attempt;
  int64_t retry_after_ms; /* how long the receiver asked to be left alone; 0: it did not */
  char *text;             /* holds attempt.error and attempt.response; NULL for none */

  /* Written by the store thread when it finishes the delivery. */
  mp_delivery_state state;
  int64_t due_ms;
  int64_t hold_ms;          /* the lane is left alone until then; 0: it is not */
  bool applied;             /* the lease was still its own */
  bool noted;               /* the lane's circuit knows of it ... */
  mp_circuit_change change; /* ... and this came of it */
  bool failing_changed;     /* these go into the lane when the transaction is committed */
  int64_t failing_ms, failed_ms;
} mp_delivery;

/* Takes references to event and webhook. NULL when out of memory. */
mp_delivery *mp_delivery_new(mp_lane *lane, mp_webhook *webhook, mp_event *event);
void mp_delivery_free(mp_delivery *delivery); /* NULL-safe */

/* Keeps a result in the delivery. What does not fit into memory is left out. */
void mp_delivery_record(mp_delivery *delivery, const mp_result *result);

#endif
