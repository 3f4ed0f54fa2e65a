/* find, match, gmatch and gsub over the bounded matcher (script/match.h). Script thread.
 *
 * What is used is charged in slices: whenever one is used up, and at the end of a call and before
 * it raises an error or calls back, so that no script gets matching for nothing. A charge may raise
 * an error: nothing is held here that Lua does not own. */
#include <stdbool.h>
#include <string.h>

#include "script/match.h"
#include "script/sandbox.h"

#define SLICE      1024 /* steps */
#define STEP_BYTES 16   /* that are copied or searched as text for a step */

static bool refill(mp_match *m) {
  mp_sandbox_charge(m->arg, SLICE - m->budget);
  m->budget = SLICE;
  return true;
}

static void settle(mp_match *m) {
  if (m->budget != SLICE) refill(m);
}

static void use_bytes(mp_match *m, size_t count) {
  m->budget -= (int64_t)(count / STEP_BYTES) + 1;
  if (m->budget < 0) refill(m);
}

/* Takes subject and pattern from the arguments 1 and 2. */
static void prepare(mp_match *m, lua_State *L) {
  m->subject = luaL_checklstring(L, 1, &m->subject_len);
  m->pattern = luaL_checklstring(L, 2, &m->pattern_len);
  m->budget = SLICE;
  m->refill = refill;
  m->arg = L;
  m->capture_count = 0;
}

/* Is the pattern anchored? Takes the anchor off it. */
static bool take_anchor(mp_match *m) {
  if (m->pattern_len == 0 || m->pattern[0] != '^') return false;
  m->pattern++;
  m->pattern_len--;
  return true;
}

static bool matches_at(lua_State *L, mp_match *m, size_t at, size_t *end) {
  mp_match_result result = mp_match_at(m, at, end);

  if (result == MP_MATCH_BAD) {
    settle(m);
    luaL_error(L, "%s", m->error);
  }
  return result == MP_MATCH_YES;
}

/* The offset that argument i means: from the start, or, below zero, from the end. Past the subject
 * it is subject_len + 1. */
static size_t offset_argument(lua_State *L, int i, size_t subject_len) {
  lua_Integer position = luaL_optinteger(L, i, 1);

  if (position > 0) {
    return (size_t)position - 1 <= subject_len ? (size_t)position - 1 : subject_len + 1;
  }
  if (position == 0 || (size_t)0 - (size_t)position > subject_len) return 0;
  return subject_len - ((size_t)0 - (size_t)position);
}

/* Pushes capture i of the match [start, end); capture 0 of a pattern that has none is the match. */
static void push_capture(lua_State *L, mp_match *m, int i, size_t start, size_t end) {
  const mp_capture *c = &m->captures[i];

  if (i < m->capture_count && c->len != MP_CAPTURE_OPEN) {
    if (c->len == MP_CAPTURE_POSITION)
      lua_pushinteger(L, (lua_Integer)c->start + 1);
    else
      lua_pushlstring(L, m->subject + c->start, c->len);
    return;
  }
  if (i == 0 && m->capture_count == 0) {
    lua_pushlstring(L, m->subject + start, end - start);
    return;
  }
  settle(m);
  if (i < m->capture_count) luaL_error(L, "unfinished capture");
  luaL_error(L, "invalid capture index %%%d", i + 1);
}

static int push_captures(lua_State *L, mp_match *m, size_t start, size_t end) {
  int count = m->capture_count > 0 ? m->capture_count : 1;

  luaL_checkstack(L, count, "too many captures");
  for (int i = 0; i < count; i++)
    push_capture(L, m, i, start, end);
  return count;
}

/* ---- find, match ---------------------------------------------------------------------------- */

static int push_nothing(lua_State *L) {
  lua_pushnil(L);
  return 1;
}

static int push_range(lua_State *L, size_t start, size_t end) {
  lua_pushinteger(L, (lua_Integer)start + 1);
  lua_pushinteger(L, (lua_Integer)end);
  return 2;
}

static int find_text(lua_State *L, mp_match *m, size_t at) {
  const char *found;
  size_t start;

  found = memmem(m->subject + at, m->subject_len - at, m->pattern, m->pattern_len);
  start = found ? (size_t)(found - m->subject) : m->subject_len;
  use_bytes(m, start - at + m->pattern_len);
  settle(m);
  return found ? push_range(L, start, start + m->pattern_len) : push_nothing(L);
}

static int search(lua_State *L, bool find) {
  size_t at, end = 0;
  bool anchored;
  int count = 0;
  mp_match m;

  prepare(&m, L);
  at = offset_argument(L, 3, m.subject_len);
  if (at > m.subject_len) return push_nothing(L);
  if (find) {
    use_bytes(&m, m.pattern_len);
    if (lua_toboolean(L, 4) || mp_match_plain(m.pattern, m.pattern_len)) {
      return find_text(L, &m, at);
    }
  }
  anchored = take_anchor(&m);
  while (!matches_at(L, &m, at, &end)) {
    if (anchored || at == m.subject_len) {
      settle(&m);
      return push_nothing(L);
    }
    at++;
  }
  if (find) count = push_range(L, at, end);
  if (!find || m.capture_count > 0) count += push_captures(L, &m, at, end);
  settle(&m);
  return count;
}

/* find(s, pattern, init = 1, plain = false) -> first, last, captures... | nil */
static int find(lua_State *L) {
  return search(L, true);
}

/* match(s, pattern, init = 1) -> captures... | nil */
static int match(lua_State *L) {
  return search(L, false);
}

/* ---- gmatch --------------------------------------------------------------------------------- */

/* Its upvalues: the subject, the pattern, where to go on, and where the last match ended (both
 * offsets; the latter -1 before the first). */
static int gmatch_next(lua_State *L) {
  lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
  size_t at = (size_t)lua_tointeger(L, lua_upvalueindex(3)), end = 0;
  mp_match m;
  int count;

  lua_settop(L, 0); /* the arguments of the call are of no use */
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, lua_upvalueindex(2));
  prepare(&m, L);
  for (; at <= m.subject_len; at++) {
    if (!matches_at(L, &m, at, &end) || (lua_Integer)end == last) continue;
    lua_pushinteger(L, (lua_Integer)end);
    lua_pushvalue(L, -1);
    lua_replace(L, lua_upvalueindex(3));
    lua_replace(L, lua_upvalueindex(4));
    count = push_captures(L, &m, at, end);
    settle(&m);
    return count;
  }
  settle(&m);
  return 0;
}

/* gmatch(s, pattern, init = 1) -> iterator. A '^' is no anchor here. */
static int gmatch(lua_State *L) {
  size_t len, at;

  luaL_checklstring(L, 1, &len);
  luaL_checkstring(L, 2);
  at = offset_argument(L, 3, len);
  lua_settop(L, 2);
  lua_pushinteger(L, (lua_Integer)at);
  lua_pushinteger(L, -1);
  lua_pushcclosure(L, gmatch_next, 4);
  return 1;
}

/* ---- gsub ----------------------------------------------------------------------------------- */

/* Adds the replacement string, argument 3, with its %0 to %9. */
static void add_text(lua_State *L, mp_match *m, luaL_Buffer *b, size_t start, size_t end) {
  size_t len, run = 0;
  const char *text = lua_tolstring(L, 3, &len);

  use_bytes(m, len);
  for (size_t i = 0; i < len; i++) {
    char next;
    if (text[i] != '%') continue;
    luaL_addlstring(b, text + run, i - run);
    next = ++i < len ? text[i] : '\0';
    run = i + 1;
    if (next == '%') {
      luaL_addchar(b, '%');
    } else if (next == '0') {
      use_bytes(m, end - start);
      luaL_addlstring(b, m->subject + start, end - start);
    } else if (next >= '1' && next <= '9') {
      push_capture(L, m, next - '1', start, end);
      use_bytes(m, end - start);
      luaL_addvalue(b);
    } else {
      settle(m);
      luaL_error(L, "invalid use of '%%' in replacement string");
    }
  }
  luaL_addlstring(b, text + run, len - run);
}

/* Pushes what argument 3, a function or a table, makes of the match. */
static void push_replacement(lua_State *L, mp_match *m, size_t start, size_t end) {
  if (lua_type(L, 3) == LUA_TFUNCTION) {
    int count;
    lua_pushvalue(L, 3);
    count = push_captures(L, m, start, end);
    settle(m);
    mp_sandbox_call(L, count, 1);
  } else {
    push_capture(L, m, 0, start, end);
    settle(m);
    mp_sandbox_enter(L);
    lua_gettable(L, 3);
    mp_sandbox_leave(L);
  }
}

/* Adds what stands in the match's place. False: that is the match itself. */
static bool add_replacement(lua_State *L, mp_match *m, luaL_Buffer *b, size_t start, size_t end) {
  int type = lua_type(L, 3);
  size_t len;

  if (type == LUA_TSTRING || type == LUA_TNUMBER) {
    add_text(L, m, b, start, end);
    return true;
  }
  push_replacement(L, m, start, end);
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    luaL_addlstring(b, m->subject + start, end - start);
    return false;
  }
  if (!lua_isstring(L, -1)) {
    luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
  }
  lua_tolstring(L, -1, &len);
  use_bytes(m, len);
  luaL_addvalue(b);
  return true;
}

/* gsub(s, pattern, replacement, n = all) -> string, number of matches */
static int gsub(lua_State *L) {
  lua_Integer most, count = 0;
  bool anchored, changed = false, matched_before = false;
  size_t at = 0, end = 0, last = 0;
  luaL_Buffer b;
  mp_match m;
  int type;

  prepare(&m, L);
  type = lua_type(L, 3);
  most = luaL_optinteger(L, 4, (lua_Integer)m.subject_len + 1);
  if (type != LUA_TNUMBER && type != LUA_TSTRING && type != LUA_TFUNCTION && type != LUA_TTABLE) {
    luaL_argerror(
        L, 3, lua_pushfstring(L, "string/function/table expected, got %s", luaL_typename(L, 3)));
  }
  anchored = take_anchor(&m);
  lua_settop(L, 3);
  luaL_buffinit(L, &b);
  while (count < most) {
    if (matches_at(L, &m, at, &end) && !(matched_before && end == last)) {
      count++;
      if (add_replacement(L, &m, &b, at, end)) changed = true;
      at = last = end;
      matched_before = true;
    } else if (at < m.subject_len) {
      luaL_addchar(&b, m.subject[at++]);
    } else {
      break;
    }
    if (anchored) break;
  }
  if (changed) {
    luaL_addlstring(&b, m.subject + at, m.subject_len - at);
    use_bytes(&m, m.subject_len);
    luaL_pushresult(&b);
  } else {
    lua_pushvalue(L, 1);
  }
  settle(&m);
  lua_pushinteger(L, count);
  return 2;
}

void mp_script_open_patterns(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"find", find}, {"match", match}, {"gmatch", gmatch}, {"gsub", gsub}, {NULL, NULL},
  };
  luaL_setfuncs(L, functions, 0);
}
