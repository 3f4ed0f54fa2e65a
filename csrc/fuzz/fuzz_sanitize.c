/* The sanitizer on a schema with every kind of attribute. The first byte chooses: the rest is JSON
 * text as it stands, or it chooses step by step what an entry is made of, with a canary wherever
 * nothing may come out. What comes out is JSON, has no canary, and does not change when it is
 * sanitized again. */
#include "fuzz/fuzz.h"
#include "payload/sanitize.h"
#include "test/sanitize_fixture.h"

#define CANARY "\"canary\""

typedef struct entry {
  const uint8_t *data;
  size_t size;
  int depth;
  mp_buf text;
} entry;

static mp_schema *schema;

static unsigned choose(entry *e, unsigned count) {
  if (e->size == 0) return 0;
  e->size--;
  return *e->data++ % count;
}

static void add(entry *e, const char *s) {
  mp_buf_add_str(&e->text, s);
}

/* A key in its quotes; now and then one of its bytes is escaped. */
static void add_key(entry *e, const char *key) {
  size_t escaped = choose(e, 3) == 0 ? choose(e, (unsigned)strlen(key)) : strlen(key);

  add(e, "\"");
  for (size_t i = 0; key[i]; i++) {
    if (i == escaped)
      mp_buf_add_format(&e->text, "\\u%04x", key[i]);
    else
      mp_buf_add_char(&e->text, key[i]);
  }
  add(e, "\":");
}

/* Anything at all, in which every string is secret or none is. */
static void add_any(entry *e, bool secret) {
  unsigned kind = choose(e, e->depth > 20 ? 2 : 5);

  if (secret && kind == 0) kind = 1;
  if (kind == 0) add(e, "12.50");
  if (kind == 1) add(e, secret ? CANARY : "\"public\"");
  if (kind == 2) add(e, secret ? "[" CANARY ",{\"id\":" CANARY "}]" : "[1,{\"secret\":null}]");
  if (kind < 3) return;
  e->depth++;
  add(e, kind == 3 ? "{\"id\":" : "[");
  add_any(e, secret);
  add(e, kind == 3 ? ",\"secret\":true}" : "]");
  e->depth--;
}

static void add_object(entry *e, const char *uid, const char *type_key, const char *type);

/* An object under a zone (component: only those are known) or a morph. */
static void add_typed(entry *e, bool zone) {
  static const char *const names[] = {THING, PART, USER, "Thing", "Part", "User", "None"};
  unsigned which = choose(e, 8);
  const char *key = zone ? "__component" : choose(e, 2) ? "__contentType" : "__type";
  const char *uid = which % 3 == 0 ? THING : which % 3 == 1 ? PART : USER;

  if (which >= 6 || (zone && which != 1)) uid = NULL; /* nothing of it may come out */
  add_object(e, uid, which == 7 ? NULL : key, which == 7 ? NULL : names[which]);
}

static void add_value(entry *e, const mp_attribute *a);

/* One of a few keys that every model gets; each once, as the bits of seen say. */
static bool add_field(entry *e, const char *uid, unsigned *seen, bool *first) {
  static const char *const names[] = {"id",    "name",  "json",     "secret", "one",
                                      "many",  "part",  "parts",    "owner",  "staff",
                                      "zone",  "morph", "pin",      "label",  "morphs",
                                      "thing", "email", "password", "Secret", "unknown"};
  unsigned which = choose(e, sizeof names / sizeof names[0] + 1);
  const mp_model *model;
  const mp_attribute *a;

  if (which == sizeof names / sizeof names[0]) return false;
  if (*seen & 1u << which) return e->size > 0;
  *seen |= 1u << which;
  if (!*first) add(e, ",");
  *first = false;
  add_key(e, names[which]);
  model = uid ? mp_schema_find(schema, uid, strlen(uid), NULL) : NULL;
  a = model ? mp_model_attribute(model, names[which], strlen(names[which])) : NULL;
  if (uid && model->user && strcmp(names[which], "id") != 0) a = NULL;
  if (!model && strcmp(names[which], "id") == 0)
    add(e, "7");
  else if (!a || a->kind == MP_ATTRIBUTE_DROP)
    add_any(e, true);
  else
    add_value(e, a);
  return e->size > 0;
}

static void add_object(entry *e, const char *uid, const char *type_key, const char *type) {
  unsigned seen = 0;
  bool first = true, last = type_key && choose(e, 2);

  e->depth++;
  add(e, "{");
  if (type_key && !last) {
    add_key(e, type_key);
    mp_buf_add_format(&e->text, "\"%s\"", type);
    first = false;
  }
  while (add_field(e, uid, &seen, &first))
    continue;
  if (last) {
    if (!first) add(e, ",");
    add_key(e, type_key);
    mp_buf_add_format(&e->text, "\"%s\"", type);
  }
  add(e, "}");
  e->depth--;
}

static void add_item(entry *e, const mp_attribute *a) {
  unsigned kind = choose(e, 6);

  if (kind == 0) add(e, "null");
  if (kind == 1) add(e, a->kind == MP_ATTRIBUTE_ZONE ? CANARY : "5");
  if (kind <= 1) return;
  if (a->kind == MP_ATTRIBUTE_ENTITY)
    add_object(e, a->model->uid, NULL, NULL);
  else
    add_typed(e, a->kind == MP_ATTRIBUTE_ZONE);
}

static void add_value(entry *e, const mp_attribute *a) {
  unsigned items;

  if (a->kind == MP_ATTRIBUTE_KEEP) {
    add_any(e, false);
    return;
  }
  if (e->depth > 20) {
    add(e, "null");
    return;
  }
  items = choose(e, 5);
  if (items == 0) {
    add_item(e, a);
    return;
  }
  e->depth++;
  add(e, "[");
  for (unsigned i = 1; i < items; i++) {
    if (i > 1) add(e, ",");
    add_item(e, a);
  }
  add(e, "]");
  e->depth--;
}

static mp_code sanitize(const char *text, size_t len, bool keep, mp_buf *out) {
  mp_sanitize_options options = {.keep_unknown = keep, .keep_users = keep};
  mp_buf_init(out, MP_BUF_NO_LIMIT);
  return mp_sanitize_json(schema, mp_schema_find(schema, THING, strlen(THING), NULL), &options,
                          "fuzz", text, len, out, NULL);
}

static void check(const char *text, size_t len, bool keep, bool made) {
  mp_buf once, twice;
  mp_code code = sanitize(text, len, keep, &once);

  must(code == MP_OK || !made);
  if (code == MP_OK) {
    must(keep || !made || !memmem(once.data, once.len, "canary", 6));
    must(sanitize(once.data, once.len, keep, &twice) == MP_OK);
    must(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    mp_buf_free(&twice);
  } else {
    must(once.len == 0);
  }
  mp_buf_free(&once);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  entry e = {0};

  if (!schema) schema = fixture_schema();
  must(schema != NULL);
  if (size == 0) return 0;
  if (data[0] & 1) {
    check((const char *)data + 1, size - 1, data[0] & 2, false);
    return 0;
  }
  e.data = data + 1;
  e.size = size - 1;
  mp_buf_init(&e.text, MP_BUF_NO_LIMIT);
  add_object(&e, THING, NULL, NULL);
  check(e.text.data, e.text.len, data[0] & 2, true);
  mp_buf_free(&e.text);
  return 0;
}
