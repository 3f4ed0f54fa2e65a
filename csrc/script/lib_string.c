/* string, but for what has patterns (lib_pattern.c) and format (lib_format.c). Script thread.
 *
 * Bytes and the letters of ASCII, whatever the host's locale is. */
#include <string.h>

#include "script/sandbox.h"

/* Memory for a result, which Lua owns. */
static char *scratch(lua_State *L, size_t size) {
  mp_sandbox_charge_bytes(L, size);
  return lua_newuserdatauv(L, size + 1, 0);
}

static int string_len(lua_State *L) {
  size_t len;
  luaL_checklstring(L, 1, &len);
  lua_pushinteger(L, (lua_Integer)len);
  return 1;
}

/* The first and last places that the arguments i and i + 1 mean, from 1; none are: first > last. */
static void range(lua_State *L, size_t len, lua_Integer default_first, lua_Integer default_last,
                  size_t *first, size_t *last) {
  lua_Integer from = luaL_optinteger(L, 2, default_first), to, size = (lua_Integer)len;

  if (from < 0) from = from < -size ? 1 : size + from + 1;
  if (from == 0) from = 1;
  to = luaL_optinteger(L, 3, default_last ? default_last : from);
  if (to > size) to = size;
  if (to < 0) to = to < -size ? 0 : size + to + 1;
  *first = (size_t)from;
  *last = (size_t)to;
}

/* sub(s, first, last = -1) */
static int string_sub(lua_State *L) {
  size_t len, first, last;
  const char *s = luaL_checklstring(L, 1, &len);

  luaL_checkinteger(L, 2);
  range(L, len, 1, -1, &first, &last);
  if (first > last) {
    lua_pushliteral(L, "");
    return 1;
  }
  mp_sandbox_charge_bytes(L, last - first);
  lua_pushlstring(L, s + first - 1, last - first + 1);
  return 1;
}

/* byte(s, first = 1, last = first) */
static int string_byte(lua_State *L) {
  size_t len, first, last;
  const char *s = luaL_checklstring(L, 1, &len);

  range(L, len, 1, 0, &first, &last);
  if (first > last) return 0;
  mp_sandbox_charge(L, (int64_t)(last - first));
  if (last - first >= 1000000) return luaL_error(L, "string slice too long");
  luaL_checkstack(L, (int)(last - first) + 1, "string slice too long");
  for (size_t i = first; i <= last; i++)
    lua_pushinteger(L, (unsigned char)s[i - 1]);
  return (int)(last - first) + 1;
}

static int string_char(lua_State *L) {
  int count = lua_gettop(L);
  char *out = scratch(L, (size_t)count);

  for (int i = 1; i <= count; i++) {
    lua_Integer c = luaL_checkinteger(L, i);
    luaL_argcheck(L, c >= 0 && c <= 255, i, "value out of range");
    out[i - 1] = (char)c;
  }
  lua_pushlstring(L, out, (size_t)count);
  return 1;
}

/* The letters from a to z become those from other_a on; all else stays. */
static int change_case(lua_State *L, char a, char z, char other_a) {
  size_t len;
  const char *s = luaL_checklstring(L, 1, &len);
  char *out = scratch(L, len);

  for (size_t i = 0; i < len; i++)
    out[i] = s[i] >= a && s[i] <= z ? (char)(s[i] - a + other_a) : s[i];
  lua_pushlstring(L, out, len);
  return 1;
}

static int string_lower(lua_State *L) {
  return change_case(L, 'A', 'Z', 'a');
}

static int string_upper(lua_State *L) {
  return change_case(L, 'a', 'z', 'A');
}

static int string_reverse(lua_State *L) {
  size_t len;
  const char *s = luaL_checklstring(L, 1, &len);
  char *out = scratch(L, len);

  for (size_t i = 0; i < len; i++)
    out[i] = s[len - 1 - i];
  lua_pushlstring(L, out, len);
  return 1;
}

/* rep(s, n, separator = "") */
static int string_rep(lua_State *L) {
  size_t len, between, size, at = 0;
  const char *s = luaL_checklstring(L, 1, &len);
  lua_Integer n = luaL_checkinteger(L, 2);
  const char *separator = luaL_optlstring(L, 3, "", &between);
  char *out;

  if (n <= 0 || len + between == 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  if ((size_t)n > (size_t)PTRDIFF_MAX / (len + between)) {
    return luaL_error(L, "resulting string too large");
  }
  size = (size_t)n * (len + between) - between;
  out = scratch(L, size);
  for (lua_Integer i = 0; i < n; i++) {
    memcpy(out + at, s, len);
    at += len;
    if (i + 1 < n) memcpy(out + at, separator, between);
    at += between;
  }
  lua_pushlstring(L, out, size);
  return 1;
}

void mp_script_open_string(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"byte", string_byte},   {"char", string_char},   {"len", string_len},
      {"lower", string_lower}, {"rep", string_rep},     {"reverse", string_reverse},
      {"sub", string_sub},     {"upper", string_upper}, {NULL, NULL},
  };
  luaL_setfuncs(L, functions, 0);
  mp_script_open_patterns(L);
  mp_script_open_format(L);
}
