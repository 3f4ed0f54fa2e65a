/* Walks a Lua value by the sanitizer's rules and writes what stays. Host thread.
 *
 * Tables are read raw. A table is a list when its keys are 1..n, when its metatable says so, or
 * when it is empty and the schema says list; else it is an object with string keys. Nothing is
 * allocated in Lua, so that no collection runs and nothing raises: the strings that keys are
 * compared with, and what register named, are kept in a table of the registry. A path is built only
 * when something is wrong, from the inside out, while the recursion returns. */
#include "lua/value.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "payload/json_writer.h"
#include "payload/number.h"
#include "payload/path.h"

#define MAX_PATH    200
#define LEVEL_STACK 10 /* Lua stack slots that a level of the recursion uses, at most */

/* What is at which place of the registry's table: what register names, then what open put there. */
enum {
  KNOWN_NULL = 1,
  KNOWN_EMPTY_ARRAY,
  KNOWN_ARRAY_MT,
  KNOWN_EMPTY_ARRAY_MT,
  KNOWN_TOSTRING,
  KNOWN_STRINGS
};

static const char *const registered[] = {"null", "empty_array", "array_mt", "empty_array_mt"};
static const char *const strings[] = {"__jsontype", "__component", "__contentType", "__type"};

#define COUNT(array) (int)(sizeof(array) / sizeof(array)[0])

typedef struct source {
  lua_State *L;
  mp_sanitizer sanitizer;
  mp_buf *out;
  int depth;
  int known;        /* stack index of the registry's table */
  const char *what; /* the error; NULL: none */
  char own_what[80];
  char path[MAX_PATH]; /* of the error, without root */
  bool path_full;      /* MP_PATH_CUT stands for its outer steps */
} source;

static const char registry_key = 0;

static bool value(source *s, int index, const mp_rule *rule);

/* ---- errors --------------------------------------------------------------------------------- */

static bool fail(source *s, const char *what) {
  if (!s->what) s->what = what;
  return false;
}

/* Puts a step before the path. */
static bool within(source *s, const char *step, size_t len) {
  size_t rest = strlen(s->path);

  if (s->path_full) return false;
  if (len + rest + sizeof MP_PATH_CUT > sizeof s->path) {
    s->path_full = true;
    step = MP_PATH_CUT;
    len = strlen(MP_PATH_CUT);
  }
  memmove(s->path + len, s->path, rest + 1);
  memcpy(s->path, step, len);
  return false;
}

static bool within_key(source *s, const char *key, size_t len) {
  char step[MP_PATH_STEP];
  return within(s, step, mp_path_key(step, key, len));
}

static bool within_index(source *s, size_t i) {
  char step[MP_PATH_STEP];
  return within(s, step, mp_path_index(step, i));
}

/* ---- scalars -------------------------------------------------------------------------------- */

#ifdef MP_TCDATA
static bool add_cdata(source *s, int index) {
  lua_State *L = s->L;
  const char *text;
  size_t len = 0, digits;
  bool ok = false;

  lua_rawgeti(L, s->known, KNOWN_TOSTRING);
  lua_pushvalue(L, index);
  if (lua_pcall(L, 1, 1, 0) == 0 && (text = lua_tolstring(L, -1, &len)) != NULL) {
    digits = strspn(text + (text[0] == '-'), "0123456789") + (text[0] == '-');
    ok = digits > 0 && (strcmp(text + digits, "LL") == 0 || strcmp(text + digits, "ULL") == 0);
    if (ok) mp_buf_add(s->out, text, digits);
  }
  lua_pop(L, 1);
  return ok || fail(s, "a cdata that is no 64-bit integer cannot be sent");
}
#endif

static bool add_number(source *s, int index) {
  double number;
#if LUA_VERSION_NUM >= 503
  if (lua_isinteger(s->L, index)) {
    mp_number_add_integer(s->out, lua_tointeger(s->L, index));
    return true;
  }
#endif
  number = lua_tonumber(s->L, index);
  if (isnan(number)) return fail(s, "NaN cannot be sent as JSON");
  if (isinf(number)) return fail(s, "an infinite number cannot be sent as JSON");
  mp_number_add_double(s->out, number);
  return true;
}

static bool add_string(source *s, int index) {
  size_t len;
  const char *text = lua_tolstring(s->L, index, &len);
  return mp_json_add_string(s->out, text, len) || fail(s, "the string is not valid UTF-8");
}

/* Is the value the one at that place of the registry's table? */
static bool is_known(source *s, int index, int place) {
  bool same;
  lua_rawgeti(s->L, s->known, place);
  same = !lua_isnil(s->L, -1) && lua_rawequal(s->L, -1, index);
  lua_pop(s->L, 1);
  return same;
}

static bool is_userdata(int type) {
  return type == LUA_TLIGHTUSERDATA || type == LUA_TUSERDATA;
}

static bool is_compound(source *s, int index, int type) {
  return type == LUA_TTABLE || (is_userdata(type) && is_known(s, index, KNOWN_EMPTY_ARRAY));
}

static bool add_userdata(source *s, int index) {
  bool null = lua_touserdata(s->L, index) == NULL || is_known(s, index, KNOWN_NULL);
  if (null) mp_buf_add(s->out, "null", 4);
  return null || fail(s, "a userdata cannot be sent as JSON");
}

static bool scalar(source *s, int index, int type) {
  switch (type) {
    case LUA_TNIL:
      mp_buf_add(s->out, "null", 4);
      return true;
    case LUA_TBOOLEAN:
      if (lua_toboolean(s->L, index))
        mp_buf_add(s->out, "true", 4);
      else
        mp_buf_add(s->out, "false", 5);
      return true;
    case LUA_TNUMBER:
      return add_number(s, index);
    case LUA_TSTRING:
      return add_string(s, index);
    case LUA_TLIGHTUSERDATA:
    case LUA_TUSERDATA:
      return add_userdata(s, index);
#ifdef MP_TCDATA
    case MP_TCDATA:
      return add_cdata(s, index);
#endif
    default:
      snprintf(s->own_what, sizeof s->own_what, "a %s cannot be sent as JSON",
               lua_typename(s->L, type));
      return fail(s, s->own_what);
  }
}

/* ---- tables --------------------------------------------------------------------------------- */

/* Pushes one of the strings, without making it. */
static void push_string(source *s, const char *text) {
  int i = 0;
  while (i < COUNT(strings) - 1 && strcmp(strings[i], text) != 0)
    i++;
  lua_rawgeti(s->L, s->known, KNOWN_STRINGS + i);
}

typedef enum shape { UNMARKED, OBJECT, LIST, LIST_WHEN_EMPTY } shape;

static shape marked(source *s, int index) {
  lua_State *L = s->L;
  shape found = UNMARKED;
  int mt;

  if (!lua_getmetatable(L, index)) return UNMARKED;
  mt = lua_gettop(L);
  if (is_known(s, mt, KNOWN_EMPTY_ARRAY_MT)) found = LIST_WHEN_EMPTY;
  if (is_known(s, mt, KNOWN_ARRAY_MT)) found = LIST;
  push_string(s, "__jsontype");
  lua_rawget(L, mt);
  if (lua_type(L, -1) == LUA_TSTRING) {
    const char *type = lua_tostring(L, -1);
    if (strcmp(type, "array") == 0) found = LIST;
    if (strcmp(type, "object") == 0) found = OBJECT;
  }
  lua_pop(L, 2);
  return found;
}

/* Are the keys exactly 1..count? */
static bool is_sequence(lua_State *L, int index, size_t count) {
  size_t n = 0;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_Number key;
    lua_pop(L, 1);
    key = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
    if (key < 1 || key > (lua_Number)count || key != floor(key)) {
      lua_pop(L, 1);
      return false;
    }
    n++;
  }
  return n == count;
}

static bool is_empty(lua_State *L, int index) {
  lua_pushnil(L);
  if (!lua_next(L, index)) return true;
  lua_pop(L, 2);
  return false;
}

static bool list(source *s, int index, size_t count, const mp_rule *rule) {
  mp_rule of_item = *rule;

  of_item.list = false; /* an empty table among a list's items is an empty object */
  if (!is_sequence(s->L, index, count)) {
    return fail(s, "a table with both list items and other keys, or with holes, cannot be sent");
  }
  mp_buf_add_char(s->out, '[');
  for (size_t i = 1; i <= count; i++) {
    if (i > 1) mp_buf_add_char(s->out, ',');
    lua_rawgeti(s->L, index, (int)i);
    if (!value(s, lua_gettop(s->L), &of_item)) return within_index(s, i);
    lua_pop(s->L, 1);
  }
  mp_buf_add_char(s->out, ']');
  return true;
}

/* The rule of the object at index: looks for the key that names its model. */
static mp_rule rule_of(source *s, int index, const mp_rule *rule) {
  mp_type_keys keys = mp_rule_type_keys(rule);
  lua_State *L = s->L;
  mp_rule own;

  for (int i = 0; i < 2 && keys.names[i]; i++) {
    size_t len;
    const char *type;
    push_string(s, keys.names[i]);
    lua_rawget(L, index);
    if (lua_type(L, -1) == LUA_TSTRING) {
      type = lua_tolstring(L, -1, &len);
      own = mp_rule_of_object(&s->sanitizer, rule, keys.names[i], type, len);
      lua_pop(L, 1);
      return own;
    }
    lua_pop(L, 1);
  }
  return mp_rule_of_object(&s->sanitizer, rule, NULL, "", 0);
}

static bool object(source *s, int index, const mp_rule *rule) {
  mp_rule own = rule_of(s, index, rule);
  lua_State *L = s->L;
  bool first = true;

  if (own.kind == MP_RULE_NULL) {
    mp_buf_add(s->out, "null", 4);
    return true;
  }
  mp_buf_add_char(s->out, '{');
  lua_pushnil(L);
  while (lua_next(L, index)) {
    mp_rule of_key;
    const char *key;
    size_t len;
    if (lua_type(L, -2) != LUA_TSTRING) {
      return fail(s, "a table whose keys are neither strings nor 1, 2, 3, ... cannot be sent");
    }
    key = lua_tolstring(L, -2, &len);
    of_key = mp_rule_of_key(&s->sanitizer, &own, key, len);
    if (!mp_rule_drops(&of_key, is_compound(s, lua_gettop(L), lua_type(L, -1)))) {
      if (!first) mp_buf_add_char(s->out, ',');
      first = false;
      if (!mp_json_add_string(s->out, key, len)) {
        return fail(s, "a key is not valid UTF-8") || within_key(s, key, len);
      }
      mp_buf_add_char(s->out, ':');
      if (!value(s, lua_gettop(L), &of_key)) return within_key(s, key, len);
    }
    lua_pop(L, 1);
  }
  mp_buf_add_char(s->out, '}');
  return true;
}

static bool table(source *s, int index, const mp_rule *rule) {
  size_t count = lua_rawlen(s->L, index);
  shape mark = marked(s, index);
  bool empty_list = mark == LIST_WHEN_EMPTY || (mark == UNMARKED && rule->list);

  if (mark == LIST || (mark != OBJECT && count > 0)) return list(s, index, count, rule);
  if (empty_list && is_empty(s->L, index)) return list(s, index, 0, rule);
  return object(s, index, rule);
}

static bool value(source *s, int index, const mp_rule *rule) {
  int type = lua_type(s->L, index);
  bool ok;

  if (type != LUA_TTABLE) {
    size_t start = s->out->len;
    if (is_compound(s, index, type)) {
      mp_buf_add(s->out, "[]", 2);
      return true;
    }
    if (!scalar(s, index, type)) return false;
    if (mp_rule_keeps_scalars(rule)) return true;
    if (s->out->failed == MP_OK) s->out->len = start;
    mp_buf_add(s->out, "null", 4);
    return true;
  }
  if (s->out->failed != MP_OK) return false; /* a huge value is not walked to its end */
  if (s->depth == MP_JSON_MAX_DEPTH) return fail(s, "a cycle, or nested more than 100 deep");
  if (!lua_checkstack(s->L, LEVEL_STACK)) return fail(s, "the Lua stack is full");
  s->depth++;
  ok = table(s, index, rule);
  s->depth--;
  return ok;
}

/* ---- entry points --------------------------------------------------------------------------- */

mp_code mp_lua_sanitize(lua_State *L, int index, const mp_schema *schema, const mp_model *model,
                        const mp_sanitize_options *options, const char *root, mp_buf *out,
                        mp_error *err) {
  source s = {.L = L, .sanitizer = {.schema = schema, .options = options}, .out = out};
  mp_rule rule = mp_rule_of_entry(model);
  int top = lua_gettop(L);
  size_t start = out->len;
  bool ok;

  if (!lua_checkstack(L, LEVEL_STACK)) return mp_fail(err, MP_ENOMEM, "the Lua stack is full");
  index = lua_absindex(L, index);
  lua_pushlightuserdata(L, (void *)&registry_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  s.known = lua_gettop(L);
  ok = value(&s, index, &rule);
  lua_settop(L, top);
  if (ok && out->failed == MP_OK) return MP_OK;
  out->len = start;
  if (out->failed == MP_E2BIG) {
    return mp_fail(err, MP_E2BIG, "%s: over the limit of %zu bytes", root, out->limit);
  }
  if (out->failed != MP_OK) return mp_fail(err, out->failed, "out of memory");
  return mp_fail(err, MP_EINVAL, "%s%s: %s", root, s.path, s.what);
}

void mp_lua_value_open(lua_State *L) {
  lua_pushlightuserdata(L, (void *)&registry_key);
  lua_createtable(L, KNOWN_STRINGS + COUNT(strings), 0);
  lua_getglobal(L, "tostring");
  lua_rawseti(L, -2, KNOWN_TOSTRING);
  for (int i = 0; i < COUNT(strings); i++) {
    lua_pushstring(L, strings[i]);
    lua_rawseti(L, -2, KNOWN_STRINGS + i);
  }
  lua_rawset(L, LUA_REGISTRYINDEX);
}

int mp_lua_register(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_pushlightuserdata(L, (void *)&registry_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  for (int i = 0; i < COUNT(registered); i++) {
    lua_getfield(L, 1, registered[i]);
    lua_rawseti(L, 2, KNOWN_NULL + i);
  }
  return 0;
}
