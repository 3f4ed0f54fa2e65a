/* The engine for Lua. */
#ifndef MP_LUA_ENGINE_H
#define MP_LUA_ENGINE_H

#include "lua/compat.h"

/* Adds open(settings, schema, options) to the module table on the stack's top. */
void mp_lua_engine(lua_State *L);

#endif
