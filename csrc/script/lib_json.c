/* json: encode, decode, null, array. Script thread. */
#include "script/sandbox.h"

/* encode(value) -> text; raises an error that names the place of what is no JSON */
static int json_encode(lua_State *L) {
  mp_sandbox *s = mp_sandbox_of(L);

  luaL_checkany(L, 1);
  if (lua_isnil(L, 1)) return luaL_error(L, "json.encode: nil is no JSON: use json.null");
  mp_script_to_json(L, 1, "value");
  lua_pushlstring(L, s->out.data, s->out.len);
  return 1;
}

/* decode(text) -> value | nil, message */
static int json_decode(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  mp_error err;

  lua_settop(L, 1);
  if (mp_script_push_json(L, text, len, "value", &err)) return 1;
  lua_pushnil(L);
  lua_pushstring(L, err.message);
  return 2;
}

/* array(list = {}) -> list, which is written as [] when it is empty */
static int json_array(lua_State *L) {
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  mp_script_check_table(L, 1);
  mp_script_mark_list(L, 1);
  return 1;
}

void mp_script_open_json(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"array", json_array}, {"decode", json_decode}, {"encode", json_encode}, {NULL, NULL}};

  luaL_setfuncs(L, functions, 0);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
}
