/* The engine's handle for Lua: open, close and the calls that answer with JSON.
 *
 * Runs on the host's thread. Calls answer JSON text, which lua/moonpost decodes: the store thread
 * never sees a lua_State. A handle's buffers belong to its userdata, so that a Lua error frees them
 * in the end. */
#include "lua/engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "engine/rekey.h"
#include "lua/fail.h"
#include "lua/handle.h"
#include "lua/payload.h"
#include "lua/settings.h"

#define MAX_ANSWER ((size_t)64 << 20) /* bytes of one call's JSON */
#define MAX_WAIT_S 86400.0

mp_lua_handle *mp_lua_check_handle(lua_State *L, int index) {
  return luaL_checkudata(L, index, MP_LUA_HANDLE);
}

mp_code mp_lua_open_engine(const mp_lua_handle *handle, mp_error *err) {
  return handle->engine ? MP_OK : mp_fail(err, MP_ECLOSED, "closed");
}

/* ---- open and close ------------------------------------------------------------------------- */

static bool option(lua_State *L, int index, const char *name) {
  bool set;
  lua_getfield(L, index, name);
  set = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return set;
}

mp_sanitize_options mp_lua_sanitize_options(lua_State *L, int index) {
  luaL_checktype(L, index, LUA_TTABLE);
  return (mp_sanitize_options){.keep_unknown = option(L, index, "keep_unknown"),
                               .keep_users = option(L, index, "keep_users")};
}

/* open(settings, schema, { keep_unknown =, keep_users =, event_size =, log = }) -> handle; log: its
 * host takes what is logged (handle:log_take) */
static int open(lua_State *L) {
  bool log = option(L, 3, "log");
  mp_lua_handle *h;
  mp_schema *schema;
  mp_settings *settings;
  mp_error err = {0};
  mp_code code;

  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 3);
  h = lua_newuserdatauv(L, sizeof *h, 0);
  memset(h, 0, sizeof *h);
  h->schema_ref = LUA_NOREF;
  mp_buf_init(&h->answer, MAX_ANSWER);
  luaL_getmetatable(L, MP_LUA_HANDLE);
  lua_setmetatable(L, -2);
  h->schema = schema = mp_lua_check_schema(L, 2);
  lua_pushvalue(L, 2);
  h->schema_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  h->sanitize = mp_lua_sanitize_options(L, 3);
  h->sanitize.unknown_key = mp_lua_unknown_key;
  h->sanitize.unknown_key_arg = h;
  lua_getfield(L, 3, "event_size");
  h->event_size = (size_t)luaL_checknumber(L, -1);
  lua_pop(L, 1);
  mp_buf_init(&h->body, h->event_size);
  code = mp_lua_settings(L, 1, &settings, &err);
  if (code == MP_OK) mp_lua_settings_sanitizer(settings, schema, &h->sanitize);
  if (code == MP_OK && log) mp_lua_log_hold(h, settings->log);
  if (code == MP_OK) code = mp_engine_open(settings, &h->engine, &err);
  if (code == MP_OK && log) code = mp_lua_log_listen(h, &err);
  if (code == MP_OK) return 1;
  mp_lua_drop_log(h);
  return mp_lua_fail(L, &err);
}

/* rekey(settings, new_key | nil) -> webhooks, texts | nil, message, code */
static int rekey(lua_State *L) {
  const char *key = luaL_optstring(L, 2, NULL);
  mp_settings *settings;
  mp_rekeyed done;
  mp_error err = {0};
  mp_code code;

  luaL_checktype(L, 1, LUA_TTABLE);
  code = mp_lua_settings(L, 1, &settings, &err);
  if (code != MP_OK) return mp_lua_fail(L, &err);
  code = mp_engine_rekey(settings, key, &done, &err);
  mp_settings_free(settings);
  if (code != MP_OK) return mp_lua_fail(L, &err);
  lua_pushnumber(L, (lua_Number)done.webhooks);
  lua_pushnumber(L, (lua_Number)done.texts);
  return 2;
}

static mp_code close_handle(lua_State *L, mp_lua_handle *h, int64_t grace_ms, mp_error *err) {
  mp_engine *engine = h->engine;

  if (engine && h->mailbox) mp_mailbox_leave(h->mailbox, engine);
  h->engine = NULL;
  mp_lua_drop_events(h);
  mp_buf_free(&h->body);
  mp_buf_free(&h->answer);
  luaL_unref(L, LUA_REGISTRYINDEX, h->schema_ref);
  h->schema_ref = LUA_NOREF;
  return engine ? mp_engine_close(engine, grace_ms, err) : MP_OK;
}

static int64_t seconds_to_ms(lua_State *L, int index, double otherwise) {
  double s = luaL_optnumber(L, index, otherwise);
  luaL_argcheck(L, s >= 0 && s <= MAX_WAIT_S, index, "expected seconds between 0 and 86400");
  return (int64_t)ceil(s * 1000);
}

/* handle:close(seconds) -> true; a second close is one too. */
static int close(lua_State *L) {
  mp_lua_handle *h = mp_lua_check_handle(L, 1);
  int64_t grace_ms = seconds_to_ms(L, 2, 5);
  mp_error err = {0};

  if (close_handle(L, h, grace_ms, &err) != MP_OK) return mp_lua_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

static int gc(lua_State *L) {
  mp_lua_handle *h = mp_lua_check_handle(L, 1);
  close_handle(L, h, 0, NULL);
  mp_lua_drop_log(h);
  mp_lua_drop_mailbox(h);
  return 0;
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* The handle with an empty answer buffer; NULL, with the failure pushed, when it is closed. */
static mp_lua_handle *begin(lua_State *L) {
  mp_lua_handle *h = mp_lua_check_handle(L, 1);
  mp_error err;
  mp_buf_reset(&h->answer);
  if (mp_lua_open_engine(h, &err) == MP_OK) return h;
  mp_lua_fail(L, &err);
  return NULL;
}

static int answer(lua_State *L, mp_lua_handle *h, mp_code code, const mp_error *err) {
  if (code != MP_OK) return mp_lua_fail(L, err);
  lua_pushlstring(L, h->answer.data ? h->answer.data : "", h->answer.len);
  mp_buf_free(&h->answer);
  return 1;
}

static int fail(lua_State *L, mp_code code, const char *message) {
  mp_error err;
  mp_fail(&err, code, "%s", message);
  return mp_lua_fail(L, &err);
}

static bool webhook_id(lua_State *L, int index, int64_t *id) {
  const char *text = luaL_checkstring(L, index);
  char *end;
  if (*text < '1' || *text > '9' || strlen(text) > 18) return false;
  *id = strtoll(text, &end, 10);
  return *end == '\0';
}

static int no_webhook(lua_State *L) {
  return fail(L, MP_ENOENT, "no such webhook");
}
static int no_delivery(lua_State *L) {
  return fail(L, MP_ENOENT, "no such delivery");
}
static int no_event(lua_State *L) {
  return fail(L, MP_ENOENT, "no such event");
}

/* handle:stats(count_store) -> JSON */
static int stats(lua_State *L) {
  mp_lua_handle *h = begin(L);
  mp_error err = {0};
  if (!h) return 3;
  return answer(L, h, mp_engine_stats(h->engine, lua_toboolean(L, 2), &h->answer, &err), &err);
}

static int metrics(lua_State *L) {
  mp_lua_handle *h = begin(L);
  mp_error err = {0};
  return h ? answer(L, h, mp_engine_metrics(h->engine, &h->answer, &err), &err) : 3;
}

/* handle:wait(seconds) -> true */
static int wait(lua_State *L) {
  int64_t timeout_ms = seconds_to_ms(L, 2, 60);
  mp_lua_handle *h = begin(L);
  mp_error err = {0};

  if (!h) return 3;
  if (mp_engine_wait(h->engine, timeout_ms, &err) != MP_OK) return mp_lua_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

static int webhooks(lua_State *L) {
  mp_lua_handle *h = begin(L);
  mp_error err = {0};
  return h ? answer(L, h, mp_engine_webhooks(h->engine, &h->answer, &err), &err) : 3;
}

static int webhook(lua_State *L) {
  mp_lua_handle *h = begin(L);
  mp_error err = {0};
  int64_t id;
  if (!h) return 3;
  if (!webhook_id(L, 2, &id)) return no_webhook(L);
  return answer(L, h, mp_engine_webhook(h->engine, id, &h->answer, &err), &err);
}

/* handle:webhook_create(name, definition, enabled) */
static int webhook_create(lua_State *L) {
  mp_lua_handle *h = begin(L);
  mp_error err = {0};
  if (!h) return 3;
  return answer(L, h,
                mp_engine_webhook_create(h->engine, luaL_checkstring(L, 2), luaL_checkstring(L, 3),
                                         lua_toboolean(L, 4), &h->answer, &err),
                &err);
}

/* handle:webhook_update(id, name, definition, enabled, updated_ms as it was read) */
static int webhook_update(lua_State *L) {
  mp_lua_handle *h = begin(L);
  mp_error err = {0};
  int64_t id;
  if (!h) return 3;
  if (!webhook_id(L, 2, &id)) return no_webhook(L);
  return answer(L, h,
                mp_engine_webhook_update(h->engine, id, luaL_checkstring(L, 3),
                                         luaL_checkstring(L, 4), lua_toboolean(L, 5),
                                         (int64_t)luaL_checknumber(L, 6), &h->answer, &err),
                &err);
}

static int webhook_delete(lua_State *L) {
  mp_lua_handle *h = begin(L);
  mp_error err = {0};
  int64_t id;
  if (!h) return 3;
  if (!webhook_id(L, 2, &id)) return no_webhook(L);
  return answer(L, h, mp_engine_webhook_delete(h->engine, id, &h->answer, &err), &err);
}

/* handle:trigger(id, created_ms) */
static int trigger(lua_State *L) {
  mp_lua_handle *h = begin(L);
  int64_t created_ms = lua_isnoneornil(L, 3) ? mp_wall_ms() : (int64_t)luaL_checknumber(L, 3);
  mp_error err = {0};
  int64_t id;
  if (!h) return 3;
  if (!webhook_id(L, 2, &id)) return no_webhook(L);
  return answer(L, h, mp_engine_trigger(h->engine, id, created_ms, &h->answer, &err), &err);
}

static const char *text_field(lua_State *L, int index, const char *name) {
  const char *text;
  lua_getfield(L, index, name);
  text = luaL_optstring(L, -1, NULL);
  lua_pop(L, 1); /* alive in the table */
  return text;
}

static int limit_field(lua_State *L, int index) {
  double n;
  lua_getfield(L, index, "limit");
  n = luaL_optnumber(L, -1, 100);
  lua_pop(L, 1);
  return n < 1 ? 1 : n > 1000 ? 1000 : (int)n;
}

/* handle:deliveries{ webhook_id =, event_id =, state =, limit =, before = } */
static int deliveries(lua_State *L) {
  mp_lua_handle *h = begin(L);
  mp_delivery_filter f = {.state = -1};
  mp_error err = {0};
  mp_delivery_state state;
  const char *text;

  if (!h) return 3;
  luaL_checktype(L, 2, LUA_TTABLE);
  f.limit = limit_field(L, 2);
  text = text_field(L, 2, "webhook_id");
  if (text) {
    lua_pushstring(L, text);
    if (!webhook_id(L, -1, &f.webhook_id)) return no_webhook(L);
  }
  text = text_field(L, 2, "event_id");
  if (text && !mp_event_id_parse(text, &f.event_id)) return no_event(L);
  text = text_field(L, 2, "before");
  if (text && !mp_delivery_id_parse(text, &f.before_event, &f.before_webhook)) {
    return no_delivery(L);
  }
  text = text_field(L, 2, "state");
  if (text) {
    if (!mp_delivery_state_parse(text, &state)) {
      return fail(L, MP_EINVAL,
                  "state: expected waiting, leased, delivered, dead, held or filtered");
    }
    f.state = (int)state;
  }
  return answer(L, h, mp_engine_deliveries(h->engine, &f, &h->answer, &err), &err);
}

typedef mp_code (*delivery_fn)(mp_engine *, int64_t, int64_t, mp_buf *, mp_error *);

static int of_delivery(lua_State *L, delivery_fn fn) {
  mp_lua_handle *h = begin(L);
  mp_error err = {0};
  int64_t event_id, hook_id;
  if (!h) return 3;
  if (!mp_delivery_id_parse(luaL_checkstring(L, 2), &event_id, &hook_id)) return no_delivery(L);
  return answer(L, h, fn(h->engine, event_id, hook_id, &h->answer, &err), &err);
}

static int delivery(lua_State *L) {
  return of_delivery(L, mp_engine_delivery);
}
static int attempts(lua_State *L) {
  return of_delivery(L, mp_engine_attempts);
}
static int payload(lua_State *L) {
  return of_delivery(L, mp_engine_payload);
}
/* handle:resend(delivery_id, rerun) */
static int resend(lua_State *L) {
  mp_lua_handle *h = begin(L);
  mp_error err = {0};
  int64_t event_id, hook_id;
  if (!h) return 3;
  if (!mp_delivery_id_parse(luaL_checkstring(L, 2), &event_id, &hook_id)) return no_delivery(L);
  return answer(
      L, h, mp_engine_resend(h->engine, event_id, hook_id, lua_toboolean(L, 3), &h->answer, &err),
      &err);
}

/* handle:scripts(reload) */
static int scripts(lua_State *L) {
  mp_lua_handle *h = begin(L);
  mp_error err = {0};
  if (!h) return 3;
  return answer(L, h, mp_engine_scripts(h->engine, lua_toboolean(L, 2), &h->answer, &err), &err);
}

/* handle:prune() */
static int prune(lua_State *L) {
  mp_lua_handle *h = begin(L);
  mp_error err = {0};
  return h ? answer(L, h, mp_engine_prune(h->engine, &h->answer, &err), &err) : 3;
}

/* handle:replay(webhook_id, since_ms, until_ms, "dead" | "held" | "all", limit, after) */
static int replay(lua_State *L) {
  static const char *const whats[] = {"dead", "held", "all", NULL};
  mp_lua_handle *h = begin(L);
  mp_replay_range range = {0};
  mp_error err = {0};
  double limit = luaL_checknumber(L, 6);
  const char *after = luaL_optstring(L, 7, NULL);

  if (!h) return 3;
  if (!webhook_id(L, 2, &range.webhook_id)) return no_webhook(L);
  if (after && !mp_event_id_parse(after, &range.after)) return no_event(L);
  range.since_ms = (int64_t)luaL_checknumber(L, 3);
  range.until_ms = (int64_t)luaL_checknumber(L, 4);
  range.what = (mp_replay_what)luaL_checkoption(L, 5, NULL, whats);
  range.limit = limit < MP_REPLAY_STEP ? (int)limit : MP_REPLAY_STEP;
  return answer(L, h, mp_engine_replay(h->engine, &range, &h->answer, &err), &err);
}

/* handle:reports(after) */
static int reports(lua_State *L) {
  mp_lua_handle *h = begin(L);
  int64_t after = (int64_t)luaL_checknumber(L, 2);
  mp_error err = {0};
  return h ? answer(L, h, mp_engine_reports(h->engine, after, &h->answer, &err), &err) : 3;
}

static int event(lua_State *L) {
  mp_lua_handle *h = begin(L);
  mp_error err = {0};
  int64_t id;
  if (!h) return 3;
  if (!mp_event_id_parse(luaL_checkstring(L, 2), &id)) return no_event(L);
  return answer(L, h, mp_engine_event(h->engine, id, &h->answer, &err), &err);
}

/* handle:events{ type =, routing =, limit =, before = } */
static int events(lua_State *L) {
  mp_lua_handle *h = begin(L);
  mp_error err = {0};
  mp_event_filter filter = {0};
  const char *before, *routing;
  if (!h) return 3;
  luaL_checktype(L, 2, LUA_TTABLE);
  before = text_field(L, 2, "before");
  if (before && !mp_event_id_parse(before, &filter.before)) return no_event(L);
  routing = text_field(L, 2, "routing");
  if (routing && strcmp(routing, "held") != 0) {
    return fail(L, MP_EINVAL, "routing: expected held");
  }
  filter.routing_held = routing != NULL;
  filter.type = text_field(L, 2, "type");
  filter.limit = limit_field(L, 2);
  return answer(L, h, mp_engine_events(h->engine, &filter, &h->answer, &err), &err);
}

static const luaL_Reg methods[] = {
    {"emit", mp_lua_emit},
    {"emit_json", mp_lua_emit_json},
    {"wait", wait},
    {"stats", stats},
    {"metrics", metrics},
    {"close", close},
    {"webhooks", webhooks},
    {"webhook", webhook},
    {"webhook_create", webhook_create},
    {"webhook_update", webhook_update},
    {"webhook_delete", webhook_delete},
    {"trigger", trigger},
    {"deliveries", deliveries},
    {"delivery", delivery},
    {"attempts", attempts},
    {"payload", payload},
    {"resend", resend},
    {"scripts", scripts},
    {"replay", replay},
    {"prune", prune},
    {"reports", reports},
    {"event", event},
    {"events", events},
    {NULL, NULL},
};

void mp_lua_engine(lua_State *L) {
  if (mp_lua_new_type(L, MP_LUA_HANDLE, gc)) {
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    luaL_setfuncs(L, mp_lua_mailbox_methods, 0);
    luaL_setfuncs(L, mp_lua_log_methods, 0);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
  lua_pushcfunction(L, open);
  lua_setfield(L, -2, "open");
  lua_pushcfunction(L, rekey);
  lua_setfield(L, -2, "rekey");
}
