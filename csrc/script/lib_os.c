/* os: time and date, on the event's time alone and in UTC, so that a replay anywhere decides alike.
 * Script thread. */
#include <limits.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "script/sandbox.h"

#define MAX_DATE  256
#define MAX_YEARS 1000000

static int field(lua_State *L, const char *name, int otherwise, int offset) {
  lua_Number n;

  lua_pushstring(L, name);
  lua_rawget(L, 1);
  if (lua_isnil(L, -1)) {
    if (otherwise < 0) luaL_error(L, "field '%s' missing in date table", name);
    lua_pop(L, 1);
    return otherwise;
  }
  if (!lua_isnumber(L, -1)) luaL_error(L, "field '%s' is not an integer", name);
  n = lua_tonumber(L, -1);
  if (n != floor(n) || fabs(n) > 1e9) luaL_error(L, "field '%s' is out-of-bound", name);
  lua_pop(L, 1);
  return (int)n - offset;
}

/* time() -> when the event was; time{ year =, month =, day =, hour = 12, min = 0, sec = 0 } */
static int os_time(lua_State *L) {
  struct tm tm = {0};

  if (lua_isnoneornil(L, 1)) {
    int64_t ms = mp_sandbox_of(L)->event ? mp_sandbox_of(L)->event->created_ms : 0;
    lua_pushinteger(L, (lua_Integer)(ms / 1000));
    return 1;
  }
  mp_script_check_table(L, 1);
  tm.tm_year = field(L, "year", -1, 1900);
  tm.tm_mon = field(L, "month", -1, 1);
  tm.tm_mday = field(L, "day", -1, 0);
  tm.tm_hour = field(L, "hour", 12, 0);
  tm.tm_min = field(L, "min", 0, 0);
  tm.tm_sec = field(L, "sec", 0, 0);
  lua_pushinteger(L, (lua_Integer)timegm(&tm));
  return 1;
}

static void set_field(lua_State *L, const char *name, int value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

static int push_parts(lua_State *L, const struct tm *tm) {
  lua_createtable(L, 0, 9);
  set_field(L, "year", tm->tm_year + 1900);
  set_field(L, "month", tm->tm_mon + 1);
  set_field(L, "day", tm->tm_mday);
  set_field(L, "hour", tm->tm_hour);
  set_field(L, "min", tm->tm_min);
  set_field(L, "sec", tm->tm_sec);
  set_field(L, "yday", tm->tm_yday + 1);
  set_field(L, "wday", tm->tm_wday + 1);
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "isdst");
  return 1;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static size_t print(char *out, char letter, const struct tm *tm) {
  char format[] = {'%', letter, '\0'};
  return strftime(out, MAX_DATE, format, tm);
}
#pragma GCC diagnostic pop

/* date(format = "%c", time = the event's): in UTC, with and without the '!' */
static int os_date(lua_State *L) {
  const char *format = luaL_optstring(L, 1, "%c");
  double seconds = lua_isnoneornil(L, 2) && mp_sandbox_of(L)->event
                       ? floor((double)mp_sandbox_of(L)->event->created_ms / 1000)
                       : luaL_optnumber(L, 2, 0);
  char text[MAX_DATE];
  struct tm tm;
  time_t when;
  luaL_Buffer b;

  luaL_argcheck(L, fabs(seconds) < MAX_YEARS * 31556952.0 && seconds == floor(seconds), 2,
                "time out of range");
  when = (time_t)seconds;
  gmtime_r(&when, &tm);
  tm.tm_zone = "UTC";
  if (*format == '!') format++;
  if (strcmp(format, "*t") == 0) return push_parts(L, &tm);
  luaL_buffinit(L, &b);
  for (; *format; format++) {
    if (*format != '%') {
      luaL_addchar(&b, *format);
      continue;
    }
    format++;
    if (!*format || !strchr("aAbBcCdDeFgGhHIjmMnprRStTuUVwWxXyYzZ%", *format)) {
      return luaL_error(L, "os.date: invalid conversion specifier '%%%c'", *format ? *format : ' ');
    }
    mp_sandbox_charge(L, 8);
    luaL_addlstring(&b, text, print(text, *format, &tm));
  }
  luaL_pushresult(&b);
  return 1;
}

static int os_difftime(lua_State *L) {
  lua_pushnumber(L, luaL_checknumber(L, 1) - luaL_optnumber(L, 2, 0));
  return 1;
}

void mp_script_open_os(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"date", os_date}, {"difftime", os_difftime}, {"time", os_time}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
