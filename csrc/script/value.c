/* JSON as Lua values. Script thread.
 *
 * What a call is given stays JSON text until the script looks into it: an object is a table that
 * holds no more than where its text begins, and has a metatable that fills it. So an event costs
 * what is read of it, and what is not touched is written as it was. The reader is the sandbox's,
 * for an error may be raised at any time. */
#include <stdio.h>
#include <string.h>

#include "payload/scan.h"
#include "script/sandbox.h"

#define WEBHOOK  (-1.0) /* the place of the webhook, which is no text */
#define MAX_KEYS 64     /* that a table is made for at first */
#define FEW_KEYS 8

static const char hidden = 0; /* its address is the key that marks are under */

/* What is read. */
typedef struct source {
  lua_State *L;
  mp_sandbox *s;
  mp_json *j;
  int doc; /* of the call's; -1: a text that does not stay: all is filled at once */
} source;

static void push_value(source *x, bool outer);

/* ---- marks ---------------------------------------------------------------------------------- */

static void push_hidden(lua_State *L) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)&hidden);
}

/* Puts the value on top under the hidden key of the table. */
static void set_hidden(lua_State *L, int table) {
  push_hidden(L);
  lua_insert(L, -2);
  lua_rawset(L, table);
}

bool mp_script_is_hidden(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TLIGHTUSERDATA && lua_touserdata(L, index) == &hidden;
}

mp_script_mark mp_script_push_mark(lua_State *L, int index) {
  int type;

  lua_pushvalue(L, index);
  push_hidden(L);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  type = lua_type(L, -1);
  if (type == LUA_TTABLE) return MP_MARK_OBJECT;
  lua_pop(L, 1);
  return type == LUA_TBOOLEAN ? MP_MARK_LIST : MP_MARK_NONE;
}

void mp_script_mark_list(lua_State *L, int index) {
  lua_pushboolean(L, 1);
  set_hidden(L, index);
}

bool mp_script_is_lazy(lua_State *L, int index) {
  bool is;

  if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index)) return false;
  lua_rawgeti(L, LUA_REGISTRYINDEX, MP_KEPT_LAZY_MT);
  is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is;
}

static double place_of(lua_State *L, int index) {
  double place;

  lua_pushvalue(L, index);
  push_hidden(L);
  lua_rawget(L, -2);
  place = lua_tonumber(L, -1);
  lua_pop(L, 2);
  return place;
}

static mp_span text_at(const mp_sandbox *s, double place, int *doc) {
  int64_t at = (int64_t)place / MP_DOCS;

  *doc = (int)((int64_t)place % MP_DOCS);
  return (mp_span){s->docs[*doc].data + at, s->docs[*doc].len - (size_t)at};
}

/* The length of the object or list that begins the text, and how many keys the object has. What a
 * call is given is valid JSON: the sanitizer wrote it. */
static size_t length_of(mp_span text, int *keys) {
  int depth = 0;

  *keys = 0;
  for (size_t i = 0; i < text.len; i++) {
    switch (text.data[i]) {
      case '"':
        for (i++; i < text.len && text.data[i] != '"'; i++) {
          i += mp_plain_run(text.data + i, text.len - i);
          if (i == text.len || text.data[i] == '"') break;
          if (text.data[i] == '\\') i++;
        }
        break;
      case '{':
      case '[':
        depth++;
        break;
      case '}':
      case ']':
        if (--depth == 0) return i + 1;
        break;
      case ':':
        if (depth == 1) ++*keys;
        break;
      default:
        break;
    }
  }
  return text.len;
}

mp_span mp_script_lazy_text(lua_State *L, int index) {
  double place = place_of(L, index);
  mp_span text;
  int doc, keys;

  if (place < 0) return (mp_span){NULL, 0};
  text = text_at(mp_sandbox_of(L), place, &doc);
  return (mp_span){text.data, length_of(text, &keys)};
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Errors of texts were found before: what fails here has no memory. */
static void must(source *x, bool ok) {
  if (!ok || x->j->failed) mp_sandbox_must(x->L, MP_ENOMEM);
}

static void push_span(source *x) {
  mp_span span;
  must(x, mp_json_string_span(x->j, &x->s->text, &span));
  lua_pushlstring(x->L, span.data, span.len);
}

static void push_list(source *x) {
  lua_State *L = x->L;
  int n = 0;

  luaL_checkstack(L, 8, "a value too deep");
  lua_createtable(L, 4, 1);
  mp_script_mark_list(L, lua_gettop(L));
  must(x, mp_json_begin_array(x->j));
  while (mp_json_next_element(x->j)) {
    push_value(x, false);
    lua_rawseti(L, -2, ++n);
  }
  must(x, true);
}

/* Fills the table on top. */
static void read_object(source *x, bool outer) {
  lua_State *L = x->L;
  int table = lua_gettop(L), n = 0;
  mp_span key;

  lua_createtable(L, FEW_KEYS, 0); /* the order */
  must(x, mp_json_begin_object(x->j));
  while (mp_json_next_key(x->j, &key)) {
    lua_pushlstring(L, key.data, key.len);
    lua_pushvalue(L, -1);
    lua_rawseti(L, table + 1, ++n);
    push_value(x, outer);
    lua_rawset(L, table);
  }
  must(x, true);
  set_hidden(L, table);
}

static void push_lazy(lua_State *L, double place, int keys) {
  lua_createtable(L, 0, keys + 1);
  lua_pushnumber(L, place);
  set_hidden(L, lua_gettop(L) - 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, MP_KEPT_LAZY_MT);
  lua_setmetatable(L, -2);
}

static void push_object(source *x, bool outer) {
  lua_State *L = x->L;
  mp_json *j = x->j;
  mp_span text;
  size_t length;
  int keys;

  luaL_checkstack(L, 8, "a value too deep");
  if (x->doc < 0) {
    lua_createtable(L, 0, FEW_KEYS);
    read_object(x, false);
    return;
  }
  text = (mp_span){j->text + j->at, j->len - j->at};
  length = length_of(text, &keys);
  push_lazy(L, (double)(text.data - x->s->docs[x->doc].data) * MP_DOCS + x->doc,
            !outer            ? 0
            : keys < MAX_KEYS ? keys
                              : MAX_KEYS);
  j->at += length;
}

static void push_value(source *x, bool outer) {
  lua_State *L = x->L;
  mp_span raw;

  switch (mp_json_type_of(x->j)) {
    case MP_JSON_OBJECT:
      push_object(x, outer);
      return;
    case MP_JSON_ARRAY:
      push_list(x);
      return;
    case MP_JSON_STRING:
      push_span(x);
      return;
    case MP_JSON_NUMBER:
      must(x, mp_json_scalar(x->j, &raw));
      mp_script_push_number(L, raw.data, raw.len);
      return;
    case MP_JSON_NULL:
      lua_pushlightuserdata(L, NULL);
      break;
    case MP_JSON_TRUE:
    case MP_JSON_FALSE:
      lua_pushboolean(L, mp_json_type_of(x->j) == MP_JSON_TRUE);
      break;
    case MP_JSON_NONE:
      break;
  }
  must(x, mp_json_scalar(x->j, NULL));
}

/* The sandbox's reader, of a text that has no errors. */
static source begin(lua_State *L, mp_span text, int doc) {
  mp_sandbox *s = mp_sandbox_of(L);
  mp_json checked;

  mp_json_init(&checked, text.data, text.len, "", NULL);
  mp_json_peek(&checked, &s->reader);
  s->reading = true;
  return (source){.L = L, .s = s, .j = &s->reader, .doc = doc};
}

static void end(source *x) {
  mp_json_free(x->j);
  x->s->reading = false;
}

/* ---- the webhook ---------------------------------------------------------------------------- */

/* A name and a password in it are no business of a script's. */
static void push_url(lua_State *L, const char *url) {
  const char *host = strstr(url, "://"), *at;

  host = host ? host + 3 : url;
  at = memrchr(host, '@', strcspn(host, "/?#"));
  lua_pushlstring(L, url, (size_t)(host - url));
  lua_pushstring(L, at ? at + 1 : host);
  lua_concat(L, 2);
}

static void fill_webhook(lua_State *L, int table) {
  const mp_script_webhook *w = mp_sandbox_of(L)->webhook;

  lua_pushinteger(L, (lua_Integer)w->id);
  lua_setfield(L, table, "id");
  lua_pushstring(L, w->name);
  lua_setfield(L, table, "name");
  push_url(L, w->url);
  lua_setfield(L, table, "url");
  lua_createtable(L, (int)w->event_count, 1);
  mp_script_mark_list(L, lua_gettop(L));
  for (size_t i = 0; i < w->event_count; i++) {
    lua_pushstring(L, w->events[i]);
    lua_rawseti(L, -2, (int)i + 1);
  }
  lua_setfield(L, table, "events");
}

/* ---- filling -------------------------------------------------------------------------------- */

static void fill_object(lua_State *L, int table, double place) {
  int doc;
  mp_span text = text_at(mp_sandbox_of(L), place, &doc);
  bool root = (int64_t)place == doc;
  source x = begin(L, text, doc);
  size_t read;

  lua_pushvalue(L, table);
  read_object(&x, root);
  read = x.j->at;
  end(&x);
  if (root && doc == MP_DOC_EVENT) {
    lua_pushstring(L, x.s->event->id);
    lua_setfield(L, -2, "id");
  }
  lua_pop(L, 1);
  mp_sandbox_charge_bytes(L, read);
}

static void fill(lua_State *L, int table) {
  double place = place_of(L, table);

  luaL_checkstack(L, 12, "a value too deep");
  mp_sandbox_of(L)->looked = true;
  lua_pushnil(L);
  lua_setmetatable(L, table);
  if (place == WEBHOOK) {
    lua_pushnil(L);
    set_hidden(L, table);
    fill_webhook(L, table);
  } else {
    fill_object(L, table, place);
  }
}

void mp_script_fill(lua_State *L, int index) {
  if (mp_script_is_lazy(L, index)) fill(L, index > 0 ? index : lua_gettop(L) + 1 + index);
}

void mp_script_check_table(lua_State *L, int index) {
  luaL_checktype(L, index, LUA_TTABLE);
  mp_script_fill(L, index);
}

/* Pushes what the object's text has under the key, when that is no table; nil for what it has not.
 */
static bool push_scalar(source *x, mp_span wanted) {
  mp_json *j = x->j;
  mp_span key;
  int keys;

  must(x, mp_json_begin_object(j));
  while (mp_json_next_key(j, &key)) {
    mp_json_type type = mp_json_type_of(j);
    bool table = type == MP_JSON_OBJECT || type == MP_JSON_ARRAY;
    if (key.len == wanted.len && memcmp(key.data, wanted.data, key.len) == 0) {
      if (!table) push_value(x, false);
      return !table;
    }
    if (table)
      j->at += length_of((mp_span){j->text + j->at, j->len - j->at}, &keys);
    else
      must(x, mp_json_skip(j, NULL));
  }
  must(x, true);
  lua_pushnil(x->L);
  return true;
}

/* The first look at an object finds the one value in the text, and leaves the table as it is:
 * most scripts want no more of an entry. The second fills the table. A value that has an identity,
 * a table, is never made twice. */
static bool push_first(lua_State *L, double place) {
  mp_span text, key;
  int doc;
  source x;
  bool found;

  if (place < MP_DOCS || place != (double)(int64_t)place) return false;
  mp_sandbox_of(L)->looked = true;
  lua_pushnumber(L, place + 0.5);
  set_hidden(L, 1);
  text = text_at(mp_sandbox_of(L), place, &doc);
  x = begin(L, text, doc);
  key.data = lua_tolstring(L, 2, &key.len);
  found = push_scalar(&x, key);
  mp_sandbox_charge_bytes(L, x.j->at);
  end(&x);
  return found;
}

static int lazy_index(lua_State *L) {
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TSTRING && push_first(L, place_of(L, 1))) return 1;
  lua_settop(L, 2);
  fill(L, 1);
  lua_rawget(L, 1);
  return 1;
}

static int lazy_newindex(lua_State *L) {
  lua_settop(L, 3);
  fill(L, 1);
  lua_rawset(L, 1);
  return 0;
}

/* ---- entry points --------------------------------------------------------------------------- */

void mp_script_push_document(lua_State *L, int doc) {
  mp_span text = mp_sandbox_of(L)->docs[doc];
  source x;

  if (text.len > 0 && text.data[0] == '{') {
    push_lazy(L, doc, FEW_KEYS);
    return;
  }
  x = begin(L, text, doc);
  push_value(&x, true);
  end(&x);
}

void mp_script_push_webhook(lua_State *L) {
  push_lazy(L, WEBHOOK, 4);
}

bool mp_script_push_json(lua_State *L, const char *text, size_t len, const char *root,
                         mp_error *err) {
  mp_sandbox *s = mp_sandbox_of(L);
  source x;
  bool ok;

  mp_sandbox_charge_bytes(L, 4 * len);
  mp_json_init(&s->reader, text, len, root, err);
  s->reading = true;
  ok = mp_json_skip(&s->reader, NULL) && mp_json_end(&s->reader);
  mp_json_free(&s->reader);
  s->reading = false;
  if (!ok && err->code == MP_ENOMEM) mp_sandbox_must(L, MP_ENOMEM);
  if (!ok) return false;
  x = begin(L, (mp_span){text, len}, -1);
  push_value(&x, false);
  end(&x);
  return true;
}

void mp_script_open_value(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, lazy_index);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, lazy_newindex);
  lua_setfield(L, -2, "__newindex");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_rawseti(L, LUA_REGISTRYINDEX, MP_KEPT_LAZY_MT);
  mp_script_open_exact(L);
}
