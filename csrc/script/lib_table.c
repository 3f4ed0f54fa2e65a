/* table. Script thread.
 *
 * What Lua 5.4's library has; it reads and writes tables raw, and sorts without changing the order
 * of what is equal, so that both Luas come to the same. */
#include <string.h>

#include "script/sandbox.h"

#define MOST_ITEMS 1000000 /* to a list, and to the stack */

static int length_of(lua_State *L, int index) {
  size_t length;

  mp_script_check_table(L, index);
  length = lua_rawlen(L, index);
  if (length >= INT32_MAX) luaL_error(L, "a list too long");
  return (int)length;
}

/* concat(list, separator = "", first = 1, last = #list) */
static int table_concat(lua_State *L) {
  int length = length_of(L, 1);
  size_t between, len;
  const char *separator = luaL_optlstring(L, 2, "", &between);
  lua_Integer first = luaL_optinteger(L, 3, 1), last = luaL_optinteger(L, 4, length);
  luaL_Buffer b;

  lua_settop(L, 2);
  luaL_buffinit(L, &b);
  for (; first <= last; first++) {
    if (first > INT32_MAX || first < INT32_MIN) return luaL_error(L, "a list too long");
    lua_rawgeti(L, 1, (int)first);
    if (lua_type(L, -1) == LUA_TUSERDATA && mp_script_exact(L, -1)) {
      lua_pushstring(L, mp_script_exact(L, -1));
      lua_remove(L, -2);
    }
    if (!lua_isstring(L, -1)) {
      return luaL_error(L, "table.concat: item %d is a %s", (int)first, luaL_typename(L, -1));
    }
    if (lua_type(L, -1) == LUA_TNUMBER) {
      mp_script_push_text(L, lua_gettop(L), NULL);
      lua_remove(L, -2);
    }
    lua_tolstring(L, -1, &len);
    mp_sandbox_charge_bytes(L, len + between);
    luaL_addvalue(&b);
    if (first < last) luaL_addlstring(&b, separator, between);
  }
  luaL_pushresult(&b);
  return 1;
}

/* insert(list, value); insert(list, place, value) */
static int table_insert(lua_State *L) {
  int length = length_of(L, 1);
  lua_Integer place;

  if (lua_gettop(L) == 2) {
    lua_rawseti(L, 1, length + 1);
    return 0;
  }
  if (lua_gettop(L) != 3) return luaL_error(L, "wrong number of arguments to 'insert'");
  place = luaL_checkinteger(L, 2);
  luaL_argcheck(L, place >= 1 && place <= (lua_Integer)length + 1, 2, "position out of bounds");
  mp_sandbox_charge(L, length - place + 1);
  for (int i = length; i >= (int)place; i--) {
    lua_rawgeti(L, 1, i);
    lua_rawseti(L, 1, i + 1);
  }
  lua_rawseti(L, 1, (int)place);
  return 0;
}

/* remove(list, place = #list) -> what was there */
static int table_remove(lua_State *L) {
  int length = length_of(L, 1);
  lua_Integer place = luaL_optinteger(L, 2, length);

  if (lua_gettop(L) > 1) {
    luaL_argcheck(L,
                  (length == 0 && place == 0) || (place >= 1 && place <= (lua_Integer)length + 1),
                  2, "position out of bounds");
  }
  mp_sandbox_charge(L, length - place + 1);
  lua_rawgeti(L, 1, (int)place);
  for (int i = (int)place; i < length; i++) {
    lua_rawgeti(L, 1, i + 1);
    lua_rawseti(L, 1, i);
  }
  if (place <= length) {
    lua_pushnil(L);
    lua_rawseti(L, 1, length > (int)place ? length : (int)place);
  }
  return 1;
}

/* unpack(list, first = 1, last = #list) */
static int table_unpack(lua_State *L) {
  int length = length_of(L, 1);
  lua_Integer first = luaL_optinteger(L, 2, 1), last = luaL_optinteger(L, 3, length);

  if (first > last) return 0;
  if (first < -MOST_ITEMS || last > INT32_MAX - 1 || last - first >= MOST_ITEMS ||
      !lua_checkstack(L, (int)(last - first) + 2)) {
    return luaL_error(L, "too many results to unpack");
  }
  mp_sandbox_charge(L, last - first);
  for (lua_Integer i = first; i <= last; i++)
    lua_rawgeti(L, 1, (int)i);
  return (int)(last - first) + 1;
}

/* pack(...) -> { n =, ... } */
static int table_pack(lua_State *L) {
  int count = lua_gettop(L);

  mp_sandbox_charge(L, count);
  lua_createtable(L, count, 1);
  lua_insert(L, 1);
  for (int i = count; i >= 1; i--)
    lua_rawseti(L, 1, i);
  lua_pushinteger(L, count);
  lua_setfield(L, 1, "n");
  return 1;
}

/* move(from, first, last, place, to = from) -> to */
static int table_move(lua_State *L) {
  lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3);
  lua_Integer place = luaL_checkinteger(L, 4), count;
  int to = lua_isnoneornil(L, 5) ? 1 : 5;

  mp_script_check_table(L, 1);
  mp_script_check_table(L, to);
  if (first <= last) {
    luaL_argcheck(L, first > -MOST_ITEMS && last < MOST_ITEMS, 3, "too many elements to move");
    luaL_argcheck(L, place > -MOST_ITEMS && place < MOST_ITEMS, 4, "destination out of range");
    count = last - first + 1;
    mp_sandbox_charge(L, count);
    for (lua_Integer i = 0; i < count; i++) {
      lua_Integer k = place > first ? count - 1 - i : i; /* what overlaps is not written over */
      lua_rawgeti(L, 1, (int)(first + k));
      lua_rawseti(L, to, (int)(place + k));
    }
  }
  lua_pushvalue(L, to);
  return 1;
}

/* ---- sort ----------------------------------------------------------------------------------- */

/* Stack: list at 1, function or nil at 2, and at 3 a list as long, to merge into. */

/* Is the value on top less than the one below it? Pops both. */
static bool less(lua_State *L) {
  bool is;

  if (lua_isnil(L, 2)) {
    int type = lua_type(L, -1);
    size_t len = 0;
    if (type == LUA_TSTRING && lua_type(L, -2) == LUA_TSTRING) {
      lua_tolstring(L, -1, &len);
      mp_sandbox_charge_bytes(L, len);
    }
    mp_sandbox_enter(L); /* of tables it calls __lt */
#if LUA_VERSION_NUM < 502
    is = lua_lessthan(L, -1, -2);
#else
    is = lua_compare(L, -1, -2, LUA_OPLT);
#endif
    mp_sandbox_leave(L);
    lua_pop(L, 2);
    return is;
  }
  lua_pushvalue(L, 2);
  lua_pushvalue(L, -2);
  lua_pushvalue(L, -4);
  mp_sandbox_call(L, 2, 1);
  is = lua_toboolean(L, -1);
  lua_pop(L, 3);
  return is;
}

static void copy_item(lua_State *L, int from, int i, int to, int k) {
  lua_rawgeti(L, from, i);
  lua_rawseti(L, to, k);
}

/* Merges [first, middle) and [middle, end) of one list into the other. */
static void merge(lua_State *L, int from, int to, int first, int middle, int end) {
  int left = first, right = middle;

  mp_sandbox_charge(L, end - first);
  for (int out = first; out < end; out++) {
    bool take_right = left >= middle;
    if (!take_right && right < end) {
      lua_rawgeti(L, from, left);
      lua_rawgeti(L, from, right);
      take_right = less(L);
    }
    copy_item(L, from, take_right ? right++ : left++, to, out);
  }
}

/* sort(list, less = <) */
static int table_sort(lua_State *L) {
  int length = length_of(L, 1), from = 1, to = 3;

  luaL_argcheck(L, length < MOST_ITEMS, 1, "a list too long");
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  lua_createtable(L, length, 0);
  for (int width = 1; width < length; width *= 2) {
    for (int first = 1; first <= length; first += 2 * width) {
      int middle = first + width, end = first + 2 * width;
      if (middle > length + 1) middle = length + 1;
      if (end > length + 1) end = length + 1;
      merge(L, from, to, first, middle, end);
    }
    from = to;
    to = from == 1 ? 3 : 1;
  }
  for (int i = 1; from == 3 && i <= length; i++)
    copy_item(L, 3, i, 1, i);
  return 0;
}

void mp_script_open_table(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"concat", table_concat}, {"insert", table_insert},
      {"move", table_move},     {"pack", table_pack},
      {"remove", table_remove}, {"sort", table_sort},
      {"unpack", table_unpack}, {NULL, NULL},
  };
  luaL_setfuncs(L, functions, 0);
}
