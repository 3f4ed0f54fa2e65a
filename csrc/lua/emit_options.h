/* emit's options. */
#ifndef MP_LUA_EMIT_OPTIONS_H
#define MP_LUA_EMIT_OPTIONS_H

#include "lua/handle.h"

typedef struct mp_emit_options {
  bool wait;
  const char *idempotency_key; /* owned by Lua */
  const char *order_key;
  const char *headers; /* JSON, in the handle's scratch buffer; NULL: none */
} mp_emit_options;

/* Reads the options at index (nil or none: the defaults). Raises nothing. MP_EINVAL names the
 * option. The strings are valid while the table is, headers until the handle's answer buffer is
 * used again. */
mp_code mp_lua_emit_options(lua_State *L, mp_lua_handle *handle, int index, mp_emit_options *out,
                            mp_error *err);

#endif
