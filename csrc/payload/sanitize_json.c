/* The sanitizer's JSON text source: reads by json_reader, decides by the rules, copies tokens. */
#include <string.h>

#include "payload/sanitize.h"

typedef struct source {
  mp_sanitizer sanitizer;
  mp_json *reader;
  mp_buf *out;
} source;

static void value(source *s, const mp_rule *rule);

static bool is(mp_span key, const char *name) {
  return strlen(name) == key.len && memcmp(key.data, name, key.len) == 0;
}

/* The object's model may be named by any of its keys: looks ahead with a reader of its own. Mostly
 * the first key is it. Errors are left for the pass that follows. Not inlined: the reader would be
 * on the stack once for each level of the recursion. */
static __attribute__((noinline)) mp_rule look_ahead(source *s, const mp_rule *rule) {
  mp_type_keys keys = mp_rule_type_keys(rule);
  mp_span found[2] = {{NULL, 0}, {NULL, 0}}, key;
  mp_buf decoded[2];
  mp_error why = {0};
  mp_json peek;
  mp_rule own;
  int first;

  if (!keys.names[0]) return mp_rule_of_object(&s->sanitizer, rule, NULL, "", 0);
  for (int i = 0; i < 2; i++)
    mp_buf_init(&decoded[i], MP_BUF_NO_LIMIT);
  mp_json_peek(s->reader, &peek);
  peek.err = &why;
  mp_json_begin_object(&peek);
  while (!found[0].data && mp_json_next_key(&peek, &key)) {
    int i = is(key, keys.names[0]) ? 0 : keys.names[1] && is(key, keys.names[1]) ? 1 : -1;
    if (i >= 0 && mp_json_type_of(&peek) == MP_JSON_STRING)
      mp_json_string_span(&peek, &decoded[i], &found[i]);
    else
      mp_json_skip(&peek, NULL);
  }
  first = found[0].data ? 0 : 1;
  own = mp_rule_of_object(&s->sanitizer, rule, found[first].data ? keys.names[first] : NULL,
                          found[first].data, found[first].len);
  mp_json_free(&peek);
  for (int i = 0; i < 2; i++)
    mp_buf_free(&decoded[i]);
  if (why.code == MP_ENOMEM) s->out->failed = MP_ENOMEM; /* other errors the reader finds too */
  return own;
}

static void object(source *s, const mp_rule *rule) {
  mp_rule own = look_ahead(s, rule);
  bool first = true;
  mp_span key;

  if (own.kind == MP_RULE_NULL) {
    mp_buf_add(s->out, "null", 4);
    mp_json_skip(s->reader, NULL);
    return;
  }
  mp_buf_add_char(s->out, '{');
  mp_json_begin_object(s->reader);
  while (mp_json_next_key(s->reader, &key)) {
    mp_rule of_key = mp_rule_of_key(&s->sanitizer, &own, key.data, key.len);
    const mp_json_frame *frame = &s->reader->frames[s->reader->depth - 1];
    mp_json_type type = mp_json_type_of(s->reader);
    if (mp_rule_drops(&of_key, type == MP_JSON_OBJECT || type == MP_JSON_ARRAY)) {
      mp_json_skip(s->reader, NULL);
      continue;
    }
    if (!first) mp_buf_add_char(s->out, ',');
    first = false;
    mp_buf_add(s->out, frame->key.data - 1, frame->key.len + 2); /* as written, in its quotes */
    mp_buf_add_char(s->out, ':');
    value(s, &of_key);
  }
  mp_buf_add_char(s->out, '}');
}

static void array(source *s, const mp_rule *rule) {
  bool first = true;

  mp_buf_add_char(s->out, '[');
  mp_json_begin_array(s->reader);
  while (mp_json_next_element(s->reader)) {
    if (!first) mp_buf_add_char(s->out, ',');
    first = false;
    value(s, rule);
  }
  mp_buf_add_char(s->out, ']');
}

/* Recursion is bounded: the reader fails at MP_JSON_MAX_DEPTH and then reads no more. */
static void value(source *s, const mp_rule *rule) {
  mp_json_type type = mp_json_type_of(s->reader);
  mp_span raw;

  if (type == MP_JSON_OBJECT) {
    object(s, rule);
  } else if (type == MP_JSON_ARRAY) {
    array(s, rule);
  } else if (mp_json_scalar(s->reader, &raw)) {
    if (type != MP_JSON_NULL && !mp_rule_keeps_scalars(rule)) raw = (mp_span){"null", 4};
    mp_buf_add(s->out, raw.data, raw.len);
  }
}

bool mp_sanitize_value(const mp_schema *schema, const mp_model *model,
                       const mp_sanitize_options *options, mp_json *reader, mp_buf *out) {
  source s = {.sanitizer = {.schema = schema, .options = options}, .reader = reader, .out = out};
  mp_rule rule = mp_rule_of_entry(model);

  value(&s, &rule);
  return !reader->failed;
}

mp_code mp_sanitize_json(const mp_schema *schema, const mp_model *model,
                         const mp_sanitize_options *options, const char *root, const char *text,
                         size_t len, mp_buf *out, mp_error *err) {
  size_t start = out->len;
  mp_error why = {0};
  mp_json reader;

  mp_json_init(&reader, text, len, root, &why);
  mp_sanitize_value(schema, model, options, &reader, out);
  mp_json_end(&reader);
  mp_json_free(&reader);
  if (!reader.failed && out->failed == MP_OK) return MP_OK;
  out->len = start;
  if (reader.failed) return mp_fail(err, why.code, "%s", why.message);
  if (out->failed == MP_E2BIG) {
    return mp_fail(err, MP_E2BIG, "%s: over the limit of %zu bytes", root, out->limit);
  }
  return mp_fail(err, out->failed, "out of memory");
}
