/* Schemas and the sanitizer for Lua. */
#ifndef MP_LUA_PAYLOAD_H
#define MP_LUA_PAYLOAD_H

#include "lua/compat.h"
#include "payload/schema.h"

/* Adds schema, sanitize, sanitize_json, check_json, to_json and register to the module table on the
 * stack's top. */
void mp_lua_payload(lua_State *L);

/* The schema at index; raises an argument error when it is something else. Lives as long as its
 * userdata. */
mp_schema *mp_lua_check_schema(lua_State *L, int index);

#endif
