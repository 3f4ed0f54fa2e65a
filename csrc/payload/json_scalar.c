/* The strict pull reader's scalars: words, numbers and strings. */
#include <string.h>

#include "payload/json_token.h"
#include "payload/scan.h"
#include "payload/utf8.h"

mp_json_type mp_json_type_of(mp_json *j) {
  if (j->failed) return MP_JSON_NONE;
  mp_json_skip_space(j);
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

bool mp_json_read_string(mp_json *j, mp_buf *out, bool *escaped) {
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
      ok = mp_json_read_string(j, NULL, &escaped);
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

bool mp_json_at_type(mp_json *j, mp_json_type expected) {
  mp_json_type type = mp_json_type_of(j);
  if (type == expected) return true;
  if (type == MP_JSON_NONE) return false;
  return mp_json_fail(j, "expected %s, got %s", mp_json_type_name(expected),
                      mp_json_type_name(type));
}

bool mp_json_string(mp_json *j, mp_buf *out) {
  bool escaped;

  if (!mp_json_at_type(j, MP_JSON_STRING) || !mp_json_read_string(j, out, &escaped)) return false;
  if (out->failed == MP_ENOMEM) return mp_json_no_memory(j);
  if (out->failed == MP_OK) return true;
  mp_json_fail(j, "a string of more than %zu bytes", out->limit);
  if (j->err) j->err->code = MP_E2BIG;
  return false;
}

bool mp_json_string_span(mp_json *j, mp_buf *scratch, mp_span *out) {
  size_t start;
  bool escaped;

  if (!mp_json_at_type(j, MP_JSON_STRING)) return false;
  start = j->at;
  if (!mp_json_read_string(j, NULL, &escaped)) return false;
  *out = (mp_span){j->text + start + 1, j->at - start - 2};
  if (!escaped) return true;
  j->at = start;
  mp_buf_reset(scratch);
  if (!mp_json_string(j, scratch)) return false;
  *out = (mp_span){scratch->data, scratch->len};
  return true;
}
