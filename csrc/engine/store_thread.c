/* The store thread: the only one that touches the store.
 *
 * It takes what has come into the inbox, commits it in one transaction, hands leased deliveries to
 * the delivery thread, runs the hosts' calls, and sleeps until something comes or falls due. It
 * opens the store at its start and closes it at its end. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "engine/internal.h"

#define BEAT_MS       10000 /* says that this engine lives ... */
#define STALE_MS      30000 /* ... to engines on other hosts, which then wait so long */
#define LOOK_MS       1000  /* what other processes did to the store */
#define PRUNE_IDLE_MS 60000 /* between looks for old history ... */
#define PRUNE_BUSY_MS 200   /* ... and between steps while there is some */
#define SPARE_BYTES   ((int64_t)4 << 20) /* what the file may keep for later */
#define HARD_CLOSE_MS 3000               /* after close's time is up: the store may be failing */

/* ---- opening and closing -------------------------------------------------------------------- */

static mp_code transaction(mp_engine *e, mp_code (*run)(mp_engine *e, mp_error *err),
                           mp_error *err) {
  mp_code code = mp_store_begin(e->store, err);
  if (code == MP_OK) code = run(e, err);
  if (code == MP_OK) code = mp_store_commit(e->store, err);
  if (code != MP_OK) mp_store_rollback(e->store);
  return code;
}

static mp_code reap(mp_engine *e, mp_error *err) {
  char host[MP_HOST_SIZE];
  int64_t released = 0;
  mp_code code;

  mp_host_name(host);
  code = mp_store_engine_reap(e->store, e->id, host, mp_engine_now(e), STALE_MS, &released, err);
  if (code == MP_OK && released > 0) {
    mp_log(e->settings->log_level, MP_LOG_INFO, "took over %lld deliveries of an engine that died",
           (long long)released);
    for (size_t i = 0; i < e->lanes.count; i++)
      e->lanes.items[i]->next_due_ms = 0;
  }
  return code;
}

/* Takes the store's clock over, and says that it was seen. */
static mp_code set_clock(mp_engine *e, mp_error *err) {
  char boot[MP_BOOT_ID_SIZE];
  int64_t boot_ms = mp_boot_ms(), now_ms;
  mp_code code;

  mp_boot_id(boot);
  code = mp_store_clock(e->store, boot, boot_ms, mp_wall_ms(), &now_ms, err);
  if (code == MP_OK) atomic_store(&e->clock_base, now_ms - boot_ms);
  return code;
}

static mp_code join(mp_engine *e, mp_error *err) {
  char host[MP_HOST_SIZE];
  mp_engine_identity who = {.host = host, .pid = getpid(), .start = mp_process_start(getpid())};
  unsigned slot = 0;
  int64_t newest = 0;
  mp_code code;

  mp_host_name(host);
  code = set_clock(e, err);
  if (code != MP_OK) return code;
  code = mp_store_engine_join(e->store, &who, mp_engine_now(e), &e->id, &slot, &newest, err);
  if (code != MP_OK) return code;
  mp_id_source_move(&e->ids, slot, newest);
  code = reap(e, err);
  if (code == MP_OK) code = mp_registry_sync(e, err);
  return code;
}

static mp_code beat(mp_engine *e, mp_error *err) {
  mp_code code = set_clock(e, err);

  if (code == MP_OK) {
    code = mp_store_engine_beat(e->store, e->id, mp_engine_now(e), &e->others, err);
  }
  if (code != MP_ENOENT) return code;
  /* Another engine took this one for dead (a suspended machine, say) and its deliveries over. What
   * it still has in flight ends without effect: the leases are not its own any more. */
  mp_log(e->settings->log_level, MP_LOG_WARN, "taken for dead by another engine; joining anew");
  return join(e, err);
}

static mp_code leave(mp_engine *e, mp_error *err) {
  mp_code code = set_clock(e, err);
  return code == MP_OK ? mp_store_engine_leave(e->store, e->id, err) : code;
}

static mp_code start(mp_engine *e, mp_error *err) {
  bool changed;
  mp_code code = mp_store_open(e->settings->store, &e->store, err);
  if (code == MP_OK) code = transaction(e, join, err);
  if (code == MP_OK) code = mp_store_changed(e->store, &changed, err);
  if (code == MP_OK) code = mp_registry_load(e, err);
  if (code == MP_OK) code = mp_delivery_client(e, err);
  if (code == MP_OK) {
    int rc = pthread_create(&e->delivery_thread, NULL, mp_delivery_thread, e);
    if (rc != 0) code = mp_fail(err, MP_ENOMEM, "cannot start a thread: %s", strerror(rc));
  }
  if (code == MP_OK && getrandom(&e->random, sizeof e->random, 0) != sizeof e->random) {
    e->random = (uint64_t)mp_mono_us();
  }
  e->random |= 1; /* xorshift's state may not be 0 */
  e->others = true;
  e->next_beat = mp_mono_ms() + BEAT_MS;
  e->next_look = mp_mono_ms() + LOOK_MS;
  return code;
}

static void set_phase(mp_engine *e, mp_phase phase) {
  pthread_mutex_lock(&e->lock);
  e->phase = phase;
  pthread_cond_broadcast(&e->done);
  pthread_mutex_unlock(&e->lock);
}

static void stop_delivery(mp_engine *e, bool stop) {
  pthread_mutex_lock(&e->work_lock);
  e->abort = true;
  e->stop = stop;
  pthread_mutex_unlock(&e->work_lock);
  mp_client_wake(e->client);
}

/* ---- taking things in ----------------------------------------------------------------------- */

static void split_triggers(mp_engine *e, mp_list *finished) {
  for (mp_node *n; (n = mp_list_pop(finished)) != NULL;) {
    mp_delivery *d = MP_CONTAINER(n, mp_delivery, node);
    if (d->trigger)
      mp_call_finish_trigger(e, d);
    else
      mp_list_push(&e->taken_finished, n);
  }
}

static int64_t earlier(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b) {
  return a > b ? a : b;
}

/* How long may the thread sleep? Monotonic time; now or earlier: not at all. */
static int64_t wake_at(const mp_engine *e, int64_t now) {
  int64_t at = earlier(earlier(e->next_beat, e->next_look), e->next_prune);

  if (e->taken_emits.head) at = earlier(at, later(now, e->emitting.retry_at));
  if (e->taken_finished.head) at = earlier(at, later(now, e->under_way.retry_at));
  if (e->phase == MP_CLOSING) {
    at = earlier(at, e->cut_off ? e->close_at + HARD_CLOSE_MS : e->close_at);
  } else {
    int64_t due = mp_commit_next_claim(e);
    if (due != INT64_MAX) {
      at = earlier(at, later(now + (due - mp_engine_now(e)), e->under_way.retry_at));
    }
  }
  return at;
}

static void sleep_until(mp_engine *e, int64_t at) {
  struct timespec t = {.tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000};
  pthread_cond_timedwait(&e->work, &e->lock, &t);
}

/* Waits for work and takes all of it out of the inbox. Answers the phase. */
static mp_phase take(mp_engine *e, mp_list *calls) {
  mp_list finished = {0};

  pthread_mutex_lock(&e->lock);
  for (;;) {
    int64_t now = mp_mono_ms(), at;
    if (e->emits.head || e->calls.head || e->finished.head) break;
    if (e->phase != e->seen_phase) break;
    if (e->phase == MP_CLOSING && e->leased == 0 && !e->taken_finished.head &&
        !e->taken_emits.head) {
      break;
    }
    at = wake_at(e, now);
    if (at <= now) break;
    sleep_until(e, at);
  }
  mp_list_append(&e->taken_emits, &e->emits);
  mp_list_append(calls, &e->calls);
  mp_list_append(&finished, &e->finished);
  e->seen_phase = e->phase;
  pthread_mutex_unlock(&e->lock);
  split_triggers(e, &finished);
  return e->seen_phase;
}

/* ---- the round ------------------------------------------------------------------------------ */

static mp_code make_call(mp_engine *e, mp_call *call, mp_error *err) {
  mp_code code = call->writes ? mp_store_begin(e->store, err) : MP_OK;

  if (code == MP_OK) code = call->run(e, call, err);
  if (!call->writes) return code;
  if (code == MP_OK) code = mp_store_commit(e->store, err);
  if (code != MP_OK) mp_store_rollback(e->store);
  return code;
}

static void run_call(mp_engine *e, mp_call *call) {
  mp_error err = {0};
  mp_code code = make_call(e, call, &err);

  if (code == MP_ENOSPC && call->writes) { /* it adds little, and may be what helps */
    mp_store_relieve(e->store);
    mp_buf_reset(&call->out);
    code = make_call(e, call, &err);
  }
  if (code == MP_OK && call->then) code = call->then(e, call, &err);
  if (code == MP_OK && call->out.failed != MP_OK) {
    code = mp_fail(&err, call->out.failed, "%s", mp_strerror(call->out.failed));
  }
  if (call->deferred && code == MP_OK) return;
  mp_call_complete(e, call, code, &err);
}

static mp_code prune(mp_engine *e, mp_error *err) {
  const mp_settings *s = e->settings;
  int64_t now = mp_engine_now(e);

  mp_prune_before before = {.ended_ms = now - s->keep_delivered_ms,
                            .dead_ms = now - s->keep_dead_ms,
                            .held_ms = now - s->keep_dead_ms};

  if (e->too_large) before.ended_ms = before.dead_ms = INT64_MAX; /* held is not history yet */
  return mp_store_prune(e->store, &before, now, &e->prune_after, &e->pruned, err);
}

/* A step of forgetting old history, and of giving its room back. more: there is another to do. */
static mp_code forget_old(mp_engine *e, bool *more, mp_error *err) {
  int64_t used, spare;
  mp_code code = mp_store_size(e->store, &used, &spare, err);

  *more = false;
  if (code != MP_OK) return code;
  e->too_large = e->settings->max_store_bytes > 0 && used > e->settings->max_store_bytes;
  code = transaction(e, prune, err);
  if (code != MP_OK) return code;
  atomic_fetch_add(&e->forgotten, e->pruned);
  *more = e->pruned > 0 || e->prune_after > 0 || spare > SPARE_BYTES;
  return spare > SPARE_BYTES ? mp_store_shrink(e->store, err) : MP_OK;
}

/* What is done once in a while, whether or not anything came in. */
static void keep_house(mp_engine *e) {
  int64_t now = mp_mono_ms();
  mp_error err = {0};
  mp_code code = MP_OK;

  if (now >= e->next_look) {
    bool changed = false;
    e->next_look = now + LOOK_MS;
    code = mp_store_changed(e->store, &changed, &err);
    if (code == MP_OK && changed) {
      e->others = true;
      code = mp_registry_load(e, &err);
    }
    if (code == MP_OK && e->others) code = transaction(e, reap, &err);
  }
  if (now >= e->next_beat) {
    e->next_beat = now + BEAT_MS;
    if (code == MP_OK) {
      int64_t id = e->id;
      code = transaction(e, beat, &err);
      if (code != MP_OK) e->id = id; /* a new row that was not committed is none */
    }
  }
  if (now >= e->next_prune && code == MP_OK) {
    bool more;
    code = forget_old(e, &more, &err);
    e->next_prune = now + (code == MP_OK && more ? PRUNE_BUSY_MS : PRUNE_IDLE_MS);
  }
  if (code != MP_OK) {
    mp_log(e->settings->log_level, MP_LOG_ERROR, "looking after the store: %s", err.message);
  }
}

/* Does a lane that has a rate wait for nothing but its pace? */
static bool waits_for_pace(mp_engine *e) {
  const mp_pace unlimited = {0};
  int64_t now = mp_engine_now(e);

  for (size_t i = 0; i < e->lanes.count; i++) {
    const mp_lane *lane = e->lanes.items[i];
    int64_t due;
    if (!lane->webhook || lane->webhook->pace.interval_us == 0) continue;
    if (mp_store_next_due(e->store, lane->webhook_id, &unlimited, now, &due, NULL) != MP_OK)
      continue;
    if (due <= now) return true;
  }
  return false;
}

static bool is_idle(mp_engine *e) {
  bool idle;
  pthread_mutex_lock(&e->lock);
  idle = !e->emits.head && !e->finished.head;
  pthread_mutex_unlock(&e->lock);
  return idle && !e->taken_emits.head && !e->taken_finished.head && e->leased == 0 &&
         mp_commit_next_claim(e) > mp_engine_now(e) && !waits_for_pace(e);
}

static void tell_waiters(mp_engine *e, mp_code code, const mp_error *err) {
  for (mp_node *n; (n = mp_list_pop(&e->waiters)) != NULL;) {
    mp_call_complete(e, MP_CONTAINER(n, mp_call, node), code, err);
  }
}

static void round_of_work(mp_engine *e, mp_list *calls, bool running) {
  mp_commit_batch(e, running);
  for (mp_node *n; (n = mp_list_pop(calls)) != NULL;)
    run_call(e, MP_CONTAINER(n, mp_call, node));
  if (e->waiters.head && is_idle(e)) tell_waiters(e, MP_OK, NULL);
}

/* Nothing is leased any more, or close's time is up. */
static bool may_end(mp_engine *e) {
  int64_t now = mp_mono_ms();

  if (!e->taken_emits.head && !e->taken_finished.head && e->leased == 0) return true;
  if (!e->cut_off && now >= e->close_at) {
    pthread_mutex_lock(&e->lock);
    e->cut_off = e->leased > 0;
    pthread_mutex_unlock(&e->lock);
    stop_delivery(e, false);
  }
  return now >= e->close_at + HARD_CLOSE_MS;
}

static void end(mp_engine *e) {
  mp_error closed, err = {0};
  mp_list calls = {0};

  mp_fail(&closed, MP_ECLOSED, "closed");
  stop_delivery(e, true);
  pthread_join(e->delivery_thread, NULL);
  pthread_mutex_lock(&e->lock);
  mp_list_append(&calls, &e->calls);
  pthread_mutex_unlock(&e->lock);
  split_triggers(e, &e->finished);
  if (e->taken_emits.head || e->taken_finished.head) mp_commit_batch(e, false);
  if (e->taken_emits.head) {
    mp_log(e->settings->log_level, MP_LOG_ERROR,
           "%zu emits that nobody waited for were lost: the store failed until close",
           e->taken_emits.count);
    mp_emits_complete(e, &e->taken_emits, MP_ECLOSED, &closed);
  }
  while (e->taken_finished.head) { /* their leases end with this engine's row */
    mp_delivery_free(MP_CONTAINER(mp_list_pop(&e->taken_finished), mp_delivery, node));
  }
  mp_list_append(&e->waiters, &calls);
  tell_waiters(e, MP_ECLOSED, &closed);
  if (transaction(e, leave, &err) != MP_OK) {
    mp_log(e->settings->log_level, MP_LOG_ERROR, "leaving the store: %s", err.message);
  }
}

void *mp_store_thread(void *engine) {
  mp_engine *e = engine;
  mp_code code = start(e, &e->start_error);

  if (code == MP_OK) {
    mp_phase phase;
    e->seen_phase = MP_RUNNING;
    set_phase(e, MP_RUNNING);
    do {
      mp_list calls = {0};
      phase = take(e, &calls);
      keep_house(e);
      round_of_work(e, &calls, phase == MP_RUNNING);
    } while (phase == MP_RUNNING || !may_end(e));
    end(e);
  } else if (e->id) {
    transaction(e, leave, NULL);
  }
  mp_client_free(e->client);
  mp_lanes_free(&e->lanes);
  mp_store_close(e->store);
  set_phase(e, MP_STOPPED);
  return NULL;
}
