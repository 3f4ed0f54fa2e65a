/* Configs: fuzz_config.lua makes one of the input and has it checked. What is checked is Lua, of
 * which libFuzzer sees nothing by itself: a hook counts the steps from line to line for it. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>

#include "fuzz/fuzz.h"
#include "payload/scan.h"

#define STEPS 65536

/* libFuzzer looks at them after each input, and clears them. */
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t steps[STEPS];

int luaopen_moonpost_core(lua_State *L);

static void count_step(lua_State *L, lua_Debug *at) {
  static unsigned before;
  unsigned here;

  lua_getinfo(L, "S", at);
  here = mp_hash(at->source, at->srclen) + (unsigned)at->currentline * 40503u;
  steps[(here ^ before) % STEPS]++;
  before = here >> 1;
}

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
  lua_gc(L, LUA_GCGEN, 0, 0);
  return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static lua_State *L;

  if (!L) L = open_state();
  lua_sethook(L, count_step, LUA_MASKLINE, 0);
  lua_pushvalue(L, 1);
  lua_pushlstring(L, (const char *)data, size);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  lua_settop(L, 1);
  lua_gc(L, LUA_GCSTEP, 0); /* as much freed as allocated: else libFuzzer suspects a leak */
  return 0;
}
