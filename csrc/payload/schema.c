/* Building and searching the compiled content types. */
#include "payload/schema.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

typedef struct attribute {
  mp_attribute data;
  uint32_t hash;
  size_t len;
  char *name;
  char *target; /* uid; NULL: none */
} attribute;

typedef struct model {
  mp_model data; /* first: an mp_model * is a model * */
  attribute *attributes;
  size_t count;
  size_t cap;
  uint32_t *table; /* open addressing; index + 1 of an attribute, 0: free. After finish */
  uint32_t mask;
} model;

struct mp_schema {
  model **models;
  size_t count;
  size_t cap;
};

static uint32_t hash_of(const char *s, size_t len) { /* FNV-1a */
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)s[i]) * 16777619u;
  return h;
}

static mp_code no_memory(mp_error *err) { return mp_fail(err, MP_ENOMEM, "out of memory"); }

/* ---- building ------------------------------------------------------------------------------------ */

mp_code mp_schema_new(mp_schema **out, mp_error *err) {
  *out = calloc(1, sizeof **out);
  return *out ? MP_OK : no_memory(err);
}

static void free_model(model *m) {
  for (size_t i = 0; i < m->count; i++) {
    free(m->attributes[i].name);
    free(m->attributes[i].target);
  }
  free(m->attributes);
  free(m->table);
  free((char *)m->data.uid);
  free((char *)m->data.name);
  free((char *)m->data.global_id);
  free(m);
}

void mp_schema_free(mp_schema *schema) {
  if (!schema) return;
  for (size_t i = 0; i < schema->count; i++) free_model(schema->models[i]);
  free(schema->models);
  free(schema);
}

static model *by_uid(const mp_schema *schema, const char *uid, size_t len) {
  for (size_t i = 0; i < schema->count; i++) {
    const char *own = schema->models[i]->data.uid;
    if (strncmp(own, uid, len) == 0 && own[len] == '\0') return schema->models[i];
  }
  return NULL;
}

/* Makes room for one more in a growing array. */
static bool grow(void *items, size_t *cap, size_t count, size_t size) {
  void **array = items;
  size_t more = *cap ? *cap * 2 : 16;
  void *bigger;

  if (count < *cap) return true;
  bigger = realloc(*array, more * size);
  if (!bigger) return false;
  *array = bigger;
  *cap = more;
  return true;
}

mp_code mp_schema_add_model(mp_schema *schema, const mp_model *data, mp_error *err) {
  model *m;

  if (by_uid(schema, data->uid, strlen(data->uid))) {
    return mp_fail(err, MP_EINVAL, "model '%s' is there twice", data->uid);
  }
  if (!grow(&schema->models, &schema->cap, schema->count, sizeof(model *))) return no_memory(err);
  m = calloc(1, sizeof *m);
  if (!m) return no_memory(err);
  m->data = *data;
  m->data.uid = strdup(data->uid);
  m->data.name = strdup(data->name);
  m->data.global_id = strdup(data->global_id);
  if (!m->data.uid || !m->data.name || !m->data.global_id) {
    free_model(m);
    return no_memory(err);
  }
  schema->models[schema->count++] = m;
  return MP_OK;
}

mp_code mp_schema_add_attribute(mp_schema *schema, const char *model_uid, const char *name,
                                size_t name_len, mp_attribute_kind kind, bool list,
                                const char *target, mp_error *err) {
  model *m = by_uid(schema, model_uid, strlen(model_uid));
  attribute *a;

  if (!m) return mp_fail(err, MP_EINVAL, "no model has the uid '%s'", model_uid);
  for (size_t i = 0; i < m->count; i++) {
    if (m->attributes[i].len == name_len && memcmp(m->attributes[i].name, name, name_len) == 0) {
      return mp_fail(err, MP_EINVAL, "model '%s': attribute '%s' is there twice", model_uid, name);
    }
  }
  if (!grow(&m->attributes, &m->cap, m->count, sizeof *a)) return no_memory(err);
  a = &m->attributes[m->count];
  *a = (attribute){.data = {.kind = kind, .list = list},
                   .hash = hash_of(name, name_len),
                   .len = name_len,
                   .name = malloc(name_len + 1),
                   .target = target ? strdup(target) : NULL};
  m->count++;
  if (!a->name || (target && !a->target)) return no_memory(err);
  memcpy(a->name, name, name_len);
  a->name[name_len] = '\0';
  return MP_OK;
}

/* ---- finishing ----------------------------------------------------------------------------------- */

static const char *nearest_uid(const mp_schema *schema, const char *uid) {
  const char **uids = calloc(schema->count + 1, sizeof *uids);
  const char *near = NULL;

  for (size_t i = 0; uids && i < schema->count; i++) uids[i] = schema->models[i]->data.uid;
  if (uids) near = mp_nearest(uid, uids, schema->count);
  free(uids);
  return near;
}

static mp_code resolve(const mp_schema *schema, model *m, attribute *a, mp_error *err) {
  const char *near;
  model *target;

  if (a->data.kind != MP_ATTRIBUTE_ENTITY) return MP_OK;
  target = a->target ? by_uid(schema, a->target, strlen(a->target)) : NULL;
  if (target) {
    a->data.model = &target->data;
    return MP_OK;
  }
  near = a->target ? nearest_uid(schema, a->target) : NULL;
  return mp_fail(err, MP_EINVAL, "model '%s': attribute '%s' refers to '%s', which does not exist%s%s%s",
                 m->data.uid, a->name, a->target ? a->target : "", near ? "; did you mean '" : "",
                 near ? near : "", near ? "'?" : "");
}

static mp_code index_attributes(model *m, mp_error *err) {
  uint32_t size = 8;

  while (size < m->count * 2) size *= 2;
  m->table = calloc(size, sizeof *m->table);
  if (!m->table) return no_memory(err);
  m->mask = size - 1;
  for (size_t i = 0; i < m->count; i++) {
    uint32_t at = m->attributes[i].hash & m->mask;
    while (m->table[at]) at = (at + 1) & m->mask;
    m->table[at] = (uint32_t)i + 1;
  }
  return MP_OK;
}

mp_code mp_schema_finish(mp_schema *schema, mp_error *err) {
  mp_code code = MP_OK;
  for (size_t i = 0; i < schema->count && code == MP_OK; i++) {
    model *m = schema->models[i];
    for (size_t k = 0; k < m->count && code == MP_OK; k++) {
      code = resolve(schema, m, &m->attributes[k], err);
    }
    if (code == MP_OK) code = index_attributes(m, err);
  }
  return code;
}

/* ---- searching ----------------------------------------------------------------------------------- */

const mp_attribute *mp_model_attribute(const mp_model *data, const char *name, size_t len) {
  const model *m = (const model *)data;
  uint32_t hash = hash_of(name, len);

  for (uint32_t at = hash & m->mask; m->table[at]; at = (at + 1) & m->mask) {
    const attribute *a = &m->attributes[m->table[at] - 1];
    if (a->hash == hash && a->len == len && memcmp(a->name, name, len) == 0) return &a->data;
  }
  return NULL;
}

const mp_model *mp_schema_component(const mp_schema *schema, const char *uid, size_t len) {
  const model *m = by_uid(schema, uid, len);
  return m && m->data.kind == MP_MODEL_COMPONENT ? &m->data : NULL;
}

static bool named(const char *own, const char *name, size_t len) {
  return len > 0 && strncmp(own, name, len) == 0 && own[len] == '\0';
}

const mp_model *mp_schema_morph(const mp_schema *schema, const char *type, size_t len) {
  const model *found = by_uid(schema, type, len);

  for (size_t i = 0; !found && i < schema->count; i++) {
    const model *m = schema->models[i];
    if (!m->data.builtin && named(m->data.global_id, type, len)) found = m;
  }
  for (size_t i = 0; !found && i < schema->count; i++) {
    if (named(schema->models[i]->data.global_id, type, len)) found = schema->models[i];
  }
  return found ? &found->data : NULL;
}

/* Of the models with a bare name: the deployment's own before the built-in ones, but users are never
 * shadowed. */
static size_t candidates(const mp_schema *schema, const char *name, size_t len,
                         const model **found, size_t max) {
  size_t count = 0, own = 0;

  for (size_t i = 0; i < schema->count; i++) {
    const model *m = schema->models[i];
    if (m->data.kind == MP_MODEL_CONTENT_TYPE && named(m->data.name, name, len)) {
      own += !m->data.builtin;
    }
  }
  for (size_t i = 0; i < schema->count && count < max; i++) {
    const model *m = schema->models[i];
    if (m->data.kind != MP_MODEL_CONTENT_TYPE || !named(m->data.name, name, len)) continue;
    if (own > 0 && m->data.builtin && !m->data.user) continue;
    found[count++] = m;
  }
  return count;
}

static const mp_model *unknown(const mp_schema *schema, const char *name, size_t len,
                               mp_error *err) {
  const char **names = calloc(2 * schema->count + 1, sizeof *names);
  const char *near = NULL;
  char text[MP_SCHEMA_NAME];

  snprintf(text, sizeof text, "%.*s", len < sizeof text ? (int)len : (int)sizeof text - 1, name);
  for (size_t i = 0; names && i < schema->count; i++) {
    names[2 * i] = schema->models[i]->data.uid;
    names[2 * i + 1] = schema->models[i]->data.name;
  }
  if (names) near = mp_nearest(text, names, 2 * schema->count);
  mp_fail(err, MP_EINVAL, "unknown model '%s'%s%s%s", text, near ? "; did you mean '" : "",
          near ? near : "", near ? "'?" : "");
  free(names);
  return NULL;
}

const mp_model *mp_schema_find(const mp_schema *schema, const char *name, size_t len,
                               mp_error *err) {
  const model *found[4];
  const model *exact = by_uid(schema, name, len);
  size_t count, users = 0;

  if (exact) return &exact->data;
  count = candidates(schema, name, len, found, 4);
  if (count == 0) return unknown(schema, name, len, err);
  for (size_t i = 0; i < count; i++) users += found[i]->data.user;
  /* Which user it is makes no difference: none is sent. */
  if (count == 1 || users == count) return &found[0]->data;
  mp_fail(err, MP_EINVAL, "model '%.*s' is ambiguous: name '%s' or '%s'", (int)len, name,
          found[0]->data.uid, found[1]->data.uid);
  return NULL;
}
