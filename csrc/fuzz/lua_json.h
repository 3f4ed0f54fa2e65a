/* JSON text as a Lua value, in one of the ways in which hosts hold it, and whether two texts say
 * the same. The text is one that the reader takes. A state is made once and its stack is emptied
 * after each input. */
#ifndef MP_FUZZ_LUA_JSON_H
#define MP_FUZZ_LUA_JSON_H

#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <math.h>

#include "fuzz/fuzz.h"
#include "lua/value.h"
#include "payload/json_reader.h"

/* What stands on the stack for good. */
enum {
  FUZZ_OBJECT_MT = 1, /* __jsontype = "object" */
  FUZZ_LIST_MT,       /* __jsontype = "array" */
  FUZZ_ARRAY_MT,      /* registered, as the three that follow */
  FUZZ_EMPTY_ARRAY_MT,
  FUZZ_NULL,
  FUZZ_EMPTY_ARRAY,
  FUZZ_FLOOR = FUZZ_EMPTY_ARRAY
};

typedef enum fuzz_dialect {
  FUZZ_MARKED, /* every table says what it is */
  FUZZ_FORK,   /* lists, empty lists and null as a fork of lua-cjson has them */
  FUZZ_BARE,   /* only tables that are empty say what they are */
  FUZZ_HIDDEN  /* bare, and what may not come out is a function, which cannot be sent */
} fuzz_dialect;

typedef struct fuzz_lua {
  lua_State *L;
  mp_json reader;
  mp_buf scratch;
  fuzz_dialect dialect;
  bool (*hides)(mp_span text); /* FUZZ_HIDDEN: may the string not come out? */
  unsigned lists;              /* FUZZ_FORK: their forms take turns */
  bool beyond;                 /* it has a number that no double holds */
} fuzz_lua;

static inline lua_State *fuzz_lua_open(void) {
  static const char *const names[] = {"array_mt", "empty_array_mt", "null", "empty_array"};
  static char null, empty_array;
  lua_State *L = luaL_newstate();

  must(L != NULL);
  mp_lua_value_open(L);
  for (int i = FUZZ_OBJECT_MT; i <= FUZZ_EMPTY_ARRAY_MT; i++) {
    lua_createtable(L, 0, 1);
    if (i > FUZZ_LIST_MT) continue;
    lua_pushstring(L, i == FUZZ_OBJECT_MT ? "object" : "array");
    lua_setfield(L, i, "__jsontype");
  }
  lua_pushlightuserdata(L, &null);
  lua_pushlightuserdata(L, &empty_array);
  lua_pushcfunction(L, mp_lua_register);
  lua_createtable(L, 0, 4);
  for (int i = 0; i < 4; i++) {
    lua_pushvalue(L, FUZZ_ARRAY_MT + i);
    lua_setfield(L, -2, names[i]);
  }
  lua_call(L, 1, 0);
  must(lua_gettop(L) == FUZZ_FLOOR);
  return L;
}

static inline void fuzz_lua_push_value(fuzz_lua *f);

/* Integers stay whole, as far as Lua has them; everything else is the nearest double. */
static inline void fuzz_lua_push_number(fuzz_lua *f) {
  mp_span raw;
  double number;
  long long integer;

  must(mp_json_scalar(&f->reader, &raw));
  mp_buf_reset(&f->scratch);
  mp_buf_add(&f->scratch, raw.data, raw.len);
  mp_buf_add_char(&f->scratch, '\0');
  errno = 0;
  integer = strtoll(f->scratch.data, NULL, 10);
  if (errno == 0 && !strpbrk(f->scratch.data, ".eE")) {
    lua_pushinteger(f->L, integer);
    return;
  }
  number = strtod(f->scratch.data, NULL);
  f->beyond |= isinf(number);
  lua_pushnumber(f->L, number);
}

static inline void fuzz_lua_push_scalar(fuzz_lua *f, mp_json_type type) {
  mp_span text;

  if (type == MP_JSON_NUMBER) {
    fuzz_lua_push_number(f);
    return;
  }
  if (type == MP_JSON_STRING) {
    must(mp_json_string_span(&f->reader, &f->scratch, &text));
    if (f->dialect == FUZZ_HIDDEN && f->hides(text))
      lua_pushcfunction(f->L, mp_lua_register);
    else
      lua_pushlstring(f->L, text.data, text.len);
    return;
  }
  must(mp_json_scalar(&f->reader, NULL));
  if (type != MP_JSON_NULL)
    lua_pushboolean(f->L, type == MP_JSON_TRUE);
  else if (f->dialect == FUZZ_FORK)
    lua_pushvalue(f->L, FUZZ_NULL);
  else
    lua_pushlightuserdata(f->L, NULL);
}

static inline void fuzz_lua_mark(fuzz_lua *f, int mark) {
  lua_pushvalue(f->L, mark);
  lua_setmetatable(f->L, -2);
}

static inline void fuzz_lua_push_object(fuzz_lua *f) {
  bool empty = true;
  mp_span key;

  lua_newtable(f->L);
  must(mp_json_begin_object(&f->reader));
  while (mp_json_next_key(&f->reader, &key)) {
    empty = false;
    lua_pushlstring(f->L, key.data, key.len);
    fuzz_lua_push_value(f);
    lua_rawset(f->L, -3);
  }
  if (empty || f->dialect == FUZZ_MARKED) fuzz_lua_mark(f, FUZZ_OBJECT_MT);
}

static inline void fuzz_lua_push_list(fuzz_lua *f) {
  int count = 0;

  lua_newtable(f->L);
  must(mp_json_begin_array(&f->reader));
  while (mp_json_next_element(&f->reader)) {
    fuzz_lua_push_value(f);
    lua_rawseti(f->L, -2, ++count);
  }
  if (f->dialect == FUZZ_FORK) {
    unsigned turn = f->lists++ % 3;
    if (turn < 2) fuzz_lua_mark(f, FUZZ_ARRAY_MT + (int)turn);
    if (turn < 2 || count > 0) return;
    lua_pop(f->L, 1);
    lua_pushvalue(f->L, FUZZ_EMPTY_ARRAY);
  } else if (count == 0 || f->dialect == FUZZ_MARKED) {
    fuzz_lua_mark(f, FUZZ_LIST_MT);
  }
}

static inline void fuzz_lua_push_value(fuzz_lua *f) {
  mp_json_type type = mp_json_type_of(&f->reader);

  must(lua_checkstack(f->L, 4));
  if (type == MP_JSON_OBJECT)
    fuzz_lua_push_object(f);
  else if (type == MP_JSON_ARRAY)
    fuzz_lua_push_list(f);
  else
    fuzz_lua_push_scalar(f, type);
}

/* Pushes the value. True when it has a number that no double holds: it is infinite in Lua. */
static inline bool fuzz_lua_push(lua_State *L, const char *text, size_t len, fuzz_dialect dialect,
                                 bool (*hides)(mp_span text)) {
  fuzz_lua f = {.L = L, .dialect = dialect, .hides = hides};

  mp_buf_init(&f.scratch, MP_BUF_NO_LIMIT);
  mp_json_init(&f.reader, text, len, "fuzz", NULL);
  fuzz_lua_push_value(&f);
  must(mp_json_end(&f.reader));
  mp_json_free(&f.reader);
  mp_buf_free(&f.scratch);
  return f.beyond;
}

static inline bool fuzz_lua_same(lua_State *L, int a, int b);

/* The same kind of table, as many keys, and under each key of a the same in b. */
static inline bool fuzz_lua_same_table(lua_State *L, int a, int b) {
  size_t in_a = 0, in_b = 0;
  bool same;

  lua_getmetatable(L, a);
  lua_getmetatable(L, b);
  same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  for (lua_pushnil(L); lua_next(L, b); lua_pop(L, 1))
    in_b++;
  lua_pushnil(L);
  while (same && lua_next(L, a)) {
    int top = lua_gettop(L);
    in_a++;
    lua_pushvalue(L, top - 1);
    lua_rawget(L, b);
    same = fuzz_lua_same(L, top, top + 1);
    lua_settop(L, top - 1);
  }
  return same && in_a == in_b;
}

/* Do two values of the dialect MARKED say the same? b is what Lua values were written as: a number
 * that is no integer stands in it with the digits of its double, which may look like an integer. */
static inline bool fuzz_lua_same(lua_State *L, int a, int b) {
  must(lua_checkstack(L, 6));
  if (lua_type(L, a) != lua_type(L, b)) return false;
  if (lua_type(L, a) == LUA_TTABLE) return fuzz_lua_same_table(L, a, b);
  if (lua_type(L, a) == LUA_TNUMBER && !lua_isinteger(L, a))
    return lua_tonumber(L, a) == lua_tonumber(L, b);
  if (lua_type(L, a) == LUA_TNUMBER && !lua_isinteger(L, b)) return false;
  return lua_rawequal(L, a, b);
}

#endif
