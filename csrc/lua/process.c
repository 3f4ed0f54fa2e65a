/* exec: how moonpost serve becomes nginx, so that signals for the one reach the other. Host thread;
 * in the command line alone, which has opened no engine before. */
#include "lua/process.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define MAX_WORDS 64

/* exec(words) -> nil, message, code; it returns only when it fails. The program is looked for in
 * PATH when it has no slash. */
static int exec(lua_State *L) {
  char *words[MAX_WORDS + 1];
  char text[128];
  size_t count;
  int number;

  luaL_checktype(L, 1, LUA_TTABLE);
  count = lua_rawlen(L, 1);
  luaL_argcheck(L, count >= 1 && count <= MAX_WORDS, 1, "expected 1 to 64 words");
  luaL_checkstack(L, (int)count, "too many words");
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, 1, (int)i + 1);
    words[i] = (char *)(uintptr_t)luaL_checkstring(L, -1); /* exec does not write to them */
  }
  words[count] = NULL;
  execvp(words[0], words);
  number = errno;
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", words[0], strerror_r(number, text, sizeof text));
  lua_pushstring(L, number == ENOENT ? "ENOENT" : "EIO");
  return 3;
}

void mp_lua_process(lua_State *L) {
  lua_pushcfunction(L, exec);
  lua_setfield(L, -2, "exec");
}
