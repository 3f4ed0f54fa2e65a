/* Bindings of csrc/payload. Host thread. What is allocated is owned by a userdata, or released
 * before anything can raise. */
#include "lua/payload.h"

#include <string.h>

#include "lua/fail.h"
#include "lua/value.h"

#define SCHEMA_MT  "moonpost.schema"
#define SCRATCH_MT "moonpost.scratch"

/* ---- schema --------------------------------------------------------------------------------- */

mp_schema *mp_lua_check_schema(lua_State *L, int index) {
  return *(mp_schema **)luaL_checkudata(L, index, SCHEMA_MT);
}

static int schema_gc(lua_State *L) {
  mp_schema **schema = luaL_checkudata(L, 1, SCHEMA_MT);
  mp_schema_free(*schema);
  *schema = NULL;
  return 0;
}

/* A field's string; alive in the table at index. */
static const char *text(lua_State *L, int index, const char *name, const char *otherwise) {
  const char *s;
  lua_getfield(L, index, name);
  s = luaL_optstring(L, -1, otherwise);
  if (!s) luaL_error(L, "schema: the field '%s' is missing", name);
  lua_pop(L, 1);
  return s;
}

static bool flag(lua_State *L, int index, const char *name) {
  bool set;
  lua_getfield(L, index, name);
  set = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return set;
}

/* Which of the names (NULL ends them) a field is. */
static int choice(lua_State *L, int index, const char *field, const char *otherwise,
                  const char *const names[]) {
  const char *s = text(L, index, field, otherwise);
  for (int i = 0; names[i]; i++) {
    if (strcmp(names[i], s) == 0) return i;
  }
  return luaL_error(L, "schema: the field '%s' is '%s', which is no kind", field, s);
}

static mp_code add_attribute(lua_State *L, mp_schema *schema, const char *uid, mp_error *err) {
  static const char *const names[] = {"drop", "keep", "entity", "zone", "morph", NULL};
  int at = lua_gettop(L), kind = choice(L, at, "kind", NULL, names);
  const char *name = text(L, at, "name", NULL), *target;
  size_t len;

  lua_getfield(L, at, "target");
  target = luaL_optstring(L, -1, NULL);
  lua_getfield(L, at, "name");
  lua_tolstring(L, -1, &len);
  lua_pop(L, 2);
  return mp_schema_add_attribute(schema, uid, name, len, (mp_attribute_kind)kind,
                                 flag(L, at, "list"), target, err);
}

static mp_code add_model(lua_State *L, mp_schema *schema, mp_error *err) {
  static const char *const kinds[] = {"contentType", "component", NULL};
  int at = lua_gettop(L);
  mp_model model = {.uid = text(L, at, "uid", NULL),
                    .name = text(L, at, "name", NULL),
                    .global_id = text(L, at, "global_id", ""),
                    .kind = (mp_model_kind)choice(L, at, "kind", "contentType", kinds),
                    .user = flag(L, at, "user"),
                    .draft_and_publish = flag(L, at, "draft_and_publish"),
                    .builtin = flag(L, at, "builtin")};
  size_t count;
  mp_code code;

  code = mp_schema_add_model(schema, &model, err);
  lua_getfield(L, at, "attributes");
  luaL_checktype(L, -1, LUA_TTABLE);
  count = lua_rawlen(L, -1);
  for (size_t i = 1; i <= count && code == MP_OK; i++) {
    lua_rawgeti(L, at + 1, (int)i);
    luaL_checktype(L, -1, LUA_TTABLE);
    code = add_attribute(L, schema, model.uid, err);
    lua_pop(L, 1);
  }
  lua_settop(L, at);
  return code;
}

/* schema(list) -> schema | nil, message, code. The list is what lua/moonpost/models.lua compiles:
 * models { uid =, name =, global_id =, kind = "contentType" | "component", user =, builtin =,
 * draft_and_publish =, attributes = }, and attributes { name =, kind = "drop" | "keep" | "entity" |
 * "zone" | "morph", list =, target = }, the target a uid. */
static int schema(lua_State *L) {
  mp_schema **s;
  mp_error err = {0};
  mp_code code;
  size_t count;

  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = NULL;
  luaL_getmetatable(L, SCHEMA_MT);
  lua_setmetatable(L, -2);
  code = mp_schema_new(s, &err);
  count = lua_rawlen(L, 1);
  for (size_t i = 1; i <= count && code == MP_OK; i++) {
    lua_rawgeti(L, 1, (int)i);
    luaL_checktype(L, -1, LUA_TTABLE);
    code = add_model(L, *s, &err);
    lua_pop(L, 1);
  }
  if (code == MP_OK) code = mp_schema_finish(*s, &err);
  return code == MP_OK ? 1 : mp_lua_fail(L, &err);
}

/* schema:model(name) -> { uid =, name =, user =, draft_and_publish = } | nil, message, code */
static int schema_model(lua_State *L) {
  const mp_schema *s = mp_lua_check_schema(L, 1);
  mp_error err = {0};
  size_t len;
  const char *name = luaL_checklstring(L, 2, &len);
  const mp_model *m = mp_schema_find(s, name, len, &err);

  if (!m) return mp_lua_fail(L, &err);
  lua_createtable(L, 0, 4);
  lua_pushstring(L, m->uid);
  lua_setfield(L, -2, "uid");
  lua_pushstring(L, m->name);
  lua_setfield(L, -2, "name");
  lua_pushboolean(L, m->user);
  lua_setfield(L, -2, "user");
  lua_pushboolean(L, m->draft_and_publish);
  lua_setfield(L, -2, "draft_and_publish");
  return 1;
}

/* ---- sanitize ------------------------------------------------------------------------------- */

/* A call's buffers, which the garbage collector frees when something raises. */
typedef struct scratch {
  mp_buf out;
  mp_buf dropped; /* keys: for each the length of what follows it (size_t), and "uid: key" */
} scratch;

static int scratch_gc(lua_State *L) {
  scratch *s = luaL_checkudata(L, 1, SCRATCH_MT);
  mp_buf_free(&s->out);
  mp_buf_free(&s->dropped);
  return 0;
}

static scratch *new_scratch(lua_State *L) {
  scratch *s = lua_newuserdatauv(L, sizeof *s, 0);
  mp_buf_init(&s->out, MP_BUF_NO_LIMIT);
  mp_buf_init(&s->dropped, MP_BUF_NO_LIMIT);
  luaL_getmetatable(L, SCRATCH_MT);
  lua_setmetatable(L, -2);
  return s;
}

static void note_dropped(void *arg, const mp_model *model, const char *key, size_t len) {
  mp_buf *dropped = arg;
  size_t uid_len = strlen(model->uid), total = uid_len + 2 + len;

  if (!mp_buf_reserve(dropped, sizeof total + total)) return;
  mp_buf_add(dropped, (const char *)&total, sizeof total);
  mp_buf_add(dropped, model->uid, uid_len);
  mp_buf_add(dropped, ": ", 2);
  mp_buf_add(dropped, key, len);
}

/* Pushes { ["uid: key"] = count }, or nil for none. */
static void push_dropped(lua_State *L, const mp_buf *dropped) {
  if (dropped->len == 0) {
    lua_pushnil(L);
    return;
  }
  lua_newtable(L);
  for (size_t at = 0, len; at < dropped->len; at += len) {
    memcpy(&len, dropped->data + at, sizeof len);
    at += sizeof len;
    lua_pushlstring(L, dropped->data + at, len);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    lua_pushinteger(L, lua_tointeger(L, -1) + 1);
    lua_remove(L, -2);
    lua_rawset(L, -3);
  }
}

/* Pushes what is in out; frees it. */
static void push_text(lua_State *L, mp_buf *out) {
  lua_pushlstring(L, out->data, out->len);
  mp_buf_free(out);
}

static int sanitize_with(lua_State *L, bool json) {
  const mp_schema *s = mp_lua_check_schema(L, 1);
  mp_sanitize_options options = {.unknown_key = note_dropped};
  const mp_model *model;
  scratch *own;
  mp_error err = {0};
  size_t len;
  const char *name = luaL_checklstring(L, 2, &len), *source = NULL;
  mp_code code;

  lua_settop(L, 4);
  if (!lua_isnil(L, 4)) {
    luaL_checktype(L, 4, LUA_TTABLE);
    options.keep_unknown = flag(L, 4, "keep_unknown");
    options.keep_users = flag(L, 4, "keep_users");
  }
  model = mp_schema_find(s, name, len, &err);
  if (!model) return mp_lua_fail(L, &err);
  if (json) source = luaL_checklstring(L, 3, &len);
  own = new_scratch(L);
  options.unknown_key_arg = &own->dropped;
  if (json)
    code = mp_sanitize_json(s, model, &options, "value", source, len, &own->out, &err);
  else
    code = mp_lua_sanitize(L, 3, s, model, &options, "value", &own->out, &err);
  if (code != MP_OK) return mp_lua_fail(L, &err);
  push_text(L, &own->out);
  push_dropped(L, &own->dropped);
  mp_buf_free(&own->dropped);
  return 2;
}

/* sanitize(schema, name, value, { keep_unknown =, keep_users = }) -> text, dropped | nil, message,
 * code. dropped: { ["uid: key"] = count } of the keys that the models do not have; nil: none. */
static int sanitize(lua_State *L) {
  return sanitize_with(L, false);
}

/* sanitize_json(schema, name, text, options) -> text, dropped | nil, message, code */
static int sanitize_json(lua_State *L) {
  return sanitize_with(L, true);
}

/* check_json(text) -> true | nil, message, code */
static int check_json(lua_State *L) {
  mp_error err = {0};
  size_t len;
  const char *source = luaL_checklstring(L, 1, &len);
  mp_json j;

  mp_json_init(&j, source, len, "text", &err);
  mp_json_skip(&j, NULL);
  mp_json_end(&j);
  mp_json_free(&j);
  if (j.failed) return mp_lua_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

/* to_json(value) -> text | nil, message, code: any value, whole; numbers keep all their digits. */
static int to_json(lua_State *L) {
  mp_sanitize_options options = {0};
  mp_error err = {0};
  scratch *own;

  luaL_checkany(L, 1);
  lua_settop(L, 1);
  own = new_scratch(L);
  if (mp_lua_sanitize(L, 1, NULL, NULL, &options, "value", &own->out, &err) != MP_OK) {
    return mp_lua_fail(L, &err);
  }
  push_text(L, &own->out);
  return 1;
}

static const luaL_Reg functions[] = {
    {"schema", schema},
    {"sanitize", sanitize},
    {"sanitize_json", sanitize_json},
    {"check_json", check_json},
    {"register", mp_lua_register},
    {"to_json", to_json},
    {NULL, NULL},
};

void mp_lua_payload(lua_State *L) {
  mp_lua_value_open(L);
  mp_lua_new_type(L, SCRATCH_MT, scratch_gc);
  lua_pop(L, 1);
  mp_lua_new_type(L, SCHEMA_MT, schema_gc);
  lua_newtable(L);
  lua_pushcfunction(L, schema_model);
  lua_setfield(L, -2, "model");
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
}
