/* Building and searching the compiled content types.
 *
 * Searching is by hash and allocates nothing, but for the text of an error. Names may hold any
 * bytes and are compared with their lengths: what is searched for comes from payloads. */
#include "payload/schema.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "payload/scan.h"

typedef struct name {
  char *text; /* NUL-terminated */
  size_t len;
  uint32_t hash;
} name;

typedef struct attribute {
  mp_attribute data;
  name name;
  char *target; /* uid; NULL: none */
} attribute;

/* Open addressing: index + 1 into what is indexed, 0: free. Made by finish; never full. */
typedef struct table {
  uint32_t *slots;
  uint32_t mask;
} table;

typedef enum model_key { BY_UID, BY_NAME, BY_GLOBAL_ID, MODEL_KEYS } model_key;

typedef struct model {
  mp_model data; /* first: an mp_model * is a model * */
  name keys[MODEL_KEYS];
  struct model *namesake; /* the next model of the same bare name */
  attribute *attributes;
  size_t count;
  size_t cap;
  table by_name;
} model;

struct mp_schema {
  atomic_int owners;
  model **models;
  size_t count;
  size_t cap;
  table tables[MODEL_KEYS];
};

static mp_code no_memory(mp_error *err) {
  return mp_fail(err, MP_ENOMEM, "out of memory");
}

/* ---- names and tables ----------------------------------------------------------------------- */

static bool set_name(name *n, const char *text, size_t len) {
  n->text = malloc(len + 1);
  if (!n->text) return false;
  memcpy(n->text, text, len);
  n->text[len] = '\0';
  n->len = len;
  n->hash = mp_hash(text, len);
  return true;
}

static bool is_named(const name *n, uint32_t hash, const char *text, size_t len) {
  return n->hash == hash && n->len == len && memcmp(n->text, text, len) == 0;
}

static bool make_table(table *t, size_t count) {
  uint32_t size = 8;

  while (size < count * 2)
    size *= 2;
  free(t->slots);
  t->slots = calloc(size, sizeof *t->slots);
  t->mask = size - 1;
  return t->slots != NULL;
}

static void add_slot(table *t, uint32_t hash, size_t index) {
  uint32_t at = hash & t->mask;
  while (t->slots[at])
    at = (at + 1) & t->mask;
  t->slots[at] = (uint32_t)index + 1;
}

static model *find_model(const mp_schema *schema, model_key key, const char *text, size_t len) {
  const table *t = &schema->tables[key];
  uint32_t hash = mp_hash(text, len);

  for (uint32_t at = hash & t->mask; t->slots && t->slots[at]; at = (at + 1) & t->mask) {
    model *m = schema->models[t->slots[at] - 1];
    if (is_named(&m->keys[key], hash, text, len)) return m;
  }
  return NULL;
}

/* ---- building ------------------------------------------------------------------------------- */

mp_code mp_schema_new(mp_schema **out, mp_error *err) {
  *out = calloc(1, sizeof **out);
  if (!*out) return no_memory(err);
  atomic_init(&(*out)->owners, 1);
  return MP_OK;
}

mp_schema *mp_schema_ref(mp_schema *schema) {
  atomic_fetch_add_explicit(&schema->owners, 1, memory_order_relaxed);
  return schema;
}

static void free_model(model *m) {
  for (size_t i = 0; i < m->count; i++) {
    free(m->attributes[i].name.text);
    free(m->attributes[i].target);
  }
  for (int key = 0; key < MODEL_KEYS; key++)
    free(m->keys[key].text);
  free(m->attributes);
  free(m->by_name.slots);
  free(m);
}

void mp_schema_free(mp_schema *schema) {
  if (!schema || atomic_fetch_sub_explicit(&schema->owners, 1, memory_order_acq_rel) > 1) return;
  for (size_t i = 0; i < schema->count; i++)
    free_model(schema->models[i]);
  for (int key = 0; key < MODEL_KEYS; key++)
    free(schema->tables[key].slots);
  free(schema->models);
  free(schema);
}

/* Before the tables are made. Attributes follow their model: the newest is looked at first. */
static model *added_model(const mp_schema *schema, const char *uid) {
  for (size_t i = schema->count; i-- > 0;) {
    if (strcmp(schema->models[i]->data.uid, uid) == 0) return schema->models[i];
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
  const char *texts[MODEL_KEYS] = {data->uid, data->name, data->global_id};
  model *m;

  if (added_model(schema, data->uid)) {
    return mp_fail(err, MP_EINVAL, "model '%s' is there twice", data->uid);
  }
  if (!grow(&schema->models, &schema->cap, schema->count, sizeof(model *))) return no_memory(err);
  m = calloc(1, sizeof *m);
  if (!m) return no_memory(err);
  m->data = *data;
  for (int key = 0; key < MODEL_KEYS; key++) {
    if (!set_name(&m->keys[key], texts[key], strlen(texts[key]))) {
      free_model(m);
      return no_memory(err);
    }
  }
  m->data.uid = m->keys[BY_UID].text;
  m->data.name = m->keys[BY_NAME].text;
  m->data.global_id = m->keys[BY_GLOBAL_ID].text;
  schema->models[schema->count++] = m;
  return MP_OK;
}

mp_code mp_schema_add_attribute(mp_schema *schema, const char *model_uid, const char *text,
                                size_t len, mp_attribute_kind kind, bool list, const char *target,
                                mp_error *err) {
  model *m = added_model(schema, model_uid);
  uint32_t hash = mp_hash(text, len);
  attribute *a;

  if (!m) return mp_fail(err, MP_EINVAL, "no model has the uid '%s'", model_uid);
  for (size_t i = 0; i < m->count; i++) {
    if (is_named(&m->attributes[i].name, hash, text, len)) {
      return mp_fail(err, MP_EINVAL, "model '%s': attribute '%s' is there twice", model_uid,
                     m->attributes[i].name.text);
    }
  }
  if (!grow(&m->attributes, &m->cap, m->count, sizeof *a)) return no_memory(err);
  a = &m->attributes[m->count++];
  *a = (attribute){.data = {.kind = kind, .list = list}};
  if (!set_name(&a->name, text, len)) return no_memory(err);
  if (target && !(a->target = strdup(target))) return no_memory(err);
  return MP_OK;
}

/* ---- finishing ------------------------------------------------------------------------------ */

/* The uid, or (names) the uid or bare name, that was probably meant. NULL: none. */
static const char *nearest(const mp_schema *schema, const char *text, bool names) {
  const char **candidates = calloc(2 * schema->count + 1, sizeof *candidates);
  const char *near = NULL;
  size_t n = 0;

  for (size_t i = 0; candidates && i < schema->count; i++) {
    candidates[n++] = schema->models[i]->data.uid;
    if (names && schema->models[i]->data.kind == MP_MODEL_CONTENT_TYPE) {
      candidates[n++] = schema->models[i]->data.name;
    }
  }
  if (candidates) near = mp_nearest(text, candidates, n);
  free(candidates);
  return near;
}

static mp_code resolve(const mp_schema *schema, const model *m, attribute *a, mp_error *err) {
  const char *uid = a->target ? a->target : "", *near;
  const model *target;

  if (a->data.kind != MP_ATTRIBUTE_ENTITY) return MP_OK;
  target = find_model(schema, BY_UID, uid, strlen(uid));
  if (target) {
    a->data.model = &target->data;
    return MP_OK;
  }
  near = nearest(schema, uid, false);
  return mp_fail(err, MP_EINVAL,
                 "model '%s': attribute '%s' refers to '%s', which does not exist%s%s%s",
                 m->data.uid, a->name.text, uid, near ? "; did you mean '" : "", near ? near : "",
                 near ? "'?" : "");
}

static bool index_attributes(model *m) {
  if (!make_table(&m->by_name, m->count)) return false;
  for (size_t i = 0; i < m->count; i++)
    add_slot(&m->by_name, m->attributes[i].name.hash, i);
  return true;
}

/* Of models with the same global id the deployment's own is found, or the first. Of models with the
 * same bare name the first is found, and the others behind it. */
static void index_model(mp_schema *schema, size_t i) {
  model *m = schema->models[i], *other;
  name *keys = m->keys;

  add_slot(&schema->tables[BY_UID], keys[BY_UID].hash, i);
  if (m->data.kind != MP_MODEL_CONTENT_TYPE || keys[BY_NAME].len == 0) return;
  other = find_model(schema, BY_NAME, keys[BY_NAME].text, keys[BY_NAME].len);
  while (other && other->namesake)
    other = other->namesake;
  if (other)
    other->namesake = m;
  else
    add_slot(&schema->tables[BY_NAME], keys[BY_NAME].hash, i);
}

static void index_global_ids(mp_schema *schema, bool builtin) {
  for (size_t i = 0; i < schema->count; i++) {
    const model *m = schema->models[i];
    const name *id = &m->keys[BY_GLOBAL_ID];
    if (m->data.builtin != builtin || id->len == 0) continue;
    if (find_model(schema, BY_GLOBAL_ID, id->text, id->len)) continue;
    add_slot(&schema->tables[BY_GLOBAL_ID], id->hash, i);
  }
}

mp_code mp_schema_finish(mp_schema *schema, mp_error *err) {
  mp_code code = MP_OK;

  for (int key = 0; key < MODEL_KEYS; key++) {
    if (!make_table(&schema->tables[key], schema->count)) return no_memory(err);
  }
  for (size_t i = 0; i < schema->count; i++)
    index_model(schema, i);
  index_global_ids(schema, false);
  index_global_ids(schema, true);
  for (size_t i = 0; i < schema->count && code == MP_OK; i++) {
    model *m = schema->models[i];
    for (size_t k = 0; k < m->count && code == MP_OK; k++) {
      code = resolve(schema, m, &m->attributes[k], err);
    }
    if (code == MP_OK && !index_attributes(m)) code = no_memory(err);
  }
  return code;
}

/* ---- searching ------------------------------------------------------------------------------ */

const mp_attribute *mp_model_attribute(const mp_model *data, const char *text, size_t len) {
  const model *m = (const model *)data;
  uint32_t hash = mp_hash(text, len);

  for (uint32_t at = hash & m->by_name.mask; m->by_name.slots[at];
       at = (at + 1) & m->by_name.mask) {
    const attribute *a = &m->attributes[m->by_name.slots[at] - 1];
    if (is_named(&a->name, hash, text, len)) return &a->data;
  }
  return NULL;
}

const mp_model *mp_schema_component(const mp_schema *schema, const char *uid, size_t len) {
  const model *m = find_model(schema, BY_UID, uid, len);
  return m && m->data.kind == MP_MODEL_COMPONENT ? &m->data : NULL;
}

const mp_model *mp_schema_morph(const mp_schema *schema, const char *type, size_t len) {
  const model *m = find_model(schema, BY_UID, type, len);
  if (!m) m = find_model(schema, BY_GLOBAL_ID, type, len);
  return m ? &m->data : NULL;
}

static const mp_model *unknown(const mp_schema *schema, const char *text, size_t len,
                               mp_error *err) {
  char shown[MP_SCHEMA_NAME];
  const char *near;

  snprintf(shown, sizeof shown, "%.*s", len < sizeof shown ? (int)len : (int)sizeof shown - 1,
           text);
  near = nearest(schema, shown, true);
  mp_fail(err, MP_EINVAL, "unknown model '%s'%s%s%s", shown, near ? "; did you mean '" : "",
          near ? near : "", near ? "'?" : "");
  return NULL;
}

/* A built-in model yields its bare name to the deployment's own, but for users. */
static bool yields(const model *m, bool has_own) {
  return has_own && m->data.builtin && !m->data.user;
}

static const mp_model *ambiguous(const model *first, bool has_own, mp_error *err) {
  char uids[300];
  size_t n = 0;

  for (const model *m = first; m && n < sizeof uids; m = m->namesake) {
    if (yields(m, has_own)) continue;
    n += (size_t)snprintf(uids + n, sizeof uids - n, "%s'%s'", n ? ", " : "", m->data.uid);
  }
  mp_fail(err, MP_EINVAL, "model '%.100s' is ambiguous: name one of %s", first->data.name, uids);
  return NULL;
}

const mp_model *mp_schema_find(const mp_schema *schema, const char *text, size_t len,
                               mp_error *err) {
  const model *exact = find_model(schema, BY_UID, text, len), *first, *found = NULL;
  size_t count = 0, users = 0;
  bool has_own = false;

  if (exact) return &exact->data;
  first = find_model(schema, BY_NAME, text, len);
  if (!first) return unknown(schema, text, len, err);
  for (const model *m = first; m; m = m->namesake)
    has_own |= !m->data.builtin;
  for (const model *m = first; m; m = m->namesake) {
    if (yields(m, has_own)) continue;
    if (!found) found = m;
    count++;
    users += m->data.user;
  }
  /* Which user it is makes no difference: none is sent. */
  if (count == 1 || users == count) return &found->data;
  return ambiguous(first, has_own, err);
}
