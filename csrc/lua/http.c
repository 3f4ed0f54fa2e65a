/* Headers and URLs for Lua: the checks and the merge that delivery threads use, for the host's
 * config code. Runs in the host's thread. Nothing is held in C memory where Lua may raise, but in
 * userdata that the collector frees. */
#include "lua/http.h"

#include <stdlib.h>
#include <string.h>

#include "http/quote.h"
#include "http/url.h"
#include "lua/fail.h"

/* ---- reading -------------------------------------------------------------------------------- */

/* Points into strings that the table being read keeps alive. */
typedef struct pair {
  const char *name;
  const char *value;
  size_t name_len;
  size_t value_len;
} pair;

typedef struct pair_list {
  const char *where;
  pair *items;
  size_t count;
  size_t cap;
  size_t bytes;
} pair_list;

static mp_code add_pair(pair_list *list, pair added, mp_error *err) {
  list->bytes += added.name_len + added.value_len;
  if (list->bytes > MP_HEADERS_MAX_BYTES) {
    return mp_fail(err, MP_E2BIG, "%s: more than %d bytes of names and values", list->where,
                   MP_HEADERS_MAX_BYTES);
  }
  if (list->count == list->cap) {
    size_t cap = list->cap ? list->cap * 2 : 16;
    pair *items = realloc(list->items, cap * sizeof *items);
    if (!items) return mp_fail(err, MP_ENOMEM, "%s: out of memory", list->where);
    list->items = items;
    list->cap = cap;
  }
  list->items[list->count++] = added;
  return MP_OK;
}

/* The strings at two stack indices, which lua_tolstring must not convert: that would allocate, and
 * change a key under lua_next. */
static mp_code read_pair(lua_State *L, int name, int value, pair_list *list, mp_error *err) {
  char quoted[MP_QUOTE_SIZE];
  pair read;

  if (lua_type(L, name) != LUA_TSTRING) {
    return mp_fail(err, MP_EINVAL, "%s: a header name is a string, got a %s", list->where,
                   lua_typename(L, lua_type(L, name)));
  }
  read.name = lua_tolstring(L, name, &read.name_len);
  if (lua_type(L, value) != LUA_TSTRING) {
    return mp_fail(err, MP_EINVAL, "%s['%s']: a header value is a string, got a %s", list->where,
                   mp_quote(read.name, read.name_len, quoted, sizeof quoted),
                   lua_typename(L, lua_type(L, value)));
  }
  read.value = lua_tolstring(L, value, &read.value_len);
  return add_pair(list, read, err);
}

static bool is_key(lua_State *L, int index, const char *key) {
  return lua_type(L, index) == LUA_TSTRING && strcmp(lua_tostring(L, index), key) == 0;
}

/* One element of an array, on the stack's top. Named fields are looked for with lua_next: a look-up
 * by name would have to make the name's string. */
static mp_code read_element(lua_State *L, size_t i, pair_list *list, mp_error *err) {
  int element = lua_gettop(L);
  mp_code code;

  if (lua_type(L, element) != LUA_TTABLE) {
    return mp_fail(err, MP_EINVAL, "%s[%zu]: expected { name, value }, got a %s", list->where, i,
                   lua_typename(L, lua_type(L, element)));
  }
  lua_rawgeti(L, element, 1);
  lua_rawgeti(L, element, 2);
  if (lua_isnil(L, element + 1) && lua_isnil(L, element + 2)) {
    lua_pushnil(L);
    while (lua_next(L, element)) {
      if (is_key(L, -2, "name")) lua_copy(L, -1, element + 1);
      if (is_key(L, -2, "value")) lua_copy(L, -1, element + 2);
      lua_pop(L, 1);
    }
    if (lua_isnil(L, element + 1)) {
      return mp_fail(err, MP_EINVAL, "%s[%zu]: expected { name, value }", list->where, i);
    }
  }
  code = read_pair(L, element + 1, element + 2, list, err);
  lua_settop(L, element);
  return code;
}

static mp_code read_array(lua_State *L, int table, pair_list *list, mp_error *err) {
  size_t len = lua_rawlen(L, table);

  /* A list that holds a name too would lose one or the other. */
  lua_pushnil(L);
  while (lua_next(L, table)) {
    if (lua_type(L, -2) != LUA_TNUMBER) {
      return mp_fail(err, MP_EINVAL, "%s: expected a list or a map of headers, got a mix",
                     list->where);
    }
    lua_pop(L, 1);
  }
  for (size_t i = 1; i <= len; i++) {
    mp_code code;
    lua_rawgeti(L, table, (int)i);
    code = read_element(L, i, list, err);
    if (code != MP_OK) return code;
    lua_pop(L, 1);
  }
  return MP_OK;
}

static int by_name(const void *a, const void *b) {
  const pair *x = a, *y = b;
  int order = mp_header_name_compare(x->name, x->name_len, y->name, y->name_len);
  /* Of two spellings the one in lower case comes last, and so wins. */
  return order ? order : memcmp(x->name, y->name, x->name_len);
}

static mp_code read_map(lua_State *L, int table, pair_list *list, mp_error *err) {
  lua_pushnil(L);
  while (lua_next(L, table)) {
    mp_code code = read_pair(L, lua_gettop(L) - 1, lua_gettop(L), list, err);
    if (code != MP_OK) return code;
    lua_pop(L, 1);
  }
  if (list->count > 1) qsort(list->items, list->count, sizeof *list->items, by_name);
  return MP_OK;
}

mp_code mp_lua_headers(lua_State *L, int index, const char *where, mp_headers *out, mp_error *err) {
  pair_list list = {.where = where};
  int top = lua_gettop(L);
  int table = lua_absindex(L, index);
  mp_code code;

  if (lua_isnoneornil(L, index)) return MP_OK;
  if (lua_type(L, table) != LUA_TTABLE) {
    return mp_fail(err, MP_EINVAL, "%s: expected a table of headers, got a %s", where,
                   lua_typename(L, lua_type(L, table)));
  }
  code =
      lua_rawlen(L, table) > 0 ? read_array(L, table, &list, err) : read_map(L, table, &list, err);
  for (size_t i = 0; code == MP_OK && i < list.count; i++) {
    const pair *p = &list.items[i];
    code = mp_header_check(where, p->name, p->name_len, p->value, p->value_len, err);
    /* The check refuses NUL, so these are C strings. */
    if (code == MP_OK) code = mp_headers_set(out, p->name, p->value, err);
  }
  free(list.items);
  lua_settop(L, top);
  return code;
}

/* ---- functions ------------------------------------------------------------------------------ */

typedef struct merge_box {
  mp_headers defaults;
  mp_headers own;
  mp_headers merged;
} merge_box;

#define MERGE_BOX "moonpost.headers"

static void merge_box_free(merge_box *box) {
  mp_headers_free(&box->defaults);
  mp_headers_free(&box->own);
  mp_headers_free(&box->merged);
}

static int merge_box_gc(lua_State *L) {
  merge_box_free(luaL_checkudata(L, 1, MERGE_BOX));
  return 0;
}

static merge_box *new_merge_box(lua_State *L) {
  merge_box *box = lua_newuserdatauv(L, sizeof *box, 0);

  mp_headers_init(&box->defaults);
  mp_headers_init(&box->own);
  mp_headers_init(&box->merged);
  luaL_getmetatable(L, MERGE_BOX);
  lua_setmetatable(L, -2);
  return box;
}

static void check_headers_type(lua_State *L, int arg) {
  int type = lua_type(L, arg);
  if (type == LUA_TTABLE || type == LUA_TNIL || type == LUA_TNONE) return;
  luaL_argerror(L, arg, lua_pushfstring(L, "table or nil expected, got %s", lua_typename(L, type)));
}

/* Has the string a NUL, which C would take for its end? */
static bool is_cut(const char *text, size_t len) {
  return memchr(text, '\0', len) != NULL;
}

/* merge_headers(default, own, event) -> map, list */
static int merge_headers(lua_State *L) {
  size_t event_len;
  const char *event = luaL_checklstring(L, 3, &event_len);
  mp_error err;
  merge_box *box;
  mp_code code;

  check_headers_type(L, 1);
  check_headers_type(L, 2);
  lua_settop(L, 3);
  box = new_merge_box(L);

  code =
      mp_header_check("event", "X-Strapi-Event", strlen("X-Strapi-Event"), event, event_len, &err);
  if (code == MP_OK) code = mp_lua_headers(L, 1, "default", &box->defaults, &err);
  if (code == MP_OK) code = mp_lua_headers(L, 2, "own", &box->own, &err);
  if (code == MP_OK) code = mp_headers_merge(&box->defaults, &box->own, event, &box->merged, &err);
  if (code != MP_OK) {
    merge_box_free(box);
    return mp_lua_fail(L, &err);
  }
  lua_createtable(L, 0, (int)box->merged.count);
  lua_createtable(L, (int)box->merged.count, 0);
  for (size_t i = 0; i < box->merged.count; i++) {
    const mp_header *header = &box->merged.items[i];
    lua_pushstring(L, header->value);
    lua_setfield(L, -3, header->name);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, header->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, header->value);
    lua_setfield(L, -2, "value");
    lua_rawseti(L, -2, (int)i + 1);
  }
  merge_box_free(box);
  return 2;
}

/* check_header(where, name, value) -> true */
static int check_header(lua_State *L) {
  size_t name_len, value_len;
  const char *where = luaL_checkstring(L, 1);
  const char *name = luaL_checklstring(L, 2, &name_len);
  const char *value = luaL_checklstring(L, 3, &value_len);
  mp_error err;

  if (mp_header_check(where, name, name_len, value, value_len, &err) != MP_OK)
    return mp_lua_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

/* header_reserved(name) -> boolean */
static int header_reserved(lua_State *L) {
  size_t len;
  const char *name = luaL_checklstring(L, 1, &len);
  lua_pushboolean(L, !is_cut(name, len) && mp_header_reserved(name));
  return 1;
}

/* check_url(url) -> true */
static int check_url(lua_State *L) {
  size_t len;
  const char *url = luaL_checklstring(L, 1, &len);
  mp_error err;
  mp_code code = is_cut(url, len) ? mp_fail(&err, MP_EINVAL, "not a valid URL: it holds a NUL byte")
                                  : mp_url_check(url, &err);

  if (code != MP_OK) return mp_lua_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

void mp_lua_http(lua_State *L) {
  static const luaL_Reg functions[] = {{"merge_headers", merge_headers},
                                       {"check_header", check_header},
                                       {"header_reserved", header_reserved},
                                       {"check_url", check_url},
                                       {NULL, NULL}};

  mp_lua_new_type(L, MERGE_BOX, merge_box_gc);
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
}
