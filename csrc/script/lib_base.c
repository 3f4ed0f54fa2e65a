/* The functions that scripts have as globals, and the libraries. Script thread.
 *
 * No library can be written to: it is a userdata that only answers what is asked of it, so that
 * neither rawset nor a function of table finds a table there. */
#include <limits.h>
#include <string.h>

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

/* (table, place before) -> place, value. A script may call it with anything. */
static int ipairs_next(lua_State *L) {
  lua_Integer before = luaL_checkinteger(L, 2);

  mp_script_check_table(L, 1);
  if (before < 0 || before >= INT_MAX) return 0;
  lua_pushinteger(L, before + 1);
  lua_rawgeti(L, 1, (int)before + 1);
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
  mp_script_open_types(L);
  for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++)
    add_library(L, libraries[i].name, unknown_function, libraries[i].open);
  lua_getfield(L, -1, "table"); /* unpack is a global too, as in Lua 5.1 */
  lua_getfield(L, -1, "unpack");
  lua_setfield(L, -3, "unpack");
  lua_pop(L, 1);
  set_string_methods(L);
}
