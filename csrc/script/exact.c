/* Numbers of JSON in Lua, digit for digit. Script thread.
 *
 * A number becomes a Lua number when that is written as the same decimal again; else a userdata
 * that holds its digits, prints and compares as them, and is no number until tonumber makes it
 * one. */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "payload/number.h"
#include "script/sandbox.h"

#define MOST_DIGITS  17         /* of the shortest decimal of a double (DBL_DECIMAL_DIG) */
#define MAX_EXPONENT 1000000000 /* what is above is as good as this */
#if LUA_VERSION_NUM < 503
#define INTEGER_DIGITS 15 /* of every integer that Lua holds */
#else
#define INTEGER_DIGITS 18
#endif

/* A decimal without the zeros at its ends: digits times ten to the exponent. */
typedef struct decimal {
  char digits[MOST_DIGITS];
  int count; /* over MOST_DIGITS: not all are here */
  long exponent;
  bool negative;
} decimal;

static long read_exponent(const char *text, size_t len) {
  long e = 0;
  size_t i = len > 0 && (text[0] == '-' || text[0] == '+');

  for (; i < len && e < MAX_EXPONENT; i++)
    e = e * 10 + (text[i] - '0');
  return text[0] == '-' ? -e : e;
}

static void read_decimal(const char *text, size_t len, decimal *d) {
  size_t start = text[0] == '-', end = start, last = 0;
  bool point = false;

  *d = (decimal){.negative = start > 0};
  for (; end < len && text[end] != 'e' && text[end] != 'E'; end++)
    if (text[end] >= '1' && text[end] <= '9') last = end;
  if (last == 0 && !(text[0] >= '1' && text[0] <= '9')) {
    d->negative = false;
    return;
  }
  for (size_t i = start; i < end; i++) {
    if (text[i] == '.') {
      point = true;
    } else if (i > last) {
      if (!point) d->exponent++;
    } else {
      if (point) d->exponent--;
      if (d->count == 0 && text[i] == '0') continue;
      if (d->count < MOST_DIGITS) d->digits[d->count] = text[i];
      if (d->count <= MOST_DIGITS) d->count++;
    }
  }
  if (end < len) d->exponent += read_exponent(text + end + 1, len - end - 1);
}

static bool same_decimal(const decimal *a, const decimal *b) {
  return a->negative == b->negative && a->count == b->count && a->exponent == b->exponent &&
         a->count <= MOST_DIGITS && memcmp(a->digits, b->digits, (size_t)a->count) == 0;
}

/* Is the decimal the one that the double is written as? */
static bool holds(double value, const decimal *d) {
  decimal written;
  mp_buf text;
  bool same;

  if (!isfinite(value) || d->count > MOST_DIGITS) return false;
  if (d->count <= DBL_DIG && (fabs(value) >= DBL_MIN || d->count == 0)) return true;
  mp_buf_init(&text, 64);
  mp_number_add_double(&text, value);
  if (text.failed != MP_OK) {
    mp_buf_free(&text);
    return false;
  }
  read_decimal(text.data, text.len, &written);
  same = same_decimal(d, &written);
  mp_buf_free(&text);
  return same;
}

static bool read_integer(const char *text, size_t len, int64_t *out) {
  size_t i = text[0] == '-';
  int64_t value = 0;

  if (len - i > INTEGER_DIGITS + 1) return false;
  for (; i < len; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    if (value > (INT64_MAX - 9) / 10) return false;
    value = value * 10 + (text[i] - '0');
  }
  *out = text[0] == '-' ? -value : value;
  return len - (text[0] == '-') <= INTEGER_DIGITS;
}

#if LUA_VERSION_NUM >= 503
/* Those of 19 digits that are in range. */
static bool read_long_integer(const char *text, size_t len, int64_t *out) {
  char copy[24];

  if (len >= sizeof copy || strspn(text + (text[0] == '-'), "0123456789") < len - (text[0] == '-'))
    return false;
  memcpy(copy, text, len);
  copy[len] = '\0';
  errno = 0;
  *out = strtoll(copy, NULL, 10);
  return errno == 0;
}
#endif

void mp_script_push_number(lua_State *L, const char *text, size_t len) {
  int64_t integer;
  double value;
  decimal d;

  if (read_integer(text, len, &integer)) {
    lua_pushinteger(L, (lua_Integer)integer);
    return;
  }
#if LUA_VERSION_NUM >= 503
  if (read_long_integer(text, len, &integer)) {
    lua_pushinteger(L, integer);
    return;
  }
#endif
  read_decimal(text, len, &d);
  value = strtod(text, NULL); /* what follows ends it */
  if (holds(value, &d)) {
    lua_pushnumber(L, value);
    return;
  }
  memcpy(lua_newuserdatauv(L, len + 1, 0), text, len);
  ((char *)lua_touserdata(L, -1))[len] = '\0';
  lua_rawgeti(L, LUA_REGISTRYINDEX, MP_KEPT_EXACT_MT);
  lua_setmetatable(L, -2);
}

const char *mp_script_exact(lua_State *L, int index) {
  bool is;

  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return NULL;
  lua_rawgeti(L, LUA_REGISTRYINDEX, MP_KEPT_EXACT_MT);
  is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is ? lua_touserdata(L, index) : NULL;
}

static int exact_eq(lua_State *L) {
  const char *a = mp_script_exact(L, 1), *b = mp_script_exact(L, 2);
  decimal x, y;
  bool same = false;

  if (a && b) {
    mp_sandbox_charge_bytes(L, strlen(a) + strlen(b));
    read_decimal(a, strlen(a), &x);
    read_decimal(b, strlen(b), &y);
    same = strcmp(a, b) == 0 || same_decimal(&x, &y);
  }
  lua_pushboolean(L, same);
  return 1;
}

static int exact_concat(lua_State *L) {
  lua_settop(L, 2);
  for (int i = 1; i <= 2; i++) {
    const char *digits = mp_script_exact(L, i);
    if (digits) {
      lua_pushstring(L, digits);
      lua_replace(L, i);
    } else if (!lua_isstring(L, i)) {
      return luaL_error(L, "attempt to concatenate a %s value", luaL_typename(L, i));
    }
  }
  lua_concat(L, 2);
  return 1;
}

void mp_script_open_exact(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, exact_eq);
  lua_setfield(L, -2, "__eq");
  lua_pushcfunction(L, exact_concat);
  lua_setfield(L, -2, "__concat");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_rawseti(L, LUA_REGISTRYINDEX, MP_KEPT_EXACT_MT);
}
