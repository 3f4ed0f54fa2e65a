/* Scripts for Lua, without an engine. */
#ifndef MP_LUA_SCRIPT_H
#define MP_LUA_SCRIPT_H

#include "lua/compat.h"

/* Adds check_scripts and try_script to the module table on the stack's top. */
void mp_lua_script(lua_State *L);

#endif
