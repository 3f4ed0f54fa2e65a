/* string.format. Script thread.
 *
 * What Lua 5.4 has but %p and %q: %p would give addresses, and nothing here reads what %q writes.
 * libc does the numbers, on either Lua. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "script/sandbox.h"

#define MAX_ITEM                                                                   \
  512 /* bytes of a number: 309 digits before the point, 99 behind it, width to 99 \
       */

/* An item of the format: %[flags][width][.precision]letter */
typedef struct item {
  char flags[6];
  int width;     /* -1: none */
  int precision; /* -1: none */
  char letter;
} item;

static int two_digits(const char **at, const char *end) {
  int n = 0, count = 0;

  for (; *at < end && **at >= '0' && **at <= '9' && count < 2; (*at)++, count++)
    n = n * 10 + (**at - '0');
  return n;
}

/* Reads what follows the '%'; moves at behind it. */
static item read_item(lua_State *L, const char **at, const char *end) {
  item i = {.width = -1, .precision = -1};
  size_t flags = 0;

  while (*at < end && **at && strchr("-+ #0", **at)) {
    if (flags == sizeof i.flags - 1) luaL_error(L, "invalid format (repeated flags)");
    i.flags[flags++] = *(*at)++;
  }
  if (*at < end && **at >= '0' && **at <= '9') i.width = two_digits(at, end);
  if (*at < end && **at == '.') {
    (*at)++;
    i.precision = two_digits(at, end);
  }
  if (*at < end && **at >= '0' && **at <= '9') {
    luaL_error(L, "invalid format (width or precision too long)");
  }
  if (*at == end) luaL_error(L, "invalid format (ends within an item)");
  i.letter = *(*at)++;
  return i;
}

static long long integer_argument(lua_State *L, int arg) {
  double number = luaL_checknumber(L, arg);

#if LUA_VERSION_NUM >= 503
  int is;
  lua_Integer integer = lua_tointegerx(L, arg, &is);
  if (is) return integer;
#else
  if (number == floor(number) && fabs(number) < 9223372036854775808.0) return (long long)number;
#endif
  (void)number;
  luaL_argerror(L, arg, "number has no integer representation");
  return 0;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static size_t print_number(lua_State *L, int arg, const item *i, char out[MAX_ITEM]) {
  bool integer = strchr("dixXo", i->letter) != NULL;
  char format[24];
  int width = i->width < 0 ? 0 : i->width;

  snprintf(format, sizeof format, "%%%s*%s%s%c", i->flags, i->precision < 0 ? "" : ".*",
           integer ? "ll" : "", i->letter);
  if (integer) {
    long long value = integer_argument(L, arg);
    return (size_t)(i->precision < 0 ? snprintf(out, MAX_ITEM, format, width, value)
                                     : snprintf(out, MAX_ITEM, format, width, i->precision, value));
  }
  double value = luaL_checknumber(L, arg);
  return (size_t)(i->precision < 0 ? snprintf(out, MAX_ITEM, format, width, value)
                                   : snprintf(out, MAX_ITEM, format, width, i->precision, value));
}
#pragma GCC diagnostic pop

static void add_spaces(luaL_Buffer *b, size_t count) {
  while (count-- > 0)
    luaL_addchar(b, ' ');
}

static void add_text(lua_State *L, luaL_Buffer *b, int arg, const item *i) {
  size_t len, room = i->width < 0 ? 0 : (size_t)i->width;
  const char *text;
  bool left = strchr(i->flags, '-') != NULL;

  luaL_argcheck(L, strspn(i->flags, "-") == strlen(i->flags), 1, "%s has no flag but '-'");
  text = mp_script_push_text(L, arg, &len);
  mp_sandbox_charge_bytes(L, len);
  if (i->precision >= 0 && (size_t)i->precision < len) {
    lua_pushlstring(L, text, (size_t)i->precision);
    lua_remove(L, -2);
    len = (size_t)i->precision;
  }
  lua_pushvalue(L, -1); /* what is added to a buffer is on top of what it has */
  lua_replace(L, arg);
  lua_pop(L, 1);
  if (!left && room > len) add_spaces(b, room - len);
  lua_pushvalue(L, arg);
  luaL_addvalue(b);
  if (left && room > len) add_spaces(b, room - len);
}

static void add_item(lua_State *L, luaL_Buffer *b, int arg, const item *i) {
  char text[MAX_ITEM], c;

  switch (i->letter) {
    case 's':
      add_text(L, b, arg, i);
      break;
    case 'c':
      c = (char)luaL_checkinteger(L, arg);
      luaL_addchar(b, c);
      break;
    case 'd':
    case 'i':
    case 'x':
    case 'X':
    case 'o':
    case 'a':
    case 'A':
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      luaL_addlstring(b, text, print_number(L, arg, i, text));
      break;
    default:
      luaL_error(L, "invalid option '%%%c' to 'format'", i->letter);
  }
}

/* format(format, ...) */
static int string_format(lua_State *L) {
  size_t len;
  const char *at = luaL_checklstring(L, 1, &len), *end = at + len;
  int arg = 1, last = lua_gettop(L);
  luaL_Buffer b;

  mp_sandbox_charge_bytes(L, len);
  luaL_buffinit(L, &b);
  while (at < end) {
    item i;
    if (*at != '%') {
      luaL_addchar(&b, *at++);
    } else if (++at < end && *at == '%') {
      luaL_addchar(&b, *at++);
    } else {
      mp_sandbox_charge(L, 4);
      i = read_item(L, &at, end);
      if (++arg > last) return luaL_argerror(L, arg, "no value");
      add_item(L, &b, arg, &i);
    }
  }
  luaL_pushresult(&b);
  return 1;
}

void mp_script_open_format(lua_State *L) {
  lua_pushcfunction(L, string_format);
  lua_setfield(L, -2, "format");
}
