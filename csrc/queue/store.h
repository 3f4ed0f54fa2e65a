/* The durable store: what the engine asks of a database; store_read.h has what listings and
 * counts ask. SQLite implements it (sqlite*.c); no SQL and no database type is seen outside the
 * implementation.
 *
 * Every call is made by the engine's store thread, inside mp_store_begin ... mp_store_commit unless
 * it says otherwise. After a commit returned MP_OK what the transaction wrote survives kill -9 and
 * a power cut (fsync). After any failure inside a transaction the caller rolls back; nothing of it
 * stays.
 *
 * Times are milliseconds since 1970. When events and webhooks were made and attempts began is told
 * by the wall clock, for people. All else that is due, held or aged is on the store's own clock,
 * which no jump of the wall clock moves (mp_store_clock).
 *
 * A callback must not call the store.
 *
 * Errors: MP_ENOSPC (disk full), MP_EIO, MP_EBUSY (locked for longer than the busy timeout),
 * MP_ECORRUPT, MP_EVERSION, MP_ENOMEM, MP_ENOENT, MP_EINVAL (a row that cannot be: an id that is
 * there already); the message names the store's file. */
#ifndef MP_QUEUE_STORE_H
#define MP_QUEUE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "queue/pace.h"

typedef struct mp_store mp_store;

typedef enum mp_delivery_state {
  MP_WAITING = 0,   /* for its first attempt or its next, at due_ms */
  MP_LEASED = 1,    /* an engine has it: queued there or in flight */
  MP_DELIVERED = 2, /* answered 2xx */
  MP_DEAD = 3,      /* the last attempt of the schedule failed, or its webhook was deleted */
  MP_HELD = 4,      /* its webhook is disabled */
  MP_FILTERED = 5,  /* a script said no */
  MP_STATE_COUNT
} mp_delivery_state;

const char *mp_delivery_state_name(mp_delivery_state state); /* "waiting", "leased", ... */
bool mp_delivery_state_parse(const char *name, mp_delivery_state *state);

/* ---- lifecycle (outside transactions) ------------------------------------------------------- */

/* location is a file's path (created with mode 0600 if missing; its folder must exist) or
 * ":memory:". Migrates an older schema. MP_ECORRUPT for a file that is damaged or is not a moonpost
 * store, MP_EVERSION for a newer schema, MP_EINVAL for a directory or a missing folder: none of
 * these changes the file. */
mp_code mp_store_open(const char *location, mp_store **out, mp_error *err);
void mp_store_close(mp_store *store); /* NULL-safe; rolls back an open transaction */

/* ---- transactions --------------------------------------------------------------------------- */

mp_code mp_store_begin(mp_store *store, mp_error *err); /* takes the write lock */
mp_code mp_store_commit(mp_store *store, mp_error *err);
void mp_store_rollback(mp_store *store); /* no-op when no transaction is open */

/* The disk is full: gives up the room that was kept for that, so that what is under way can still
 * be written. Outside transactions, as the next. */
void mp_store_relieve(mp_store *store);

/* Is there room for new events? Not from mp_store_relieve on until as much could be kept again. */
bool mp_store_has_room(mp_store *store);

/* The file that is written whenever a process commits; NULL: there is none. */
const char *mp_store_signal_file(mp_store *store);

/* Has another connection (another process) committed since the last call? Outside transactions. */
mp_code mp_store_changed(mp_store *store, bool *changed, mp_error *err);

/* ---- the store's clock ---------------------------------------------------------------------- */

/* What is it now on the store's clock? Within one boot of the machine it runs with CLOCK_BOOTTIME,
 * for every engine alike; the first one after a boot sets it by the wall clock, but never back
 * behind what it was seen to be. boot is mp_boot_id, boot_ms and wall_ms what those clocks say.
 * Called by an engine when it joins, now and then while it lives, and before it leaves. */
mp_code mp_store_clock(mp_store *store, const char *boot, int64_t boot_ms, int64_t wall_ms,
                       int64_t *now_ms, mp_error *err);

/* ---- the seal ------------------------------------------------------------------------------- */

/* A text that tells whether a key is the store's; opaque here. Appends it to out; nothing when
 * there is none yet. */
mp_code mp_store_seal(mp_store *store, mp_buf *out, mp_error *err);
mp_code mp_store_set_seal(mp_store *store, const char *text, mp_error *err);

/* A text of the store that is sealed: a webhook's definition, or header fields of an event. */
typedef struct mp_sealed_text {
  const char *webhook; /* its name; NULL: of an event */
  int64_t event_id;
  const char *sealed;
} mp_sealed_text;

/* Sets out to the text that takes its place, valid until the next call. */
typedef mp_code (*mp_reseal_fn)(void *arg, const mp_sealed_text *text, const char **out,
                                mp_error *err);

/* Inside a transaction: gives every sealed text a new form. Reads every event. */
mp_code mp_store_reseal(mp_store *store, mp_reseal_fn fn, void *arg, mp_error *err);

/* ---- engines: who holds leases -------------------------------------------------------------- */

typedef struct mp_engine_identity {
  const char *host; /* mp_host_name */
  int64_t pid;
  int64_t start; /* mp_process_start(pid) */
} mp_engine_identity;

/* Writes this engine's row. id is unique for ever in this store (1 .. 2^23-1); slot is the smallest
 * free number below MP_ID_SLOTS; a row with the same identity is taken for a former engine of
 * this process, and removed; newest_event is the largest event id (0 for none). MP_EBUSY when
 * no slot is free (mp_store_engine_reap first, with self 0). */
mp_code mp_store_engine_join(mp_store *store, const mp_engine_identity *who, int64_t now_ms,
                             int64_t *id, unsigned *slot, int64_t *newest_event, mp_error *err);

/* Says that the engine lives, to engines that cannot see its process. MP_ENOENT when it was taken
 * for dead: it has to join anew, under a new id. */
mp_code mp_store_engine_beat(mp_store *store, int64_t id, int64_t now_ms, mp_error *err);

/* The identity's text is valid only during the call. */
typedef mp_code (*mp_engine_fn)(void *arg, int64_t id, const mp_engine_identity *who,
                                mp_error *err);

/* Lists the engines' rows. May be called outside a transaction. */
mp_code mp_store_engines(mp_store *store, mp_engine_fn fn, void *arg, mp_error *err);

/* Removes the engine's row and makes what it still leased waiting again (held where the webhook is
 * disabled), due at once. */
mp_code mp_store_engine_leave(mp_store *store, int64_t id, mp_error *err);

/* Does as leave for every engine, but self, that is dead: on the same host when its pid does not
 * run or started at another time, elsewhere when its last beat is older than stale_ms (INT64_MAX:
 * that tells nothing yet). Also for leases whose engine has no row. released counts the deliveries
 * made waiting. */
mp_code mp_store_engine_reap(mp_store *store, int64_t self, const char *host, int64_t now_ms,
                             int64_t stale_ms, int64_t *released, mp_error *err);

/* ---- webhooks ------------------------------------------------------------------------------- */

typedef struct mp_webhook_row {
  int64_t id;
  bool from_config; /* kept as code: the row gives it an id, its definition is in the config */
  const char *name;
  const char *definition; /* text, opaque to the store; NULL for from_config */
  bool enabled;
  int64_t created_ms;
  int64_t updated_ms; /* another one after each update */
  int64_t seen_ms;    /* of an update: the updated_ms that the row must still have; 0: any */
  /* Read only: mp_store_webhook_hold and mp_store_webhook_failing write them. */
  int64_t hold_ms;    /* nothing of it is claimed before this time */
  int64_t failing_ms; /* its attempts have failed since; 0: the last one did not */
  int64_t failed_ms;  /* the last failure that was noted */
} mp_webhook_row;

/* Rows are valid only during the call. Returning anything but MP_OK stops the listing. */
typedef mp_code (*mp_webhook_fn)(void *arg, const mp_webhook_row *row, mp_error *err);

/* In ascending id. May be called outside a transaction. */
mp_code mp_store_webhooks(mp_store *store, mp_webhook_fn fn, void *arg, mp_error *err);

/* Sets row->id. Ids are never given twice. */
mp_code mp_store_webhook_insert(mp_store *store, mp_webhook_row *row, mp_error *err);

/* Name, definition, enabled and updated_ms of row->id; MP_ENOENT, MP_ECHANGED. Ends a hold, and
 * what was noted of its failing. Disabling makes its waiting deliveries held; enabling makes its
 * held deliveries waiting, due at now_ms at the latest. */
mp_code mp_store_webhook_update(mp_store *store, const mp_webhook_row *row, int64_t now_ms,
                                mp_error *err);

/* Its waiting and held deliveries become dead, with the error class "discarded". */
mp_code mp_store_webhook_discard(mp_store *store, int64_t id, mp_error *err);

/* What waits behind another (mp_new_delivery's order_key) does so no longer: it is due at now_ms.
 */
mp_code mp_store_webhook_unorder(mp_store *store, int64_t id, int64_t now_ms, mp_error *err);

/* Its waiting and held deliveries become dead, with the error class "deleted"; history stays.
 * MP_ENOENT. */
mp_code mp_store_webhook_delete(mp_store *store, int64_t id, mp_error *err);

/* Its receiver asked to be left alone: nothing of it is claimed before until_ms. A hold is only
 * ever made longer. No-op without the webhook. */
mp_code mp_store_webhook_hold(mp_store *store, int64_t id, int64_t until_ms, mp_error *err);

/* Notes since when its attempts have failed (0: they do not) and when one failed last. No-op
 * without the webhook. */
mp_code mp_store_webhook_failing(mp_store *store, int64_t id, int64_t since_ms, int64_t last_ms,
                                 mp_error *err);

/* ---- events and deliveries ------------------------------------------------------------------ */

/* Did scripts say where an event goes? */
typedef enum mp_event_routing {
  MP_ROUTED,       /* yes, or nobody asked them */
  MP_ROUTING_DUE,  /* they have yet to */
  MP_ROUTING_HELD, /* one failed of it: it waits for a new version, or is being tried again */
} mp_event_routing;

typedef struct mp_event_row {
  int64_t id;
  const char *type;  /* "entry.create" */
  const char *model; /* uid; NULL for events without one */
  int64_t created_ms;
  const char *body; /* the exact bytes that are sent */
  size_t body_len;
  const char *order_key; /* NULL: none */
  const char *headers;   /* text, opaque to the store: fields of its requests alone; NULL: none */
  const char *idempotency_key; /* NULL: none; not read back */
  /* Read only, by mp_store_event and mp_store_events. */
  mp_event_routing routing;
  const char *routing_error; /* what the script failed of last; NULL: of nothing */
} mp_event_row;

/* MP_EINVAL when the id is there already. An idempotency key that is there names the new event from
 * now on: ask mp_store_idempotent first. */
mp_code mp_store_event_insert(mp_store *store, const mp_event_row *event, mp_error *err);

/* Several at once, in the order of their ids, which costs less than one by one. None has an
 * idempotency key. */
mp_code mp_store_events_insert(mp_store *store, const mp_event_row *const *events, size_t count,
                               mp_error *err);

/* The event that was inserted with this idempotency key and whose id was made at or after since_ms,
 * on the store's clock; 0 for none. Older keys are forgotten. */
mp_code mp_store_idempotent(mp_store *store, const char *key, int64_t since_ms, int64_t *event_id,
                            mp_error *err);

typedef struct mp_new_delivery {
  int64_t event_id;
  int64_t webhook_id;
  mp_delivery_state state; /* MP_LEASED, MP_WAITING or MP_HELD; then what it became */
  int64_t due_ms;
  int64_t lease; /* whose it is when it is leased */
  /* Of a leased one: it may be kept with others until its first attempt has ended, which costs
   * less. Another process's reads do not find it until then: for who is alone on the store. */
  bool bundled;
  /* NULL: it goes when it is due. Else it goes in order: of a webhook's deliveries with the same
   * key one at a time is leased or waits for a time of its own; the others wait behind it, and the
   * one of the oldest event comes next when it has ended. */
  const char *order_key;
} mp_new_delivery;

/* An event whose webhooks a script has yet to name has one delivery, to no webhook: its routing. It
 * is claimed and finished as others are, and neither listed nor counted among them. */
#define MP_ROUTING 0 /* as a webhook_id */

/* Which of waiting and held it is, its webhook's enabled says; without its webhook it is dead, with
 * the error class "deleted"; behind another it waits, whatever was asked for. */
mp_code mp_store_delivery_insert(mp_store *store, mp_new_delivery *delivery, mp_error *err);

/* Several at once. None has an order key. Those that are bundled go by ascending lease. */
mp_code mp_store_deliveries_insert(mp_store *store, mp_new_delivery *deliveries, size_t count,
                                   mp_error *err);

/* A lease is a number that no other claim of the delivery ever had: the engine's id, then 40 bits
 * of a counter of the engine's own (which lasts for a year at 30,000 claims a second). */
#define MP_LEASE_BITS          40
#define MP_LEASE(engine_id, n) ((int64_t)(engine_id) << MP_LEASE_BITS | (int64_t)(n))
#define MP_LEASE_ENGINE(lease) ((int64_t)(lease) >> MP_LEASE_BITS)

typedef struct mp_claim {
  int64_t event_id;
  int64_t webhook_id;
  int64_t lease;
  int attempts; /* made so far */
  const char
      *order_key;     /* as inserted; valid only during the callback, as strings and body below */
  const char *script; /* the version of the scripts that let it through (mp_finish); NULL: none */
  mp_event_row event;
} mp_claim;

typedef mp_code (*mp_claim_fn)(void *arg, const mp_claim *claim, mp_error *err);

typedef struct mp_claim_order {
  int64_t webhook_id;
  mp_pace pace; /* all claims of the webhook, whoever makes them, keep to it */
  int64_t now_ms;
  int limit;
  int64_t lease; /* of all that are claimed */
} mp_claim_order;

/* Leases up to limit of one webhook's waiting deliveries that are due, the longest due first.
 * claimed counts them. */
mp_code mp_store_claim(mp_store *store, const mp_claim_order *order, mp_claim_fn fn, void *arg,
                       int *claimed, mp_error *err);

/* When may the webhook's earliest waiting delivery be claimed, as it looks at now_ms? INT64_MAX
 * when none waits, or when something else has to end first. */
mp_code mp_store_next_due(mp_store *store, int64_t webhook_id, const mp_pace *pace, int64_t now_ms,
                          int64_t *due_ms, mp_error *err);

/* One HTTP request of a delivery and what came of it. */
typedef struct mp_attempt {
  int64_t at_ms;           /* when it began */
  int64_t duration_us;     /* until the answer was read or the failure known */
  int status;              /* HTTP status; 0 when none came */
  const char *error_class; /* NULL for 2xx; "http", "dns", "connect", "tls", "timeout", ... */
  const char *error;       /* a sentence; NULL for none */
  const char *response;    /* the start of the response's body; NULL for none */
  size_t response_len;
  const char *script; /* of the delivery then: the version of the scripts; the store adds it */
} mp_attempt;

typedef struct mp_finish {
  int64_t event_id;
  int64_t webhook_id;
  int64_t lease;
  const char *order_key;   /* of the claim, or as it was inserted */
  mp_delivery_state state; /* MP_DELIVERED, MP_DEAD, MP_FILTERED, MP_WAITING (due at due_ms) or
                              MP_HELD (until mp_store_release) */
  int64_t due_ms;
  int64_t now_ms;            /* when what waits behind it becomes due, if it ended */
  const char *script;        /* the version of the scripts that it went through; NULL: as it was */
  const mp_attempt *attempt; /* NULL: given back without one. Of a held one it is what a script
                                failed of, and no step of the schedule */
} mp_finish;

/* Ends a lease: stores the attempt (its number is the delivery's attempts_total + 1) and the new
 * state. applied is false, and nothing changes, when the lease is no longer the delivery's.
 * MP_WAITING is settled as in mp_store_delivery_insert: held when the webhook is disabled; it and
 * MP_HELD are dead when the webhook has been deleted. What finish points to lives until the
 * transaction's end. */
mp_code mp_store_finish(mp_store *store, const mp_finish *finish, bool *applied, mp_error *err);

/* The webhook's deliveries that mp_store_finish held are due at now_ms. */
mp_code mp_store_release(mp_store *store, int64_t webhook_id, int64_t now_ms, mp_error *err);

/* Ends an event's routing: its row goes. applied as in mp_store_finish. */
mp_code mp_store_routed(mp_store *store, int64_t event_id, int64_t lease, bool *applied,
                        mp_error *err);

/* Makes a delivery waiting and due at due_ms, whatever its state (a leased one is left as it is:
 * MP_EBUSY); its attempts count starts anew for the schedule, its history stays. anew: what scripts
 * made of its event is forgotten. Held when its webhook is disabled; where it has an order it waits
 * behind what is under way. MP_ENOENT, also when its webhook was deleted. */
mp_code mp_store_resend(mp_store *store, int64_t event_id, int64_t webhook_id, bool anew,
                        int64_t due_ms, mp_error *err);

/* What scripts made of an event for one webhook: sent in place of its body, at every attempt. */
typedef struct mp_output_row {
  const char *script; /* the version of the scripts, a text opaque to the store */
  const char *body;   /* NULL: the event's own */
  size_t body_len;
  const char *content_type; /* NULL: JSON */
  const char *headers;      /* text, opaque to the store: fields of these requests; NULL: none */
} mp_output_row;

/* Keeps it (in place of an older one), before the delivery's first attempt. applied is false, and
 * nothing changes, when the lease is no longer the delivery's. */
mp_code mp_store_output_put(mp_store *store, int64_t event_id, int64_t webhook_id, int64_t lease,
                            const mp_output_row *output, bool *applied, mp_error *err);

/* Calls fn with what was kept, if there is any; strings and body are valid during the call. */
typedef mp_code (*mp_output_fn)(void *arg, const mp_output_row *output, mp_error *err);
mp_code mp_store_output(mp_store *store, int64_t event_id, int64_t webhook_id, mp_output_fn fn,
                        void *arg, mp_error *err);

/* ---- replay --------------------------------------------------------------------------------- */

typedef enum mp_replay_what {
  MP_REPLAY_DEAD, /* events whose delivery to the webhook is dead ... */
  MP_REPLAY_HELD, /* ... or was held by a script */
  MP_REPLAY_ALL   /* whatever came of it, and events that have none */
} mp_replay_what;

typedef struct mp_replay_range {
  int64_t webhook_id;
  int64_t since_ms, until_ms; /* of the events' created_ms; until_ms is outside */
  mp_replay_what what;
  int64_t after; /* only events above this id */
  int limit;     /* how many are looked at */
} mp_replay_range;

typedef struct mp_replay_row {
  int64_t event_id;
  const char *type;
  const char *model;     /* may be NULL */
  const char *order_key; /* may be NULL */
  int state;             /* of its delivery to the webhook; -1: there is none */
} mp_replay_row;

typedef mp_code (*mp_replay_fn)(void *arg, const mp_replay_row *row, mp_error *err);

/* Lists the events of a range, oldest first. next is where the next step goes on (as after); 0:
 * this one came to the end. */
mp_code mp_store_replay(mp_store *store, const mp_replay_range *range, mp_replay_fn fn, void *arg,
                        int64_t *next, mp_error *err);

/* ---- retention ------------------------------------------------------------------------------- */

#define MP_PRUNE_STEP 256 /* events that one step looks at */

/* Events that were accepted before these times, on the store's clock, are forgotten ... */
typedef struct mp_prune_before {
  int64_t ended_ms; /* ... when all their deliveries ended well ... */
  int64_t dead_ms;  /* ... when one is dead ... */
  int64_t held_ms;  /* ... when one is held. One that is waiting or leased keeps its event. */
} mp_prune_before;

typedef struct mp_pruned {
  int64_t after;  /* where the next step goes on; 0: this one came to the end */
  int64_t old_ms; /* when the first of those that stay, as they are now, will be too old; INT64_MAX:
                     never */
  int count;      /* of events that were forgotten */
} mp_pruned;

/* One step of forgetting: looks at MP_PRUNE_STEP events above after (0: from the oldest) and
 * deletes those that are too old at now_ms, with their deliveries and attempts. What waited behind
 * a held one becomes due. */
mp_code mp_store_prune(mp_store *store, const mp_prune_before *before, int64_t now_ms,
                       int64_t after, mp_pruned *out, mp_error *err);

/* Bytes in use, and bytes that the file keeps for later. Outside transactions, as the next. */
mp_code mp_store_size(mp_store *store, int64_t *used, int64_t *spare, mp_error *err);

/* Gives some of the spare bytes back to the file system: a short step. */
mp_code mp_store_shrink(mp_store *store, mp_error *err);

#endif
