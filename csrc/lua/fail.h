/* The runtime failure convention of the bindings: nil, message, code. */
#ifndef MP_LUA_FAIL_H
#define MP_LUA_FAIL_H

#include "base/error.h"
#include "lua/compat.h"

/* Pushes nil, the message and the code's name; returns 3, for a return statement. */
static inline int mp_lua_fail(lua_State *L, const mp_error *err) {
  lua_pushnil(L);
  lua_pushstring(L, err->message);
  lua_pushstring(L, mp_code_name(err->code));
  return 3;
}

#endif
