/* Lines of the log for a host that takes them. Host thread.
 *
 * The line that was taken last stays in the handle until it is on Lua's stack, so that none is lost
 * when Lua has no memory for it. */
#include <stdlib.h>

#include "lua/fail.h"
#include "lua/handle.h"

void mp_lua_log_hold(mp_lua_handle *handle, mp_logger *log) {
  handle->log = mp_logger_ref(log);
  mp_log_hold(log);
}

mp_code mp_lua_log_listen(mp_lua_handle *handle, mp_error *err) {
  mp_lua_handle *h = handle;
  mp_logger *log = mp_engine_settings(h->engine)->log;
  mp_code code;

  if (log != h->log) { /* the store was open already */
    mp_lua_drop_log(h);
    mp_lua_log_hold(h, log);
  }
  code = mp_lua_mailbox(h, err);
  return code == MP_OK ? mp_log_listen(h->log, h->mailbox, err) : code;
}

void mp_lua_drop_log(mp_lua_handle *handle) {
  free(handle->line);
  handle->line = NULL;
  if (!handle->log) return;
  mp_log_release(handle->log, handle->mailbox);
  mp_logger_free(handle->log);
  handle->log = NULL;
}

/* log_take() -> level, text, JSON of the next line, or nothing; also after close. */
static int log_take(lua_State *L) {
  mp_lua_handle *h = mp_lua_check_handle(L, 1);

  if (!h->line && h->log) h->line = mp_log_take(h->log, !h->engine);
  if (!h->line) return 0;
  lua_pushstring(L, mp_log_level_name(h->line->level));
  lua_pushstring(L, h->line->text);
  lua_pushstring(L, h->line->object);
  free(h->line);
  h->line = NULL;
  return 3;
}

/* log_end(): lines go to standard error again. */
static int log_end(lua_State *L) {
  mp_lua_drop_log(mp_lua_check_handle(L, 1));
  return 0;
}

const luaL_Reg mp_lua_log_methods[] = {{"log_take", log_take}, {"log_end", log_end}, {NULL, NULL}};
