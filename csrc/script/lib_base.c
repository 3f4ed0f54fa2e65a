/* The functions that scripts have as globals, and the libraries. Script thread.
 *
 * No library can be written to: it is a userdata that only answers what is asked of it, so that
 * neither rawset nor a function of table finds a table there. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "payload/number.h"
#include "script/sandbox.h"

/* ---- errors --------------------------------------------------------------------------------- */

static int base_assert(lua_State *L) {
  if (lua_toboolean(L, 1)) return lua_gettop(L);
  luaL_checkany(L, 1);
  lua_remove(L, 1);
  lua_pushliteral(L, "assertion failed!");
  lua_settop(L, 1);
  if (lua_type(L, 1) != LUA_TSTRING) return lua_error(L);
  luaL_where(L, 1); /* unlike Lua's own: an error says where it is */
  lua_insert(L, 1);
  lua_concat(L, 2);
  return lua_error(L);
}

static int base_error(lua_State *L) {
  int level = (int)luaL_optinteger(L, 2, 1);

  lua_settop(L, 1);
  if (lua_type(L, 1) == LUA_TSTRING && level > 0) {
    luaL_where(L, level);
    lua_insert(L, 1);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int base_pcall(lua_State *L) {
  bool ok;

  luaL_checkany(L, 1);
  ok = mp_sandbox_pcall(L, lua_gettop(L) - 1, 0);
  lua_pushboolean(L, ok);
  lua_insert(L, 1);
  return lua_gettop(L);
}

/* A handler runs where the error was raised. That of a limit is raised by the hook, within which no
 * instruction is counted: a script's own function is not to run there. Upvalue: the function. */
static int handle(lua_State *L) {
  if (mp_sandbox_of(L)->over[0]) return 1;
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  mp_sandbox_call(L, 1, 1);
  return 1;
}

/* xpcall(f, handler, ...) */
static int base_xpcall(lua_State *L) {
  bool ok;

  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, handle, 1);
  lua_replace(L, 1);
  lua_replace(L, 2); /* handler, f, ... */
  ok = mp_sandbox_pcall(L, lua_gettop(L) - 2, 1);
  lua_pushboolean(L, ok);
  lua_replace(L, 1);
  return lua_gettop(L);
}

/* ---- going through tables ------------------------------------------------------------------- */

/* Upvalues: the table, how many keys, the last place. */
static int next_of_list(lua_State *L) {
  lua_Integer at = lua_tointeger(L, lua_upvalueindex(3)),
              count = lua_tointeger(L, lua_upvalueindex(2));

  while (++at <= count) {
    lua_rawgeti(L, lua_upvalueindex(1), (int)at);
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      continue;
    }
    lua_pushinteger(L, at);
    lua_pushvalue(L, -1);
    lua_replace(L, lua_upvalueindex(3));
    lua_insert(L, -2);
    return 2;
  }
  lua_pushnil(L);
  return 1;
}

/* Upvalues: the table, its keys, the last place among them. */
static int next_of_keys(lua_State *L) {
  int at = (int)lua_tointeger(L, lua_upvalueindex(3));

  for (;;) {
    lua_rawgeti(L, lua_upvalueindex(2), ++at);
    if (lua_isnil(L, -1)) return 1;
    lua_pushvalue(L, -1);
    lua_rawget(L, lua_upvalueindex(1));
    if (!lua_isnil(L, -1)) break;
    lua_pop(L, 2);
  }
  lua_pushinteger(L, at);
  lua_replace(L, lua_upvalueindex(3));
  return 2;
}

static int base_pairs(lua_State *L) {
  mp_script_check_table(L, 1);
  lua_settop(L, 1);
  lua_pushvalue(L, 1);
  mp_script_push_keys(L, 1);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, lua_isnumber(L, 3) ? next_of_list : next_of_keys, 3);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

static int ipairs_next(lua_State *L) {
  int at = (int)lua_tointeger(L, 2) + 1;

  lua_pushinteger(L, at);
  lua_rawgeti(L, 1, at);
  if (!lua_isnil(L, -1)) return 2;
  return 1;
}

static int base_ipairs(lua_State *L) {
  mp_script_check_table(L, 1);
  lua_pushcfunction(L, ipairs_next);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

/* The keys of the last table that next went through are kept: each is looked up once. */
static int push_next(lua_State *L, mp_sandbox *s, int keys) {
  for (;;) {
    if (lua_isnumber(L, keys)) {
      if (++s->next_at > lua_tointeger(L, keys)) break;
      lua_pushinteger(L, s->next_at);
    } else {
      lua_rawgeti(L, keys, ++s->next_at);
      if (lua_isnil(L, -1)) break;
    }
    lua_pushvalue(L, -1);
    lua_rawget(L, 1);
    if (!lua_isnil(L, -1)) return 2;
    lua_pop(L, 2);
  }
  lua_pushnil(L);
  return 1;
}

/* Is the key at 2 the one at the place among the keys at 3? */
static bool is_at(lua_State *L, int at) {
  bool is;

  if (lua_isnumber(L, 3))
    lua_pushinteger(L, at);
  else
    lua_rawgeti(L, 3, at);
  is = at > 0 && lua_rawequal(L, -1, 2);
  lua_pop(L, 1);
  return is;
}

static bool find_place(lua_State *L, mp_sandbox *s) {
  int count = (int)(lua_isnumber(L, 3) ? lua_tointeger(L, 3) : (lua_Integer)lua_rawlen(L, 3));

  for (int at = 1; at <= count; at++) {
    if (!is_at(L, at)) continue;
    s->next_at = at;
    mp_sandbox_charge(L, at);
    return true;
  }
  return false;
}

static int base_next(lua_State *L) {
  mp_sandbox *s = mp_sandbox_of(L);

  mp_script_check_table(L, 1);
  lua_settop(L, 2);
  mp_sandbox_charge(L, 1);
  if (!lua_isnil(L, 2)) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, MP_KEPT_NEXT_KEYS);
    lua_rawgeti(L, LUA_REGISTRYINDEX, MP_KEPT_NEXT_TABLE);
    if (lua_rawequal(L, 4, 1) && is_at(L, s->next_at)) return push_next(L, s, 3);
    lua_settop(L, 2);
  }
  mp_script_push_keys(L, 1);
  s->next_at = 0;
  if (!lua_isnil(L, 2) && !find_place(L, s))
    return luaL_error(L, "next: the table has no such key");
  lua_pushvalue(L, 3);
  lua_rawseti(L, LUA_REGISTRYINDEX, MP_KEPT_NEXT_KEYS);
  lua_pushvalue(L, 1);
  lua_rawseti(L, LUA_REGISTRYINDEX, MP_KEPT_NEXT_TABLE);
  return push_next(L, s, 3);
}

static int base_select(lua_State *L) {
  int count = lua_gettop(L);
  lua_Integer n;

  if (lua_type(L, 1) == LUA_TSTRING && strcmp(lua_tostring(L, 1), "#") == 0) {
    lua_pushinteger(L, count - 1);
    return 1;
  }
  n = luaL_checkinteger(L, 1);
  if (n < 0) n = count + n;
  luaL_argcheck(L, n >= 1, 1, "index out of range");
  if (n >= count) return 0;
  mp_sandbox_charge(L, count - n);
  return count - (int)n;
}

/* ---- raw access and metatables -------------------------------------------------------------- */

static int base_rawequal(lua_State *L) {
  luaL_checkany(L, 2);
  lua_pushboolean(L, lua_rawequal(L, 1, 2));
  return 1;
}

static int base_rawget(lua_State *L) {
  mp_script_check_table(L, 1);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  lua_rawget(L, 1);
  return 1;
}

static int base_rawset(lua_State *L) {
  mp_script_check_table(L, 1);
  luaL_checkany(L, 3);
  lua_settop(L, 3);
  lua_rawset(L, 1);
  return 1;
}

static int base_rawlen(lua_State *L) {
  luaL_argcheck(L, lua_istable(L, 1) || lua_type(L, 1) == LUA_TSTRING, 1,
                "table or string expected");
  lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
  return 1;
}

/* Pushes the metatable's protected field; false: it has none. */
static bool push_protected(lua_State *L, int index) {
  if (!luaL_getmetafield(L, index, "__metatable")) return false;
  return true;
}

static int base_getmetatable(lua_State *L) {
  luaL_checkany(L, 1);
  mp_script_fill(L, 1);
  if (lua_istable(L, 1)) {
    if (push_protected(L, 1)) return 1;
    if (lua_getmetatable(L, 1)) return 1;
  }
  lua_pushnil(L);
  return 1;
}

static void refuse_field(lua_State *L, const char *name) {
  lua_pushstring(L, name);
  lua_rawget(L, 2);
  if (!lua_isnil(L, -1)) luaL_error(L, "setmetatable: '%s' is not among what scripts have", name);
  lua_pop(L, 1);
}

static int base_setmetatable(lua_State *L) {
  mp_script_check_table(L, 1);
  luaL_argcheck(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table expected");
  lua_settop(L, 2);
  if (push_protected(L, 1)) return luaL_error(L, "cannot change a protected metatable");
  if (lua_istable(L, 2)) {
    mp_script_fill(L, 2);
    refuse_field(L, "__gc");
    refuse_field(L, "__mode");
    refuse_field(L, "__close");
  }
  lua_setmetatable(L, 1);
  return 1;
}

/* ---- types ---------------------------------------------------------------------------------- */

static int base_type(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushstring(L, luaL_typename(L, 1));
  return 1;
}

static void push_number_text(lua_State *L, int index) {
  double n = lua_tonumber(L, index);
  char text[40];

#if LUA_VERSION_NUM >= 503
  if (lua_isinteger(L, index)) {
    snprintf(text, sizeof text, "%lld", (long long)lua_tointeger(L, index));
    lua_pushstring(L, text);
    return;
  }
#endif
  if (isnan(n))
    snprintf(text, sizeof text, "nan");
  else
    snprintf(text, sizeof text, "%.14g", n);
  lua_pushstring(L, text);
}

/* Tables and functions have no address here: it would differ from run to run. */
const char *mp_script_push_text(lua_State *L, int index, size_t *len) {
  const char *digits;

  mp_script_fill(L, index);
  if (luaL_getmetafield(L, index, "__tostring")) {
    lua_pushvalue(L, index);
    mp_sandbox_call(L, 1, 1);
    if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "'__tostring' must return a string");
    return lua_tolstring(L, -1, len);
  }
  switch (lua_type(L, index)) {
    case LUA_TSTRING:
      lua_pushvalue(L, index);
      break;
    case LUA_TNUMBER:
      push_number_text(L, index);
      break;
    case LUA_TBOOLEAN:
      lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
      break;
    case LUA_TLIGHTUSERDATA:
      lua_pushliteral(L, "null");
      break;
    default:
      digits = mp_script_exact(L, index);
      lua_pushstring(L, digits ? digits : luaL_typename(L, index));
  }
  return lua_tolstring(L, -1, len);
}

static int base_tostring(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  mp_script_push_text(L, 1, NULL);
  return 1;
}

static bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

static int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 36;
}

/* Digits of a base, wrapping around as Lua's integers do. */
static bool push_digits(lua_State *L, const char *text, size_t len, int base) {
  bool negative = len > 0 && text[0] == '-';
  size_t i = negative || (len > 0 && text[0] == '+');
  uint64_t value = 0;
  double wide = 0;

  if (i == len) return false;
  for (; i < len; i++) {
    int digit = digit_of(text[i]);
    if (digit >= base) return false;
    value = value * (uint64_t)base + (uint64_t)digit;
    wide = wide * base + digit;
  }
#if LUA_VERSION_NUM >= 503
  lua_pushinteger(L, (lua_Integer)(negative ? 0 - value : value));
#else
  lua_pushnumber(L, negative ? -wide : wide);
#endif
  (void)wide;
  (void)value;
  return true;
}

/* A decimal number, with what Lua allows and JSON does not: "+1", ".5", "5.", "007". */
static bool push_decimal(lua_State *L, const char *text, size_t len) {
  size_t sign = len > 0 && (text[0] == '-' || text[0] == '+');
  size_t whole = strspn(text + sign, "0123456789"), fraction = 0, at = sign + whole;
  char *end;

  if (at < len && text[at] == '.') {
    fraction = strspn(text + at + 1, "0123456789");
    at += 1 + fraction;
  }
  if (whole + fraction == 0) return false;
#if LUA_VERSION_NUM >= 503
  if (at == len && at == sign + whole) {
    long long integer;
    errno = 0;
    integer = strtoll(text, NULL, 10);
    if (errno == 0) {
      lua_pushinteger(L, integer);
      return true;
    }
  }
#endif
  if (at < len && text[at] != 'e' && text[at] != 'E') return false;
  lua_pushnumber(L, strtod(text, &end));
  return end == text + len;
}

static bool push_numeral(lua_State *L, const char *text, size_t len) {
  size_t sign = len > 0 && (text[0] == '-' || text[0] == '+');

  if (len - sign > 2 && text[sign] == '0' && (text[sign + 1] == 'x' || text[sign + 1] == 'X')) {
    if (text[sign + 2] == '-' || text[sign + 2] == '+') return false;
    if (!push_digits(L, text + sign + 2, len - sign - 2, 16)) return false;
    if (text[0] == '-') {
#if LUA_VERSION_NUM >= 503
      lua_pushinteger(L, (lua_Integer)(0 - (lua_Unsigned)lua_tointeger(L, -1)));
#else
      lua_pushnumber(L, -lua_tonumber(L, -1));
#endif
    }
    return true;
  }
  return push_decimal(L, text, len);
}

/* tonumber(value, base) */
static int base_tonumber(lua_State *L) {
  const char *text = mp_script_exact(L, 1);
  lua_Integer base = luaL_optinteger(L, 2, 0);
  size_t len = text ? strlen(text) : 0, top;

  luaL_checkany(L, 1);
  luaL_argcheck(L, base == 0 || (base >= 2 && base <= 36), 2, "base out of range");
  if (lua_type(L, 1) == LUA_TNUMBER && base == 0) {
    lua_settop(L, 1);
    return 1;
  }
  if (base != 0) luaL_checktype(L, 1, LUA_TSTRING);
  if (lua_type(L, 1) == LUA_TSTRING) text = lua_tolstring(L, 1, &len);
  top = (size_t)lua_gettop(L);
  mp_sandbox_charge_bytes(L, len);
  if (text) {
    size_t end = len;
    while (end > 0 && is_space(text[end - 1]))
      end--;
    while (end > 0 && is_space(*text))
      text++, end--;
    if (end < len || text[end] != '\0') { /* strtod is to find the end there */
      lua_pushlstring(L, text, end);
      text = lua_tostring(L, -1);
      top++;
    }
    if (base ? push_digits(L, text, end, (int)base) : push_numeral(L, text, end)) return 1;
  }
  lua_settop(L, (int)top);
  lua_pushnil(L);
  return 1;
}

/* ---- the libraries -------------------------------------------------------------------------- */

/* __newindex of a library; upvalue: its name */
static int read_only(lua_State *L) {
  return luaL_error(L, "%s is read-only", lua_tostring(L, lua_upvalueindex(1)));
}

/* __index of a library's functions; upvalue: its name */
static int unknown_function(lua_State *L) {
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?";

  mp_sandbox_of(L)->unknown = true;
  return luaL_error(L, "%s.%s is not among what scripts have", lua_tostring(L, lua_upvalueindex(1)),
                    name);
}

/* Turns the table on top, filled by open, into a library of the table below it. */
static void add_library(lua_State *L, const char *name, lua_CFunction unknown,
                        void (*open)(lua_State *L)) {
  lua_newuserdatauv(L, 1, 0);
  lua_newtable(L); /* metatable */
  lua_newtable(L); /* functions */
  open(L);
  lua_newtable(L);
  lua_pushstring(L, name);
  lua_pushcclosure(L, unknown, 1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, name);
  lua_pushcclosure(L, read_only, 1);
  lua_setfield(L, -2, "__newindex");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
  lua_setfield(L, -2, name);
}

/* ("x"):upper() */
static void set_string_methods(lua_State *L) {
  lua_pushliteral(L, "");
  lua_newtable(L);
  lua_newtable(L);
  mp_script_open_string(L);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}

void mp_script_open_base(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"assert", base_assert},
      {"error", base_error},
      {"getmetatable", base_getmetatable},
      {"ipairs", base_ipairs},
      {"next", base_next},
      {"pairs", base_pairs},
      {"pcall", base_pcall},
      {"rawequal", base_rawequal},
      {"rawget", base_rawget},
      {"rawlen", base_rawlen},
      {"rawset", base_rawset},
      {"require", mp_script_require},
      {"select", base_select},
      {"setmetatable", base_setmetatable},
      {"tonumber", base_tonumber},
      {"tostring", base_tostring},
      {"type", base_type},
      {"xpcall", base_xpcall},
      {NULL, NULL},
  };
  static const struct {
    const char *name;
    void (*open)(lua_State *L);
  } libraries[] = {
      {"string", mp_script_open_string}, {"table", mp_script_open_table},
      {"math", mp_script_open_math},     {"utf8", mp_script_open_utf8},
      {"os", mp_script_open_os},         {"json", mp_script_open_json},
      {"log", mp_script_open_log},       {"crypto", mp_script_open_crypto},
      {"base64", mp_script_open_base64},
  };

  luaL_setfuncs(L, functions, 0);
  for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++)
    add_library(L, libraries[i].name, unknown_function, libraries[i].open);
  lua_getfield(L, -1, "table"); /* unpack is a global too, as in Lua 5.1 */
  lua_getfield(L, -1, "unpack");
  lua_setfield(L, -3, "unpack");
  lua_pop(L, 1);
  set_string_methods(L);
}
