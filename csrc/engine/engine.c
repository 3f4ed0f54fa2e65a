/* Opening and closing engines, and the process's list of open ones. Runs on host threads. */
#include "engine/engine.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/internal.h"

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static mp_engine *open_engines; /* registry_lock */

/* Names a store whatever way its path is spelt: the folder's real path and the file's name. NULL
 * for ":memory:", which is another store each time, and for a folder that is not there. Without
 * memory for a name the store is not opened: it may be open under it. */
static mp_code key_of(const char *store, char **key, mp_error *err) {
  char *dir, *base, *real = NULL;
  bool memory = true;

  *key = NULL;
  if (strcmp(store, ":memory:") == 0) return MP_OK;
  *key = realpath(store, NULL);
  if (*key) return MP_OK;
  memory = errno != ENOMEM;
  dir = strdup(store);
  base = strdup(store);
  memory = memory && dir && base;
  if (memory) {
    real = realpath(dirname(dir), NULL);
    memory = real || errno != ENOMEM;
  }
  if (real && asprintf(key, "%s/%s", real, basename(base)) < 0) {
    *key = NULL;
    memory = false;
  }
  free(dir);
  free(base);
  free(real);
  return memory ? MP_OK : mp_fail(err, MP_ENOMEM, "out of memory");
}

/* Only when its threads have ended, or were never started. */
static void free_engine(mp_engine *e) {
  if (!e) return;
  pthread_mutex_destroy(&e->lock);
  pthread_cond_destroy(&e->done);
  mp_id_source_free(&e->ids);
  mp_reports_free(&e->reports);
  mp_watch_free(e->watch);
  mp_settings_free(e->settings);
  free(e->key);
  free(e);
}

static mp_engine *new_engine(mp_settings *settings, char *key) {
  mp_engine *e = aligned_alloc(_Alignof(mp_engine), sizeof *e);
  pthread_condattr_t attr;

  if (!e) return NULL;
  memset(e, 0, sizeof *e);
  e->settings = settings;
  e->key = key;
  e->refs = 1;
  e->pid = getpid();
  e->phase = MP_STARTING;
  pthread_mutex_init(&e->lock, NULL);
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&e->done, &attr);
  pthread_condattr_destroy(&attr);
  mp_id_source_init(&e->ids, 0, 0);
  mp_buf_init(&e->secret, MP_BUF_NO_LIMIT);
  return e;
}

/* The engine's threads take no signals: those are the host's. */
static int start_thread(mp_engine *e) {
  sigset_t all, before;
  int rc;

  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  rc = pthread_create(&e->store_thread, NULL, mp_store_thread, e);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return rc;
}

static mp_code start(mp_engine *e, mp_error *err) {
  int rc = start_thread(e);
  mp_phase phase;

  if (rc != 0) return mp_fail(err, MP_ENOMEM, "cannot start a thread: %s", strerror(rc));
  pthread_mutex_lock(&e->lock);
  while (e->phase == MP_STARTING)
    pthread_cond_wait(&e->done, &e->lock);
  phase = e->phase;
  pthread_mutex_unlock(&e->lock);
  if (phase == MP_RUNNING) return MP_OK;
  pthread_join(e->store_thread, NULL);
  if (err) *err = e->start_error;
  return e->start_error.code;
}

/* With registry_lock held. Engines of a process that forked us are not ours. */
static mp_engine *find_open(const char *key) {
  for (mp_engine *e = open_engines; key && e; e = e->next_open) {
    if (e->pid == getpid() && strcmp(e->key, key) == 0) return e;
  }
  return NULL;
}

static mp_code open_locked(mp_settings *settings, mp_engine **out, mp_error *err) {
  char *key;
  mp_engine *e;
  mp_code code = key_of(settings->store, &key, err);

  if (code != MP_OK) {
    mp_settings_free(settings);
    return code;
  }
  e = find_open(key);
  if (e) {
    free(key);
    if (strcmp(e->settings->fingerprint, settings->fingerprint) != 0) {
      code = mp_fail(err, MP_EBUSY, "%s: already open in this process with other settings",
                     settings->store);
    } else {
      e->refs++;
      *out = e;
    }
    mp_settings_free(settings);
    return code;
  }
  e = new_engine(settings, key);
  if (!e) {
    free(key);
    mp_settings_free(settings);
    return mp_fail(err, MP_ENOMEM, "out of memory");
  }
  code = start(e, err);
  if (code != MP_OK) {
    free_engine(e);
    return code;
  }
  if (key) {
    e->next_open = open_engines;
    open_engines = e;
  }
  *out = e;
  return MP_OK;
}

mp_code mp_engine_open(mp_settings *settings, mp_engine **out, mp_error *err) {
  mp_code code;
  *out = NULL;
  pthread_mutex_lock(&registry_lock);
  code = open_locked(settings, out, err);
  pthread_mutex_unlock(&registry_lock);
  return code;
}

/* Takes the engine out of the list of open ones when this was the last reference. The caller keeps
 * the lock until the store is closed, so that an open of the same store waits for it. */
static bool last_reference(mp_engine *e) {
  mp_engine **at = &open_engines;

  if (--e->refs > 0) return false;
  while (*at && *at != e)
    at = &(*at)->next_open;
  if (*at) *at = e->next_open;
  return true;
}

mp_code mp_engine_close(mp_engine *engine, int64_t grace_ms, mp_error *err) {
  mp_code code = MP_OK;
  bool wake;

  /* In a forked child the threads are not there, and the locks may be held for ever: leave it all.
   */
  if (mp_engine_check(engine, err) != MP_OK) return MP_EFORK;
  pthread_mutex_lock(&registry_lock);
  if (last_reference(engine)) {
    pthread_mutex_lock(&engine->lock);
    engine->phase = MP_CLOSING;
    engine->close_at = mp_mono_ms() + grace_ms;
    wake = mp_must_wake(engine);
    pthread_mutex_unlock(&engine->lock);
    if (wake) mp_watch_ring(engine->watch);
    pthread_join(engine->store_thread, NULL);
    if (engine->cut_off) {
      code = mp_fail(
          err, MP_ETIMEDOUT,
          "timeout: requests under way were cut off; they are made again at the next start");
    }
    free_engine(engine);
  }
  pthread_mutex_unlock(&registry_lock);
  return code;
}

const mp_settings *mp_engine_settings(const mp_engine *engine) {
  return engine->settings;
}

int mp_engine_event_type(const mp_engine *engine, const char *type, size_t len) {
  const mp_settings *s = engine->settings;
  for (size_t i = 0; i < s->event_count; i++) {
    if (strlen(s->events[i]) == len && memcmp(s->events[i], type, len) == 0) return (int)i;
  }
  return -1;
}

int64_t mp_engine_next_id(mp_engine *engine) {
  return mp_id_next(&engine->ids, mp_engine_now(engine));
}

void mp_engine_count_dropped(mp_engine *engine, int64_t keys) {
  atomic_fetch_add(&engine->dropped_keys, keys);
}
