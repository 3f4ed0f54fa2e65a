/* One HTTP request for Lua's command line. Host thread; blocks. What C memory holds is freed before
 * anything can raise, but for the answer, which is in a userdata that the collector frees. */
#include "lua/fetch.h"

#include <math.h>
#include <string.h>

#include "http/fetch.h"
#include "lua/fail.h"
#include "lua/http.h"

#define FETCHED_MT     "moonpost.fetched"
#define DEFAULT_S      30.0
#define DEFAULT_ANSWER ((size_t)64 << 20)

static int fetched_gc(lua_State *L) {
  mp_fetched *f = luaL_checkudata(L, 1, FETCHED_MT);
  mp_buf_free(&f->body);
  mp_buf_free(&f->content_type);
  return 0;
}

static mp_fetched *new_fetched(lua_State *L) {
  mp_fetched *f = lua_newuserdatauv(L, sizeof *f, 0);
  *f = (mp_fetched){0};
  mp_buf_init(&f->body, DEFAULT_ANSWER);
  mp_buf_init(&f->content_type, 256);
  luaL_getmetatable(L, FETCHED_MT);
  lua_setmetatable(L, -2);
  return f;
}

static const char *text_field(lua_State *L, const char *name, size_t *len) {
  lua_getfield(L, 1, name); /* stays on the stack: the text lives as long */
  return lua_isnil(L, -1) ? NULL : luaL_checklstring(L, -1, len);
}

/* request{ method =, url =, headers =, body =, timeout = seconds } -> status, body, content_type |
 * nil, message, code */
static int request(lua_State *L) {
  mp_fetched *f;
  mp_headers headers;
  mp_error err = {0};
  mp_fetch r = {.max_answer = DEFAULT_ANSWER};
  size_t len = 0;
  double timeout;
  mp_code code = MP_OK;

  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_checkstack(L, 20, "request");
  f = new_fetched(L);
  r.method = text_field(L, "method", &len);
  if (!r.method) r.method = "GET";
  r.url = text_field(L, "url", &len);
  if (!r.url) return luaL_error(L, "request: url: expected a string");
  r.body = text_field(L, "body", &r.body_len);
  lua_getfield(L, 1, "timeout");
  timeout = luaL_optnumber(L, -1, DEFAULT_S);
  r.timeout_ms = timeout > 0 && timeout <= 86400 ? (int64_t)ceil(timeout * 1000) : 1;
  lua_getfield(L, 1, "headers");
  mp_headers_init(&headers);
  if (lua_istable(L, -1)) code = mp_lua_headers(L, lua_gettop(L), "headers", &headers, &err);
  r.headers = &headers;
  if (code == MP_OK) code = mp_fetch_run(&r, f, &err);
  mp_headers_free(&headers);
  if (code != MP_OK) return mp_lua_fail(L, &err);
  lua_pushinteger(L, f->status);
  lua_pushlstring(L, f->body.data ? f->body.data : "", f->body.len);
  lua_pushlstring(L, f->content_type.data ? f->content_type.data : "", f->content_type.len);
  return 3;
}

void mp_lua_fetch(lua_State *L) {
  mp_lua_new_type(L, FETCHED_MT, fetched_gc);
  lua_pop(L, 1);
  lua_pushcfunction(L, request);
  lua_setfield(L, -2, "request");
}
