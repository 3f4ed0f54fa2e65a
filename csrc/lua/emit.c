/* emit: checks an event, sanitizes it into the body that will be sent, and hands it to the engine.
 *
 * Runs on the host's thread. The events are in the handle until they are handed over: so they are
 * freed on every path, also when Lua has no memory and raises an error. After the hand-over nothing
 * raises: an emit that answers an error has stored nothing. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/text.h"
#include "engine/log.h"
#include "lua/emit_options.h"
#include "lua/fail.h"
#include "lua/handle.h"
#include "lua/value.h"
#include "payload/envelope.h"
#include "payload/json_writer.h"

#define MAX_ENTRIES 10000 /* events of one emit */

/* One emit: what is common to its events. */
typedef struct emission {
  mp_lua_handle *handle;
  const char *type; /* the engine's own string */
  int type_index;
  const char *slot;      /* "entry", "media", or NULL for neither */
  const mp_model *model; /* NULL: none */
  int64_t created_ms;
  bool later;
  mp_emit_options options;
} emission;

static int64_t read_created(lua_State *L, int index) {
  return lua_isnoneornil(L, index) ? mp_wall_ms() : (int64_t)luaL_checknumber(L, index);
}

/* ---- what the event needs ------------------------------------------------------------------- */

static mp_code unknown_event(const mp_settings *s, const char *type, mp_error *err) {
  const char *near = mp_nearest(type, (const char *const *)s->events, s->event_count);
  return mp_fail(err, MP_EINVAL, "unknown event '%.100s'%s%s%s", type,
                 near ? "; did you mean '" : " (own events are named in webhooks.events)",
                 near ? near : "", near ? "'?" : "");
}

static mp_code find_event(emission *m, const char *type, size_t len, mp_error *err) {
  const mp_settings *s = mp_engine_settings(m->handle->engine);

  m->type_index = mp_engine_event_type(m->handle->engine, type, len);
  if (m->type_index < 0) return unknown_event(s, type, err);
  m->type = s->events[m->type_index];
  return MP_OK;
}

/* Is it one of the documented eight? Those need what they document; other events may carry either.
 */
static bool documented(const char *type, const char *prefix) {
  static const char *const actions[] = {"create", "update", "delete", "publish", "unpublish"};
  size_t len = strlen(prefix);
  size_t count = prefix[0] == 'm' ? 3 : 5;

  if (strncmp(type, prefix, len) != 0) return false;
  for (size_t i = 0; i < count; i++) {
    if (strcmp(type + len, actions[i]) == 0) return true;
  }
  return false;
}

static mp_code find_model(emission *m, const char *name, size_t len, mp_error *err) {
  m->model = mp_schema_find(m->handle->schema, name, len, err);
  if (!m->model) return err->code;
  if (m->model->user) {
    return mp_fail(err, MP_EPRIVATE, "model '%s': users are never sent", m->model->uid);
  }
  if (m->model->kind != MP_MODEL_CONTENT_TYPE) {
    return mp_fail(err, MP_EINVAL, "model '%s': expected a content type, got a component",
                   m->model->uid);
  }
  if ((strcmp(m->type, "entry.publish") == 0 || strcmp(m->type, "entry.unpublish") == 0) &&
      !m->model->draft_and_publish) {
    return mp_fail(err, MP_EINVAL, "%s: model '%s' has no draftAndPublish", m->type, m->model->uid);
  }
  return MP_OK;
}

static mp_code find_media_model(emission *m, mp_error *err) {
  static const char *const uids[] = {"plugins::upload.file", "plugin::upload.file"};
  for (size_t i = 0; i < 2 && !m->model; i++) {
    m->model = mp_schema_find(m->handle->schema, uids[i], strlen(uids[i]), err);
  }
  return m->model ? MP_OK : err->code;
}

/* model may be NULL; slot is what the caller gave ("entry", "media" or NULL). */
static mp_code check_parts(emission *m, const char *model, size_t model_len, const char *slot,
                           mp_error *err) {
  bool entry = documented(m->type, "entry."), media = documented(m->type, "media.");

  m->slot = slot;
  if (entry && !model) {
    return mp_fail(err, MP_EINVAL, "%s needs a model", m->type);
  }
  if (entry && (!slot || strcmp(slot, "entry") != 0)) {
    return mp_fail(err, MP_EINVAL, "%s needs an entry", m->type);
  }
  if (media && (!slot || strcmp(slot, "media") != 0)) {
    return mp_fail(err, MP_EINVAL, "%s needs media", m->type);
  }
  if (media && model) {
    return mp_fail(err, MP_EINVAL, "%s: media events have no model", m->type);
  }
  if (model) return find_model(m, model, model_len, err);
  return slot && strcmp(slot, "media") == 0 ? find_media_model(m, err) : MP_OK;
}

/* ---- bodies --------------------------------------------------------------------------------- */

static void begin_body(emission *m) {
  mp_buf *b = &m->handle->body;
  char time[MP_ISO8601_SIZE];

  mp_buf_reset(b);
  mp_iso8601(m->created_ms, time);
  mp_buf_add_str(b, "{\"event\":");
  mp_json_add_string(b, m->type, strlen(m->type));
  mp_buf_add_str(b, ",\"created_at\":\"");
  mp_buf_add_str(b, time);
  mp_buf_add_char(b, '"');
  /* The media payload of the documentation names no model. */
  if (m->model && !(m->slot && m->slot[0] == 'm')) {
    mp_buf_add_str(b, ",\"model\":");
    mp_json_add_string(b, m->model->name, strlen(m->model->name));
  }
  if (m->slot) {
    mp_buf_add_str(b, ",\"");
    mp_buf_add_str(b, m->slot);
    mp_buf_add_str(b, "\":");
  }
}

static mp_code too_large(const emission *m, mp_error *err) {
  return mp_fail(err, MP_E2BIG, "%s: the body is over %zu bytes (webhooks.limits.eventSize)",
                 m->type, m->handle->event_size);
}

static mp_code end_body(emission *m, mp_error *err) {
  mp_lua_handle *h = m->handle;
  mp_event_row row = {.type = m->type,
                      .model = m->model ? m->model->uid : NULL,
                      .created_ms = m->created_ms,
                      .order_key = m->options.order_key,
                      .headers = m->options.headers,
                      .idempotency_key = m->options.idempotency_key};
  mp_event *event;

  mp_buf_add_char(&h->body, '}');
  if (h->body.failed == MP_E2BIG) return too_large(m, err);
  if (h->body.failed != MP_OK) return mp_fail(err, MP_ENOMEM, "out of memory");
  row.id = mp_engine_next_id(h->engine);
  row.body = h->body.data;
  row.body_len = h->body.len;
  event = mp_event_new(&row, m->type_index);
  if (!event) return mp_fail(err, MP_ENOMEM, "out of memory");
  mp_list_push(&h->events, &event->node);
  return MP_OK;
}

static mp_code add_lua(lua_State *L, emission *m, int index, const char *root, mp_error *err) {
  mp_lua_handle *h = m->handle;
  mp_code code = MP_OK;

  begin_body(m);
  if (m->slot) {
    if (!lua_istable(L, index) && documented(m->type, m->slot[0] == 'm' ? "media." : "entry.")) {
      return mp_fail(err, MP_EINVAL, "%s: expected a table, got %s", root, luaL_typename(L, index));
    }
    if (lua_istable(L, index) && lua_rawlen(L, index) > 0) {
      return mp_fail(err, MP_EINVAL, "%s: expected an object, got a list (many go into entries)",
                     root);
    }
    code = mp_lua_sanitize(L, index, h->schema, m->model, &h->sanitize, root, &h->body, err);
  }
  if (code == MP_E2BIG) return too_large(m, err);
  return code == MP_OK ? end_body(m, err) : code;
}

static mp_code add_json(emission *m, const char *text, size_t len, const char *root,
                        mp_error *err) {
  mp_lua_handle *h = m->handle;
  mp_code code = MP_OK;

  begin_body(m);
  if (m->slot) {
    if (text[0] != '{' && documented(m->type, m->slot[0] == 'm' ? "media." : "entry.")) {
      return mp_fail(err, MP_EINVAL, "%s: expected an object%s", root,
                     text[0] == '[' ? ", got a list (many go into entries)" : "");
    }
    code = mp_sanitize_json(h->schema, m->model, &h->sanitize, root, text, len, &h->body, err);
  }
  if (code == MP_E2BIG) return too_large(m, err);
  return code == MP_OK ? end_body(m, err) : code;
}

static mp_code check_count(const emission *m, size_t count, mp_error *err) {
  if (count == 0) return mp_fail(err, MP_EINVAL, "entries: expected at least one entry");
  if (count > MAX_ENTRIES) {
    return mp_fail(err, MP_EINVAL, "entries: expected at most %d, got %zu", MAX_ENTRIES, count);
  }
  if (m->options.idempotency_key && count > 1) {
    return mp_fail(err, MP_EINVAL, "options.idempotency_key: one key names one event, got %zu",
                   count);
  }
  return MP_OK;
}

static mp_code add_entries(lua_State *L, emission *m, int index, mp_error *err) {
  size_t count;
  mp_code code;

  if (!lua_istable(L, index)) {
    return mp_fail(err, MP_EINVAL, "entries: expected a list, got %s", luaL_typename(L, index));
  }
  count = lua_rawlen(L, index);
  code = check_count(m, count, err);
  for (size_t i = 1; i <= count && code == MP_OK; i++) {
    char root[40];
    snprintf(root, sizeof root, "entries[%zu]", i);
    lua_rawgeti(L, index, (int)i);
    code = add_lua(L, m, lua_gettop(L), root, err);
    lua_pop(L, 1);
  }
  return code;
}

static mp_code add_json_entries(emission *m, const mp_envelope *envelope, mp_error *err) {
  mp_envelope_entries it;
  mp_span entry;
  size_t count = 0;
  mp_code code;

  mp_envelope_entries_init(&it, envelope);
  while (mp_envelope_entries_next(&it, &entry))
    count++;
  mp_envelope_entries_free(&it);
  code = check_count(m, count, err);
  mp_envelope_entries_init(&it, envelope);
  for (size_t i = 1; code == MP_OK && mp_envelope_entries_next(&it, &entry); i++) {
    char root[40];
    snprintf(root, sizeof root, "entries[%zu]", i);
    code = add_json(m, entry.data, entry.len, root, err);
  }
  mp_envelope_entries_free(&it);
  return code;
}

/* ---- handing over --------------------------------------------------------------------------- */

void mp_lua_drop_events(mp_lua_handle *handle) {
  for (mp_node *n; (n = mp_list_pop(&handle->events)) != NULL;) {
    mp_event_unref(MP_CONTAINER(n, mp_event, node));
  }
}

/* The events are the engine's now, whatever it answers. */
static mp_code give_away(emission *m, int64_t *existing, int64_t *ticket, mp_error *err) {
  mp_lua_handle *h = m->handle;
  mp_list events = {0};

  mp_list_append(&events, &h->events);
  if (m->later) return mp_engine_emit_later(h->engine, &events, h->mailbox, ticket, err);
  return mp_engine_emit(h->engine, &events, m->options.wait, existing, err);
}

/* Pushes the id, or for entries a list of ids. They are made before the events are given away, for
 * making them can raise. */
static int hand_over(lua_State *L, emission *m, bool many) {
  char id[MP_EVENT_ID_SIZE];
  mp_error err = {0};
  int64_t existing = 0, ticket = 0;
  int64_t first = MP_CONTAINER(m->handle->events.head, mp_event, node)->row.id;
  mp_code code;

  if (!many) {
    mp_event_id_format(first, id);
    lua_pushstring(L, id);
  }
  code = give_away(m, &existing, &ticket, &err);
  if (code != MP_OK) return mp_lua_fail(L, &err);
  if (m->later) {
    lua_pushnumber(L, (lua_Number)ticket);
    return 2;
  }
  if (many || !existing) return 1; /* already on the stack */
  mp_event_id_format(existing, id);
  lua_pushstring(L, id);
  return 1;
}

/* With the table for the ids on the stack's top. lua_rawseti may raise only for want of memory; the
 * table was made with room. */
static void list_ids(lua_State *L, const emission *m) {
  char id[MP_EVENT_ID_SIZE];
  int i = 1;
  for (mp_node *n = m->handle->events.head; n; n = n->next) {
    mp_event_id_format(MP_CONTAINER(n, mp_event, node)->row.id, id);
    lua_pushstring(L, id);
    lua_rawseti(L, -2, i++);
  }
}

/* ---- the two entry points ------------------------------------------------------------------- */

typedef struct info {
  int entry, media, entries; /* stack indices; 0: not given */
  const char *model;
  size_t model_len;
} info;

static mp_code read_info(lua_State *L, int index, info *in, mp_error *err) {
  int base = lua_gettop(L);

  *in = (info){0};
  if (!lua_istable(L, index)) {
    return mp_fail(err, MP_EINVAL, "expected a table { model =, entry = } or { media = }, got %s",
                   luaL_typename(L, index));
  }
  lua_settop(L, base + 3); /* three places: entry, media, entries */
  lua_pushnil(L);
  while (lua_next(L, index)) {
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    if (strcmp(key, "model") == 0) {
      if (lua_type(L, -1) != LUA_TSTRING) {
        return mp_fail(err, MP_EINVAL, "model: expected a string, got %s", luaL_typename(L, -1));
      }
      in->model = lua_tolstring(L, -1, &in->model_len);
      lua_pop(L, 1);
    } else if (strcmp(key, "entry") == 0) {
      in->entry = base + 1;
      lua_replace(L, in->entry);
    } else if (strcmp(key, "media") == 0) {
      in->media = base + 2;
      lua_replace(L, in->media);
    } else if (strcmp(key, "entries") == 0) {
      in->entries = base + 3;
      lua_replace(L, in->entries);
    } else {
      return mp_fail(err, MP_EINVAL,
                     "unknown key '%.100s' (expected model, entry, entries or media)", key);
    }
  }
  /* A null entry is none. */
  if (in->entry && lua_islightuserdata(L, in->entry)) in->entry = 0;
  if (in->media && lua_islightuserdata(L, in->media)) in->media = 0;
  if ((in->entry != 0) + (in->media != 0) + (in->entries != 0) > 1) {
    return mp_fail(err, MP_EINVAL, "expected one of entry, entries and media, got several");
  }
  return MP_OK;
}

int mp_lua_emit(lua_State *L) {
  emission m = {.handle = mp_lua_check_handle(L, 1)};
  mp_error err = {0};
  info in;
  size_t len;
  const char *type;
  mp_code code;

  mp_lua_drop_events(m.handle);
  lua_settop(L, 6);
  m.created_ms = read_created(L, 5);
  m.later = lua_toboolean(L, 6);
  luaL_checkstack(L, 20, "too many arguments");
  code = mp_lua_open_engine(m.handle, &err);
  if (code == MP_OK && m.later) code = mp_lua_mailbox(m.handle, &err);
  if (code == MP_OK && lua_type(L, 2) != LUA_TSTRING) {
    code = mp_fail(&err, MP_EINVAL, "event: expected a string, got %s", luaL_typename(L, 2));
  }
  if (code == MP_OK) {
    type = lua_tolstring(L, 2, &len);
    code = find_event(&m, type, len, &err);
  }
  if (code == MP_OK) code = mp_lua_emit_options(L, m.handle, 4, &m.options, &err);
  if (code == MP_OK) code = read_info(L, 3, &in, &err);
  if (code == MP_OK) {
    const char *slot = in.entry || in.entries ? "entry" : in.media ? "media" : NULL;
    code = check_parts(&m, in.model, in.model_len, slot, &err);
  }
  if (code != MP_OK) return mp_lua_fail(L, &err);
  if (in.entries) {
    int top;
    lua_createtable(L, (int)(lua_istable(L, in.entries) ? lua_rawlen(L, in.entries) : 0), 0);
    top = lua_gettop(L);
    code = add_entries(L, &m, in.entries, &err);
    if (code == MP_OK) list_ids(L, &m);
    lua_settop(L, top);
  } else {
    code = add_lua(L, &m, in.entry ? in.entry : in.media, in.entry ? "entry" : "media", &err);
  }
  if (code == MP_OK) return hand_over(L, &m, in.entries != 0);
  mp_lua_drop_events(m.handle);
  return mp_lua_fail(L, &err);
}

int mp_lua_emit_json(lua_State *L) {
  emission m = {.handle = mp_lua_check_handle(L, 1)};
  mp_envelope envelope;
  mp_error err = {0};
  size_t len = 0;
  const char *text;
  mp_code code;

  mp_lua_drop_events(m.handle);
  lua_settop(L, 5);
  m.created_ms = read_created(L, 4);
  m.later = lua_toboolean(L, 5);
  code = mp_lua_open_engine(m.handle, &err);
  if (code == MP_OK && m.later) code = mp_lua_mailbox(m.handle, &err);
  if (code == MP_OK && lua_type(L, 2) != LUA_TSTRING) {
    code = mp_fail(&err, MP_EINVAL, "expected JSON text, got %s", luaL_typename(L, 2));
  }
  if (code != MP_OK) return mp_lua_fail(L, &err);
  text = lua_tolstring(L, 2, &len);
  code = mp_envelope_parse(text, len, &envelope, &err);
  if (code == MP_OK) code = find_event(&m, envelope.event, strlen(envelope.event), &err);
  if (code == MP_OK) code = mp_lua_emit_options(L, m.handle, 3, &m.options, &err);
  if (code == MP_OK) {
    const char *slot = envelope.slot == MP_SLOT_NONE    ? NULL
                       : envelope.slot == MP_SLOT_MEDIA ? "media"
                                                        : "entry";
    code = check_parts(&m, envelope.has_model ? envelope.model : NULL, strlen(envelope.model), slot,
                       &err);
  }
  if (code != MP_OK) return mp_lua_fail(L, &err);
  if (envelope.slot == MP_SLOT_ENTRIES) {
    lua_newtable(L);
    code = add_json_entries(&m, &envelope, &err);
    if (code == MP_OK) list_ids(L, &m);
  } else {
    code = add_json(&m, envelope.value.data, envelope.value.len,
                    envelope.slot == MP_SLOT_MEDIA ? "media" : "entry", &err);
  }
  if (code == MP_OK) return hand_over(L, &m, envelope.slot == MP_SLOT_ENTRIES);
  mp_lua_drop_events(m.handle);
  return mp_lua_fail(L, &err);
}

/* ---- dropped keys --------------------------------------------------------------------------- */

void mp_lua_unknown_key(void *arg, const mp_model *model, const char *key, size_t len) {
  mp_lua_handle *h = arg;
  unsigned hash = 2166136261u; /* FNV-1a over uid and key */
  const mp_settings *s = mp_engine_settings(h->engine);

  mp_engine_count_dropped(h->engine, 1);
  for (const char *p = model->uid; *p; p++)
    hash = (hash ^ (unsigned char)*p) * 16777619u;
  for (size_t i = 0; i < len; i++)
    hash = (hash ^ (unsigned char)key[i]) * 16777619u;
  if (hash == 0) hash = 1;
  for (unsigned at = hash;; at++) {
    unsigned *place = &h->warned[at % MP_WARNED_KEYS];
    if (*place == hash) return;
    if (*place != 0) continue;
    if (h->warned_count >= MP_WARNED_KEYS / 2) return;
    *place = hash;
    h->warned_count++;
    break;
  }
  mp_log(s->log, MP_LOG_WARN, "payload.unknown_key",
         "model %s: '%.*s' is not in the schema and is not sent "
         "(webhooks.sanitize.unknownAttributes = \"keep\" sends such keys)",
         model->uid, (int)(len < 100 ? len : 100), key);
}
