/* The engine for Lua. */
#ifndef MP_LUA_ENGINE_H
#define MP_LUA_ENGINE_H

#include "lua/compat.h"
#include "payload/sanitize.h"

/* Adds open(settings, schema, options) to the module table on the stack's top. */
void mp_lua_engine(lua_State *L);

/* The table { keep_unknown =, keep_users = } at index. */
mp_sanitize_options mp_lua_sanitize_options(lua_State *L, int index);

#endif
