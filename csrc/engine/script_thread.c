/* The script thread: takes leased deliveries of which scripts have a say, runs them, hands them to
 * the store thread, which stores what came of them.
 *
 * It owns every lua_State of the scripts. Of the lanes that have something to run, the one that has
 * had the least of the thread's time comes next: a slow script delays its own webhook, and others
 * by one call. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/internal.h"
#include "engine/scripts.h"

#define HAND_BACK    64   /* deliveries that wait to be handed back, at most ... */
#define HAND_BACK_US 1000 /* ... and how long the first of them */
#define POLL_MS      1000 /* where the folder cannot be watched, and while there is work */

struct mp_script_thread {
  mp_engine *engine;
  mp_scripts *scripts;
  mp_watch *watch; /* its bell: any thread */
  pthread_t thread;

  pthread_mutex_t lock;
  mp_list handed; /* lock; of mp_delivery */
  mp_list calls;  /* lock; of mp_call */
  bool stop;      /* lock; end when nothing is left */
  bool abort;     /* lock; give everything back */
  bool asleep;    /* lock */

  /* script thread */
  mp_list turns;    /* of mp_lane: those with something to run */
  int64_t least_us; /* what the lane that ran last had had */
  mp_list done;     /* of mp_delivery */
  int64_t done_since_us;
  mp_list news;      /* of mp_script_news */
  bool watched;      /* the folder is */
  int64_t next_look; /* monotonic ms */
};

/* ---- from other threads --------------------------------------------------------------------- */

static void wake(mp_script_thread *t, bool asleep) {
  if (asleep) mp_watch_ring(t->watch);
}

void mp_script_hand(mp_engine *engine, mp_list *deliveries) {
  mp_script_thread *t = engine->scripting;
  bool asleep;

  if (!deliveries->head) return;
  pthread_mutex_lock(&t->lock);
  mp_list_append(&t->handed, deliveries);
  asleep = t->asleep;
  t->asleep = false;
  pthread_mutex_unlock(&t->lock);
  wake(t, asleep);
}

void mp_script_call(mp_engine *engine, mp_call *call) {
  mp_script_thread *t = engine->scripting;
  bool asleep;

  pthread_mutex_lock(&t->lock);
  mp_list_push(&t->calls, &call->node);
  asleep = t->asleep;
  t->asleep = false;
  pthread_mutex_unlock(&t->lock);
  wake(t, asleep);
}

void mp_script_stop(mp_engine *engine, bool stop) {
  mp_script_thread *t = engine->scripting;
  bool asleep;

  if (!t) return;
  pthread_mutex_lock(&t->lock);
  t->abort = true;
  t->stop = stop;
  asleep = t->asleep;
  t->asleep = false;
  pthread_mutex_unlock(&t->lock);
  wake(t, asleep);
}

bool mp_script_routes(const mp_engine *engine, const mp_event_row *row) {
  return engine->scripting && mp_scripts_route(engine->scripting->scripts, row->type, row->model);
}

bool mp_script_applies(const mp_engine *engine, const mp_delivery *delivery) {
  const mp_event_row *row = &delivery->event->row;

  if (delivery->lane->webhook_id == MP_ROUTING) return true;
  if (!engine->scripting) return delivery->webhook->script != NULL;
  return mp_scripts_apply(engine->scripting->scripts, delivery->webhook->script, row->type,
                          row->model, mp_report_is(row->type));
}

/* ---- turns ---------------------------------------------------------------------------------- */

static void accept_handed(mp_script_thread *t, mp_list *handed) {
  for (mp_node *n; (n = mp_list_pop(handed)) != NULL;) {
    mp_lane *lane = MP_CONTAINER(n, mp_delivery, node)->lane;
    if (!lane->scripting.head) {
      if (lane->script_us < t->least_us) lane->script_us = t->least_us;
      mp_list_push(&t->turns, &lane->script_turn);
    }
    mp_list_push(&lane->scripting, n);
  }
}

/* The lane that had the least; it leaves the turns, and comes back while it has more. */
static mp_lane *next_lane(mp_script_thread *t) {
  mp_lane *least = NULL;
  mp_list others = {0};

  for (mp_node *n = t->turns.head; n; n = n->next) {
    mp_lane *lane = MP_CONTAINER(n, mp_lane, script_turn);
    if (!least || lane->script_us < least->script_us) least = lane;
  }
  for (mp_node *n; (n = mp_list_pop(&t->turns)) != NULL;) {
    if (n != &least->script_turn) mp_list_push(&others, n);
  }
  t->turns = others;
  return least;
}

static void done(mp_script_thread *t, mp_delivery *d) {
  if (!t->done.head) t->done_since_us = mp_mono_us();
  mp_list_push(&t->done, &d->node);
}

static void run_next(mp_script_thread *t) {
  mp_lane *lane = next_lane(t);
  mp_delivery *d = MP_CONTAINER(mp_list_pop(&lane->scripting), mp_delivery, node);
  int64_t start = mp_mono_us(); /* the thread's own clock is a system call */

  t->least_us = lane->script_us;
  if (!atomic_load(&lane->stopped)) mp_scripts_run(t->scripts, d); /* else it is given back */
  lane->script_us += mp_mono_us() - start + 1;
  if (lane->scripting.head) mp_list_push(&t->turns, &lane->script_turn);
  done(t, d);
}

static void give_back_queued(mp_script_thread *t) {
  for (mp_node *n; (n = mp_list_pop(&t->turns)) != NULL;) {
    mp_lane *lane = MP_CONTAINER(n, mp_lane, script_turn);
    for (mp_node *q; (q = mp_list_pop(&lane->scripting)) != NULL;)
      done(t, MP_CONTAINER(q, mp_delivery, node));
  }
}

static void hand_back(mp_script_thread *t) {
  mp_engine *e = t->engine;
  bool ring;

  if (!t->done.head && !t->news.head) return;
  pthread_mutex_lock(&e->lock);
  mp_list_append(&e->scripted, &t->done);
  mp_list_append(&e->script_news, &t->news);
  ring = mp_must_wake(e);
  pthread_mutex_unlock(&e->lock);
  if (ring) mp_watch_ring(e->watch);
}

/* ---- files that change ---------------------------------------------------------------------- */

static void watch_folder(mp_script_thread *t) {
  const char *folder = t->engine->settings->scripts.folder;
  char lib[4096];

  t->watched = mp_watch_folder(t->watch, folder);
  if (snprintf(lib, sizeof lib, "%s/lib", folder) < (int)sizeof lib) mp_watch_folder(t->watch, lib);
}

static void look(mp_script_thread *t) {
  mp_watch_look(t->watch);
  watch_folder(t); /* folders that came meanwhile */
  mp_scripts_reload(t->scripts, false, &t->news, NULL);
  t->next_look = mp_mono_ms() + POLL_MS;
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void run_calls(mp_script_thread *t, mp_list *calls) {
  for (mp_node *n; (n = mp_list_pop(calls)) != NULL;) {
    mp_call *call = MP_CONTAINER(n, mp_call, node);
    mp_error err = {0};

    mp_scripts_keep(t->scripts, call->text);
    if (call->flag)
      mp_scripts_reload(t->scripts, true, &t->news, &call->out);
    else
      mp_scripts_describe(t->scripts, &call->out);
    if (call->out.failed != MP_OK) mp_fail(&err, call->out.failed, "out of memory");
    mp_call_complete(t->engine, call, err.code, &err);
  }
}

/* ---- the thread ----------------------------------------------------------------------------- */

static void *run(void *arg) {
  mp_script_thread *t = arg;

  for (;;) {
    mp_list handed = {0}, calls = {0};
    mp_news news = {0};
    bool stop, abort;

    pthread_mutex_lock(&t->lock);
    t->asleep = !t->turns.head && !t->handed.head && !t->calls.head && !t->stop;
    if (t->asleep) {
      pthread_mutex_unlock(&t->lock);
      hand_back(t);
      news = mp_watch_sleep(t->watch, t->watched ? INT64_MAX : t->next_look);
      pthread_mutex_lock(&t->lock);
      t->asleep = false;
    }
    mp_list_append(&handed, &t->handed);
    mp_list_append(&calls, &t->calls);
    stop = t->stop;
    abort = t->abort;
    pthread_mutex_unlock(&t->lock);

    if (news.file || ((handed.head || !t->watched) && mp_mono_ms() >= t->next_look)) look(t);
    accept_handed(t, &handed);
    run_calls(t, &calls);
    if (abort) give_back_queued(t);
    if (t->turns.head) run_next(t);
    if (t->done.count >= HAND_BACK ||
        (t->done.head && mp_mono_us() - t->done_since_us > HAND_BACK_US)) {
      hand_back(t);
    }
    if (stop && !t->turns.head) break;
  }
  hand_back(t);
  return NULL;
}

static void free_thread(mp_script_thread *t) {
  if (!t) return;
  mp_scripts_free(t->scripts);
  mp_watch_free(t->watch);
  mp_script_news_free(&t->news);
  pthread_mutex_destroy(&t->lock);
  free(t);
}

mp_code mp_script_find(const mp_engine *engine, const char *name, mp_error *err) {
  const char *in = engine->settings->scripts.folder;
  char path[4096];

  if (!in) {
    return mp_fail(err, MP_EINVAL,
                   "webhook.script: the config has no webhooks.scripts, the folder of scripts");
  }
  if (snprintf(path, sizeof path, "%s/%s.lua", in, name) >= (int)sizeof path ||
      access(path, R_OK) != 0) {
    return mp_fail(err, MP_EINVAL, "webhook.script: expected a script, %s is not there", path);
  }
  return MP_OK;
}

/* A webhook that is kept in the config names a script that is there. */
static mp_code load_named(mp_engine *e, mp_script_thread *t, mp_error *err) {
  mp_code code = MP_OK;

  for (size_t i = 0; i < e->lanes.count && code == MP_OK; i++) {
    const mp_webhook *w = e->lanes.items[i]->webhook;
    if (w && w->from_config && w->script) code = mp_scripts_need(t->scripts, w->script, err);
  }
  return code;
}

mp_code mp_script_start(mp_engine *engine, mp_error *err) {
  mp_script_thread *t;
  mp_code code;
  int rc;

  if (!engine->settings->scripts.folder) return MP_OK;
  t = calloc(1, sizeof *t);
  if (!t) return mp_fail(err, MP_ENOMEM, "out of memory");
  t->engine = engine;
  pthread_mutex_init(&t->lock, NULL);
  code = mp_watch_new(&t->watch, err);
  if (code == MP_OK) code = mp_scripts_new(engine->settings, &t->scripts, err);
  if (code == MP_OK) code = load_named(engine, t, err);
  if (code == MP_OK) {
    watch_folder(t);
    t->next_look = mp_mono_ms() + POLL_MS;
    rc = pthread_create(&t->thread, NULL, run, t);
    if (rc != 0) code = mp_fail(err, MP_ENOMEM, "cannot start a thread: %s", strerror(rc));
  }
  if (code != MP_OK) {
    free_thread(t);
    return code;
  }
  engine->scripting = t;
  return MP_OK;
}

void mp_script_join(mp_engine *engine) {
  mp_script_thread *t = engine->scripting;
  mp_error closed;

  if (!t) return;
  mp_script_stop(engine, true);
  pthread_join(t->thread, NULL);
  mp_fail(&closed, MP_ECLOSED, "closed");
  for (mp_node *n; (n = mp_list_pop(&t->calls)) != NULL;)
    mp_call_complete(engine, MP_CONTAINER(n, mp_call, node), MP_ECLOSED, &closed);
  engine->scripting = NULL;
  free_thread(t);
}
