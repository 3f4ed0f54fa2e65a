/* math: what both Luas have. Random numbers come from the event's id: a replay gets the same.
 * Script thread. */
#include <math.h>

#include "script/sandbox.h"

#define PI        3.141592653589793238
#define TWO_TO_53 9007199254740992.0
#define TWO_TO_63 9223372036854775808.0

/* An integer where Lua has them and it fits. */
static int push_whole(lua_State *L, double n) {
#if LUA_VERSION_NUM >= 503
  if (n >= -TWO_TO_63 && n < TWO_TO_63) {
    lua_pushinteger(L, (lua_Integer)n);
    return 1;
  }
#endif
  lua_pushnumber(L, n);
  return 1;
}

static int math_floor(lua_State *L) {
  double n = luaL_checknumber(L, 1);
  lua_settop(L, 1);
  return lua_isinteger(L, 1) ? 1 : push_whole(L, floor(n));
}

static int math_ceil(lua_State *L) {
  double n = luaL_checknumber(L, 1);
  lua_settop(L, 1);
  return lua_isinteger(L, 1) ? 1 : push_whole(L, ceil(n));
}

static int math_abs(lua_State *L) {
  double n = luaL_checknumber(L, 1);

  lua_settop(L, 1);
  if (n >= 0) return 1;
#if LUA_VERSION_NUM >= 503
  if (lua_isinteger(L, 1)) {
    lua_pushinteger(L, (lua_Integer)(0 - (lua_Unsigned)lua_tointeger(L, 1)));
    return 1;
  }
#endif
  lua_pushnumber(L, fabs(n));
  return 1;
}

/* tointeger(n) -> n as an integer, or nil when it has a fraction or is no number */
static int math_tointeger(lua_State *L) {
  double n;

  luaL_checkany(L, 1);
  lua_settop(L, 1);
  if (lua_type(L, 1) != LUA_TNUMBER) {
    lua_pushnil(L);
    return 1;
  }
  n = lua_tonumber(L, 1);
  if (lua_isinteger(L, 1)) return 1;
  if (n == floor(n) && fabs(n) < TWO_TO_63) return push_whole(L, n);
  lua_pushnil(L);
  return 1;
}

static int math_fmod(lua_State *L) {
  double a = luaL_checknumber(L, 1), b = luaL_checknumber(L, 2);

#if LUA_VERSION_NUM >= 503
  if (lua_isinteger(L, 1) && lua_isinteger(L, 2)) {
    lua_Integer m = lua_tointeger(L, 1), n = lua_tointeger(L, 2), rest;
    luaL_argcheck(L, n != 0, 2, "zero");
    rest = n == -1 ? 0 : m % n;
    lua_pushinteger(L, rest);
    return 1;
  }
#endif
  lua_pushnumber(L, fmod(a, b));
  return 1;
}

static int math_modf(lua_State *L) {
  double n = luaL_checknumber(L, 1), whole = n < 0 ? ceil(n) : floor(n);
  lua_pushnumber(L, whole);
  lua_pushnumber(L, n == whole ? 0.0 : n - whole);
  return 2;
}

/* The least (sign 1) or greatest (sign -1) of the arguments. */
static int extreme(lua_State *L, int sign) {
  int count = lua_gettop(L), best = 1;

  luaL_checknumber(L, 1);
  mp_sandbox_charge(L, count);
  for (int i = 2; i <= count; i++) {
    double a = luaL_checknumber(L, i), b = lua_tonumber(L, best);
    if (sign > 0 ? a < b : a > b) best = i;
  }
  lua_pushvalue(L, best);
  return 1;
}

static int math_min(lua_State *L) {
  return extreme(L, 1);
}

static int math_max(lua_State *L) {
  return extreme(L, -1);
}

static int math_log(lua_State *L) {
  double n = luaL_checknumber(L, 1), base;

  if (lua_isnoneornil(L, 2)) {
    lua_pushnumber(L, log(n));
    return 1;
  }
  base = luaL_checknumber(L, 2);
  lua_pushnumber(L, base == 2.0 ? log2(n) : base == 10.0 ? log10(n) : log(n) / log(base));
  return 1;
}

static int math_atan(lua_State *L) {
  lua_pushnumber(L, atan2(luaL_checknumber(L, 1), luaL_optnumber(L, 2, 1)));
  return 1;
}

#define FUNCTION(name, expression)       \
  static int math_##name(lua_State *L) { \
    double x = luaL_checknumber(L, 1);   \
    lua_pushnumber(L, expression);       \
    return 1;                            \
  }
FUNCTION(acos, acos(x))
FUNCTION(asin, asin(x))
FUNCTION(cos, cos(x))
FUNCTION(deg, x *(180.0 / PI))
FUNCTION(exp, exp(x))
FUNCTION(rad, x *(PI / 180.0))
FUNCTION(sin, sin(x))
FUNCTION(sqrt, sqrt(x))
FUNCTION(tan, tan(x))

/* ---- random --------------------------------------------------------------------------------- */

static uint64_t rotate(uint64_t x, int n) {
  return x << n | x >> (64 - n);
}

/* xoshiro256** (Blackman, Vigna) */
static uint64_t random_bits(uint64_t s[4]) {
  uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate(s[3], 45);
  return result;
}

/* At most limit, each as likely as the others. */
static uint64_t random_below(uint64_t s[4], uint64_t limit) {
  uint64_t mask = limit, value;

  for (int shift = 1; shift < 64; shift *= 2)
    mask |= mask >> shift;
  do {
    value = random_bits(s) & mask;
  } while (value > limit);
  return value;
}

static int64_t whole_argument(lua_State *L, int arg) {
  double n = luaL_checknumber(L, arg);
  luaL_argcheck(L, n == floor(n) && fabs(n) <= TWO_TO_53, arg,
                "expected a whole number up to 2^53");
  return (int64_t)n;
}

/* random() -> [0, 1); random(m) -> 1 to m; random(m, n) -> m to n */
static int math_random(lua_State *L) {
  mp_sandbox *s = mp_sandbox_of(L);
  int64_t low = 1, high;

  if (lua_gettop(L) == 0) {
    lua_pushnumber(L, (double)(random_bits(s->random) >> 11) / TWO_TO_53);
    return 1;
  }
  high = whole_argument(L, 1);
  if (lua_gettop(L) > 1) {
    low = high;
    high = whole_argument(L, 2);
  }
  luaL_argcheck(L, low <= high, lua_gettop(L) > 1 ? 2 : 1, "interval is empty");
  return push_whole(L, (double)(low + (int64_t)random_below(s->random, (uint64_t)(high - low))));
}

void mp_script_open_math(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"abs", math_abs},     {"acos", math_acos},
      {"asin", math_asin},   {"atan", math_atan},
      {"ceil", math_ceil},   {"cos", math_cos},
      {"deg", math_deg},     {"exp", math_exp},
      {"floor", math_floor}, {"fmod", math_fmod},
      {"log", math_log},     {"max", math_max},
      {"min", math_min},     {"modf", math_modf},
      {"rad", math_rad},     {"random", math_random},
      {"sin", math_sin},     {"sqrt", math_sqrt},
      {"tan", math_tan},     {"tointeger", math_tointeger},
      {NULL, NULL},
  };

  luaL_setfuncs(L, functions, 0);
  lua_pushnumber(L, PI);
  lua_setfield(L, -2, "pi");
  lua_pushnumber(L, HUGE_VAL);
  lua_setfield(L, -2, "huge");
}
