/* The scripts that are loaded: the global ones and those that webhooks name, each with its last
 * good version.
 *
 * The script thread loads and runs them; other threads only ask whether an event has to go there,
 * under a lock that the script thread holds while it puts a new version in place. */
#ifndef MP_ENGINE_SCRIPTS_H
#define MP_ENGINE_SCRIPTS_H

#include "base/list.h"
#include "engine/lane.h"
#include "engine/settings.h"

#define MP_SCRIPT_PAUSE 20 /* failures in a row after which a script is not run any more */

typedef struct mp_scripts mp_scripts;

/* A script of which a version came into place. */
typedef struct mp_script_news {
  mp_node node;
  bool global;
  char name[];
} mp_script_news;

/* Loads the global scripts: one that cannot be loaded is an error (MP_EINVAL, MP_ENOENT). */
mp_code mp_scripts_new(const mp_settings *settings, mp_scripts **out, mp_error *err);
void mp_scripts_free(mp_scripts *scripts); /* NULL-safe */

/* ---- any thread ----------------------------------------------------------------------------- */

/* Does a global script say where such events go? */
bool mp_scripts_route(mp_scripts *scripts, const char *type, const char *model);

/* Has a delivery of such an event to go through scripts? own: the webhook's script, or NULL.
 * report: global scripts see events of the content alone. */
bool mp_scripts_apply(mp_scripts *scripts, const char *own, const char *type, const char *model,
                      bool report);

/* ---- script thread, or before it runs ------------------------------------------------------- */

/* Loads a webhook's script, unless it is loaded. */
mp_code mp_scripts_need(mp_scripts *scripts, const char *name, mp_error *err);

/* names: those that webhooks name, each with a NUL, and one more at the end. They are loaded where
 * they are not; of those that nothing names any more nothing is kept. */
void mp_scripts_keep(mp_scripts *scripts, const char *names);

/* Loads anew what changed on disk (all: everything). Appends to news what came into place, and to
 * out (may be NULL) what became of each: {"loaded":[...],"failed":[{"script","error"}]}. */
void mp_scripts_reload(mp_scripts *scripts, bool all, mp_list *news, mp_buf *out);
void mp_script_news_free(mp_list *news);

/* Every script as JSON: name, global, version, paused, error, last_failure, calls, errors, cpu_ms,
 * instructions, memory. */
void mp_scripts_describe(mp_scripts *scripts, mp_buf *out);

/* Runs the delivery, or the routing, through its scripts: sets what it has in scripted, and its
 * attempt where one failed. False when out of memory: nothing is set. (chain.c) */
bool mp_scripts_run(mp_scripts *scripts, mp_delivery *delivery);

/* ---- for chain.c ---------------------------------------------------------------------------- */

typedef enum mp_script_phase {
  MP_PHASE_ROUTE,
  MP_PHASE_FILTER,
  MP_PHASE_TRANSFORM,
  MP_PHASES
} mp_script_phase;

/* What the calls of a phase came to. */
typedef struct mp_script_sum {
  int64_t calls, errors, cpu_us, instructions;
  size_t memory; /* the most that one of them had */
} mp_script_sum;

typedef struct mp_script_slot {
  char *name;
  bool global;
  mp_script *script; /* the last good version; NULL: none could be loaded yet */
  char *error;       /* why the file as it is cannot be loaded; NULL: it is loaded */
  char *failure;     /* the last of this version; NULL: none */
  int failures;      /* in a row */
  bool paused;
  mp_script_sum sums[MP_PHASES]; /* of all its versions */
} mp_script_slot;

typedef struct mp_script_chain {
  const mp_settings *settings;
  const mp_script_ops *ops;
  mp_script_slot **slots; /* the global ones first, in their order */
  size_t count;
  size_t global_count;
} mp_script_chain;

const mp_script_chain *mp_scripts_chain(const mp_scripts *scripts);
mp_script_slot *mp_scripts_find(const mp_scripts *scripts, const char *name); /* NULL: none */

#endif
