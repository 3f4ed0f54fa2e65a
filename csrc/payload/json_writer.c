/* JSON tokens onto a buffer. */
#include "payload/json_writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "payload/utf8.h"

#define EXACT_INTEGERS 9007199254740992.0 /* 2^53: every integer below is a double */

static void add_escape(mp_buf *out, unsigned char c) {
  static const char hex[] = "0123456789abcdef";
  char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

  switch (c) {
    case '"':
      mp_buf_add(out, "\\\"", 2);
      break;
    case '\\':
      mp_buf_add(out, "\\\\", 2);
      break;
    case '\b':
      mp_buf_add(out, "\\b", 2);
      break;
    case '\f':
      mp_buf_add(out, "\\f", 2);
      break;
    case '\n':
      mp_buf_add(out, "\\n", 2);
      break;
    case '\r':
      mp_buf_add(out, "\\r", 2);
      break;
    case '\t':
      mp_buf_add(out, "\\t", 2);
      break;
    default:
      mp_buf_add(out, text, 6);
  }
}

static bool plain(unsigned char c) { return c >= 0x20 && c < 0x80 && c != '"' && c != '\\'; }

bool mp_json_add_string(mp_buf *out, const char *s, size_t len) {
  size_t start = 0, i = 0;

  mp_buf_add_char(out, '"');
  for (;;) {
    unsigned char c;
    while (i < len && plain((unsigned char)s[i])) i++;
    if (i == len) break;
    c = (unsigned char)s[i];
    if (c >= 0x80) {
      size_t n = mp_utf8_sequence(s + i, len - i);
      if (n == 0) return false;
      i += n;
      continue;
    }
    mp_buf_add(out, s + start, i - start);
    add_escape(out, c);
    start = ++i;
  }
  mp_buf_add(out, s + start, len - start);
  mp_buf_add_char(out, '"');
  return true;
}

void mp_json_add_integer(mp_buf *out, int64_t value) {
  char text[24];
  char *p = text + sizeof text;
  uint64_t v = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

  do {
    *--p = (char)('0' + v % 10);
    v /= 10;
  } while (v != 0);
  if (value < 0) *--p = '-';
  mp_buf_add(out, p, (size_t)(text + sizeof text - p));
}

/* The fewest significant digits (at most 17) that read back as value; their power of ten is 10^exponent
 * for the first digit. */
static int shortest(double value, char digits[20], int *exponent) {
  char text[40];
  int precision = 15, n = 0;

  do {
    snprintf(text, sizeof text, "%.*e", precision - 1, value);
  } while (strtod(text, NULL) != value && ++precision <= 17);
  for (const char *p = text; *p != 'e'; p++) {
    if (*p >= '0' && *p <= '9') digits[n++] = *p;
  }
  while (n > 1 && digits[n - 1] == '0') n--;
  *exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
  return n;
}

static void add_zeros(mp_buf *out, int count) {
  while (count-- > 0) mp_buf_add_char(out, '0');
}

void mp_json_add_double(mp_buf *out, double value) {
  char digits[20];
  int n, exponent;

  if (fabs(value) < EXACT_INTEGERS && value == floor(value)) {
    mp_json_add_integer(out, (int64_t)value);
    return;
  }
  if (value < 0) {
    mp_buf_add_char(out, '-');
    value = -value;
  }
  n = shortest(value, digits, &exponent);
  if (exponent >= 21 || exponent < -6) {
    mp_buf_add_char(out, digits[0]);
    if (n > 1) mp_buf_add_char(out, '.');
    mp_buf_add(out, digits + 1, (size_t)n - 1);
    mp_buf_add_format(out, "e%+d", exponent);
  } else if (exponent < 0) {
    mp_buf_add(out, "0.", 2);
    add_zeros(out, -exponent - 1);
    mp_buf_add(out, digits, (size_t)n);
  } else if (n <= exponent + 1) {
    mp_buf_add(out, digits, (size_t)n);
    add_zeros(out, exponent + 1 - n);
  } else {
    mp_buf_add(out, digits, (size_t)exponent + 1);
    mp_buf_add_char(out, '.');
    mp_buf_add(out, digits + exponent + 1, (size_t)(n - exponent - 1));
  }
}
