/* type, tostring and tonumber. Script thread.
 *
 * Both Luas print and read numbers alike here: a whole number has no ".0", and what is no decimal
 * or hexadecimal number is none. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script/sandbox.h"

static int base_type(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushstring(L, luaL_typename(L, 1));
  return 1;
}

static void push_number_text(lua_State *L, int index) {
  double n = lua_tonumber(L, index);
  char text[40];

#if LUA_VERSION_NUM >= 503
  if (lua_isinteger(L, index)) {
    snprintf(text, sizeof text, "%lld", (long long)lua_tointeger(L, index));
    lua_pushstring(L, text);
    return;
  }
#endif
  if (isnan(n))
    snprintf(text, sizeof text, "nan");
  else
    snprintf(text, sizeof text, "%.14g", n);
  lua_pushstring(L, text);
}

/* Tables and functions have no address here: it would differ from run to run. */
const char *mp_script_push_text(lua_State *L, int index, size_t *len) {
  const char *digits;

  mp_script_fill(L, index);
  if (luaL_getmetafield(L, index, "__tostring")) {
    lua_pushvalue(L, index);
    mp_sandbox_call(L, 1, 1);
    if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "'__tostring' must return a string");
    return lua_tolstring(L, -1, len);
  }
  switch (lua_type(L, index)) {
    case LUA_TSTRING:
      lua_pushvalue(L, index);
      break;
    case LUA_TNUMBER:
      push_number_text(L, index);
      break;
    case LUA_TBOOLEAN:
      lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
      break;
    case LUA_TLIGHTUSERDATA:
      lua_pushliteral(L, "null");
      break;
    default:
      digits = mp_script_exact(L, index);
      lua_pushstring(L, digits ? digits : luaL_typename(L, index));
  }
  return lua_tolstring(L, -1, len);
}

static int base_tostring(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  mp_script_push_text(L, 1, NULL);
  return 1;
}

static bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

static int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 36;
}

/* Digits of a base, wrapping around as Lua's integers do. */
static bool push_digits(lua_State *L, const char *text, size_t len, int base) {
  bool negative = len > 0 && text[0] == '-';
  size_t i = negative || (len > 0 && text[0] == '+');
  uint64_t value = 0;
  double wide = 0;

  if (i == len) return false;
  for (; i < len; i++) {
    int digit = digit_of(text[i]);
    if (digit >= base) return false;
    value = value * (uint64_t)base + (uint64_t)digit;
    wide = wide * base + digit;
  }
#if LUA_VERSION_NUM >= 503
  lua_pushinteger(L, (lua_Integer)(negative ? 0 - value : value));
#else
  lua_pushnumber(L, negative ? -wide : wide);
#endif
  (void)wide;
  (void)value;
  return true;
}

/* A decimal number, with what Lua allows and JSON does not: "+1", ".5", "5.", "007". */
static bool push_decimal(lua_State *L, const char *text, size_t len) {
  size_t sign = len > 0 && (text[0] == '-' || text[0] == '+');
  size_t whole = strspn(text + sign, "0123456789"), fraction = 0, at = sign + whole;
  char *end;

  if (at < len && text[at] == '.') {
    fraction = strspn(text + at + 1, "0123456789");
    at += 1 + fraction;
  }
  if (whole + fraction == 0) return false;
#if LUA_VERSION_NUM >= 503
  if (at == len && at == sign + whole) {
    long long integer;
    errno = 0;
    integer = strtoll(text, NULL, 10);
    if (errno == 0) {
      lua_pushinteger(L, integer);
      return true;
    }
  }
#endif
  if (at < len && text[at] != 'e' && text[at] != 'E') return false;
  lua_pushnumber(L, strtod(text, &end));
  return end == text + len;
}

static bool push_numeral(lua_State *L, const char *text, size_t len) {
  size_t sign = len > 0 && (text[0] == '-' || text[0] == '+');

  if (len - sign > 2 && text[sign] == '0' && (text[sign + 1] == 'x' || text[sign + 1] == 'X')) {
    if (text[sign + 2] == '-' || text[sign + 2] == '+') return false;
    if (!push_digits(L, text + sign + 2, len - sign - 2, 16)) return false;
    if (text[0] == '-') {
#if LUA_VERSION_NUM >= 503
      lua_pushinteger(L, (lua_Integer)(0 - (lua_Unsigned)lua_tointeger(L, -1)));
#else
      lua_pushnumber(L, -lua_tonumber(L, -1));
#endif
    }
    return true;
  }
  return push_decimal(L, text, len);
}

/* tonumber(value, base) */
static int base_tonumber(lua_State *L) {
  const char *text = mp_script_exact(L, 1);
  lua_Integer base = luaL_optinteger(L, 2, 0);
  size_t len = text ? strlen(text) : 0, top;

  luaL_checkany(L, 1);
  luaL_argcheck(L, base == 0 || (base >= 2 && base <= 36), 2, "base out of range");
  if (lua_type(L, 1) == LUA_TNUMBER && base == 0) {
    lua_settop(L, 1);
    return 1;
  }
  if (base != 0) luaL_checktype(L, 1, LUA_TSTRING);
  if (lua_type(L, 1) == LUA_TSTRING) text = lua_tolstring(L, 1, &len);
  top = (size_t)lua_gettop(L);
  mp_sandbox_charge_bytes(L, len);
  if (text) {
    size_t end = len;
    while (end > 0 && is_space(text[end - 1]))
      end--;
    while (end > 0 && is_space(*text))
      text++, end--;
    if (end < len || text[end] != '\0') { /* strtod is to find the end there */
      lua_pushlstring(L, text, end);
      text = lua_tostring(L, -1);
      top++;
    }
    if (base ? push_digits(L, text, end, (int)base) : push_numeral(L, text, end)) return 1;
  }
  lua_settop(L, (int)top);
  lua_pushnil(L);
  return 1;
}

void mp_script_open_types(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"tonumber", base_tonumber}, {"tostring", base_tostring}, {"type", base_type}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
