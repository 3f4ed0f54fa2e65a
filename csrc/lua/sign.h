/* Signatures for Lua. */
#ifndef MP_LUA_SIGN_H
#define MP_LUA_SIGN_H

#include "lua/compat.h"

/* Adds check_secret, new_secret, new_signing_key, public_key and verify to the module table on the
 * stack's top. */
void mp_lua_sign(lua_State *L);

#endif
