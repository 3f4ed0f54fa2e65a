/* What LuaJIT (Lua 5.1's C API with some of 5.2's) lacks of Lua 5.4's. */
#ifndef MP_LUA_COMPAT_H
#define MP_LUA_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#if LUA_VERSION_NUM < 502
#define lua_rawlen                         lua_objlen
#define lua_newuserdatauv(L, size, values) lua_newuserdata(L, size)
#define MP_TCDATA                          10 /* LuaJIT's type number of FFI objects */
static inline int mp_lua_absindex(lua_State *L, int i) {
  return i > 0 || i <= LUA_REGISTRYINDEX ? i : lua_gettop(L) + i + 1;
}
#define lua_absindex mp_lua_absindex
#endif

/* As luaL_newmetatable of 5.4, which names the type for messages, with a __gc. */
static inline int mp_lua_new_type(lua_State *L, const char *name, lua_CFunction gc) {
  int made = luaL_newmetatable(L, name);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
  return made;
}

#endif
