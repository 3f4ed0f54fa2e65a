/* The engine's table of functions, for Lua: loading a script and calling its phases.
 *
 * A phase runs in a protected call, with the script's file run anew before it; what it returns is
 * checked there, and copied out before the call ends. */
#include "script/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "script/result.h"
#include "script/sandbox.h"

struct mp_script {
  mp_sandbox sandbox;
  char hash[MP_SCRIPT_HASH + 1];
  bool has[MP_PHASES];
  char **events, **models; /* NULL-terminated; NULL: all */
};

/* ---- calling a phase ------------------------------------------------------------------------ */

static int run_phase(lua_State *L) {
  const mp_phase_call *c = lua_touserdata(L, 1);
  int first, arguments = 0;

  mp_script_push_script(L);
  lua_pushstring(L, mp_phase_names[c->phase]);
  lua_rawget(L, 2);
  first = lua_gettop(L);
  if (!lua_isfunction(L, first)) { /* it is not what it was when it was loaded */
    return mp_phase_refuse(L, c, "expected a function, got a %s", luaL_typename(L, first));
  }
  if (c->phase == MP_TRANSFORM) {
    mp_script_push_document(L, MP_DOC_PAYLOAD);
    arguments++;
  }
  mp_script_push_document(L, MP_DOC_EVENT);
  arguments++;
  if (c->phase != MP_ROUTE) {
    mp_script_push_webhook(L);
    arguments++;
  }
  mp_sandbox_call(L, arguments, LUA_MULTRET);
  mp_phase_take(L, c, first, lua_gettop(L) - first + 1);
  return 0;
}

static uint64_t scramble(uint64_t *state) { /* splitmix64 (Steele, Lea, Flood) */
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

/* The same for the same event, whichever phase asks, and whenever. */
static void seed(mp_sandbox *s, const mp_script_event *event) {
  uint64_t state = 14695981039346656037u ^ (uint64_t)event->created_ms;

  for (const char *p = event->id; *p; p++)
    state = (state ^ (unsigned char)*p) * 1099511628211u;
  for (int i = 0; i < 4; i++)
    s->random[i] = scramble(&state);
}

static mp_code run(mp_phase_call *c, const mp_script_event *event, const mp_script_webhook *webhook,
                   mp_span payload, mp_script_use *use, mp_error *err) {
  mp_sandbox *s = &c->script->sandbox;
  mp_code code;

  s->event = event;
  s->webhook = webhook;
  s->docs[MP_DOC_EVENT] = (mp_span){event->body, event->body_len};
  s->docs[MP_DOC_PAYLOAD] = payload;
  seed(s, event);
  code = mp_sandbox_run(s, run_phase, c, use, err);
  if (s->out.cap > 1 << 18) mp_buf_free(&s->out);
  return code;
}

static mp_code script_route(mp_script *script, const mp_script_event *event, mp_buf *names,
                            mp_script_use *use, mp_error *err) {
  mp_phase_call c = {.script = script, .phase = MP_ROUTE, .body = names};
  return run(&c, event, NULL, (mp_span){NULL, 0}, use, err);
}

static mp_code script_filter(mp_script *script, const mp_script_event *event,
                             const mp_script_webhook *webhook, bool *keep, mp_script_use *use,
                             mp_error *err) {
  mp_phase_call c = {.script = script, .phase = MP_FILTER, .keep = keep};
  return run(&c, event, webhook, (mp_span){NULL, 0}, use, err);
}

static mp_code script_transform(mp_script *script, const mp_script_event *event,
                                const mp_script_webhook *webhook, const char *payload,
                                size_t payload_len, bool *changed, mp_buf *body, mp_buf *headers,
                                mp_buf *content_type, mp_script_use *use, mp_error *err) {
  mp_phase_call c = {.script = script,
                     .phase = MP_TRANSFORM,
                     .changed = changed,
                     .body = body,
                     .headers = headers,
                     .content_type = content_type};
  *changed = false;
  return run(&c, event, webhook, (mp_span){payload, payload_len}, use, err);
}

/* ---- loading -------------------------------------------------------------------------------- */

static int refuse_key(lua_State *L, const mp_sandbox *s, const char *key) {
  static const char *const keys[] = {"events", "models", "route", "filter", "transform"};
  const char *near = mp_nearest(key, keys, sizeof keys / sizeof keys[0]);

  if (near) {
    return luaL_error(L, "%s.lua: '%s' is no key of a script: did you mean '%s'?", s->name, key,
                      near);
  }
  return luaL_error(L,
                    "%s.lua: '%s' is no key of a script: expected events, models, route, filter "
                    "or transform",
                    s->name, key);
}

/* A list of patterns. What is half made belongs to the script, and is freed with it. */
static void take_patterns(lua_State *L, mp_sandbox *s, const char *key, char ***out) {
  int list = lua_gettop(L), count;

  if (lua_istable(L, list)) mp_script_push_keys(L, list);
  if (!lua_istable(L, list) || !lua_isnumber(L, -1)) {
    luaL_error(L, "%s.lua: %s: expected a list of patterns such as \"%s\"", s->name, key,
               *key == 'e' ? "entry.*" : "address");
  }
  count = (int)lua_tointeger(L, -1);
  *out = calloc((size_t)count + 1, sizeof **out);
  if (!*out) mp_sandbox_must(L, MP_ENOMEM);
  for (int i = 0; i < count; i++) {
    lua_rawgeti(L, list, i + 1);
    if (lua_type(L, -1) != LUA_TSTRING) {
      luaL_error(L, "%s.lua: %s[%d]: expected a string, got a %s", s->name, key, i + 1,
                 luaL_typename(L, -1));
    }
    (*out)[i] = strdup(lua_tostring(L, -1));
    if (!(*out)[i]) mp_sandbox_must(L, MP_ENOMEM);
    lua_pop(L, 1);
  }
  lua_settop(L, list);
}

/* Reads what the file returned: which phases, which events. */
static int read_script(lua_State *L) {
  mp_script *script = lua_touserdata(L, 1);
  mp_sandbox *s = &script->sandbox;
  bool any = false;

  mp_script_push_script(L);
  lua_pushnil(L);
  while (lua_next(L, 2)) {
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);
    int i = 0;
    while (i < MP_PHASES && strcmp(key, mp_phase_names[i]) != 0)
      i++;
    if (i < MP_PHASES) {
      if (!lua_isfunction(L, -1)) {
        return luaL_error(L, "%s.lua: %s: expected a function, got a %s", s->name, key,
                          luaL_typename(L, -1));
      }
      any = script->has[i] = true;
    } else if (strcmp(key, "events") == 0) {
      take_patterns(L, s, key, &script->events);
    } else if (strcmp(key, "models") == 0) {
      take_patterns(L, s, key, &script->models);
    } else {
      return refuse_key(L, s, key);
    }
    lua_pop(L, 1);
  }
  if (!any) return luaL_error(L, "%s.lua: expected a route, filter or transform function", s->name);
  return 0;
}

/* ---- trying --------------------------------------------------------------------------------- */

/* The first pattern, with something for its '*'. */
static void sample_of(char *const *patterns, const char *otherwise, char *out, size_t size) {
  const char *pattern = patterns && patterns[0] ? patterns[0] : otherwise;
  size_t len = strlen(pattern);

  if (strcmp(pattern, "*") == 0)
    snprintf(out, size, "%s", otherwise);
  else if (len > 2 && strcmp(pattern + len - 2, ".*") == 0)
    snprintf(out, size, "%.*s.create", (int)(len - 2), pattern);
  else
    snprintf(out, size, "%s", pattern);
}

/* An error is the script's own fault, whatever the event is, when the script had not looked at the
 * event yet, when a name is not defined, when a limit was passed, or when what it returned is not
 * what is expected. All else may come of a sample that has not what real events have. */
static bool is_at_fault(const mp_sandbox *s, const mp_error *err) {
  char own[160];

  if (!s->looked || s->unknown || s->over[0]) return true;
  for (int i = 0; i < MP_PHASES; i++) {
    snprintf(own, sizeof own, "%s.lua: %s: ", s->name, mp_phase_names[i]);
    if (strncmp(err->message, own, strlen(own)) == 0) return true;
  }
  return false;
}

static mp_code try_phase(mp_script *script, mp_phase which, const mp_script_event *event,
                         mp_error *err) {
  static const char *const events[] = {"*"};
  const mp_script_webhook webhook = {
      .id = 1, .name = "sample", .url = "https://example.com/", .events = events, .event_count = 1};
  bool changed, keep;
  mp_buf body, headers, content_type;
  mp_script_use use;
  mp_code code;

  mp_buf_init(&body, MP_BUF_NO_LIMIT);
  mp_buf_init(&headers, MP_BUF_NO_LIMIT);
  mp_buf_init(&content_type, MP_BUF_NO_LIMIT);
  if (which == MP_ROUTE)
    code = script_route(script, event, &body, &use, err);
  else if (which == MP_FILTER)
    code = script_filter(script, event, &webhook, &keep, &use, err);
  else
    code = script_transform(script, event, &webhook, event->body, event->body_len, &changed, &body,
                            &headers, &content_type, &use, err);
  if (code == MP_EINVAL && !is_at_fault(&script->sandbox, err)) code = MP_OK;
  mp_buf_free(&body);
  mp_buf_free(&headers);
  mp_buf_free(&content_type);
  return code;
}

static mp_code try_phases(mp_script *script, mp_error *err) {
  static const char date[] = "2020-01-10T08:47:36.649Z";
  char type[128], model[128], body[640];
  mp_script_event event = {
      .id = "evt_0000000000000", .type = type, .created_ms = 1578646056649, .body = body};
  mp_code code = MP_OK;

  sample_of(script->events, "entry.create", type, sizeof type);
  sample_of(script->models, "sample", model, sizeof model);
  if (strpbrk(type, "\"\\") || strpbrk(model, "\"\\")) return MP_OK; /* no event is like that */
  if (strncmp(type, "media.", 6) == 0) {
    snprintf(body, sizeof body,
             "{\"event\":\"%s\",\"created_at\":\"%s\",\"media\":{\"id\":1,\"name\":\"sample.png\","
             "\"ext\":\".png\",\"mime\":\"image/png\",\"size\":1.5,\"url\":\"/sample.png\"}}",
             type, date);
  } else {
    event.model = model;
    snprintf(body, sizeof body,
             "{\"event\":\"%s\",\"created_at\":\"%s\",\"model\":\"%s\",\"entry\":{\"id\":1,"
             "\"created_at\":\"%s\",\"updated_at\":\"%s\"}}",
             type, date, model, date, date);
  }
  event.body_len = strlen(body);
  script->sandbox.trying = true;
  for (int i = 0; i < MP_PHASES && code == MP_OK; i++)
    if (script->has[i]) code = try_phase(script, (mp_phase)i, &event, err);
  script->sandbox.trying = false;
  return code;
}

/* ---- the table ------------------------------------------------------------------------------ */

static void free_patterns(char **patterns) {
  for (size_t i = 0; patterns && patterns[i]; i++)
    free(patterns[i]);
  free(patterns);
}

static void script_free(mp_script *script) {
  mp_sandbox *s;

  if (!script) return;
  s = &script->sandbox;
  mp_sandbox_close(s);
  mp_script_files_free(s);
  mp_buf_free(&s->out);
  mp_buf_free(&s->text);
  if (s->locale) freelocale(s->locale);
  free(s->folder);
  free(s->name);
  free(s->constants);
  free_patterns(script->events);
  free_patterns(script->models);
  free(script);
}

static mp_script *new_script(const mp_script_options *o) {
  mp_script *script = calloc(1, sizeof *script);
  mp_sandbox *s;

  if (!script) return NULL;
  s = &script->sandbox;
  s->limits = o->limits;
  s->log = o->log;
  s->log_arg = o->log_arg;
  mp_buf_init(&s->out, o->limits.memory);
  mp_buf_init(&s->text, o->limits.memory);
  s->locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  s->folder = strdup(o->folder);
  s->name = strdup(o->name);
  if (o->constants) s->constants = strdup(o->constants);
  if (s->locale && s->folder && s->name && (s->constants || !o->constants)) return script;
  script_free(script);
  return NULL;
}

static mp_code script_load(const mp_script_options *options, mp_script **out, mp_error *err) {
  mp_script *script = new_script(options);
  const mp_script_file *file;
  mp_script_use use;
  mp_code code;

  *out = NULL;
  if (!script) return mp_fail(err, MP_ENOMEM, "out of memory");
  script->sandbox.loading = true;
  code = mp_script_file_get(&script->sandbox, options->name, &file, err);
  if (code == MP_OK) code = mp_sandbox_run(&script->sandbox, read_script, script, &use, err);
  script->sandbox.loading = false;
  if (code == MP_OK) code = mp_script_files_hash(&script->sandbox, script->hash, err);
  if (code == MP_OK) code = try_phases(script, err);
  if (code != MP_OK) {
    script_free(script);
    return code;
  }
  *out = script;
  return MP_OK;
}

static const char *script_hash(const mp_script *script) {
  return script->hash;
}

/* "entry.create", "entry.*", "*" */
static bool matches(const char *pattern, const char *text) {
  size_t len = strlen(pattern);

  if (strcmp(pattern, "*") == 0) return true;
  if (len > 2 && strcmp(pattern + len - 2, ".*") == 0) return strncmp(pattern, text, len - 1) == 0;
  return strcmp(pattern, text) == 0;
}

static bool any_matches(char *const *patterns, const char *text) {
  if (!patterns) return true;
  for (size_t i = 0; text && patterns[i]; i++)
    if (matches(patterns[i], text)) return true;
  return false;
}

/* A model is named by its uid ("application::address.address"), or by what follows its last dot. */
static bool takes(const mp_script *script, mp_phase which, const char *type, const char *model) {
  const char *dot = model ? strrchr(model, '.') : NULL;

  return script && script->has[which] && any_matches(script->events, type) &&
         (any_matches(script->models, model) || (dot && any_matches(script->models, dot + 1)));
}

static bool script_routes(const mp_script *script, const char *type, const char *model) {
  return takes(script, MP_ROUTE, type, model);
}

static bool script_filters(const mp_script *script, const char *type, const char *model) {
  return takes(script, MP_FILTER, type, model);
}

static bool script_transforms(const mp_script *script, const char *type, const char *model) {
  return takes(script, MP_TRANSFORM, type, model);
}

static bool script_changed(const mp_script *script) {
  return mp_script_files_changed(&script->sandbox);
}

const mp_script_ops mp_script_lua_ops = {.load = script_load,
                                         .free = script_free,
                                         .hash = script_hash,
                                         .routes = script_routes,
                                         .filters = script_filters,
                                         .transforms = script_transforms,
                                         .route = script_route,
                                         .filter = script_filter,
                                         .transform = script_transform,
                                         .changed = script_changed};
