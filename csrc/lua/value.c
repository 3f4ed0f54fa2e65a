/* Walks a Lua value by the sanitizer's rules and writes what stays. Host thread.
 *
 * Tables are read raw. A table is a list when its keys are 1..n, when its metatable says so, or when it
 * is empty and the schema says list; else it is an object with string keys. A path is built only when
 * something is wrong, from the inside out, while the recursion returns. */
#include "lua/value.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "payload/json_writer.h"
#include "payload/utf8.h"

#define MAX_PATH 200

typedef struct source {
  lua_State *L;
  mp_sanitizer sanitizer;
  mp_buf *out;
  int depth;
  int known; /* stack index of the registered values; 0: none */
  const char *what; /* the error; NULL: none */
  char own_what[80];
  char path[MAX_PATH]; /* of the error, without root */
} source;

static const char registry_key = 0;

static bool value(source *s, int index, const mp_rule *rule);

/* ---- errors -------------------------------------------------------------------------------------- */

static bool fail(source *s, const char *what) {
  if (!s->what) s->what = what;
  return false;
}

/* Puts a step before the path. */
static bool within(source *s, const char *step) {
  size_t len = strlen(step), rest = strlen(s->path);
  if (len + rest < sizeof s->path) {
    memmove(s->path + len, s->path, rest + 1);
    memcpy(s->path, step, len);
  }
  return false;
}

static bool within_key(source *s, const char *key, size_t len) {
  char step[80];
  bool word = len > 0 && len < 60;

  for (size_t i = 0; i < len && word; i++) {
    char c = key[i];
    word = c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  }
  if (word) {
    snprintf(step, sizeof step, ".%.*s", (int)len, key);
  } else {
    size_t n = 0;
    step[n++] = '[';
    step[n++] = '"';
    for (size_t i = 0; i < len && n < 60; i++) {
      unsigned char c = (unsigned char)key[i];
      step[n++] = c >= 0x20 && c < 0x7F ? (char)c : '?';
    }
    strcpy(step + n, "\"]");
  }
  return within(s, step);
}

static bool within_index(source *s, size_t i) {
  char step[32];
  snprintf(step, sizeof step, "[%zu]", i);
  return within(s, step);
}

/* ---- scalars ------------------------------------------------------------------------------------- */

#ifdef MP_TCDATA
static bool add_cdata(source *s, int index) {
  lua_State *L = s->L;
  const char *text;
  size_t len = 0, digits;
  bool ok = false;

  lua_getglobal(L, "tostring");
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
    mp_json_add_integer(s->out, lua_tointeger(s->L, index));
    return true;
  }
#endif
  number = lua_tonumber(s->L, index);
  if (isnan(number)) return fail(s, "NaN cannot be sent as JSON");
  if (isinf(number)) return fail(s, "an infinite number cannot be sent as JSON");
  mp_json_add_double(s->out, number);
  return true;
}

static bool add_string(source *s, int index) {
  size_t len;
  const char *text = lua_tolstring(s->L, index, &len);
  return mp_json_add_string(s->out, text, len) || fail(s, "the string is not valid UTF-8");
}

/* Is the value one of those that register named? */
static bool is_known(source *s, int index, const char *name) {
  bool same;
  if (!s->known) return false;
  lua_getfield(s->L, s->known, name);
  same = !lua_isnil(s->L, -1) && lua_rawequal(s->L, -1, index);
  lua_pop(s->L, 1);
  return same;
}

static bool add_userdata(source *s, int index) {
  if (lua_islightuserdata(s->L, index)) {
    if (is_known(s, index, "empty_array")) {
      mp_buf_add(s->out, "[]", 2);
      return true;
    }
    if (lua_touserdata(s->L, index) == NULL || is_known(s, index, "null")) {
      mp_buf_add(s->out, "null", 4);
      return true;
    }
  }
  return fail(s, "a userdata cannot be sent as JSON");
}

static bool scalar(source *s, int index, int type) {
  switch (type) {
    case LUA_TNIL:
      mp_buf_add(s->out, "null", 4);
      return true;
    case LUA_TBOOLEAN:
      mp_buf_add_str(s->out, lua_toboolean(s->L, index) ? "true" : "false");
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

/* ---- tables -------------------------------------------------------------------------------------- */

typedef enum shape { OBJECT, LIST, UNMARKED } shape;

static shape marked(source *s, int index) {
  lua_State *L = s->L;
  shape found = UNMARKED;

  if (!lua_getmetatable(L, index)) return UNMARKED;
  if (is_known(s, lua_gettop(L), "array_mt") || is_known(s, lua_gettop(L), "empty_array_mt")) {
    found = LIST;
  }
  lua_pushliteral(L, "__jsontype");
  lua_rawget(L, -2);
  if (lua_type(L, -1) == LUA_TSTRING) {
    found = strcmp(lua_tostring(L, -1), "array") == 0 ? LIST : OBJECT;
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
    lua_pushstring(L, keys.names[i]);
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
    if (of_key.kind != MP_RULE_DROP) {
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

  if (mark == LIST || (mark == UNMARKED && count > 0)) return list(s, index, count, rule);
  if (mark == UNMARKED && rule->list && is_empty(s->L, index)) return list(s, index, 0, rule);
  return object(s, index, rule);
}

static bool value(source *s, int index, const mp_rule *rule) {
  int type = lua_type(s->L, index);
  bool ok;

  if (type != LUA_TTABLE) {
    if (mp_rule_keeps_scalars(rule)) return scalar(s, index, type);
    mp_buf_add(s->out, "null", 4);
    return true;
  }
  if (s->out->failed != MP_OK) return false; /* a huge value is not walked to its end */
  if (s->depth == MP_JSON_MAX_DEPTH) return fail(s, "a cycle, or nested more than 100 deep");
  if (!lua_checkstack(s->L, 10)) return fail(s, "the Lua stack is full");
  s->depth++;
  ok = table(s, index, rule);
  s->depth--;
  return ok;
}

/* ---- entry points -------------------------------------------------------------------------------- */

mp_code mp_lua_sanitize(lua_State *L, int index, const mp_schema *schema, const mp_model *model,
                        const mp_sanitize_options *options, const char *root, mp_buf *out,
                        mp_error *err) {
  source s = {.L = L, .sanitizer = {.schema = schema, .options = options}, .out = out};
  mp_rule rule = mp_rule_of_entry(model);
  int top = lua_gettop(L);
  bool ok;

  if (!lua_checkstack(L, 10)) return mp_fail(err, MP_ENOMEM, "the Lua stack is full");
  index = lua_absindex(L, index);
  lua_pushlightuserdata(L, (void *)&registry_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  if (lua_istable(L, -1)) s.known = lua_gettop(L);
  ok = value(&s, index, &rule);
  lua_settop(L, top);
  if (out->failed == MP_E2BIG) {
    return mp_fail(err, MP_E2BIG, "%s: over the limit of %zu bytes", root, out->limit);
  }
  if (out->failed != MP_OK) return mp_fail(err, out->failed, "out of memory");
  return ok ? MP_OK : mp_fail(err, MP_EINVAL, "%s%s: %s", root, s.path, s.what);
}

int mp_lua_register(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushlightuserdata(L, (void *)&registry_key);
  lua_pushvalue(L, 1);
  lua_rawset(L, LUA_REGISTRYINDEX);
  return 0;
}
