/* The network guard and TLS files for Lua. */
#ifndef MP_LUA_NETWORK_H
#define MP_LUA_NETWORK_H

#include "http/netguard.h"
#include "lua/compat.h"

/* Adds check_rule, guard_url and check_certificate to the module table on the stack's top. */
void mp_lua_network(lua_State *L);

/* Builds a guard of three lists on the stack: of rules that allow, of rules that deny, of ports.
 * Allocates nothing in Lua and raises nothing; needs one free stack slot. MP_EINVAL, MP_ENOMEM. */
mp_code mp_lua_guard(lua_State *L, int allow, int deny, int ports, mp_netguard **out,
                     mp_error *err);

#endif
