/* Reading settings from Lua. Host thread. Only raw reads of existing strings and numbers: nothing
 * can raise while the settings are half made. */
#include "lua/settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/process.h"
#include "lua/http.h"
#include "lua/network.h"

typedef struct reader {
  lua_State *L;
  int index; /* of the table */
  mp_error *err;
  mp_code code; /* the first failure */
} reader;

/* Pushes the field; false, with the failure kept, when its type is another. */
static bool push(reader *r, const char *name, int type) {
  if (r->code != MP_OK) return false;
  lua_pushstring(r->L, name);
  lua_rawget(r->L, r->index);
  if (lua_type(r->L, -1) == type) return true;
  r->code = mp_fail(r->err, MP_EINVAL, "settings.%s: expected %s, got %s", name,
                    lua_typename(r->L, type), luaL_typename(r->L, -1));
  lua_pop(r->L, 1);
  return false;
}

static char *copy(reader *r, int index) {
  char *s = strdup(lua_tostring(r->L, index));
  if (!s) r->code = mp_fail(r->err, MP_ENOMEM, "out of memory");
  return s;
}

static char *string_field(reader *r, const char *name) {
  char *s = NULL;
  if (!push(r, name, LUA_TSTRING)) return NULL;
  s = copy(r, -1);
  lua_pop(r->L, 1);
  return s;
}

static char *optional_string(reader *r, const char *name) {
  bool absent;
  if (r->code != MP_OK) return NULL;
  lua_pushstring(r->L, name);
  lua_rawget(r->L, r->index);
  absent = lua_isnil(r->L, -1);
  lua_pop(r->L, 1);
  return absent ? NULL : string_field(r, name);
}

static double number_field(reader *r, const char *name) {
  double n;
  if (!push(r, name, LUA_TNUMBER)) return 0;
  n = lua_tonumber(r->L, -1);
  lua_pop(r->L, 1);
  return n;
}

static bool flag_field(reader *r, const char *name) {
  bool set;
  if (!push(r, name, LUA_TBOOLEAN)) return false;
  set = lua_toboolean(r->L, -1);
  lua_pop(r->L, 1);
  return set;
}

static void *array(reader *r, size_t count, size_t size) {
  void *items = calloc(count + 1, size);
  if (!items) r->code = mp_fail(r->err, MP_ENOMEM, "out of memory");
  return items;
}

/* A list of strings. */
static void strings_field(reader *r, const char *name, char ***out, size_t *count) {
  size_t length;
  if (!push(r, name, LUA_TTABLE)) return;
  length = lua_rawlen(r->L, -1);
  *out = array(r, length, sizeof **out);
  for (size_t i = 0; i < length && r->code == MP_OK; i++) {
    lua_rawgeti(r->L, -1, (int)i + 1);
    (*out)[i] = copy(r, -1);
    *count = i + 1;
    lua_pop(r->L, 1);
  }
  lua_pop(r->L, 1);
}

static void read_events(reader *r, mp_settings *s) {
  strings_field(r, "events", &s->events, &s->event_count);
  if (r->code == MP_OK && s->event_count > MP_MAX_EVENT_TYPES) {
    r->code =
        mp_fail(r->err, MP_EINVAL, "webhooks.events: at most %d event types", MP_MAX_EVENT_TYPES);
  }
}

static void read_retry(reader *r, mp_settings *s) {
  if (!push(r, "retry_ms", LUA_TTABLE)) return;
  s->retry_count = lua_rawlen(r->L, -1);
  s->retry_ms = array(r, s->retry_count, sizeof *s->retry_ms);
  for (size_t i = 0; i < s->retry_count && r->code == MP_OK; i++) {
    lua_rawgeti(r->L, -1, (int)i + 1);
    s->retry_ms[i] = (int64_t)lua_tonumber(r->L, -1);
    lua_pop(r->L, 1);
  }
  lua_pop(r->L, 1);
}

static void read_headers(reader *r, mp_settings *s) {
  if (!push(r, "default_headers", LUA_TTABLE)) return;
  r->code = mp_lua_headers(r->L, lua_gettop(r->L), "webhooks.defaultHeaders", &s->default_headers,
                           r->err);
  lua_pop(r->L, 1);
}

static void read_guard(reader *r, mp_settings *s) {
  if (push(r, "allow", LUA_TTABLE) && push(r, "deny", LUA_TTABLE) && push(r, "ports", LUA_TTABLE))
    r->code = mp_lua_guard(r->L, -3, -2, -1, &s->guard, r->err);
}

static void read_network(reader *r, mp_settings *s) {
  int top = lua_gettop(r->L);
  reader network = {.L = r->L, .err = r->err};

  if (!push(r, "network", LUA_TTABLE)) return;
  network.index = lua_gettop(r->L);
  read_guard(&network, s);
  r->code = network.code;
  lua_settop(r->L, top);
}

static void read_endpoints(reader *r, mp_settings *s) {
  size_t count;
  if (!push(r, "endpoints", LUA_TTABLE)) return;
  count = lua_rawlen(r->L, -1);
  s->endpoints = array(r, count, sizeof *s->endpoints);
  for (size_t i = 0; i < count && r->code == MP_OK; i++) {
    reader item = {.L = r->L, .err = r->err};
    mp_endpoint *endpoint = &s->endpoints[i];
    lua_rawgeti(r->L, -1, (int)i + 1);
    item.index = lua_gettop(r->L);
    endpoint->name = string_field(&item, "name");
    endpoint->definition = string_field(&item, "definition");
    endpoint->enabled = flag_field(&item, "enabled");
    s->endpoint_count = i + 1;
    r->code = item.code;
    lua_pop(r->L, 1);
  }
  lua_pop(r->L, 1);
}

static void read_scripts(reader *r, mp_script_settings *s) {
  reader of = {.L = r->L, .err = r->err};

  if (!push(r, "scripts", LUA_TTABLE)) return;
  of.index = lua_gettop(r->L);
  s->ops = &mp_script_lua_ops;
  s->folder = optional_string(&of, "folder");
  s->constants = string_field(&of, "constants");
  s->limits.time_us = (int64_t)number_field(&of, "time_us");
  s->limits.instructions = (int64_t)number_field(&of, "instructions");
  s->limits.memory = (size_t)number_field(&of, "memory");
  s->max_output = (size_t)number_field(&of, "max_output");
  strings_field(&of, "global", &s->global, &s->global_count);
  r->code = of.code;
  lua_pop(r->L, 1);
}

/* Two keep up with what one store thread writes; on one CPU they would be in each other's way. */
static int delivery_threads(int asked) {
  if (asked > 0) return asked;
  return mp_process_cpus() > 1 ? 2 : 1;
}

void mp_lua_settings_sanitizer(mp_settings *settings, mp_schema *schema,
                               const mp_sanitize_options *options) {
  settings->scripts.schema = mp_schema_ref(schema);
  settings->scripts.sanitize = (mp_sanitize_options){.keep_unknown = options->keep_unknown,
                                                     .keep_users = options->keep_users};
}

mp_code mp_lua_settings(lua_State *L, int index, mp_settings **out, mp_error *err) {
  reader r = {.L = L, .index = lua_absindex(L, index), .err = err};
  mp_settings *s = calloc(1, sizeof *s);

  *out = NULL;
  if (!s || !lua_checkstack(L, 20)) {
    free(s);
    return mp_fail(err, MP_ENOMEM, "out of memory");
  }
  mp_headers_init(&s->default_headers);
  s->store = string_field(&r, "store");
  s->folder = optional_string(&r, "folder");
  s->fingerprint = string_field(&r, "fingerprint");
  s->user_agent = string_field(&r, "user_agent");
  s->key = optional_string(&r, "key");
  s->key_file = string_field(&r, "key_file");
  s->proxy = optional_string(&r, "proxy");
  s->timeout_ms = (int64_t)number_field(&r, "timeout_ms");
  s->connect_timeout_ms = (int64_t)number_field(&r, "connect_timeout_ms");
  s->concurrency = (int)number_field(&r, "concurrency");
  s->max_concurrency = (int)number_field(&r, "max_concurrency");
  s->delivery_threads = delivery_threads((int)number_field(&r, "delivery_threads"));
  s->inbox_count = (size_t)number_field(&r, "inbox_count");
  s->inbox_bytes = (size_t)number_field(&r, "inbox_bytes");
  s->emit_timeout_ms = (int64_t)number_field(&r, "emit_timeout_ms");
  s->keep_delivered_ms = (int64_t)number_field(&r, "keep_delivered_ms");
  s->keep_dead_ms = (int64_t)number_field(&r, "keep_dead_ms");
  s->probe_ms = (int64_t)number_field(&r, "probe_ms");
  s->disable_after_ms = (int64_t)number_field(&r, "disable_after_ms");
  s->max_store_bytes = (int64_t)number_field(&r, "max_store_bytes");
  s->give_way = flag_field(&r, "give_way");
  s->log = mp_logger_new((mp_log_level)number_field(&r, "log_level"), flag_field(&r, "log_json"));
  if (!s->log && r.code == MP_OK) r.code = mp_fail(err, MP_ENOMEM, "out of memory");
  read_events(&r, s);
  read_retry(&r, s);
  read_headers(&r, s);
  read_network(&r, s);
  read_endpoints(&r, s);
  read_scripts(&r, &s->scripts);
  if (r.code != MP_OK) {
    mp_settings_free(s);
    return r.code;
  }
  *out = s;
  return MP_OK;
}
