/* What phases return: checked, and copied out of the lua_State. Script thread. */
#include "script/result.h"

#include <string.h>

#include "script/sandbox.h"

#define MAX_CONTENT_TYPE 200 /* bytes */

const char *const mp_phase_names[] = {"route", "filter", "transform"};

/* Raises an error: "crm.lua: filter: ...". */
int mp_phase_refuse(lua_State *L, const mp_phase_call *c, const char *format, const char *got) {
  lua_pushfstring(L, "%s.lua: %s: ", mp_sandbox_of(L)->name, mp_phase_names[c->phase]);
  lua_pushfstring(L, format, got);
  lua_concat(L, 2);
  return lua_error(L);
}

static void take_route(lua_State *L, const mp_phase_call *c, int first, int count) {
  mp_sandbox *s = mp_sandbox_of(L);

  if (count == 0 || lua_isnil(L, first)) return;
  if (!lua_istable(L, first)) {
    mp_phase_refuse(L, c, "expected nil or a list of webhooks' names, got a %s",
                    luaL_typename(L, first));
  }
  mp_script_push_keys(L, first);
  if (!lua_isnumber(L, -1)) {
    mp_phase_refuse(L, c, "expected nil or a list of webhooks' names, got a table with %s",
                    "other keys");
  }
  for (int i = 1; i <= (int)lua_rawlen(L, first); i++) {
    lua_rawgeti(L, first, i);
    if (lua_type(L, -1) != LUA_TSTRING) {
      mp_phase_refuse(L, c, "expected names of webhooks, got a %s in the list",
                      luaL_typename(L, -1));
    }
    lua_pop(L, 1);
  }
  mp_script_mark_list(L, first);
  mp_script_to_json(L, first, "route");
  mp_buf_add(c->body, s->out.data, s->out.len);
  mp_sandbox_must(L, c->body->failed);
}

/* Nothing at all is what a function without a return gives: that drops no event by itself. */
static void take_filter(lua_State *L, const mp_phase_call *c, int first, int count) {
  if (count == 0)
    mp_phase_refuse(L, c, "expected true or false, got %s", "nothing: a return is missing");
  if (!lua_isnil(L, first) && !lua_isboolean(L, first)) {
    mp_phase_refuse(L, c, "expected true or false, got a %s", luaL_typename(L, first));
  }
  *c->keep = lua_toboolean(L, first);
}

static void take_headers(lua_State *L, const mp_phase_call *c, int headers) {
  mp_sandbox *s = mp_sandbox_of(L);
  int keys, out, n = 0;

  if (!lua_istable(L, headers)) {
    mp_phase_refuse(L, c, "headers: expected a table, got a %s", luaL_typename(L, headers));
  }
  mp_script_push_keys(L, headers);
  keys = lua_gettop(L);
  if (lua_isnumber(L, keys)) {
    if (lua_tointeger(L, keys) == 0) return;
    mp_phase_refuse(L, c, "headers: expected a table of names and values, got a %s", "list");
  }
  lua_newtable(L);
  out = lua_gettop(L);
  for (int i = 1; i <= (int)lua_rawlen(L, keys); i++) {
    lua_rawgeti(L, keys, i);
    if (lua_type(L, -1) != LUA_TSTRING) {
      mp_phase_refuse(L, c, "headers: expected names that are strings, got a %s",
                      luaL_typename(L, -1));
    }
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, -2);
    lua_rawget(L, headers);
    if (lua_isnil(L, -1)) {
      lua_settop(L, out);
      continue;
    }
    if (lua_type(L, -1) != LUA_TSTRING) {
      lua_pushfstring(L, "headers: '%s': expected a string, got a %s", lua_tostring(L, -3),
                      luaL_typename(L, -1));
      mp_phase_refuse(L, c, "%s", lua_tostring(L, -1));
    }
    lua_rawseti(L, -2, 2);
    lua_rawseti(L, out, ++n);
    lua_settop(L, out);
  }
  if (n == 0) return;
  mp_script_to_json(L, out, "headers");
  mp_buf_add(c->headers, s->out.data, s->out.len);
  mp_sandbox_must(L, c->headers->failed);
}

static bool is_content_type(const char *text, size_t len) {
  if (len == 0 || len > MAX_CONTENT_TYPE || !memchr(text, '/', len)) return false;
  for (size_t i = 0; i < len; i++)
    if (text[i] < ' ' || text[i] > '~') return false;
  return true;
}

static void take_content_type(lua_State *L, const mp_phase_call *c, int index, bool text) {
  size_t len;
  const char *type;

  if (!text) mp_phase_refuse(L, c, "content_type is for a payload that is a %s", "string");
  if (lua_type(L, index) != LUA_TSTRING) {
    mp_phase_refuse(L, c, "content_type: expected a string, got a %s", luaL_typename(L, index));
  }
  type = lua_tolstring(L, index, &len);
  if (!is_content_type(type, len)) {
    mp_phase_refuse(L, c, "content_type: expected %s", "a media type such as text/plain");
  }
  mp_buf_reset(c->content_type);
  mp_buf_add(c->content_type, type, len);
  mp_sandbox_must(L, c->content_type->failed);
}

/* The second thing that a transform returns. */
static void take_extras(lua_State *L, const mp_phase_call *c, int index, bool text) {
  if (!lua_istable(L, index)) {
    mp_phase_refuse(L, c,
                    "expected a table with headers or content_type after the payload, got a %s",
                    luaL_typename(L, index));
  }
  mp_script_fill(L, index);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);
    int top = lua_gettop(L);
    if (strcmp(key, "content_type") == 0) {
      take_content_type(L, c, top, text);
    } else if (strcmp(key, "headers") == 0) {
      take_headers(L, c, top);
    } else if (!mp_script_is_hidden(L, -2)) {
      mp_phase_refuse(L, c, "expected headers or content_type after the payload, got '%s'", key);
    }
    lua_settop(L, top - 1);
  }
}

static void take_transform(lua_State *L, const mp_phase_call *c, int first, int count) {
  mp_sandbox *s = mp_sandbox_of(L);
  bool text = count > 0 && lua_type(L, first) == LUA_TSTRING;

  if (text) {
    size_t len;
    const char *body = lua_tolstring(L, first, &len);
    mp_buf_add(c->body, body, len);
    mp_buf_add_str(c->content_type, "text/plain; charset=utf-8");
    mp_sandbox_must(L, c->content_type->failed);
    *c->changed = true;
  } else if (count > 0 && lua_istable(L, first)) {
    mp_script_to_json(L, first, "payload");
    mp_buf_add(c->body, s->out.data, s->out.len);
    *c->changed = true;
  } else if (count > 0 && !lua_isnil(L, first)) {
    mp_phase_refuse(L, c, "expected a table, a string or nil, got a %s", luaL_typename(L, first));
  }
  mp_sandbox_must(L, c->body->failed);
  if (count > 1 && !lua_isnil(L, first + 1)) take_extras(L, c, first + 1, text);
}

void mp_phase_take(lua_State *L, const mp_phase_call *c, int first, int count) {
  if (c->phase == MP_ROUTE)
    take_route(L, c, first, count);
  else if (c->phase == MP_FILTER)
    take_filter(L, c, first, count);
  else
    take_transform(L, c, first, count);
}
