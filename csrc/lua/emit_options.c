/* Reading emit's options. Host thread; nothing here can raise. */
#include "lua/emit_options.h"

#include <string.h>

#include "engine/webhook.h"
#include "lua/http.h"

#define MAX_KEY 255 /* bytes of an idempotency key or an order key */

static mp_code read_key(lua_State *L, const char *name, const char **out, mp_error *err) {
  size_t len;
  if (lua_type(L, -1) != LUA_TSTRING) {
    return mp_fail(err, MP_EINVAL, "options.%s: expected a string, got %s", name,
                   luaL_typename(L, -1));
  }
  *out = lua_tolstring(L, -1, &len);
  if (len == 0 || len > MAX_KEY || strlen(*out) != len) {
    return mp_fail(err, MP_EINVAL, "options.%s: expected 1 to %d bytes without NUL, got %zu", name,
                   MAX_KEY, len);
  }
  return MP_OK;
}

/* Header fields of this event's requests alone, such as traceparent. */
static mp_code read_headers(lua_State *L, mp_lua_handle *h, mp_emit_options *o, mp_error *err) {
  const mp_header *bad;
  mp_headers headers;
  mp_code code;

  mp_headers_init(&headers);
  code = mp_lua_headers(L, lua_gettop(L), "options.headers", &headers, err);
  for (size_t i = 0; i < headers.count && code == MP_OK; i++) {
    if (!mp_header_reserved(headers.items[i].name)) continue;
    code =
        mp_fail(err, MP_EINVAL, "options.headers['%s']: is moonpost's own header and cannot be set",
                headers.items[i].name);
  }
  mp_buf_reset(&h->answer);
  bad = code == MP_OK ? mp_webhook_headers_write(&headers, &h->answer) : NULL;
  if (bad) {
    code = mp_fail(err, MP_EINVAL, "options.headers['%s']: expected UTF-8", bad->name);
  }
  mp_buf_add_char(&h->answer, '\0');
  mp_headers_free(&headers);
  if (code == MP_OK && h->answer.failed != MP_OK) code = mp_fail(err, MP_ENOMEM, "out of memory");
  o->headers = h->answer.data;
  return code;
}

static mp_code read_option(lua_State *L, mp_lua_handle *h, const char *name, mp_emit_options *o,
                           mp_error *err) {
  if (strcmp(name, "wait") == 0) {
    if (!lua_isboolean(L, -1)) {
      return mp_fail(err, MP_EINVAL, "options.wait: expected a boolean, got %s",
                     luaL_typename(L, -1));
    }
    o->wait = lua_toboolean(L, -1);
    return MP_OK;
  }
  if (strcmp(name, "idempotency_key") == 0) return read_key(L, name, &o->idempotency_key, err);
  if (strcmp(name, "key") == 0) return read_key(L, name, &o->order_key, err);
  if (strcmp(name, "headers") == 0) return read_headers(L, h, o, err);
  if (strcmp(name, "done") == 0) { /* called by hooks:poll */
    if (lua_isfunction(L, -1)) return MP_OK;
    return mp_fail(err, MP_EINVAL, "options.done: expected a function, got %s",
                   luaL_typename(L, -1));
  }
  return mp_fail(
      err, MP_EINVAL,
      "options.%s: unknown option (expected wait, done, idempotency_key, key or headers)", name);
}

mp_code mp_lua_emit_options(lua_State *L, mp_lua_handle *h, int index, mp_emit_options *o,
                            mp_error *err) {
  mp_code code = MP_OK;

  *o = (mp_emit_options){.wait = true};
  if (lua_isnoneornil(L, index)) return MP_OK;
  if (!lua_istable(L, index)) {
    return mp_fail(err, MP_EINVAL, "options: expected a table, got %s", luaL_typename(L, index));
  }
  lua_pushnil(L);
  while (code == MP_OK && lua_next(L, index)) {
    if (lua_type(L, -2) == LUA_TSTRING)
      code = read_option(L, h, lua_tostring(L, -2), o, err);
    else
      code = mp_fail(err, MP_EINVAL, "options: expected named options");
    lua_pop(L, 1); /* the strings stay alive in the table */
  }
  return code;
}
