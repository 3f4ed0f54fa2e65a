/* Lua values as JSON. Script thread.
 *
 * Tables are read raw. What waits to be filled is written as the text that it is. The path of an
 * error is made from the inside out, while the recursion returns; then the error is raised. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "payload/json_writer.h"
#include "payload/number.h"
#include "payload/path.h"
#include "script/sandbox.h"

#define MAX_PATH    200
#define LEVEL_STACK 12   /* Lua stack slots that a level of the recursion uses, at most */
#define SLICE       4096 /* bytes written, after which they are charged */

typedef struct encoder {
  lua_State *L;
  mp_buf *out;
  size_t charged; /* of out */
  int depth;
  char what[120]; /* the error */
  char path[MAX_PATH];
  bool path_full;
} encoder;

static bool value(encoder *e, int index);

/* ---- errors --------------------------------------------------------------------------------- */

static bool fail(encoder *e, const char *what) {
  snprintf(e->what, sizeof e->what, "%s", what);
  return false;
}

/* Puts a step before the path. */
static bool within(encoder *e, const char *step, size_t len) {
  size_t rest = strlen(e->path);

  if (e->path_full) return false;
  if (len + rest + sizeof MP_PATH_CUT > sizeof e->path) {
    e->path_full = true;
    step = MP_PATH_CUT;
    len = strlen(MP_PATH_CUT);
  }
  memmove(e->path + len, e->path, rest + 1);
  memcpy(e->path, step, len);
  return false;
}

static bool within_key(encoder *e, const char *key, size_t len) {
  char step[MP_PATH_STEP];
  return within(e, step, mp_path_key(step, key, len));
}

static bool within_index(encoder *e, size_t i) {
  char step[MP_PATH_STEP];
  return within(e, step, mp_path_index(step, i));
}

/* ---- scalars -------------------------------------------------------------------------------- */

static bool number(encoder *e, int index) {
  double n;
#if LUA_VERSION_NUM >= 503
  if (lua_isinteger(e->L, index)) {
    mp_number_add_integer(e->out, lua_tointeger(e->L, index));
    return true;
  }
#endif
  n = lua_tonumber(e->L, index);
  if (isnan(n)) return fail(e, "NaN is no JSON");
  if (isinf(n)) return fail(e, "an infinite number is no JSON");
  mp_number_add_double(e->out, n);
  return true;
}

static bool string(encoder *e, int index) {
  size_t len;
  const char *text = lua_tolstring(e->L, index, &len);
  return mp_json_add_string(e->out, text, len) || e->out->failed != MP_OK ||
         fail(e, "the string is not valid UTF-8");
}

static bool scalar(encoder *e, int index) {
  const char *digits;

  switch (lua_type(e->L, index)) {
    case LUA_TBOOLEAN:
      mp_buf_add_str(e->out, lua_toboolean(e->L, index) ? "true" : "false");
      return true;
    case LUA_TNUMBER:
      return number(e, index);
    case LUA_TSTRING:
      return string(e, index);
    case LUA_TLIGHTUSERDATA:
      mp_buf_add_str(e->out, "null");
      return true;
    default:
      digits = mp_script_exact(e->L, index);
      if (digits) {
        mp_buf_add_str(e->out, digits);
        return true;
      }
      snprintf(e->what, sizeof e->what, "a %s is no JSON", luaL_typename(e->L, index));
      return false;
  }
}

/* ---- tables --------------------------------------------------------------------------------- */

static bool list(encoder *e, int table, size_t count) {
  mp_buf_add_char(e->out, '[');
  for (size_t i = 1; i <= count; i++) {
    if (i > 1) mp_buf_add_char(e->out, ',');
    lua_rawgeti(e->L, table, (int)i);
    if (!value(e, lua_gettop(e->L))) return within_index(e, i);
    lua_pop(e->L, 1);
  }
  mp_buf_add_char(e->out, ']');
  return true;
}

static bool object(encoder *e, int table, int keys) {
  lua_State *L = e->L;
  size_t count = lua_rawlen(L, keys);
  bool first = true;

  mp_buf_add_char(e->out, '{');
  for (size_t i = 1; i <= count; i++) {
    const char *key;
    size_t len;
    lua_rawgeti(L, keys, (int)i);
    if (lua_type(L, -1) != LUA_TSTRING) {
      return fail(e, "a table with keys that are neither strings nor 1, 2, 3, ... is no JSON");
    }
    key = lua_tolstring(L, -1, &len);
    lua_pushvalue(L, -1);
    lua_rawget(L, table);
    if (!lua_isnil(L, -1)) {
      if (!first) mp_buf_add_char(e->out, ',');
      first = false;
      if (!mp_json_add_string(e->out, key, len) && e->out->failed == MP_OK) {
        return fail(e, "a key is not valid UTF-8") || within_key(e, key, len);
      }
      mp_buf_add_char(e->out, ':');
      if (!value(e, lua_gettop(L))) return within_key(e, key, len);
    }
    lua_pop(L, 2);
  }
  mp_buf_add_char(e->out, '}');
  return true;
}

static bool table(encoder *e, int index) {
  lua_State *L = e->L;
  mp_script_mark mark;
  int top = lua_gettop(L);
  size_t count;
  bool ok;

  if (mp_script_is_lazy(L, index)) {
    mp_span text = mp_script_lazy_text(L, index);
    if (text.data) {
      mp_buf_add(e->out, text.data, text.len);
      return true;
    }
    mp_script_fill(L, index);
  }
  mark = mp_script_push_mark(L, index);
  lua_settop(L, top);
  mp_script_push_keys(L, index);
  if (lua_istable(L, -1)) {
    ok = mark == MP_MARK_LIST ? fail(e, "a list with holes or with other keys is no JSON")
                              : object(e, index, lua_gettop(L));
  } else {
    count = (size_t)lua_tointeger(L, -1);
    ok = true;
    if (mark == MP_MARK_LIST || count > 0)
      ok = list(e, index, count);
    else
      mp_buf_add_str(e->out, "{}");
  }
  lua_settop(L, top);
  return ok;
}

static bool value(encoder *e, int index) {
  bool ok;

  if (e->out->failed != MP_OK) return fail(e, "too large");
  if (e->out->len - e->charged > SLICE) {
    mp_sandbox_charge_bytes(e->L, e->out->len - e->charged);
    e->charged = e->out->len;
  }
  if (lua_type(e->L, index) != LUA_TTABLE) return scalar(e, index);
  if (e->depth == MP_JSON_MAX_DEPTH) return fail(e, "a cycle, or nested more than 100 deep");
  luaL_checkstack(e->L, LEVEL_STACK, "a value too deep");
  mp_sandbox_charge(e->L, 1);
  e->depth++;
  ok = table(e, index);
  e->depth--;
  return ok;
}

void mp_script_to_json(lua_State *L, int index, const char *root) {
  mp_sandbox *s = mp_sandbox_of(L);
  encoder e = {.L = L, .out = &s->out};
  int top = lua_gettop(L);
  bool ok;

  mp_buf_reset(&s->out);
  ok = value(&e, index > 0 ? index : top + 1 + index);
  lua_settop(L, top);
  mp_sandbox_charge_bytes(L, s->out.len - e.charged);
  mp_sandbox_must(L, s->out.failed);
  if (!ok) luaL_error(L, "%s%s: %s", root, e.path, e.what);
}
