/* The handle's mailbox: what came of emits that were not waited for. Host thread.
 *
 * Results stay in the handle until they are on Lua's stack, so that one is not lost when Lua has no
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
    free(MP_CONTAINER(n, mp_emit_result, node));
  mp_mailbox_free(handle->mailbox);
  handle->mailbox = NULL;
}

/* take() -> ticket, id | nil, message, code of the next result, or nothing. The id is that of an
 * event which already had the idempotency key; with a message the emit failed. */
static int take(lua_State *L) {
  mp_lua_handle *h = mp_lua_check_handle(L, 1);
  char id[MP_EVENT_ID_SIZE];
  const mp_emit_result *r;

  if (!h->taken.head && h->mailbox) mp_mailbox_take(h->mailbox, &h->taken);
  if (!h->taken.head) return 0;
  r = MP_CONTAINER(h->taken.head, mp_emit_result, node);
  lua_pushnumber(L, (lua_Number)r->ticket);
  if (r->existing) {
    mp_event_id_format(r->existing, id);
    lua_pushstring(L, id);
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
  free(MP_CONTAINER(mp_list_pop(&h->taken), mp_emit_result, node));
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

const luaL_Reg mp_lua_mailbox_methods[] = {
    {"take", take}, {"fd", fd}, {"listen", listen}, {"accept", accept}, {NULL, NULL},
};
