/* Headers and URLs for Lua. */
#ifndef MP_LUA_HTTP_H
#define MP_LUA_HTTP_H

#include "base/error.h"
#include "http/headers.h"
#include "lua/compat.h"

/* Adds merge_headers, check_header, header_reserved and check_url to the module table on the
 * stack's top. */
void mp_lua_http(lua_State *L);

/* Reads the value at index as headers: nil or none (no header), a map of name -> string, taken in
 * order of the lower-cased names, or an ordered array of { name, value } or { name =, value = }.
 * Tables are read raw. Adds them to out, which the caller initialised and frees, also after a
 * failure. where names the value in messages ("webhooks.defaultHeaders"). MP_EINVAL, MP_E2BIG over
 * MP_HEADERS_MAX_BYTES, MP_ENOMEM. Runs no Lua code, allocates nothing in Lua and raises nothing;
 * needs six free stack slots. */
mp_code mp_lua_headers(lua_State *L, int index, const char *where, mp_headers *out, mp_error *err);

#endif
