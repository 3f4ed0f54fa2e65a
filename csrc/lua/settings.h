/* From the Lua table that lua/moonpost/init.lua prepares to an engine's settings. */
#ifndef MP_LUA_SETTINGS_H
#define MP_LUA_SETTINGS_H

#include "engine/settings.h"
#include "lua/compat.h"

/* Reads the settings at index. The table comes from moonpost's own Lua code, which has checked the
 * config: a missing or mistyped field is MP_EINVAL and a bug there. Raises nothing; frees what it
 * made on failure. */
mp_code mp_lua_settings(lua_State *L, int index, mp_settings **out, mp_error *err);

/* What scripts return is sanitized by these. The settings get a reference to the schema. */
void mp_lua_settings_sanitizer(mp_settings *settings, mp_schema *schema,
                               const mp_sanitize_options *options);

#endif
