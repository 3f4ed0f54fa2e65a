/* What the store thread does beside the work: joining the store and leaving it, minding the other
 * engines on it, and forgetting old history.
 *
 * What always holds: with nothing to do there is nothing to wake for. That another process wrote to
 * the store, or that an engine's process ended, is told by the watch; history is looked at when
 * something was written since, or when it comes of age; heartbeats are for engines that cannot see
 * this process (another pid namespace), and are only made while there is one. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"
#include "engine/internal.h"

#define BEAT_MS       10000 /* says that this engine lives ... */
#define STALE_MS      30000 /* ... to engines that cannot see it, which then wait so long */
#define LOOK_MS       1000  /* at least, between looks at what other processes wrote */
#define LAST_LOOK_MS  5000  /* from the last but one to the last ... */
#define LOOKS         3     /* ... of so many after something was written */
#define PRUNE_IDLE_MS 60000 /* at least, between looks for old history ... */
#define PRUNE_BUSY_MS 200   /* ... and between steps while there is some */
#define SPARE_BYTES   ((int64_t)4 << 20) /* what the file may keep for later */

static mp_code transaction(mp_engine *e, mp_code (*run)(mp_engine *e, mp_error *err),
                           mp_error *err) {
  mp_code code = mp_store_begin(e->store, err);
  if (code == MP_OK) code = run(e, err);
  if (code == MP_OK) code = mp_store_commit(e->store, err);
  if (code != MP_OK) mp_store_rollback(e->store);
  return code;
}

/* ---- joining and leaving -------------------------------------------------------------------- */

/* What beats tell of other engines counts only after a while: those that were alone made none. */
static int64_t stale_ms(const mp_engine *e) {
  return mp_mono_ms() - e->upkeep.joined_ms > STALE_MS ? STALE_MS : INT64_MAX;
}

static mp_code reap(mp_engine *e, mp_error *err) {
  char host[MP_HOST_SIZE];
  int64_t released = 0;
  mp_code code;

  mp_host_name(host);
  code = mp_store_engine_reap(e->store, e->id, host, mp_engine_now(e), stale_ms(e), &released, err);
  if (code == MP_OK && released > 0) {
    mp_log(e->settings->log, MP_LOG_INFO, "engine.took_over",
           "took over %lld deliveries of an engine that died", (long long)released);
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
  if (who.start < 0) who.start = 0;
  code = mp_secret_claim(e->store, e->sealer, err);
  if (code == MP_OK) code = set_clock(e, err);
  if (code != MP_OK) return code;
  code = mp_store_engine_join(e->store, &who, mp_engine_now(e), &e->id, &slot, &newest, err);
  if (code != MP_OK) return code;
  mp_id_source_move(&e->ids, slot, newest);
  code = reap(e, err);
  if (code == MP_OK) code = mp_registry_sync(e, err);
  return code;
}

static mp_code leave(mp_engine *e, mp_error *err) {
  mp_code code = set_clock(e, err);
  return code == MP_OK ? mp_store_engine_leave(e->store, e->id, err) : code;
}

mp_code mp_upkeep_leave(mp_engine *engine, mp_error *err) {
  return transaction(engine, leave, err);
}

/* Another engine took this one for dead (a suspended machine, say) and its deliveries over. What it
 * still has in flight ends without effect: the leases are not its own any more. */
static mp_code rejoin(mp_engine *e, mp_error *err) {
  int64_t id = e->id;
  mp_code code;

  mp_log(e->settings->log, MP_LOG_WARN, "engine.rejoined",
         "taken for dead by another engine; joining anew");
  code = transaction(e, join, err);
  if (code != MP_OK) e->id = id; /* a new row that was not committed is none */
  return code;
}

/* ---- the other engines ---------------------------------------------------------------------- */

typedef struct others {
  const mp_engine *engine;
  char host[MP_HOST_SIZE];
  int64_t pids[MP_ID_SLOTS];
  int count;
  bool self;    /* this engine's row is there */
  bool foreign; /* one cannot see this process */
} others;

static mp_code note_engine(void *arg, int64_t id, const mp_engine_identity *who, mp_error *err) {
  others *o = arg;
  (void)err;
  if (id == o->engine->id) o->self = true;
  if (id == o->engine->id && who->start != 0) return MP_OK;
  if (who->start == 0 || !who->host || strcmp(who->host, o->host) != 0)
    o->foreign = true;
  else if (o->count < MP_ID_SLOTS)
    o->pids[o->count++] = who->pid;
  return MP_OK;
}

static mp_code look_at_engines(mp_engine *e, mp_error *err) {
  others *o = calloc(1, sizeof *o);
  mp_code code;

  if (!o) return mp_fail(err, MP_ENOMEM, "out of memory");
  o->engine = e;
  mp_host_name(o->host);
  code = mp_store_engines(e->store, note_engine, o, err);
  if (code == MP_OK && !o->self) code = rejoin(e, err);
  if (code == MP_OK) {
    e->upkeep.polls =
        !mp_watch_processes(e->watch, o->pids, o->count) || !e->upkeep.file_is_watched;
    if (o->foreign != e->upkeep.foreign) {
      e->upkeep.next_beat = o->foreign ? mp_mono_ms() : INT64_MAX;
    }
    e->upkeep.foreign = o->foreign;
    e->upkeep.alone = o->count == 0 && !o->foreign;
  }
  free(o);
  return code;
}

/* What did other processes do? */
static mp_code look(mp_engine *e, mp_error *err) {
  bool changed = false;
  mp_code code;

  mp_watch_look(e->watch); /* what is written from here on is told again */
  code = mp_store_changed(e->store, &changed, err);
  if (changed) mp_registry_changed(e, MP_RELOAD_ALL);
  if (code == MP_OK) code = mp_registry_reload(e, err);
  if (code == MP_OK && changed) code = look_at_engines(e, err);
  if (code == MP_OK && !e->upkeep.alone) code = transaction(e, reap, err);
  return code;
}

static mp_code write_beat(mp_engine *e, mp_error *err) {
  mp_code code = set_clock(e, err);
  if (code == MP_OK) code = mp_store_engine_beat(e->store, e->id, mp_engine_now(e), err);
  return code == MP_OK ? reap(e, err) : code;
}

static mp_code beat(mp_engine *e, mp_error *err) {
  mp_code code = transaction(e, write_beat, err);
  return code == MP_ENOENT ? rejoin(e, err) : code;
}

mp_code mp_upkeep_start(mp_engine *engine, mp_error *err) {
  mp_upkeep *u = &engine->upkeep;
  const char *file;
  bool changed;
  mp_code code = mp_watch_new(&engine->watch, err);

  if (code != MP_OK) return code;
  u->joined_ms = mp_mono_ms();
  u->next_beat = INT64_MAX;
  u->next_look = INT64_MAX;
  u->forgotten_at = -1;
  code = transaction(engine, join, err);
  if (code != MP_OK) return code;
  file = mp_store_signal_file(engine->store);
  u->file_is_watched = !file || mp_watch_file(engine->watch, file);
  code = mp_store_changed(engine->store, &changed, err);
  if (code == MP_OK) code = look_at_engines(engine, err);
  u->looked_ms = mp_mono_ms();
  if (u->polls) u->next_look = u->looked_ms + LOOK_MS;
  return code;
}

/* ---- old history ---------------------------------------------------------------------------- */

static mp_code prune(mp_engine *e, mp_error *err) {
  const mp_settings *s = e->settings;
  mp_upkeep *u = &e->upkeep;
  int64_t now = mp_engine_now(e);
  mp_prune_before before = {.ended_ms = now - s->keep_delivered_ms,
                            .dead_ms = now - s->keep_dead_ms,
                            .held_ms = now - s->keep_dead_ms};

  if (u->too_large) before.ended_ms = before.dead_ms = INT64_MAX; /* held is not history yet */
  return mp_store_prune(e->store, &before, now, u->pruned.after, &u->pruned, err);
}

/* A step of forgetting, and of giving its room back. more: there is another to do. */
static mp_code forget_old(mp_engine *e, bool *more, mp_error *err) {
  mp_upkeep *u = &e->upkeep;
  int64_t used, spare;
  mp_code code = mp_store_size(e->store, &used, &spare, err);

  *more = false;
  if (code != MP_OK) return code;
  u->too_large = e->settings->max_store_bytes > 0 && used > e->settings->max_store_bytes;
  code = transaction(e, prune, err);
  if (code != MP_OK) return code;
  atomic_fetch_add(&e->forgotten, u->pruned.count);
  *more = u->pruned.count > 0 || u->pruned.after > 0 || spare > SPARE_BYTES;
  return spare > SPARE_BYTES ? mp_store_shrink(e->store, err) : MP_OK;
}

/* When is history looked at again? A minute after something was written, else when the oldest comes
 * of age. */
static int64_t next_forget(const mp_engine *e) {
  const mp_upkeep *u = &e->upkeep;
  int64_t old_at;

  if (u->forgotten_at != atomic_load(&e->commits)) return u->next_prune;
  if (u->pruned.old_ms == INT64_MAX) return INT64_MAX;
  old_at = mp_mono_ms() + (u->pruned.old_ms - mp_engine_now(e));
  return old_at > u->next_prune ? old_at : u->next_prune;
}

mp_code mp_upkeep_forget(mp_engine *engine, mp_error *err) {
  mp_upkeep *u = &engine->upkeep;
  bool more;
  mp_code code = forget_old(engine, &more, err);

  u->next_prune = mp_mono_ms() + (code == MP_OK && more ? PRUNE_BUSY_MS : PRUNE_IDLE_MS);
  u->forgotten_at = code == MP_OK && !more ? atomic_load(&engine->commits) : -1;
  return code;
}

/* ---- the whole ------------------------------------------------------------------------------ */

int64_t mp_upkeep_due(const mp_engine *engine) {
  const mp_upkeep *u = &engine->upkeep;
  int64_t at = next_forget(engine);

  if (u->next_look < at) at = u->next_look;
  return u->next_beat < at ? u->next_beat : at;
}

void mp_upkeep_tell(mp_engine *engine, mp_news news) {
  mp_upkeep *u = &engine->upkeep;

  if (news.file) {
    u->looks_left = LOOKS;
    if (u->next_look > u->looked_ms + LOOK_MS) u->next_look = u->looked_ms + LOOK_MS;
  }
  if (news.process) u->next_look = mp_mono_ms();
}

/* A commit is visible only some time after its last write was told, when it is on disk: so it is
 * looked at again, a second later and several. */
static int64_t look_again(mp_upkeep *u, mp_code code, int64_t now) {
  if (code != MP_OK || u->polls) return now + LOOK_MS;
  if (u->looks_left > 0) u->looks_left--;
  if (u->looks_left == 0) return INT64_MAX;
  return now + (u->looks_left > 1 ? LOOK_MS : LAST_LOOK_MS);
}

void mp_upkeep_run(mp_engine *engine) {
  mp_upkeep *u = &engine->upkeep;
  int64_t now = mp_mono_ms();
  mp_error err = {0};
  mp_code code = MP_OK;

  /* A thread that has always work to do does not sleep, and so hears nothing. */
  if (now - u->looked_ms >= LOOK_MS && now < u->next_look) {
    mp_upkeep_tell(engine, mp_watch_sleep(engine->watch, now));
  }
  if (now >= u->next_look) {
    u->looked_ms = now;
    code = look(engine, &err);
    u->next_look = look_again(u, code, now);
  }
  if (code == MP_OK && now >= u->next_beat) {
    u->next_beat = now + BEAT_MS;
    code = beat(engine, &err);
  }
  if (code == MP_OK && now >= next_forget(engine)) code = mp_upkeep_forget(engine, &err);
  if (code != MP_OK) {
    mp_log(engine->settings->log, MP_LOG_ERROR, "store.upkeep", "looking after the store: %s",
           err.message);
  }
}
