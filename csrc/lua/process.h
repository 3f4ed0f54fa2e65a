/* Becoming another program. */
#ifndef MP_LUA_PROCESS_H
#define MP_LUA_PROCESS_H

#include "lua/compat.h"

/* Adds to the table on the stack's top: exec(words). */
void mp_lua_process(lua_State *L);

#endif
