/* Scripts as the engine sees them: loaded files that route, filter and transform events.
 *
 * Each loaded version of a file (mp_script) is a lua_State of its own, behind a table of functions,
 * for the engine is the same for every Lua: csrc/script implements the table once for each of them.
 * A script is used by one thread at a time (the engine's script thread; loading may happen on
 * another). No lua.h here. */
#ifndef MP_SCRIPT_SCRIPT_H
#define MP_SCRIPT_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

typedef struct mp_script mp_script;

#define MP_SCRIPT_HASH                                                                     \
  16 /* hex digits of a version: the start of SHA-256 over the file and every file that it \
        required */

/* What one call of a script may use. */
typedef struct mp_script_limits {
  int64_t time_us;      /* of the thread's CPU; wall clock is bounded by twice that and a second */
  int64_t instructions; /* of the virtual machine */
  size_t memory;        /* bytes, of the whole lua_State */
} mp_script_limits;

/* Levels of lines: those of the engine's log. */
enum { MP_SCRIPT_ERROR = 1, MP_SCRIPT_WARN = 2, MP_SCRIPT_INFO = 3 };

typedef void (*mp_script_log_fn)(void *arg, int level, const char *script, const char *line);

typedef struct mp_script_options {
  const char *folder;
  const char *name;      /* "crm": folder/crm.lua */
  const char *constants; /* JSON object: config's webhooks.constants; NULL: none */
  mp_script_limits limits;
  mp_script_log_fn log; /* log.info, log.warn, log.error; lines are cut at 1 KiB, and 100 a call */
  void *log_arg;
} mp_script_options;

/* An event as scripts see it. body is the stored payload: a JSON object that is already sanitized.
 */
typedef struct mp_script_event {
  const char *id;    /* "evt_..." */
  const char *type;  /* "entry.create" */
  const char *model; /* uid, or NULL */
  int64_t
      created_ms; /* Unix; what os.time() gives, and what math.random is seeded by, with the id */
  const char *body;
  size_t body_len;
} mp_script_event;

typedef struct mp_script_webhook {
  int64_t id;
  const char *name, *url;
  const char *const *events; /* patterns as in its definition */
  size_t event_count;
} mp_script_webhook;

/* What a call came to. */
typedef struct mp_script_use {
  int64_t cpu_us;
  int64_t instructions;
  size_t memory; /* the most the lua_State had during the call, bytes */
} mp_script_use;

/* Errors of all calls: MP_EINVAL (the script is wrong or raised an error), MP_ELIMIT-like codes are
 * not needed: the message says which limit. err's message is "crm.lua:12: what happened", at most
 * 1 KiB, printable, and never has a value of the event in it beyond what the script itself put
 * there. */
typedef struct mp_script_ops {
  /* Reads, compiles and runs the file, and tries each of its phases on a sample event. MP_ENOENT:
   * no such file. */
  mp_code (*load)(const mp_script_options *options, mp_script **out, mp_error *err);
  void (*free)(mp_script *script); /* NULL-safe */

  const char *(*hash)(const mp_script *script);
  /* Has the script such a phase, and do its events and models let this event in? */
  bool (*routes)(const mp_script *script, const char *type, const char *model);
  bool (*filters)(const mp_script *script, const char *type, const char *model);
  bool (*transforms)(const mp_script *script, const char *type, const char *model);

  /* names becomes a JSON array of webhook names (or ids as numbers); left empty for nil: the
   * subscriptions stay. */
  mp_code (*route)(mp_script *script, const mp_script_event *event, mp_buf *names,
                   mp_script_use *use, mp_error *err);
  mp_code (*filter)(mp_script *script, const mp_script_event *event,
                    const mp_script_webhook *webhook, bool *keep, mp_script_use *use,
                    mp_error *err);
  /* payload (JSON text of the payload as the scripts before left it) is the first argument of the
   * phase; body becomes the new one (left empty and changed false for nil). headers becomes a JSON
   * array [["Name","value"], ...] or stays empty. content_type: empty for a table (JSON); what the
   * script named, or "text/plain; charset=utf-8", for a string. */
  mp_code (*transform)(mp_script *script, const mp_script_event *event,
                       const mp_script_webhook *webhook, const char *payload, size_t payload_len,
                       bool *changed, mp_buf *body, mp_buf *headers, mp_buf *content_type,
                       mp_script_use *use, mp_error *err);
  /* Has the file, or one that it required, changed on disk since it was loaded (mtime or size, then
   * hash)? */
  bool (*changed)(const mp_script *script);
} mp_script_ops;

/* csrc/script, for the Lua that it is compiled with. */
extern const mp_script_ops mp_script_lua_ops;

#endif
