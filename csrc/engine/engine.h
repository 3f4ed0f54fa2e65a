/* The engine: the threads and the store of one process.
 *
 * A host thread calls these functions; they never do disk or network work themselves, but hand it
 * to the engine's store thread and, where they say so, wait for it. All are safe to call from
 * several threads. An engine is opened and used in one process: after a fork every call in the
 * child answers MP_EFORK.
 *
 *   host ──emit──▶ inbox ──▶ store thread (group commit) ──leased deliveries──▶ delivery threads
 *                    ▲                                                              │
 *                    └──────────────────────── outcomes ───────────────────────────┘ */
#ifndef MP_ENGINE_ENGINE_H
#define MP_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "engine/event.h"
#include "engine/mailbox.h"
#include "engine/settings.h"
#include "queue/store_read.h"

/* Opens the store and starts the threads. A store that is open in this process already gives the
 * same engine again (with one more reference) when the settings' fingerprints agree, MP_EBUSY when
 * they do not. Takes the settings, whatever it returns. Errors: mp_store_open's, MP_EINVAL (an
 * endpoint), MP_ENOMEM. */
mp_code mp_engine_open(mp_settings *settings, mp_engine **out, mp_error *err);

/* Gives up a reference; the last one stops the engine: emits handed over are committed, requests
 * under way get grace_ms to end, and what remains waits in the store for the next start. engine is
 * gone afterwards. MP_ETIMEDOUT when requests were cut off. */
mp_code mp_engine_close(mp_engine *engine, int64_t grace_ms, mp_error *err);

const mp_settings *mp_engine_settings(const mp_engine *engine);

/* Index of an event type in the settings; -1 when it is unknown. */
int mp_engine_event_type(const mp_engine *engine, const char *type, size_t len);

/* A new event id. */
int64_t mp_engine_next_id(mp_engine *engine);

/* Counts keys that the sanitizer dropped. */
void mp_engine_count_dropped(mp_engine *engine, int64_t keys);

/* Accepts events, all in one transaction. Takes the events in the list (of mp_event, a reference
 * each) on success and on failure. With wait, returns MP_OK once they are on disk; without, once
 * they are handed over. existing (may be NULL) is set to the id of the event that already has the
 * first one's idempotency key, else 0 (only with wait). Errors: MP_EAGAIN (inbox full), MP_ENOSPC,
 * MP_EIO ... (nothing was stored; but where a disk fails a sync, the write over it and then the
 * machine, the next start may find it all the same), MP_ETIMEDOUT (settings' emit_timeout_ms
 * passed: they may be stored yet), MP_ECLOSED, MP_EFORK. */
mp_code mp_engine_emit(mp_engine *engine, mp_list *events, bool wait, int64_t *existing,
                       mp_error *err);

/* The same without waiting: returns MP_OK once they are handed over; what came of them will be in
 * the mailbox, under this ticket, whatever it is. Errors: those of before the hand-over, and
 * MP_EAGAIN as well when too many results of the mailbox were not taken. */
mp_code mp_engine_emit_later(mp_engine *engine, mp_list *events, mp_mailbox *mailbox,
                             int64_t *ticket, mp_error *err);

/* Waits until nothing accepted is waiting for a first or due attempt. MP_ETIMEDOUT. */
mp_code mp_engine_wait(mp_engine *engine, int64_t timeout_ms, mp_error *err);

/* What the engine has to report (engine/report.h) after the report of that number, as JSON: "last",
 * the number of the last one, "kept", how many of the latest there still are, and "reports". */
mp_code mp_engine_reports(mp_engine *engine, int64_t after, mp_buf *out, mp_error *err);

/* The calls below append a JSON value to out, once the store thread has made it. Errors also as
 * those of emit. */

typedef struct mp_asking {
  mp_mailbox *mailbox;
  int64_t ticket; /* set by a call that was handed over */
} mp_asking;

/* From now on this thread's calls do not wait: they hand themselves over, set the ticket, and
 * return MP_OK with nothing in out; the answer will be in the mailbox. What needs no store thread
 * answers at once, and sets no ticket. NULL: they wait again, which cannot fail. MP_ENOMEM. */
mp_code mp_engine_ask(mp_asking *asking, mp_error *err);

/* The scripts that are loaded; reload: after loading all anew, and then what came of it:
 * {"loaded":[names],"failed":[{"script","error"}]}. One that cannot be loaded leaves its last good
 * version in place. */
mp_code mp_engine_scripts(mp_engine *engine, bool reload, mp_buf *out, mp_error *err);

/* One step of forgetting history that is past its age, which goes on by itself otherwise: "count",
 * the events that it forgot, and "more": there may be others. */
mp_code mp_engine_prune(mp_engine *engine, mp_buf *out, mp_error *err);

/* count_store: the store's deliveries too, by state, and whether they add up; those that wait are
 * counted one by one. */
mp_code mp_engine_stats(mp_engine *engine, bool count_store, mp_buf *out, mp_error *err);

/* What metrics are made of: the engine's counts, its histograms (engine/metrics.h), the store's
 * totals, and each webhook's counts. Its cost is bounded,
 * whatever waits. */
mp_code mp_engine_metrics(mp_engine *engine, mp_buf *out, mp_error *err);

/* Webhooks. name and definition are checked by the caller, definition again by the engine. A
 * webhook as JSON: its definition, with "id", "source" ("api" or "config"), "enabled",
 * "created_at", "updated_at", and "updated_ms", which an update gives back as seen_ms: MP_ECHANGED
 * when somebody else has changed the webhook since (0: whatever it is now). */
mp_code mp_engine_webhooks(mp_engine *engine, mp_buf *out, mp_error *err);
mp_code mp_engine_webhook(mp_engine *engine, int64_t id, mp_buf *out, mp_error *err);
mp_code mp_engine_webhook_create(mp_engine *engine, const char *name, const char *definition,
                                 bool enabled, mp_buf *out, mp_error *err);
mp_code mp_engine_webhook_update(mp_engine *engine, int64_t id, const char *name,
                                 const char *definition, bool enabled, int64_t seen_ms, mp_buf *out,
                                 mp_error *err);
mp_code mp_engine_webhook_delete(mp_engine *engine, int64_t id, mp_buf *out, mp_error *err);

/* Sends a trigger-test event to the webhook at once, enabled or not, and waits for the answer (at
 * most the webhook's timeout). Nothing is stored. JSON: "status", "class", "error", "response",
 * "duration_ms". */
mp_code mp_engine_trigger(mp_engine *engine, int64_t id, int64_t created_ms, mp_buf *out,
                          mp_error *err);

/* Deliveries and events. */
mp_code mp_engine_deliveries(mp_engine *engine, const mp_delivery_filter *filter, mp_buf *out,
                             mp_error *err);
mp_code mp_engine_delivery(mp_engine *engine, int64_t event_id, int64_t webhook_id, mp_buf *out,
                           mp_error *err);
mp_code mp_engine_attempts(mp_engine *engine, int64_t event_id, int64_t webhook_id, mp_buf *out,
                           mp_error *err);
/* What is sent: "body", "content_type" where it is not JSON, and "headers" ([[name, value], ...])
 * that scripts added. MP_ENOENT also when its event is forgotten. */
mp_code mp_engine_payload(mp_engine *engine, int64_t event_id, int64_t webhook_id, mp_buf *out,
                          mp_error *err);
/* anew: its scripts are run again; else the bytes they made are sent again. */
mp_code mp_engine_resend(mp_engine *engine, int64_t event_id, int64_t webhook_id, bool anew,
                         mp_buf *out, mp_error *err);

#define MP_REPLAY_STEP 500 /* events that one call looks at, at most */

/* One step of a replay: of the range's events, oldest first, those that the webhook wants become
 * waiting for it, whatever came of them (but what is being sent just now), and due at once; also
 * those of a time when there was no such webhook. JSON: "count", and "next", the event to go on
 * after, unless the range's end was reached. */
mp_code mp_engine_replay(mp_engine *engine, const mp_replay_range *range, mp_buf *out,
                         mp_error *err);
mp_code mp_engine_event(mp_engine *engine, int64_t id, mp_buf *out, mp_error *err);
mp_code mp_engine_events(mp_engine *engine, const mp_event_filter *filter, mp_buf *out,
                         mp_error *err);

#endif
