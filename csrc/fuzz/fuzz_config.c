/* Configs: fuzz_config.lua makes one of the input and has it checked. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>

#include "fuzz/fuzz.h"

int luaopen_moonpost_core(lua_State *L);

static lua_State *open_state(void) {
  lua_State *L = luaL_newstate();

  must(L != NULL);
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_moonpost_core);
  lua_setfield(L, -2, "moonpost.core");
  lua_settop(L, 0);
  if (luaL_dostring(L, "package.path = '" MP_LUA_FOLDER "/?.lua;" MP_LUA_FOLDER
                       "/?/init.lua;' .. package.path require 'moonpost' "
                       "return dofile '" MP_FUZZ_FOLDER "/fuzz_config.lua'") != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static lua_State *L;

  if (!L) L = open_state();
  lua_pushvalue(L, 1);
  lua_pushlstring(L, (const char *)data, size);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  lua_settop(L, 1);
  return 0;
}
