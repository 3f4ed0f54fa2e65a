/* The bounded matcher of scripts against the string library of a real Lua 5.4: the same matches and
 * captures, or an error where that one has an error, unless the budget is used up. A pattern, ended
 * by a NUL, and a subject. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "fuzz/fuzz.h"
#include "script/match.h"

#define BUDGET      20000 /* steps: what Lua's own does in them takes no time */
#define MOST        24    /* bytes of each: the other one has no budget */
#define MOST_LETTER 8     /* of the pattern's letters that repeat */

/* Pushes what string.find finds from the first byte on, or nothing for an error. */
static int real(lua_State *L, const char *pattern, size_t pattern_len, const char *subject,
                size_t subject_len) {
  lua_settop(L, 0);
  lua_getglobal(L, "string");
  lua_getfield(L, 1, "find");
  lua_pushlstring(L, subject, subject_len);
  lua_pushlstring(L, pattern, pattern_len);
  lua_remove(L, 1);
  return lua_pcall(L, 2, LUA_MULTRET, 0) == LUA_OK ? lua_gettop(L) : 0;
}

static bool too_wild(const char *pattern, size_t len) {
  int repeats = 0;
  for (size_t i = 0; i < len; i++)
    repeats += strchr("*+-?", pattern[i]) != NULL && pattern[i] != '\0';
  return repeats > MOST_LETTER;
}

static void check_capture(lua_State *L, int index, const mp_match *m, int i) {
  const mp_capture *c = &m->captures[i];
  size_t len;
  const char *text;

  if (c->len == MP_CAPTURE_POSITION) {
    must(lua_isinteger(L, index) && lua_tointeger(L, index) == (lua_Integer)c->start + 1);
    return;
  }
  text = lua_tolstring(L, index, &len);
  must(text && len == c->len && (len == 0 || memcmp(text, m->subject + c->start, len) == 0));
}

static void compare(lua_State *L, mp_match *m, bool anchored) {
  mp_match_result result = MP_MATCH_NO;
  size_t at = 0, end = 0;
  int count;

  for (; at <= m->subject_len; at++) {
    result = mp_match_at(m, at, &end);
    if (result != MP_MATCH_NO || anchored) break;
  }
  if (result == MP_MATCH_LIMIT) return;
  count = real(L, anchored ? m->pattern - 1 : m->pattern, m->pattern_len + anchored, m->subject,
               m->subject_len);
  if (result == MP_MATCH_BAD) {
    must(count == 0 && m->error[0] != '\0');
    return;
  }
  if (result == MP_MATCH_NO) {
    must(count == 1 && lua_isnil(L, 1));
    return;
  }
  for (int i = 0; i < m->capture_count; i++) { /* an open one is an error of its reader */
    if (m->captures[i].len == MP_CAPTURE_OPEN) {
      must(count == 0);
      return;
    }
  }
  must(count == 2 + m->capture_count);
  must(lua_tointeger(L, 1) == (lua_Integer)at + 1 && lua_tointeger(L, 2) == (lua_Integer)end);
  for (int i = 0; i < m->capture_count; i++)
    check_capture(L, 3 + i, m, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static lua_State *L;
  fuzz_input in = {data, size};
  char *pattern = fuzz_text(&in);
  size_t len = strlen(pattern), subject_len = in.size < MOST ? in.size : MOST;
  mp_match m = {.subject = (const char *)in.data,
                .subject_len = subject_len,
                .pattern = pattern,
                .pattern_len = len,
                .budget = BUDGET};

  if (!L) {
    L = luaL_newstate();
    luaL_openlibs(L);
    lua_gc(L, LUA_GCGEN, 0, 0);
  }
  /* What has no special characters string.find looks for as text. */
  if (len > 0 && len <= MOST && !too_wild(pattern, len) && !mp_match_plain(pattern, len)) {
    bool anchored = pattern[0] == '^';
    if (anchored) {
      m.pattern++;
      m.pattern_len--;
    }
    compare(L, &m, anchored);
    lua_settop(L, 0);
    lua_gc(L, LUA_GCSTEP, 0); /* as much freed as allocated: else libFuzzer suspects a leak */
  }
  free(pattern);
  return 0;
}
