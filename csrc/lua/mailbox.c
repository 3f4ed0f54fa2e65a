/* The handle's mailbox: what came of emits and calls that were not waited for. Host thread.
 *
 * Mails stay in the handle until they are on Lua's stack, so that one is not lost when Lua has no
 * memory for it. They can be taken after close, too: it commits what was handed over. */
#include <stdlib.h>

#include "base/id.h"
#include "lua/fail.h"
#include "lua/handle.h"

mp_code mp_lua_mailbox(mp_lua_handle *handle, mp_error *err) {
  if (handle->mailbox) return MP_OK;
  return mp_mailbox_new(handle->engine, &handle->mailbox, err);
}

void mp_lua_drop_mailbox(mp_lua_handle *handle) {
  for (mp_node *n; (n = mp_list_pop(&handle->taken)) != NULL;)
    mp_mail_free(MP_CONTAINER(n, mp_mail, node));
  mp_mailbox_free(handle->mailbox);
  handle->mailbox = NULL;
}

/* take() -> ticket, answer | nil, message, code of the next mail, or nothing. With a message the
 * emit or call failed. The answer is a call's text, or the id of an event that had an emit's
 * idempotency key already. */
static int take(lua_State *L) {
  mp_lua_handle *h = mp_lua_check_handle(L, 1);
  char id[MP_EVENT_ID_SIZE];
  const mp_mail *r;

  if (!h->taken.head && h->mailbox) mp_mailbox_take(h->mailbox, &h->taken);
  if (!h->taken.head) return 0;
  r = MP_CONTAINER(h->taken.head, mp_mail, node);
  lua_pushnumber(L, (lua_Number)r->ticket);
  if (r->existing) {
    mp_event_id_format(r->existing, id);
    lua_pushstring(L, id);
  } else if (r->answer.len > 0) {
    lua_pushlstring(L, r->answer.data, r->answer.len);
  } else {
    lua_pushnil(L);
  }
  if (r->error.code != MP_OK) {
    lua_pushstring(L, r->error.message);
    lua_pushstring(L, mp_code_name(r->error.code));
  } else {
    lua_pushnil(L);
    lua_pushnil(L);
  }
  mp_mail_free(MP_CONTAINER(mp_list_pop(&h->taken), mp_mail, node));
  return 4;
}

/* The handle's mailbox for a function that needs it. */
static mp_code open_mailbox(lua_State *L, mp_lua_handle **out, mp_error *err) {
  mp_code code;

  *out = mp_lua_check_handle(L, 1);
  code = mp_lua_open_engine(*out, err);
  return code == MP_OK ? mp_lua_mailbox(*out, err) : code;
}

/* fd() -> a descriptor that is readable while there is something to take */
static int fd(lua_State *L) {
  mp_lua_handle *h;
  mp_error err = {0};
  int number;
  mp_code code = open_mailbox(L, &h, &err);

  if (code == MP_OK) code = mp_mailbox_fd(h->mailbox, &number, &err);
  if (code != MP_OK) return mp_lua_fail(L, &err);
  lua_pushinteger(L, number);
  return 1;
}

/* listen() -> the path of a unix socket for this process alone; after each connect: accept(). Eight
 * bytes come when there is something to take. */
static int listen(lua_State *L) {
  mp_lua_handle *h;
  mp_error err = {0};
  char path[MP_MAILBOX_PATH];
  mp_code code = open_mailbox(L, &h, &err);

  if (code == MP_OK) {
    code = mp_mailbox_listen(h->mailbox, mp_engine_settings(h->engine)->store, path, &err);
  }
  if (code != MP_OK) return mp_lua_fail(L, &err);
  lua_pushstring(L, path);
  return 1;
}

/* accept() -> true */
static int accept(lua_State *L) {
  mp_lua_handle *h;
  mp_error err = {0};
  mp_code code = open_mailbox(L, &h, &err);

  if (code == MP_OK) code = mp_mailbox_accept(h->mailbox, &err);
  if (code != MP_OK) return mp_lua_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

static int refuse(lua_State *L, const mp_error *err) {
  lua_pushboolean(L, 0);
  return 1 + mp_lua_fail(L, err);
}

/* ask(name, ...) -> true and the ticket of handle:name(...), whose text take() will answer; or
 * false and at once what that answers: a failure, or what needed no store thread. */
static int ask(lua_State *L) {
  mp_lua_handle *h = mp_lua_check_handle(L, 1);
  mp_asking asking = {0};
  mp_error err = {0};
  mp_code code = mp_lua_open_engine(h, &err);
  int status;

  luaL_checkstring(L, 2);
  if (code == MP_OK) code = mp_lua_mailbox(h, &err);
  if (code != MP_OK) return refuse(L, &err);
  lua_getmetatable(L, 1);
  lua_getfield(L, -1, "__index");
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  lua_replace(L, 2);
  lua_pop(L, 2); /* handle, function, arguments */
  lua_pushvalue(L, 1);
  lua_insert(L, 3);
  asking.mailbox = h->mailbox;
  if (mp_engine_ask(&asking, &err) != MP_OK) return refuse(L, &err);
  status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
  mp_engine_ask(NULL, NULL);
  if (status != 0) return lua_error(L);
  if (!asking.ticket) {
    lua_pushboolean(L, 0);
    lua_insert(L, 2);
    return lua_gettop(L) - 1;
  }
  lua_pushboolean(L, 1);
  lua_pushnumber(L, (lua_Number)asking.ticket);
  return 2;
}

const luaL_Reg mp_lua_mailbox_methods[] = {
    {"take", take}, {"fd", fd}, {"listen", listen}, {"accept", accept}, {"ask", ask}, {NULL, NULL},
};
