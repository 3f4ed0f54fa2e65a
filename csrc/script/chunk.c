/* The files of a script in its lua_State: compiled once, run anew for each call. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "script/sandbox.h"

/* "crm.lua", "lib/text.lua", with the '=' that says: as it is. */
static void chunk_name(const mp_script_file *file, char *out, size_t size) {
  size_t len = strlen(file->name);

  snprintf(out, size, "=%s.lua", file->name);
  for (size_t i = 1; i <= len && i < size; i++)
    if (out[i] == '.') out[i] = '/';
}

static void compile(lua_State *L, const mp_script_file *file) {
  char name[200];

  chunk_name(file, name, sizeof name);
  if (file->len > 0 && file->text[0] == LUA_SIGNATURE[0]) {
    luaL_error(L, "%s:1: expected Lua source, got bytecode", name + 1);
  }
#if LUA_VERSION_NUM < 502
  if (luaL_loadbuffer(L, file->text, file->len, name) != 0) lua_error(L);
#else
  if (luaL_loadbufferx(L, file->text, file->len, name, "t") != LUA_OK) lua_error(L);
#endif
}

static void push_compiled(lua_State *L, const char *name) {
  mp_sandbox *s = mp_sandbox_of(L);
  const mp_script_file *file;
  mp_error err;
  mp_code code;

  lua_rawgeti(L, LUA_REGISTRYINDEX, MP_KEPT_CHUNKS);
  lua_getfield(L, -1, name);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    code = mp_script_file_get(s, name, &file, &err);
    if (code == MP_ENOMEM) mp_sandbox_must(L, code);
    if (code != MP_OK) luaL_error(L, "%s", err.message);
    compile(L, file);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, name);
  }
  lua_remove(L, -2);
}

/* The function on top gets the environment of the call as its globals. */
static void set_environment(lua_State *L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, MP_KEPT_ENV);
#if LUA_VERSION_NUM < 502
  lua_setfenv(L, -2);
#else
  lua_setupvalue(L, -2, 1);
#endif
}

/* require(name): each file is run once a call, in the script's own environment. */
int mp_script_require(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);

  lua_settop(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, MP_KEPT_REQUIRED);
  if (!lua_istable(L, 2)) {
    lua_newtable(L);
    lua_replace(L, 2);
    lua_pushvalue(L, 2);
    lua_rawseti(L, LUA_REGISTRYINDEX, MP_KEPT_REQUIRED);
  }
  lua_getfield(L, 2, name);
  if (lua_islightuserdata(L, -1)) return luaL_error(L, "require '%s': it requires itself", name);
  if (!lua_isnil(L, -1)) return 1;
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, 2, name);
  push_compiled(L, name);
  set_environment(L);
  mp_sandbox_call(L, 0, 1);
  if (lua_isnil(L, -1)) return luaL_error(L, "require '%s': it returned nothing", name);
  lua_pushvalue(L, -1);
  lua_setfield(L, 2, name);
  return 1;
}

void mp_script_push_script(lua_State *L) {
  mp_sandbox *s = mp_sandbox_of(L);

  lua_createtable(L, 0, 0);
  lua_rawgeti(L, LUA_REGISTRYINDEX, MP_KEPT_ENV_MT);
  lua_setmetatable(L, -2);
  lua_rawseti(L, LUA_REGISTRYINDEX, MP_KEPT_ENV);
  lua_rawgeti(L, LUA_REGISTRYINDEX, MP_KEPT_MAIN);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    push_compiled(L, s->name);
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, MP_KEPT_MAIN);
  }
  set_environment(L);
  mp_sandbox_call(L, 0, 1);
  if (!lua_istable(L, -1)) {
    luaL_error(L, "%s.lua: expected it to return a table of route, filter and transform, got %s",
               s->name, luaL_typename(L, -1));
  }
}

/* ---- names that nothing has ----------------------------------------------------------------- */

static int push_constants(lua_State *L, const mp_sandbox *s) {
  mp_error err;

  if (!s->constants)
    lua_newtable(L);
  else if (!mp_script_push_json(L, s->constants, strlen(s->constants), "constants", &err))
    return luaL_error(L, "%s", err.message);
  lua_rawgeti(L, LUA_REGISTRYINDEX, MP_KEPT_ENV);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "constants"); /* an environment has no __newindex */
  lua_pop(L, 1);
  return 1;
}

/* Each call has constants of its own, made when they are first asked for. */
int mp_script_missing(lua_State *L) {
  static const char *const refused[] = {
      "collectgarbage", "coroutine", "debug",   "dofile", "ffi",
      "getfenv",        "io",        "jit",     "load",   "loadfile",
      "loadstring",     "newproxy",  "package", "print",  "setfenv",
      "module"};
  mp_sandbox *s = mp_sandbox_of(L);
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?";

  if (strcmp(name, "constants") == 0) return push_constants(L, s);
  if (strcmp(name, "_G") == 0) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, MP_KEPT_ENV);
    return 1;
  }
  s->unknown = true;
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    if (strcmp(name, refused[i]) == 0) {
      return luaL_error(L, "'%s' is not among what scripts have%s", name,
                        strcmp(name, "print") == 0 ? ": use log.info" : "");
    }
  }
  return luaL_error(L, "'%s' is not defined", name);
}
