/* The order of a table's keys. Script thread.
 *
 * Lua's own depends on addresses and on a seed that differs from process to process: a script that
 * went by it would decide otherwise when an event is replayed. */
#include <stdlib.h>
#include <string.h>

#include "script/sandbox.h"

typedef struct item {
  const char *text; /* NULL: a number. The table holds it */
  size_t len;
  lua_Number number;
  lua_Integer integer;
  bool is_integer;
} item;

/* What a table has. */
typedef struct sum {
  size_t numbers, strings, others;
  bool sequence; /* the numbers are 1 to how many they are */
} sum;

static sum sum_up(lua_State *L, int table) {
  size_t length = lua_rawlen(L, table), within = 0;
  sum of = {0};

  lua_pushnil(L);
  while (lua_next(L, table)) {
    lua_pop(L, 1);
    if (mp_script_is_hidden(L, -1)) continue;
    if (lua_type(L, -1) == LUA_TNUMBER) {
      lua_Number key = lua_tonumber(L, -1);
      of.numbers++;
      if (key >= 1 && key <= (lua_Number)length && key == (lua_Number)(size_t)key) within++;
    } else if (lua_type(L, -1) == LUA_TSTRING) {
      of.strings++;
    } else {
      of.others++;
    }
  }
  of.sequence = of.numbers == length && within == length;
  return of;
}

static int by_order(const void *left, const void *right) {
  const item *a = left, *b = right;
  size_t len = a->len < b->len ? a->len : b->len;
  int order;

  if (!a->text || !b->text) {
    if (a->text || b->text) return a->text ? 1 : -1;
    if (a->is_integer && b->is_integer)
      return a->integer < b->integer ? -1 : a->integer > b->integer;
    return a->number < b->number ? -1 : a->number > b->number;
  }
  order = memcmp(a->text, b->text, len);
  if (order != 0) return order;
  return a->len < b->len ? -1 : a->len > b->len;
}

/* How many keys of the order are in the table still? */
static size_t present(lua_State *L, int table, int order) {
  size_t length = lua_rawlen(L, order), n = 0;

  for (size_t i = 1; i <= length; i++) {
    lua_rawgeti(L, order, (int)i);
    lua_rawget(L, table);
    if (!lua_isnil(L, -1)) n++;
    lua_pop(L, 1);
  }
  return n;
}

/* Is the string key on top one of the known? */
static bool is_known(lua_State *L, int known) {
  bool is;

  if (known == 0) return false;
  lua_pushvalue(L, -1);
  lua_rawget(L, known);
  is = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return is;
}

/* Numbers and the strings that are not known. */
static size_t collect(lua_State *L, int table, int known, item *items) {
  size_t n = 0;

  lua_pushnil(L);
  while (lua_next(L, table)) {
    item *i = &items[n];
    lua_pop(L, 1);
    if (lua_type(L, -1) == LUA_TNUMBER) {
      *i = (item){.number = lua_tonumber(L, -1), .is_integer = lua_isinteger(L, -1)};
      if (i->is_integer) i->integer = lua_tointeger(L, -1);
      n++;
    } else if (lua_type(L, -1) == LUA_TSTRING && !is_known(L, known)) {
      *i = (item){0};
      i->text = lua_tolstring(L, -1, &i->len);
      n++;
    }
  }
  return n;
}

static void push_item(lua_State *L, const item *i) {
  if (i->text)
    lua_pushlstring(L, i->text, i->len);
  else if (i->is_integer)
    lua_pushinteger(L, i->integer);
  else
    lua_pushnumber(L, i->number);
}

/* Pushes a table of the keys of order, as keys. */
static void push_set(lua_State *L, int order) {
  size_t length = lua_rawlen(L, order);

  lua_createtable(L, 0, (int)length);
  for (size_t i = 1; i <= length; i++) {
    lua_rawgeti(L, order, (int)i);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
  }
}

/* Pushes the keys. order: stack index of an object's, or 0. */
static void push_sorted(lua_State *L, int table, const sum *of, int order) {
  size_t count, numbers = 0, length = order ? lua_rawlen(L, order) : 0;
  int out, known = 0, n = 0;
  item *items;

  lua_createtable(L, (int)(of->numbers + of->strings + of->others), 0);
  out = lua_gettop(L);
  if (order) {
    push_set(L, order);
    known = lua_gettop(L);
  }
  items = lua_newuserdatauv(L, (of->numbers + of->strings + 1) * sizeof *items, 0);
  count = collect(L, table, known, items);
  qsort(items, count, sizeof *items, by_order);
  while (numbers < count && !items[numbers].text) {
    push_item(L, &items[numbers++]);
    lua_rawseti(L, out, ++n);
  }
  for (size_t i = 1; i <= length; i++) {
    lua_rawgeti(L, order, (int)i);
    lua_rawseti(L, out, ++n);
  }
  for (size_t i = numbers; i < count; i++) {
    push_item(L, &items[i]);
    lua_rawseti(L, out, ++n);
  }
  lua_pushnil(L);
  while (of->others > 0 && lua_next(L, table)) {
    lua_pop(L, 1);
    if (mp_script_is_hidden(L, -1) || lua_type(L, -1) == LUA_TNUMBER ||
        lua_type(L, -1) == LUA_TSTRING) {
      continue;
    }
    lua_pushvalue(L, -1);
    lua_rawseti(L, out, ++n);
  }
  lua_settop(L, out);
}

void mp_script_push_keys(lua_State *L, int index) {
  int table = index > 0 ? index : lua_gettop(L) + 1 + index, order = 0;
  sum of;

  mp_script_fill(L, table);
  luaL_checkstack(L, 12, "a value too deep");
  of = sum_up(L, table);
  mp_sandbox_charge(L, (int64_t)(of.numbers + of.strings + of.others) / 2 + 1);
  if (of.strings + of.others == 0 && of.sequence) {
    lua_pushinteger(L, (lua_Integer)of.numbers);
    return;
  }
  if (mp_script_push_mark(L, table) == MP_MARK_OBJECT) order = lua_gettop(L);
  if (order && of.numbers + of.others == 0 && present(L, table, order) == of.strings) return;
  mp_sandbox_charge(L, 4 * (int64_t)(of.numbers + of.strings + of.others));
  push_sorted(L, table, &of, order);
  if (order) lua_remove(L, order);
}
