/* The strict pull reader. Recursion only in mp_json_skip, bounded by MP_JSON_MAX_DEPTH. */
#include "payload/json_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "payload/path.h"
#include "payload/scan.h"
#include "payload/utf8.h"

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

static bool no_memory(mp_json *j) {
  j->failed = true;
  mp_fail(j->err, MP_ENOMEM, "out of memory");
  return false;
}

/* ---- scalars -------------------------------------------------------------------------------- */

static void skip_space(mp_json *j) {
  while (j->at < j->len) {
    char c = j->text[j->at];
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
    j->at++;
  }
}

mp_json_type mp_json_type_of(mp_json *j) {
  if (j->failed) return MP_JSON_NONE;
  skip_space(j);
  if (j->at == j->len) {
    mp_json_fail(j, "the JSON text ends where a value is expected");
    return MP_JSON_NONE;
  }
  switch (j->text[j->at]) {
    case '{':
      return MP_JSON_OBJECT;
    case '[':
      return MP_JSON_ARRAY;
    case '"':
      return MP_JSON_STRING;
    case 'n':
      return MP_JSON_NULL;
    case 't':
      return MP_JSON_TRUE;
    case 'f':
      return MP_JSON_FALSE;
    case '-':
    case '0' ... '9':
      return MP_JSON_NUMBER;
    default:
      mp_json_fail(j, "not JSON: expected a value");
      return MP_JSON_NONE;
  }
}

const char *mp_json_type_name(mp_json_type type) {
  static const char *const names[] = {
      [MP_JSON_NONE] = "nothing",   [MP_JSON_NULL] = "null",       [MP_JSON_TRUE] = "true",
      [MP_JSON_FALSE] = "false",    [MP_JSON_NUMBER] = "a number", [MP_JSON_STRING] = "a string",
      [MP_JSON_ARRAY] = "an array", [MP_JSON_OBJECT] = "an object"};
  return names[type];
}

static bool digit(const mp_json *j, size_t at) {
  return at < j->len && j->text[at] >= '0' && j->text[at] <= '9';
}

/* RFC 8259 section 6 */
static bool read_number(mp_json *j) {
  size_t at = j->at;

  if (j->text[at] == '-') at++;
  if (!digit(j, at)) return mp_json_fail(j, "not a JSON number");
  if (j->text[at] == '0')
    at++;
  else
    while (digit(j, at))
      at++;
  if (digit(j, at)) return mp_json_fail(j, "a JSON number has no leading zeros");
  if (at < j->len && j->text[at] == '.') {
    if (!digit(j, ++at))
      return mp_json_fail(j, "not a JSON number: expected a digit after the point");
    while (digit(j, at))
      at++;
  }
  if (at < j->len && (j->text[at] == 'e' || j->text[at] == 'E')) {
    at++;
    if (at < j->len && (j->text[at] == '+' || j->text[at] == '-')) at++;
    if (!digit(j, at))
      return mp_json_fail(j, "not a JSON number: expected a digit in the exponent");
    while (digit(j, at))
      at++;
  }
  j->at = at;
  return true;
}

static bool read_word(mp_json *j, const char *word) {
  size_t len = strlen(word);
  if (j->len - j->at < len || memcmp(j->text + j->at, word, len) != 0) {
    return mp_json_fail(j, "not JSON: expected %s", word);
  }
  j->at += len;
  return true;
}

static int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* Four hexadecimal digits at at; -1 when they are not there. */
static int32_t hex4(const mp_json *j, size_t at) {
  int32_t value = 0;
  if (j->len - at < 4) return -1;
  for (size_t i = at; i < at + 4; i++) {
    int h = hex(j->text[i]);
    if (h < 0) return -1;
    value = value << 4 | h;
  }
  return value;
}

/* At a backslash. Appends what it stands for to out, when there is one. */
static bool read_escape(mp_json *j, mp_buf *out) {
  static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
  const char *name;
  int32_t code, low;
  char c = j->at + 1 < j->len ? j->text[j->at + 1] : '\0';

  if (c != 'u') {
    name = c ? strchr(names, c) : NULL;
    if (!name) return mp_json_fail(j, "not a JSON escape");
    if (out) mp_buf_add_char(out, bytes[name - names]);
    j->at += 2;
    return true;
  }
  code = hex4(j, j->at + 2);
  if (code < 0) return mp_json_fail(j, "expected four hexadecimal digits after \\u");
  if (code >= 0xDC00 && code <= 0xDFFF) return mp_json_fail(j, "a lone surrogate");
  if (code >= 0xD800 && code <= 0xDBFF) {
    bool pair = j->len - j->at >= 12 && j->text[j->at + 6] == '\\' && j->text[j->at + 7] == 'u';
    low = pair ? hex4(j, j->at + 8) : -1;
    if (low < 0xDC00 || low > 0xDFFF) return mp_json_fail(j, "a lone surrogate");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    j->at += 6;
  }
  if (out) mp_utf8_add(out, (uint32_t)code);
  j->at += 6;
  return true;
}

/* A string. Decodes onto out, when there is one; says whether it had escapes. */
static bool read_string(mp_json *j, mp_buf *out, bool *escaped) {
  size_t start = ++j->at;

  *escaped = false;
  for (;;) {
    unsigned char c;
    size_t n;
    j->at += mp_plain_run(j->text + j->at, j->len - j->at);
    if (j->at == j->len) return mp_json_fail(j, "the JSON text ends within a string");
    c = (unsigned char)j->text[j->at];
    if (c == '"') break;
    if (c < 0x20) return mp_json_fail(j, "a control character within a string");
    if (c == '\\') {
      if (out) mp_buf_add(out, j->text + start, j->at - start);
      *escaped = true;
      if (!read_escape(j, out)) return false;
      start = j->at;
      continue;
    }
    while (j->at < j->len && (unsigned char)j->text[j->at] >= 0x80) {
      n = mp_utf8_sequence(j->text + j->at, j->len - j->at);
      if (n == 0) return mp_json_fail(j, "a string is not valid UTF-8");
      j->at += n;
    }
  }
  if (out) mp_buf_add(out, j->text + start, j->at - start);
  j->at++;
  return true;
}

bool mp_json_scalar(mp_json *j, mp_span *raw) {
  mp_json_type type = mp_json_type_of(j);
  size_t start = j->at;
  bool ok = false, escaped;

  switch (type) {
    case MP_JSON_STRING:
      ok = read_string(j, NULL, &escaped);
      break;
    case MP_JSON_NUMBER:
      ok = read_number(j);
      break;
    case MP_JSON_NULL:
      ok = read_word(j, "null");
      break;
    case MP_JSON_TRUE:
      ok = read_word(j, "true");
      break;
    case MP_JSON_FALSE:
      ok = read_word(j, "false");
      break;
    case MP_JSON_ARRAY:
    case MP_JSON_OBJECT:
      return mp_json_fail(j, "expected a scalar");
    case MP_JSON_NONE:
      return false;
  }
  if (ok && raw) *raw = (mp_span){j->text + start, j->at - start};
  return ok;
}

static bool at_type(mp_json *j, mp_json_type expected) {
  mp_json_type type = mp_json_type_of(j);
  if (type == expected) return true;
  if (type == MP_JSON_NONE) return false;
  return mp_json_fail(j, "expected %s, got %s", mp_json_type_name(expected),
                      mp_json_type_name(type));
}

bool mp_json_string(mp_json *j, mp_buf *out) {
  bool escaped;

  if (!at_type(j, MP_JSON_STRING) || !read_string(j, out, &escaped)) return false;
  if (out->failed == MP_ENOMEM) return no_memory(j);
  if (out->failed == MP_OK) return true;
  mp_json_fail(j, "a string of more than %zu bytes", out->limit);
  if (j->err) j->err->code = MP_E2BIG;
  return false;
}

bool mp_json_string_span(mp_json *j, mp_buf *scratch, mp_span *out) {
  size_t start;
  bool escaped;

  if (!at_type(j, MP_JSON_STRING)) return false;
  start = j->at;
  if (!read_string(j, NULL, &escaped)) return false;
  *out = (mp_span){j->text + start + 1, j->at - start - 2};
  if (!escaped) return true;
  j->at = start;
  mp_buf_reset(scratch);
  if (!mp_json_string(j, scratch)) return false;
  *out = (mp_span){scratch->data, scratch->len};
  return true;
}

/* ---- objects and arrays --------------------------------------------------------------------- */

static bool open_frame(mp_json *j, bool object) {
  if (!at_type(j, object ? MP_JSON_OBJECT : MP_JSON_ARRAY)) return false;
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
  skip_space(j);
  if (j->at == j->len) return mp_json_fail(j, "the JSON text ends before a '%c'", close);
  if (j->text[j->at] == close) {
    j->at++;
    return false;
  }
  if (!f->first) {
    if (j->text[j->at] != ',') return mp_json_fail(j, "not JSON: expected ',' or '%c'", close);
    j->at++;
    skip_space(j);
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
    if (!keys) return no_memory(j);
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
  read_string(j, &j->names, &escaped);
  j->at = after;
  k->len = j->names.len - k->name;
  return j->names.failed == MP_OK || no_memory(j);
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
  if (!read_string(j, NULL, &escaped)) return false;
  k.name = k.at + 1;
  k.len = j->at - k.at - 2;
  f->key = (mp_span){j->text + k.name, k.len};
  if (escaped && !decode_key(j, &k)) return false;
  *key = (mp_span){key_text(j, &k), k.len};
  if (!j->peeking) {
    k.hash = mp_hash(key->data, key->len);
    if (!note_key(j, f, &k)) return false;
  }
  skip_space(j);
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
  skip_space(j);
  return j->at == j->len || mp_json_fail(j, "more text after the JSON value");
}
