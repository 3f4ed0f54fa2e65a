/* The strict pull reader: objects, arrays and errors; json_scalar.c has the rest. Recursion only in
 * mp_json_skip, bounded by MP_JSON_MAX_DEPTH. */
#include "payload/json_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "payload/json_token.h"
#include "payload/path.h"
#include "payload/scan.h"

#define FEW_KEYS  32 /* so many are compared one by one; more are sorted at the object's end */
#define MAX_ALIKE 64 /* so many keys of one object may have one hash and length */

void mp_json_init(mp_json *j, const char *text, size_t len, const char *root, mp_error *err) {
  j->text = text;
  j->len = len;
  j->at = 0;
  j->root = root;
  j->err = err;
  j->failed = false;
  j->peeking = false;
  j->depth = 0;
  j->keys = NULL;
  j->key_count = j->key_cap = 0;
  mp_buf_init(&j->names, MP_BUF_NO_LIMIT);
}

void mp_json_peek(const mp_json *from, mp_json *peek) {
  mp_json_init(peek, from->text, from->len, from->root, NULL);
  peek->at = from->at;
  peek->failed = from->failed;
  peek->peeking = true;
}

void mp_json_free(mp_json *j) {
  free(j->keys);
  mp_buf_free(&j->names);
}

/* ---- errors --------------------------------------------------------------------------------- */

static void add_path(const mp_json *j, char *out, size_t size) {
  size_t n = (size_t)snprintf(out, size, "%.60s", j->root);

  for (int i = 0; i < j->depth; i++) {
    const mp_json_frame *f = &j->frames[i];
    char step[MP_PATH_STEP];
    size_t len;
    if (f->object ? !f->key.data : f->index == 0) continue;
    len = f->object ? mp_path_key(step, f->key.data, f->key.len) : mp_path_index(step, f->index);
    if (n + len + sizeof MP_PATH_CUT > size) {
      memcpy(out + n, MP_PATH_CUT, sizeof MP_PATH_CUT);
      return;
    }
    memcpy(out + n, step, len + 1);
    n += len;
  }
}

bool mp_json_fail(mp_json *j, const char *format, ...) {
  char path[240], what[200];
  va_list args;

  if (j->failed) return false;
  j->failed = true;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  add_path(j, path, sizeof path);
  mp_fail(j->err, MP_EINVAL, "%s: %s (byte %zu)", path, what, j->at + 1);
  return false;
}

bool mp_json_no_memory(mp_json *j) {
  j->failed = true;
  mp_fail(j->err, MP_ENOMEM, "out of memory");
  return false;
}

/* ---- objects and arrays --------------------------------------------------------------------- */

static bool open_frame(mp_json *j, bool object) {
  if (!mp_json_at_type(j, object ? MP_JSON_OBJECT : MP_JSON_ARRAY)) return false;
  if (j->depth == MP_JSON_MAX_DEPTH) {
    return mp_json_fail(j, "nested more than %d deep", MP_JSON_MAX_DEPTH);
  }
  j->at++;
  j->frames[j->depth++] =
      (mp_json_frame){.object = object, .first = true, .keys = j->key_count, .names = j->names.len};
  return true;
}

/* Between elements: true when there is another one, false at the end or on an error. */
static bool advance(mp_json *j, char close) {
  mp_json_frame *f = &j->frames[j->depth - 1];

  if (j->failed) return false;
  mp_json_skip_space(j);
  if (j->at == j->len) return mp_json_fail(j, "the JSON text ends before a '%c'", close);
  if (j->text[j->at] == close) {
    j->at++;
    return false;
  }
  if (!f->first) {
    if (j->text[j->at] != ',') return mp_json_fail(j, "not JSON: expected ',' or '%c'", close);
    j->at++;
    mp_json_skip_space(j);
  }
  f->first = false;
  return true;
}

static const char *key_text(const mp_json *j, const mp_json_key *k) {
  return (k->decoded ? j->names.data : j->text) + k->name;
}

static bool same_key(const mp_json *j, const mp_json_key *a, const mp_json_key *b) {
  return a->hash == b->hash && a->len == b->len &&
         memcmp(key_text(j, a), key_text(j, b), a->len) == 0;
}

static bool duplicate(mp_json *j, const mp_json_key *k) {
  j->frames[j->depth - 1].key = (mp_span){key_text(j, k), k->len};
  j->at = k->at;
  return mp_json_fail(j, "this key is there twice");
}

static int by_hash(const void *left, const void *right) {
  const mp_json_key *a = left, *b = right;
  if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
  if (a->len != b->len) return a->len < b->len ? -1 : 1;
  return a->at < b->at ? -1 : 1;
}

/* Keys of equal hash and length stand together then. As keys can be made to collide, what stands
 * together is compared one by one only up to a bound, which honest keys do not reach. */
static bool check_many(mp_json *j, mp_json_key *keys, size_t count) {
  size_t run = 0;
  qsort(keys, count, sizeof *keys, by_hash);
  for (size_t i = 1; i < count; i++) {
    if (keys[i].hash != keys[run].hash || keys[i].len != keys[run].len) {
      run = i;
      continue;
    }
    for (size_t k = run; k < i; k++) {
      if (same_key(j, &keys[i], &keys[k])) return duplicate(j, &keys[i]);
    }
    if (i - run == MAX_ALIKE) return mp_json_fail(j, "an object whose keys all hash alike");
  }
  return true;
}

static bool note_key(mp_json *j, const mp_json_frame *f, const mp_json_key *key) {
  if (j->key_count - f->keys < FEW_KEYS) {
    for (size_t i = f->keys; i < j->key_count; i++) {
      if (same_key(j, &j->keys[i], key)) return duplicate(j, key);
    }
  }
  if (j->key_count == j->key_cap) {
    size_t cap = j->key_cap ? j->key_cap * 2 : 64;
    mp_json_key *keys = realloc(j->keys, cap * sizeof *keys);
    if (!keys) return mp_json_no_memory(j);
    j->keys = keys;
    j->key_cap = cap;
  }
  j->keys[j->key_count++] = *key;
  return true;
}

bool mp_json_begin_object(mp_json *j) {
  return open_frame(j, true);
}
bool mp_json_begin_array(mp_json *j) {
  return open_frame(j, false);
}

static void close_object(mp_json *j, const mp_json_frame *f) {
  size_t count = j->key_count - f->keys;
  if (count > FEW_KEYS && !check_many(j, j->keys + f->keys, count)) return;
  j->key_count = f->keys;
  j->names.len = f->names;
  j->depth--;
}

/* Decodes a key that has escapes into the names buffer. */
static bool decode_key(mp_json *j, mp_json_key *k) {
  size_t after = j->at;
  bool escaped;

  k->decoded = true;
  k->name = j->names.len;
  j->at = k->at;
  mp_json_read_string(j, &j->names, &escaped);
  j->at = after;
  k->len = j->names.len - k->name;
  return j->names.failed == MP_OK || mp_json_no_memory(j);
}

bool mp_json_next_key(mp_json *j, mp_span *key) {
  mp_json_frame *f;
  mp_json_key k = {0};
  bool escaped;

  if (j->failed) return false;
  f = &j->frames[j->depth - 1];
  if (!advance(j, '}')) {
    if (!j->failed) close_object(j, f);
    return false;
  }
  if (j->at == j->len || j->text[j->at] != '"') {
    return mp_json_fail(j, "not JSON: expected a key in quotes");
  }
  k.at = j->at;
  if (!mp_json_read_string(j, NULL, &escaped)) return false;
  k.name = k.at + 1;
  k.len = j->at - k.at - 2;
  f->key = (mp_span){j->text + k.name, k.len};
  if (escaped && !decode_key(j, &k)) return false;
  *key = (mp_span){key_text(j, &k), k.len};
  if (!j->peeking) {
    k.hash = mp_hash(key->data, key->len);
    if (!note_key(j, f, &k)) return false;
  }
  mp_json_skip_space(j);
  if (j->at == j->len || j->text[j->at] != ':') return mp_json_fail(j, "not JSON: expected ':'");
  j->at++;
  return true;
}

bool mp_json_next_element(mp_json *j) {
  mp_json_frame *f;

  if (j->failed) return false;
  f = &j->frames[j->depth - 1];
  if (!advance(j, ']')) {
    if (!j->failed) j->depth--;
    return false;
  }
  f->index++;
  return true;
}

bool mp_json_skip(mp_json *j, mp_span *raw) {
  mp_json_type type = mp_json_type_of(j);
  size_t start = j->at;
  mp_span key;

  if (type == MP_JSON_OBJECT) {
    mp_json_begin_object(j);
    while (mp_json_next_key(j, &key))
      mp_json_skip(j, NULL);
  } else if (type == MP_JSON_ARRAY) {
    mp_json_begin_array(j);
    while (mp_json_next_element(j))
      mp_json_skip(j, NULL);
  } else {
    mp_json_scalar(j, NULL);
  }
  if (!j->failed && raw) *raw = (mp_span){j->text + start, j->at - start};
  return !j->failed;
}

bool mp_json_end(mp_json *j) {
  if (j->failed) return false;
  mp_json_skip_space(j);
  return j->at == j->len || mp_json_fail(j, "more text after the JSON value");
}
