/* Trying scripts for Lua's command line. Host thread. The scripts run in lua_States of their own;
 * the settings are freed before anything can raise, and the answer is in a userdata that the
 * collector frees. */
#include "lua/script.h"

#include "base/id.h"
#include "engine/script_try.h"
#include "lua/engine.h"
#include "lua/fail.h"
#include "lua/payload.h"
#include "lua/settings.h"

#define TRIAL_MT   "moonpost.trial"
#define MAX_ANSWER ((size_t)256 << 20) /* bytes of JSON: the payload is in it once, escaped */

static int trial_gc(lua_State *L) {
  mp_buf_free(luaL_checkudata(L, 1, TRIAL_MT));
  return 0;
}

static mp_buf *new_trial(lua_State *L) {
  mp_buf *out = lua_newuserdatauv(L, sizeof *out, 0);
  mp_buf_init(out, MAX_ANSWER);
  luaL_getmetatable(L, TRIAL_MT);
  lua_setmetatable(L, -2);
  return out;
}

/* The settings at 1, with the schema at 2 and the sanitizer's options at 3. */
static mp_code read_settings(lua_State *L, mp_settings **out, mp_error *err) {
  mp_schema *schema = mp_lua_check_schema(L, 2);
  mp_sanitize_options options = mp_lua_sanitize_options(L, 3);
  mp_code code = mp_lua_settings(L, 1, out, err);

  if (code == MP_OK) mp_lua_settings_sanitizer(*out, schema, &options);
  return code;
}

static int answer(lua_State *L, mp_settings *settings, const mp_buf *out, mp_code code,
                  const mp_error *err) {
  mp_settings_free(settings);
  if (code != MP_OK) return mp_lua_fail(L, err);
  lua_pushlstring(L, out->data ? out->data : "", out->len);
  return 1;
}

/* check_scripts(settings, schema, { keep_unknown =, keep_users = }) -> JSON | nil, message, code.
 * Loads the global scripts. */
static int check_scripts(lua_State *L) {
  mp_settings *settings = NULL;
  mp_error err = {0};
  mp_buf *out;
  mp_code code;

  lua_settop(L, 3);
  out = new_trial(L);
  code = read_settings(L, &settings, &err);
  if (code == MP_OK) code = mp_script_check(settings, out, &err);
  return answer(L, settings, out, code, &err);
}

/* The string stays alive in the table. */
static const char *field(lua_State *L, int index, const char *name, size_t *len) {
  const char *text;

  lua_getfield(L, index, name);
  text = lua_isnil(L, -1) ? NULL : luaL_checklstring(L, -1, len);
  lua_pop(L, 1);
  return text;
}

/* try_script(settings, schema, { keep_unknown =, keep_users = }, { id =, type =, model =,
 * created_ms =, body = }, { id =, name =, definition = }) -> JSON | nil, message, code: what
 * mp_script_try answers. */
static int try_script(lua_State *L) {
  mp_event_row event = {0};
  mp_webhook_row webhook = {.enabled = true};
  mp_settings *settings = NULL;
  mp_error err = {0};
  mp_buf *out;
  mp_code code;
  size_t len;

  lua_settop(L, 5);
  luaL_checktype(L, 4, LUA_TTABLE);
  luaL_checktype(L, 5, LUA_TTABLE);
  out = new_trial(L);
  if (!mp_event_id_parse(field(L, 4, "id", &len), &event.id)) {
    return luaL_error(L, "try_script: id: expected an event's id");
  }
  event.type = field(L, 4, "type", &len);
  event.model = field(L, 4, "model", &len);
  event.body = field(L, 4, "body", &event.body_len);
  lua_getfield(L, 4, "created_ms");
  event.created_ms = (int64_t)luaL_checknumber(L, -1);
  lua_getfield(L, 5, "id");
  webhook.id = (int64_t)luaL_checknumber(L, -1);
  webhook.name = field(L, 5, "name", &len);
  webhook.definition = field(L, 5, "definition", &len);
  code = read_settings(L, &settings, &err);
  if (code == MP_OK) code = mp_script_try(settings, &event, &webhook, out, &err);
  return answer(L, settings, out, code, &err);
}

void mp_lua_script(lua_State *L) {
  mp_lua_new_type(L, TRIAL_MT, trial_gc);
  lua_pop(L, 1);
  lua_pushcfunction(L, check_scripts);
  lua_setfield(L, -2, "check_scripts");
  lua_pushcfunction(L, try_script);
  lua_setfield(L, -2, "try_script");
}
