/* Lua values as the sanitizer's source. */
#ifndef MP_LUA_VALUE_H
#define MP_LUA_VALUE_H

#include "lua/compat.h"
#include "payload/sanitize.h"

/* Makes the module ready for the other two, once for a Lua state. */
void mp_lua_value_open(lua_State *L);

/* Sanitizes the value at index and appends it to out as JSON; nothing of it when it fails. Raises
 * nothing, so that the caller may hold memory, and runs no Lua code and no metamethods (but
 * tostring, protected, for LuaJIT's 64-bit integers). model NULL: the value is sent whole. Errors:
 * MP_EINVAL with the path of what cannot be sent (from root: "entry.items[3].price"), MP_E2BIG when
 * out's limit is passed, MP_ENOMEM. */
mp_code mp_lua_sanitize(lua_State *L, int index, const mp_schema *schema, const mp_model *model,
                        const mp_sanitize_options *options, const char *root, mp_buf *out,
                        mp_error *err);

/* Says which values stand for null, for an empty list, and which metatables mark lists, beside
 * lightuserdata NULL and metatables with __jsontype: register{ null =, empty_array =, array_mt =,
 * empty_array_mt = } as lua-cjson's forks have them; each may be nil. */
int mp_lua_register(lua_State *L);

#endif
