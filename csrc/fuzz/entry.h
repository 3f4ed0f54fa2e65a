/* An entry as JSON text, of THING's model in test/sanitize_fixture.h, made step by step as the
 * input's bytes choose: with words that may not come out wherever nothing may come out. */
#ifndef MP_FUZZ_ENTRY_H
#define MP_FUZZ_ENTRY_H

#include "base/buf.h"
#include "fuzz/fuzz.h"
#include "payload/schema.h"
#include "test/sanitize_fixture.h"

#define PUBLIC  "public"
#define CANARY  "canary"  /* comes out only where unknown keys are kept */
#define INSIDER "insider" /* comes out only where users are kept */
#define SEALED  "sealed"  /* never comes out */
#define ASTRAY  "astray"  /* a scalar among a zone's components: null comes out */

#define ENTRY_DEPTH 20 /* from here on it ends */

typedef struct entry {
  fuzz_input in;
  const mp_schema *schema;
  int depth;
  mp_buf text;
} entry;

static inline unsigned entry_choose(entry *e, unsigned count) {
  return fuzz_choose(&e->in, count);
}

static inline void entry_add(entry *e, const char *s) {
  mp_buf_add_str(&e->text, s);
}

static inline void entry_add_word(entry *e, const char *word) {
  mp_buf_add_format(&e->text, "\"%s\"", word);
}

/* A key in its quotes; now and then one of its bytes is escaped. */
static inline void entry_add_key(entry *e, const char *key) {
  size_t len = strlen(key), escaped = len;

  if (entry_choose(e, 3) == 0) escaped = entry_choose(e, (unsigned)len);
  entry_add(e, "\"");
  for (size_t i = 0; i < len; i++) {
    if (i == escaped)
      mp_buf_add_format(&e->text, "\\u%04x", key[i]);
    else
      mp_buf_add_char(&e->text, key[i]);
  }
  entry_add(e, "\":");
}

/* The last one is beyond a double. */
static inline void entry_add_plain(entry *e) {
  static const char *const plain[] = {"12.50",
                                      "null",
                                      "true",
                                      "7",
                                      "-0",
                                      "1e3",
                                      "5e-324",
                                      "\"\\u0000\"",
                                      "\"\\ud83d\\ude00/\\n\"",
                                      "0.1",
                                      "1E+21",
                                      "\"\"",
                                      "123456789012345678",
                                      "9223372036854775807",
                                      "-9223372036854775808",
                                      "9223372036854775808",
                                      "1e400"};
  entry_add(e, plain[entry_choose(e, sizeof plain / sizeof plain[0])]);
}

/* Anything at all, in which every string that is no key is the word. */
static inline void entry_add_any(entry *e, const char *word) {
  unsigned kind = entry_choose(e, e->depth > ENTRY_DEPTH ? 2 : 7);

  if (kind == 0 && strcmp(word, PUBLIC) == 0)
    entry_add_plain(e);
  else if (kind <= 1)
    entry_add_word(e, word);
  else if (kind == 2)
    entry_add(e, "[1,{\"secret\":null}]");
  else if (kind <= 4)
    entry_add(e, kind == 3 ? "{}" : "[]");
  if (kind < 5) return;
  e->depth++;
  entry_add(e, kind == 5 ? "{\"id\":" : "[");
  entry_add_any(e, word);
  entry_add(e, kind == 5 ? ",\"secret\":true}" : ",null]");
  e->depth--;
}

/* What names an object's model: key NULL for none. Beside it may stand a decoy, which may not
 * matter: a key that comes second, or one that is no string. */
typedef struct entry_type {
  const char *key, *name;
  const char *decoy_key, *decoy;
} entry_type;

static inline void entry_add_object(entry *e, const char *uid, const entry_type *type);

/* An object under a zone (components: only those are known) or a morph. */
static inline void entry_add_typed(entry *e, bool zone) {
  static const char *const names[] = {THING, PART, USER, "Thing", "Part", "User", "None"};
  static const char *const decoys[] = {"null", "7", "{}", "[\"" THING "\"]"};
  unsigned which = entry_choose(e, 8), decoy = entry_choose(e, 6);
  const char *uid = which % 3 == 0 ? THING : which % 3 == 1 ? PART : USER;
  entry_type type = {.name = which == 7 ? NULL : names[which]};

  if (which >= 6 || (zone && which != 1)) uid = NULL; /* nothing of it may come out */
  if (which < 7) type.key = zone ? "__component" : entry_choose(e, 2) ? "__contentType" : "__type";
  if (!zone && decoy < 4 && (!type.key || strcmp(type.key, "__type") == 0)) {
    type.decoy_key = "__contentType";
    type.decoy = decoys[decoy];
  } else if (!zone && decoy == 4 && type.key && strcmp(type.key, "__contentType") == 0) {
    type.decoy_key = "__type";
    type.decoy = which == 1 ? "\"" THING "\"" : "\"" PART "\"";
  }
  entry_add_object(e, uid, &type);
}

static inline void entry_add_item(entry *e, const mp_attribute *a) {
  static const entry_type none = {0};
  unsigned kind = entry_choose(e, 6);

  if (kind == 0)
    entry_add(e, "null");
  else if (kind == 1)
    entry_add(e, a->kind == MP_ATTRIBUTE_ZONE ? "\"" ASTRAY "\"" : "5");
  else if (a->kind == MP_ATTRIBUTE_ENTITY)
    entry_add_object(e, a->model->uid, &none);
  else
    entry_add_typed(e, a->kind == MP_ATTRIBUTE_ZONE);
}

static inline void entry_add_value(entry *e, const mp_attribute *a) {
  unsigned items;

  if (a->kind == MP_ATTRIBUTE_KEEP) {
    entry_add_any(e, PUBLIC);
    return;
  }
  if (e->depth > ENTRY_DEPTH) {
    entry_add(e, "null");
    return;
  }
  items = entry_choose(e, 6);
  if (items == 0) {
    entry_add_item(e, a);
    return;
  }
  e->depth++;
  entry_add(e, "[");
  for (unsigned i = 1; i < items; i++) {
    if (i > 1) entry_add(e, ",");
    entry_add_item(e, a);
  }
  entry_add(e, "]");
  e->depth--;
}

/* The value of a key of an object of a model; uid NULL: of none. */
static inline void entry_add_field(entry *e, const char *uid, const char *key) {
  const mp_model *model = uid ? mp_schema_find(e->schema, uid, strlen(uid), NULL) : NULL;
  const mp_attribute *a = model ? mp_model_attribute(model, key, strlen(key)) : NULL;
  bool is_id = strcmp(key, "id") == 0;

  if (!model && is_id)
    entry_add(e, "7");
  else if (!model || (a && a->kind == MP_ATTRIBUTE_DROP))
    entry_add_any(e, SEALED);
  else if (!a)
    entry_add_any(e, CANARY);
  else if (model->user && !is_id)
    entry_add_any(e, INSIDER);
  else
    entry_add_value(e, a);
}

static inline void entry_add_comma(entry *e, bool *first) {
  if (!*first) entry_add(e, ",");
  *first = false;
}

static inline void entry_add_types(entry *e, const entry_type *type, bool *first) {
  bool decoy_first = type->decoy_key && entry_choose(e, 2);

  for (int i = 0; i < 2; i++) {
    bool decoy = (i == 0) == decoy_first;
    if (!(decoy ? type->decoy_key : type->key)) continue;
    entry_add_comma(e, first);
    entry_add_key(e, decoy ? type->decoy_key : type->key);
    if (decoy)
      entry_add(e, type->decoy);
    else
      entry_add_word(e, type->name);
  }
}

/* uid NULL: of no model. */
static inline void entry_add_object(entry *e, const char *uid, const entry_type *type) {
  static const char *const names[] = {"id",    "name",  "json",     "secret", "one",
                                      "many",  "part",  "parts",    "owner",  "staff",
                                      "zone",  "morph", "pin",      "label",  "morphs",
                                      "thing", "email", "password", "Secret", "unknown"};
  const unsigned count = sizeof names / sizeof names[0];
  unsigned seen = 0, which;
  bool first = true, types_last = entry_choose(e, 2);

  e->depth++;
  entry_add(e, "{");
  if (!types_last) entry_add_types(e, type, &first);
  while (e->in.size > 0 && (which = entry_choose(e, count + 1)) < count) {
    if (seen & 1u << which) continue; /* each key once */
    seen |= 1u << which;
    entry_add_comma(e, &first);
    entry_add_key(e, names[which]);
    entry_add_field(e, uid, names[which]);
  }
  if (types_last) entry_add_types(e, type, &first);
  entry_add(e, "}");
  e->depth--;
}

/* The caller frees the text. */
static inline mp_buf entry_make(const mp_schema *schema, const uint8_t *data, size_t size) {
  static const entry_type none = {0};
  entry e = {.in = {data, size}, .schema = schema};

  mp_buf_init(&e.text, MP_BUF_NO_LIMIT);
  entry_add_object(&e, THING, &none);
  must(e.text.failed == MP_OK);
  return e.text;
}

#endif
