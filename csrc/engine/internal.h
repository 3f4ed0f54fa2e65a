/* The inside of an engine, shared by the files of this folder only. */
#ifndef MP_ENGINE_INTERNAL_H
#define MP_ENGINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/list.h"
#include "engine/engine.h"
#include "engine/lane.h"
#include "engine/log.h"
#include "engine/mailbox.h"
#include "engine/secret.h"
#include "engine/watch.h"
#include "http/client.h"
#include "queue/store.h"

#define MP_RESPONSE_KEEP  8192 /* bytes of a response's body that are kept */
#define MP_IDEMPOTENCY_MS ((int64_t)24 * 60 * 60 * 1000) /* how long an idempotency key counts */
#define MP_TRIGGER_MAX_MS ((int64_t)11 * 60 * 1000) /* over the longest request timeout (600 s) */

/* What a host thread waits for. All fields: engine->lock. When the host gave up waiting (or never
 * wanted to), abandoned is set and whoever completes the ticket frees its owner. */
typedef struct mp_ticket {
  bool done;
  bool abandoned;
  mp_error error; /* code MP_OK: it worked */
} mp_ticket;

/* An emit on its way to the store thread. */
typedef struct mp_emit {
  mp_node node;
  mp_ticket ticket;
  mp_list events;    /* of mp_event */
  int64_t handed_us; /* monotonic */
  size_t bytes;
  bool no_wait;
  int64_t existing;    /* see mp_engine_emit */
  mp_mailbox *mailbox; /* who is told, when mail is not NULL */
  mp_mail *mail;
} mp_emit;

/* Anything else that a host asks of the store thread. */
typedef struct mp_call {
  mp_node node;
  mp_ticket ticket;
  /* On the store thread; inside a transaction of its own when the call writes. Sets deferred when
   * the ticket will be completed later. */
  mp_code (*run)(mp_engine *engine, struct mp_call *call, mp_error *err);
  mp_code (*then)(mp_engine *engine, struct mp_call *call,
                  mp_error *err); /* after the commit; may be NULL */
  bool writes;
  bool deferred;
  /* Of a deferred call: gives it to another thread, which completes it. May be NULL. */
  void (*hand_on)(mp_engine *engine, struct mp_call *call);
  /* What run needs, and its answer. */
  int64_t id, id2;
  bool flag;
  bool created; /* the webhook is new */
  int limit;
  mp_replay_range range;
  char *name, *text; /* owned */
  size_t text_len;
  mp_delivery_filter filter;
  mp_buf out;
  mp_mailbox *mailbox; /* who is told, when mail is not NULL: nobody waits then */
  mp_mail *mail;
} mp_call;

typedef struct mp_script_thread mp_script_thread; /* script_thread.c */
typedef struct mp_sender mp_sender;               /* delivery_thread.h */

#define MP_FULL_BATCH 256 /* events that are worth a transaction at once */
#define MP_INSERTS    64

/* Rows that the open transaction will insert, several at once, which costs less (insert.c). */
typedef struct mp_inserts {
  const mp_event_row *events[MP_INSERTS]; /* of the batch's emits */
  size_t event_count;
  mp_new_delivery deliveries[MP_INSERTS];
  size_t delivery_count;
} mp_inserts;

/* One transaction of the store thread, while it is made. */
typedef struct mp_batch {
  int64_t now_ms; /* on the store's clock */
  mp_list emits;  /* of mp_emit: in this transaction */
  mp_list leased; /* of mp_delivery: leased in it, handed over after it */
  mp_list reports;
  int events;  /* of hosts */
  int rows;    /* deliveries inserted */
  bool reload; /* it changes webhooks */
  bool told;   /* the log, of an event that went nowhere */
} mp_batch;

/* One half of the store thread's work, and whether it fails (commit.c). */
typedef struct mp_half {
  bool failing;
  int64_t retry_at; /* monotonic ms before which it is not tried again; 0: it does not fail */
} mp_half;

/* When the store thread does what else there is to do (upkeep.c). Times are monotonic ms;
 * INT64_MAX: not before something else happens. */
typedef struct mp_upkeep {
  int64_t joined_ms;
  bool file_is_watched; /* the watch tells what other processes write */
  bool polls;           /* it cannot tell all: they are looked at every second */
  bool alone;           /* no other engine is on the store */
  bool foreign;         /* one is that cannot see this process: it needs heartbeats */
  int64_t next_look, looked_ms;
  int looks_left; /* after something was written */
  int64_t next_beat;
  int64_t next_prune;
  long long forgotten_at; /* the commits when there was no old history left; -1: there is some */
  bool too_large;         /* the store is over its size */
  mp_pruned pruned;       /* by the last step */
} mp_upkeep;

typedef enum mp_reload {
  MP_RELOAD_NONE,
  MP_RELOAD_CHANGED, /* this engine changed some */
  MP_RELOAD_ALL      /* another process wrote: it may also have changed what waits */
} mp_reload;

/* Does the store thread hear of new work? Dozing, it is woken by what is urgent alone. */
typedef enum mp_sleep { MP_AWAKE, MP_DOZING, MP_ASLEEP } mp_sleep;

typedef enum mp_phase { MP_STARTING, MP_RUNNING, MP_CLOSING, MP_STOPPED } mp_phase;

struct mp_engine {
  /* immutable once open, but for the clock's base, which the store thread seldom sets */
  MP_OWN_LINE mp_settings *settings;
  pid_t pid;
  pthread_t store_thread;
  mp_sender *senders; /* the delivery threads: made and ended by the store thread */
  int sender_count;
  atomic_llong clock_base; /* the store's time when the boot's clock was 0; any thread */

  MP_OWN_LINE mp_id_source ids; /* its slot is known when the store thread has joined the store */

  /* the process's list of engines (engine.c: registry_lock) */
  struct mp_engine *next_open;
  char *key; /* NULL: never shared (":memory:") */
  int refs;

  MP_OWN_LINE pthread_mutex_t lock;
  pthread_cond_t done;   /* hosts: some ticket is done, or the phase changed */
  mp_list emits;         /* lock; of mp_emit */
  mp_list calls;         /* lock; of mp_call */
  mp_list finished;      /* lock; of mp_delivery, outcomes from the delivery threads */
  mp_list scripted;      /* lock; of mp_delivery, from the script thread */
  mp_list script_news;   /* lock; of mp_script_news */
  size_t inbox_count;    /* lock; events handed over and not yet committed */
  size_t inbox_bytes;    /* lock */
  mp_phase phase;        /* lock */
  mp_sleep sleep;        /* lock; of the store thread: it needs the bell to hear of something */
  bool awaited;          /* lock; a host waits for one of the emits */
  int64_t close_at;      /* lock; monotonic ms at which requests under way are cut off */
  bool cut_off;          /* lock; they were */
  mp_error start_error;  /* lock */
  mp_list reports;       /* lock; of mp_report, the latest */
  int64_t report_count;  /* lock; of all times */
  mp_mailbox *mailboxes; /* lock; those of its hosts (mailbox.c) */

  /* store thread */
  MP_OWN_LINE mp_watch *watch; /* its bell: any thread */
  mp_store *store;
  mp_sealer *sealer;
  mp_buf secret; /* the text that was sealed or unsealed last */
  int64_t id;    /* in the store's engine table */
  int64_t lease_count;
  mp_lanes lanes;
  mp_inserts inserts;
  mp_list taken_emits;         /* out of the inbox, not yet committed */
  mp_list taken_finished;      /* likewise */
  mp_list taken_scripted;      /* likewise */
  mp_list taken_news;          /* of mp_script_news, not yet heeded */
  mp_script_thread *scripting; /* NULL: there are no scripts */
  mp_list waiters;             /* of mp_call: hosts in mp_engine_wait */
  size_t leased_bytes;         /* their bodies */
  uint64_t random;
  mp_phase seen_phase; /* what take() found last */
  mp_upkeep upkeep;
  mp_metrics metrics;
  int64_t window_ms; /* monotonic: what was committed since then ... */
  int window_rows;   /* ... is so much */
  int64_t window_at; /* before it no transaction begins that nobody waits for; 0: at once */
  mp_half under_way; /* outcomes and claims */
  mp_half emitting;  /* new events */
  mp_reload reload;  /* webhooks were changed that were not read anew since */

  MP_OWN_LINE atomic_int requests; /* under way, of all delivery threads, which write it */

  /* any thread; written by the store thread */
  MP_OWN_LINE atomic_llong leased; /* of all lanes */
  atomic_int webhook_count;
  atomic_llong accepted;  /* events committed */
  atomic_llong delivered; /* deliveries that ended so */
  atomic_llong failed;    /* attempts */
  atomic_llong dead;
  atomic_llong rejected; /* emits that were refused for want of room or store */
  atomic_llong dropped_keys;
  atomic_llong commits;
  atomic_llong forgotten; /* events pruned */
};

/* What is it now on the store's clock? See mp_store_clock. */
static inline int64_t mp_engine_now(const mp_engine *engine) {
  return atomic_load(&engine->clock_base) + mp_boot_ms();
}

/* The same moment on the wall clock, as it is set now: for what people read. */
static inline int64_t mp_engine_to_wall(const mp_engine *engine, int64_t store_ms) {
  return store_ms + (mp_wall_ms() - mp_engine_now(engine));
}

/* inbox.c */
mp_code mp_engine_check(const mp_engine *engine, mp_error *err); /* MP_EFORK in another process */
/* Waits for the call. On MP_ETIMEDOUT the call is no longer the host's; else the host frees it.
 * With a mail nobody waits, and on MP_OK it is no longer the host's. */
mp_code mp_inbox_call(mp_engine *engine, mp_call *call, int64_t timeout_ms, mp_error *err);
void mp_call_free(mp_call *call);
void mp_call_complete(mp_engine *engine, mp_call *call, mp_code code, const mp_error *err);
/* Completes every emit in the list with the same outcome, and gives back their room. */
void mp_emits_complete(mp_engine *engine, mp_list *emits, mp_code code, const mp_error *err);

/* mailbox.c: with the engine's lock held: there is a new report. */
void mp_mailboxes_ring(mp_engine *engine);

/* upkeep.c: joins the store and sees who else is on it; leaves it; does what is due beside the
 * work; when is that? */
mp_code mp_upkeep_start(mp_engine *engine, mp_error *err);
mp_code mp_upkeep_leave(mp_engine *engine, mp_error *err);
void mp_upkeep_tell(mp_engine *engine, mp_news news);
void mp_upkeep_run(mp_engine *engine);
/* A step of forgetting old history, in transactions of its own; upkeep.pruned has what it did. */
mp_code mp_upkeep_forget(mp_engine *engine, mp_error *err);
int64_t mp_upkeep_due(const mp_engine *engine);

/* store_thread.c */
/* With the engine's lock held, after something was put into a list for it: is the store thread to
 * be woken, once the lock is given back? */
bool mp_must_wake(mp_engine *engine);
void *mp_store_thread(void *engine);

/* commit.c: the store thread's transactions. may_claim: also take due deliveries from the store. */
void mp_commit_batch(mp_engine *engine, bool may_claim);
/* When could a claim find something? Store's clock; INT64_MAX: not before something else happens.
 */
int64_t mp_commit_next_claim(const mp_engine *engine);
int64_t mp_lease_next(mp_engine *engine); /* a lease that no other claim ever had */
/* How many more of the lane's may the engine hold? */
int mp_lease_room(const mp_engine *engine, const mp_lane *lane, int64_t now_ms);
/* The engine holds a delivery, to be handed over after the commit, until mp_lease_end. */
mp_code mp_lease_add(mp_engine *engine, mp_batch *batch, mp_lane *lane, mp_event *event,
                     int64_t lease, const char *order_key, int attempts, mp_error *err);
void mp_lease_end(mp_engine *engine, mp_delivery *delivery);

/* scripted.c: writes what came from the script thread; after the commit, hands on what is to be
 * sent, and frees the rest. */
mp_code mp_scripted_write(mp_engine *engine, mp_batch *batch, mp_error *err);
void mp_scripted_settle(mp_engine *engine);
/* Gives a claimed delivery what scripts made of it before. version: as the claim has it. */
mp_code mp_scripted_recall(mp_engine *engine, mp_delivery *delivery, const char *version,
                           mp_error *err);
/* After the commit: to the script thread, or to the delivery threads. */
void mp_lease_hand(mp_engine *engine, mp_list *leased);
/* Inside a transaction: what a script held goes on. news NULL: everything. */
mp_code mp_scripted_release(mp_engine *engine, const mp_list *news, mp_error *err);

/* script_thread.c */
/* Loads what the config names, and starts the thread where there are scripts. A webhook's own that
 * the config names must be there, as the global ones. */
mp_code mp_script_start(mp_engine *engine, mp_error *err);
/* Everything is given back; stop: and the thread ends. Any thread. */
void mp_script_stop(mp_engine *engine, bool stop);
/* Is there a file of such a script? MP_EINVAL: none. Store thread. */
mp_code mp_script_find(const mp_engine *engine, const char *name, mp_error *err);
void mp_script_join(mp_engine *engine);
bool mp_script_routes(const mp_engine *engine, const mp_event_row *row);
bool mp_script_applies(const mp_engine *engine, const mp_delivery *delivery);
void mp_script_hand(mp_engine *engine, mp_list *deliveries);
/* Describes the scripts, or with call->flag loads them anew first; completes the call. */
void mp_script_call(mp_engine *engine, mp_call *call);

/* outcome.c: writes what was taken of finished deliveries; after the commit, settles and frees it.
 */
mp_code mp_outcomes_write(mp_engine *engine, mp_batch *batch, mp_error *err);
void mp_outcomes_settle(mp_engine *engine);

/* insert.c: an emit with all its deliveries; one delivery, leased at once where its lane has room.
 * mp_inserts_flush comes after the last of a transaction. */
mp_code mp_insert_emit(mp_engine *engine, mp_batch *batch, mp_emit *emit, mp_error *err);
mp_code mp_insert_delivery(mp_engine *engine, mp_batch *batch, mp_lane *lane, mp_event *event,
                           mp_error *err);
mp_code mp_inserts_flush(mp_engine *engine, mp_error *err);

/* report.c: makes a report about the delivery or its webhook, as an event for its subscribers;
 * after the commit, keeps the batch's for hosts and logs them. reason may be NULL. */
mp_code mp_report_add(mp_engine *engine, mp_batch *batch, mp_report_kind kind,
                      const mp_delivery *delivery, const char *reason, mp_error *err);
void mp_reports_keep(mp_engine *engine, mp_list *reports);
void mp_reports_free(mp_list *reports);
/* After the commit: logs what became of a delivery. */
void mp_report_log(const mp_engine *engine, const mp_delivery *delivery);

/* registry.c: webhooks and lanes, store thread */
mp_code mp_registry_sync(mp_engine *engine, mp_error *err);
/* Webhooks are to be read anew: after the commit that changed them. */
void mp_registry_changed(mp_engine *engine, mp_reload reload);
/* Reads them, if there is need. While it fails no event may be accepted: it could be for a webhook
 * that is not known yet. */
mp_code mp_registry_reload(mp_engine *engine, mp_error *err);
/* Inside a transaction: changes a webhook's row, and what waits for it as its definition says. */
mp_code mp_registry_write(mp_engine *engine, const mp_webhook *webhook, const mp_webhook_row *row,
                          bool was_enabled, mp_error *err);
/* The same for a new row, and for the row alone: they seal its definition. */
mp_code mp_registry_insert(mp_engine *engine, mp_webhook_row *row, mp_error *err);
mp_code mp_registry_update(mp_engine *engine, const mp_webhook_row *row, int64_t now_ms,
                           mp_error *err);

/* calls.c: what all calls share. Each is a pair: run on the store thread, the rest on the host's.
 */
mp_call *mp_call_new(mp_code (*run)(mp_engine *, mp_call *, mp_error *), mp_error *err);
/* Makes the call, waits for as long as an emit would, and appends its answer to out (may be NULL).
 * The call is gone afterwards. */
mp_code mp_call_make(mp_engine *engine, mp_call *call, mp_buf *out, mp_error *err);
mp_code mp_call_make_within(mp_engine *engine, mp_call *call, int64_t timeout_ms, mp_buf *out,
                            mp_error *err);
void mp_call_next_element(mp_buf *out); /* puts a comma between the elements of a list */

/* calls_webhook.c */
mp_code mp_call_no_webhook(int64_t id, mp_error *err);
void mp_call_finish_trigger(mp_engine *engine, mp_delivery *delivery);

/* senders.c: the delivery threads. stop: everything is given back; with stop they end. join waits
 * for that; what is handed over afterwards is not sent, and goes with free (which may be all there
 * is, after a start that failed). */
mp_code mp_senders_start(mp_engine *engine, mp_error *err);
void mp_senders_hand(mp_engine *engine, mp_list *deliveries);
void mp_senders_stop(mp_engine *engine, bool stop);
void mp_senders_join(mp_engine *engine);
void mp_senders_free(mp_engine *engine);

#endif
