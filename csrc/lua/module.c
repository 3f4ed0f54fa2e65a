/* moonpost.core: what the Lua side of moonpost is built on. The module's one exported symbol. */
#include "lua/compat.h"
#include "lua/engine.h"
#include "lua/fetch.h"
#include "lua/fs.h"
#include "lua/http.h"
#include "lua/network.h"
#include "lua/payload.h"
#include "lua/process.h"
#include "lua/script.h"
#include "lua/sign.h"

__attribute__((visibility("default"))) int luaopen_moonpost_core(lua_State *L);

int luaopen_moonpost_core(lua_State *L) {
  lua_newtable(L);
  mp_lua_payload(L);
  mp_lua_http(L);
  mp_lua_network(L);
  mp_lua_fetch(L);
  mp_lua_fs(L);
  mp_lua_process(L);
  mp_lua_sign(L);
  mp_lua_engine(L);
  mp_lua_script(L);
  return 1;
}
