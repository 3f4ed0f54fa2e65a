/* utf8, as Lua 5.4 has it (reference manual, section 6.5), without lax: what it takes and makes is
 * UTF-8 that JSON may have. Script thread. */
#include <string.h>

#include "payload/utf8.h"
#include "script/sandbox.h"

#define MAX_CODE 0x10FFFF

/* The bytes of the character at s; 0: there is none. */
static size_t length_at(const char *s, size_t len) {
  if (len == 0) return 0;
  return (unsigned char)*s < 0x80 ? 1 : mp_utf8_sequence(s, len);
}

static uint32_t decode(const char *s, size_t length) {
  static const unsigned char first[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
  uint32_t code = (unsigned char)s[0] & first[length];

  for (size_t i = 1; i < length; i++)
    code = code << 6 | ((unsigned char)s[i] & 0x3F);
  return code;
}

static bool continues(const char *s, size_t len, lua_Integer at) {
  return at < (lua_Integer)len && ((unsigned char)s[at] & 0xC0) == 0x80;
}

/* A place of the argument: from 1, or from the end; 0 is before the start. */
static lua_Integer place(lua_State *L, int arg, lua_Integer otherwise, size_t len) {
  lua_Integer at = luaL_optinteger(L, arg, otherwise);
  if (at >= 0) return at;
  return at < -(lua_Integer)len ? 0 : (lua_Integer)len + at + 1;
}

/* len(s, first = 1, last = -1) -> characters | nil, place of what is no UTF-8 */
static int utf8_len(lua_State *L) {
  size_t len;
  const char *s = luaL_checklstring(L, 1, &len);
  lua_Integer at = place(L, 2, 1, len) - 1, last = place(L, 3, -1, len) - 1, n = 0;

  luaL_argcheck(L, at >= 0 && at <= (lua_Integer)len, 2, "initial position out of bounds");
  luaL_argcheck(L, last < (lua_Integer)len, 3, "final position out of bounds");
  mp_sandbox_charge_bytes(L, 4 * len);
  while (at <= last) {
    size_t length = length_at(s + at, len - (size_t)at);
    if (length == 0) {
      lua_pushnil(L);
      lua_pushinteger(L, at + 1);
      return 2;
    }
    at += (lua_Integer)length;
    n++;
  }
  lua_pushinteger(L, n);
  return 1;
}

/* codepoint(s, first = 1, last = first) -> code points */
static int utf8_codepoint(lua_State *L) {
  size_t len;
  const char *s = luaL_checklstring(L, 1, &len);
  lua_Integer at = place(L, 2, 1, len), last = place(L, 3, at, len);
  int n = 0;

  luaL_argcheck(L, at >= 1, 2, "out of bounds");
  luaL_argcheck(L, last <= (lua_Integer)len, 3, "out of bounds");
  if (last - at >= 1000000) return luaL_error(L, "string slice too long");
  luaL_checkstack(L, last >= at ? (int)(last - at) + 1 : 1, "string slice too long");
  mp_sandbox_charge(L, last >= at ? last - at : 0);
  for (at--; at < last;) {
    size_t length = length_at(s + at, len - (size_t)at);
    if (length == 0) return luaL_error(L, "invalid UTF-8 code");
    lua_pushinteger(L, (lua_Integer)decode(s + at, length));
    at += (lua_Integer)length;
    n++;
  }
  return n;
}

/* char(...) -> string */
static int utf8_char(lua_State *L) {
  int count = lua_gettop(L);
  mp_sandbox *s = mp_sandbox_of(L);

  mp_sandbox_charge(L, count);
  mp_buf_reset(&s->text);
  for (int i = 1; i <= count; i++) {
    lua_Integer code = luaL_checkinteger(L, i);
    luaL_argcheck(L, code >= 0 && code <= MAX_CODE && (code < 0xD800 || code > 0xDFFF), i,
                  "value out of range");
    mp_utf8_add(&s->text, (uint32_t)code);
  }
  mp_sandbox_must(L, s->text.failed);
  lua_pushlstring(L, s->text.data ? s->text.data : "", s->text.len);
  return 1;
}

/* offset(s, n, from) -> place of the n-th character, counted from the one at from; nil: none */
static int utf8_offset(lua_State *L) {
  size_t len;
  const char *s = luaL_checklstring(L, 1, &len);
  lua_Integer n = luaL_checkinteger(L, 2);
  lua_Integer at = place(L, 3, n > 0 ? 1 : (lua_Integer)len + 1, len) - 1;

  luaL_argcheck(L, at >= 0 && at <= (lua_Integer)len, 3, "position out of bounds");
  mp_sandbox_charge_bytes(L, 4 * len);
  if (n == 0) {
    while (at > 0 && continues(s, len, at))
      at--;
    lua_pushinteger(L, at + 1);
    return 1;
  }
  if (continues(s, len, at)) return luaL_error(L, "initial position is a continuation byte");
  for (; n < 0 && at > 0; n++) {
    do {
      at--;
    } while (at > 0 && continues(s, len, at));
  }
  if (n > 0) n--;
  for (; n > 0 && at < (lua_Integer)len; n--) {
    do {
      at++;
    } while (continues(s, len, at));
  }
  if (n == 0)
    lua_pushinteger(L, at + 1);
  else
    lua_pushnil(L);
  return 1;
}

/* The iterator of codes: (s, place before) -> place, code point */
static int next_code(lua_State *L) {
  size_t len, length;
  const char *s = luaL_checklstring(L, 1, &len);
  lua_Integer before = lua_tointeger(L, 2); /* the offset after the first byte of the last one */
  lua_Integer at = before;

  while (at > 0 && continues(s, len, at))
    at++;
  mp_sandbox_charge_bytes(L, (size_t)(at - before));
  if (at < 0 || at >= (lua_Integer)len) return 0;
  length = length_at(s + at, len - (size_t)at);
  if (length == 0) return luaL_error(L, "invalid UTF-8 code");
  lua_pushinteger(L, at + 1);
  lua_pushinteger(L, (lua_Integer)decode(s + at, length));
  return 2;
}

static int utf8_codes(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_pushcfunction(L, next_code);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

void mp_script_open_utf8(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"char", utf8_char}, {"codepoint", utf8_codepoint}, {"codes", utf8_codes},
      {"len", utf8_len},   {"offset", utf8_offset},       {NULL, NULL},
  };
  static const char pattern[] = "[%z\x01-\x7F\xC2-\xF4][\x80-\xBF]*";

  luaL_setfuncs(L, functions, 0);
  lua_pushlstring(L, pattern, sizeof pattern - 1);
  lua_setfield(L, -2, "charpattern");
}
