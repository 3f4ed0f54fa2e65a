/* The store thread: the only one that touches the store.
 *
 * It takes what has come into the inbox, commits it in one transaction, hands leased deliveries to
 * the delivery threads, runs the hosts' calls, and sleeps until something comes or falls due. It
 * opens the store at its start and closes it at its end. */
#include <libgen.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "engine/internal.h"
#include "engine/scripts.h"

#define HARD_CLOSE_MS 3000 /* after close's time is up: the store may be failing */

/* ---- opening and closing -------------------------------------------------------------------- */

/* What scripts failed of is tried again at each start: they may have been mended since. */
static mp_code release_held(mp_engine *e, mp_error *err) {
  mp_code code = mp_store_begin(e->store, err);
  if (code == MP_OK) code = mp_scripted_release(e, NULL, err);
  if (code == MP_OK) code = mp_store_commit(e->store, err);
  if (code != MP_OK) mp_store_rollback(e->store);
  return code;
}

/* Whoever may write to the folder may put another file in the store's place. It is not refused: a
 * container's volume is often so. */
static void warn_of_folder(const mp_engine *e) {
  char *copy = strdup(e->settings->store);
  const char *folder = copy ? dirname(copy) : NULL;
  struct stat st;

  if (folder && strcmp(e->settings->store, ":memory:") != 0 && stat(folder, &st) == 0 &&
      (st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX)) {
    mp_log(e->settings->log, MP_LOG_WARN, "store.open_to_all",
           "%s: everybody may write to its folder, and so put another store in its place",
           e->settings->store);
  }
  free(copy);
}

static mp_code start(mp_engine *e, mp_error *err) {
  mp_code code = mp_store_open(e->settings->store, &e->store, err);
  if (code == MP_OK) warn_of_folder(e);
  if (code == MP_OK) code = mp_secret_open(e->settings, e->store, &e->sealer, err);
  if (code == MP_OK) code = mp_upkeep_start(e, err);
  e->lanes.delivery_threads = e->settings->delivery_threads;
  mp_registry_changed(e, MP_RELOAD_ALL);
  if (code == MP_OK) code = mp_registry_reload(e, err);
  if (code == MP_OK) code = release_held(e, err);
  if (code == MP_OK) code = mp_senders_start(e, err);
  if (code == MP_OK) code = mp_script_start(e, err);
  if (code == MP_OK && getrandom(&e->random, sizeof e->random, 0) != sizeof e->random) {
    e->random = (uint64_t)mp_mono_us();
  }
  e->random |= 1; /* xorshift's state may not be 0 */
  return code;
}

static void set_phase(mp_engine *e, mp_phase phase) {
  pthread_mutex_lock(&e->lock);
  e->phase = phase;
  pthread_cond_broadcast(&e->done);
  pthread_mutex_unlock(&e->lock);
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
  int64_t at = mp_upkeep_due(e);

  if (e->taken_emits.head) at = earlier(at, later(now, e->emitting.retry_at));
  if (e->taken_finished.head || e->taken_scripted.head || e->taken_news.head) {
    at = earlier(at, later(now, e->under_way.retry_at));
  }
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

/* With the lock held: somebody waits, or the delivery threads are running out of work. What is not
 * urgent may wait until more has come, so that one commit does for all of it (commit.c). */
static bool is_urgent(const mp_engine *e) {
  int64_t ended = (int64_t)(e->finished.count + e->scripted.count);

  if (e->awaited || e->calls.head || e->phase != MP_RUNNING) return true;
  return e->inbox_count >= MP_FULL_BATCH || 2 * ended >= atomic_load(&e->leased);
}

bool mp_must_wake(mp_engine *engine) {
  if (engine->sleep == MP_AWAKE || (engine->sleep == MP_DOZING && !is_urgent(engine))) return false;
  engine->sleep = MP_AWAKE; /* one ring is enough */
  return true;
}

/* With the lock held, but not while it sleeps. */
static void sleep_until(mp_engine *e, int64_t at, mp_sleep sleep) {
  mp_news news;

  e->sleep = sleep;
  pthread_mutex_unlock(&e->lock);
  news = mp_watch_sleep(e->watch, at);
  pthread_mutex_lock(&e->lock);
  e->sleep = MP_AWAKE;
  mp_upkeep_tell(e, news);
}

/* With the lock held: a transaction would be small, and may begin a little later. */
static bool may_gather(const mp_engine *e, int64_t now) {
  if (now >= e->window_at || is_urgent(e)) return false;
  return !e->taken_emits.head && !e->taken_finished.head && !e->taken_scripted.head;
}

/* Waits for work and takes all of it out of the inbox. Answers the phase. */
static mp_phase take(mp_engine *e, mp_list *calls) {
  mp_list finished = {0};

  pthread_mutex_lock(&e->lock);
  for (;;) {
    int64_t now = mp_mono_ms(), at;
    if (may_gather(e, now)) {
      sleep_until(e, e->window_at, MP_DOZING);
      continue;
    }
    if (e->emits.head || e->calls.head || e->finished.head || e->scripted.head) break;
    if (e->script_news.head) break;
    if (e->phase != e->seen_phase) break;
    if (e->phase == MP_CLOSING && e->leased == 0 && !e->taken_finished.head &&
        !e->taken_scripted.head && !e->taken_emits.head) {
      break;
    }
    at = wake_at(e, now);
    if (at <= now) break;
    sleep_until(e, at, MP_ASLEEP);
  }
  mp_list_append(&e->taken_emits, &e->emits);
  mp_list_append(calls, &e->calls);
  mp_list_append(&finished, &e->finished);
  mp_list_append(&e->taken_scripted, &e->scripted);
  mp_list_append(&e->taken_news, &e->script_news);
  e->awaited = false;
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
  if (call->deferred && code == MP_OK) {
    if (call->hand_on) call->hand_on(e, call);
    return;
  }
  mp_call_complete(e, call, code, &err);
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
  idle = !e->emits.head && !e->finished.head && !e->scripted.head;
  pthread_mutex_unlock(&e->lock);
  return idle && !e->taken_emits.head && !e->taken_finished.head && !e->taken_scripted.head &&
         !e->taken_news.head && e->leased == 0 && mp_commit_next_claim(e) > mp_engine_now(e) &&
         !waits_for_pace(e);
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

  if (!e->taken_emits.head && !e->taken_finished.head && !e->taken_scripted.head &&
      e->leased == 0) {
    return true;
  }
  if (!e->cut_off && now >= e->close_at) {
    pthread_mutex_lock(&e->lock);
    e->cut_off = e->leased > 0;
    pthread_mutex_unlock(&e->lock);
    mp_script_stop(e, false);
    mp_senders_stop(e, false);
  }
  return now >= e->close_at + HARD_CLOSE_MS;
}

static void give_back(mp_engine *e, mp_node *n) {
  MP_CONTAINER(n, mp_delivery, node)->attempted = false;
  mp_list_push(&e->taken_finished, n);
}

static void end(mp_engine *e) {
  mp_error closed, err = {0};
  mp_list calls = {0};

  mp_fail(&closed, MP_ECLOSED, "closed");
  mp_script_join(e);
  mp_senders_join(e);
  pthread_mutex_lock(&e->lock);
  mp_list_append(&calls, &e->calls);
  pthread_mutex_unlock(&e->lock);
  split_triggers(e, &e->finished);
  mp_list_append(&e->taken_scripted, &e->scripted);
  for (mp_node *n; (n = mp_list_pop(&e->taken_scripted)) != NULL;)
    give_back(e, n); /* nobody is there to send them */
  if (e->taken_emits.head || e->taken_finished.head) mp_commit_batch(e, false);
  if (e->taken_emits.head) {
    mp_log(e->settings->log, MP_LOG_ERROR, "emits.lost",
           "%zu emits that nobody waited for were lost: the store failed until close",
           e->taken_emits.count);
    mp_emits_complete(e, &e->taken_emits, MP_ECLOSED, &closed);
  }
  while (e->taken_finished.head) { /* their leases end with this engine's row */
    mp_delivery_free(MP_CONTAINER(mp_list_pop(&e->taken_finished), mp_delivery, node));
  }
  mp_script_news_free(&e->taken_news);
  mp_script_news_free(&e->script_news);
  mp_list_append(&e->waiters, &calls);
  tell_waiters(e, MP_ECLOSED, &closed);
  if (mp_upkeep_leave(e, &err) != MP_OK) {
    mp_log(e->settings->log, MP_LOG_ERROR, "store.upkeep", "leaving the store: %s", err.message);
  }
}

/* For this thread and those it starts: waking up takes the CPU from nobody. Else the host's thread
 * often loses its CPU to the thread that its emit has just woken (sched(7)). */
static void give_way(void) {
  const struct sched_param none = {0};
  (void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
}

void *mp_store_thread(void *engine) {
  mp_engine *e = engine;
  mp_code code;

  if (e->settings->give_way) give_way();
  code = start(e, &e->start_error);

  if (code == MP_OK) {
    mp_phase phase;
    e->seen_phase = MP_RUNNING;
    set_phase(e, MP_RUNNING);
    do {
      mp_list calls = {0};
      phase = take(e, &calls);
      mp_upkeep_run(e);
      round_of_work(e, &calls, phase == MP_RUNNING);
    } while (phase == MP_RUNNING || !may_end(e));
    end(e);
  } else if (e->id) {
    mp_upkeep_leave(e, NULL);
  }
  mp_senders_free(e);
  mp_lanes_free(&e->lanes);
  mp_sealer_free(e->sealer);
  mp_buf_free(&e->secret);
  mp_store_close(e->store);
  set_phase(e, MP_STOPPED);
  return NULL;
}
