/* One HTTP request, waited for, for the command line. */
#ifndef MP_LUA_FETCH_H
#define MP_LUA_FETCH_H

#include "lua/compat.h"

/* Adds request to the module table on the stack's top. */
void mp_lua_fetch(lua_State *L);

#endif
