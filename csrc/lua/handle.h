/* A host's handle on an engine: what moonpost.core.open returns. Used by the Lua state's own
 * thread. */
#ifndef MP_LUA_HANDLE_H
#define MP_LUA_HANDLE_H

#include "base/buf.h"
#include "engine/engine.h"
#include "engine/log.h"
#include "lua/compat.h"
#include "payload/sanitize.h"

#define MP_LUA_HANDLE  "moonpost.engine"
#define MP_WARNED_KEYS 512 /* a power of two: keys that are warned of once each */

typedef struct mp_lua_handle {
  mp_engine *engine;       /* NULL: closed */
  const mp_schema *schema; /* kept alive by schema_ref */
  int schema_ref;
  mp_sanitize_options sanitize;
  size_t event_size;               /* most bytes of a body */
  mp_buf body;                     /* scratch for one body; memory stays for the next */
  mp_buf answer;                   /* scratch for one call's JSON */
  mp_list events;                  /* of mp_event: the emit under way. Those of one that raised an
                                      error go with the next, or with the handle */
  mp_mailbox *mailbox;             /* NULL until it is needed */
  mp_list taken;                   /* of mp_mail: out of the mailbox, not yet told */
  mp_logger *log;                  /* a reference; NULL: its host takes no lines of the log */
  mp_log_line *line;               /* out of the log, not yet told */
  unsigned warned[MP_WARNED_KEYS]; /* hashes of dropped keys that were warned of; 0: free */
  unsigned warned_count;
} mp_lua_handle;

/* The handle at index; raises an argument error when it is something else. */
mp_lua_handle *mp_lua_check_handle(lua_State *L, int index);

/* MP_ECLOSED after close. */
mp_code mp_lua_open_engine(const mp_lua_handle *handle, mp_error *err);

/* emit.c: handle:emit(event, info, options, created_ms, later) and handle:emit_json(text, options,
 * created_ms, later). With later they answer the id, or ids, and the ticket under which handle:take
 * will tell what came of it. */
int mp_lua_emit(lua_State *L);
int mp_lua_emit_json(lua_State *L);

void mp_lua_drop_events(mp_lua_handle *handle);

/* mailbox.c: handle:take(), :fd(), :listen(), :accept() and :ask() */
extern const luaL_Reg mp_lua_mailbox_methods[];

/* The handle's mailbox, made when there is none. */
mp_code mp_lua_mailbox(mp_lua_handle *handle, mp_error *err);
/* Mails that were taken, and what is still to come, are nobody's. */
void mp_lua_drop_mailbox(mp_lua_handle *handle);

/* log.c: handle:log_take() and :log_end() */
extern const luaL_Reg mp_lua_log_methods[];

/* The host takes what is logged, from before the engine is opened on; then it is rung for it. */
void mp_lua_log_hold(mp_lua_handle *handle, mp_logger *log);
mp_code mp_lua_log_listen(mp_lua_handle *handle, mp_error *err);
void mp_lua_drop_log(mp_lua_handle *handle); /* before the mailbox */

/* The sanitizer's callback; arg is the handle. */
void mp_lua_unknown_key(void *arg, const mp_model *model, const char *key, size_t len);

#endif
