/* What Lua's standard library lacks of files and time, for the config, the CLI and the plain host.
 */
#ifndef MP_LUA_FS_H
#define MP_LUA_FS_H

#include "lua/compat.h"

/* Adds listdir, realpath, stat, mkdir, now, wall_ms and sleep to the module table on the stack's
 * top. */
void mp_lua_fs(lua_State *L);

#endif
