/* Checking and writing UTF-8, by the table of RFC 3629 section 4. */
#include "payload/utf8.h"

static bool tail(unsigned char c) {
  return (c & 0xC0) == 0x80;
}

size_t mp_utf8_sequence(const char *s, size_t len) {
  const unsigned char *u = (const unsigned char *)s;

  if (u[0] < 0xC2) return 0;
  if (u[0] < 0xE0) return len >= 2 && tail(u[1]) ? 2 : 0;
  if (u[0] < 0xF0) {
    if (len < 3 || !tail(u[1]) || !tail(u[2])) return 0;
    if (u[0] == 0xE0 && u[1] < 0xA0) return 0; /* overlong */
    if (u[0] == 0xED && u[1] > 0x9F) return 0; /* a surrogate */
    return 3;
  }
  if (u[0] > 0xF4 || len < 4 || !tail(u[1]) || !tail(u[2]) || !tail(u[3])) return 0;
  if (u[0] == 0xF0 && u[1] < 0x90) return 0; /* overlong */
  if (u[0] == 0xF4 && u[1] > 0x8F) return 0; /* above U+10FFFF */
  return 4;
}

bool mp_utf8_valid(const char *s, size_t len) {
  for (size_t i = 0; i < len;) {
    size_t n = (unsigned char)s[i] < 0x80 ? 1 : mp_utf8_sequence(s + i, len - i);
    if (n == 0) return false;
    i += n;
  }
  return true;
}

void mp_utf8_add(mp_buf *out, uint32_t code) {
  char bytes[4];
  size_t n;

  if (code < 0x80) {
    bytes[0] = (char)code;
    n = 1;
  } else if (code < 0x800) {
    bytes[0] = (char)(0xC0 | code >> 6);
    n = 2;
  } else if (code < 0x10000) {
    bytes[0] = (char)(0xE0 | code >> 12);
    n = 3;
  } else {
    bytes[0] = (char)(0xF0 | code >> 18);
    n = 4;
  }
  for (size_t i = n - 1; i > 0; i--) {
    bytes[i] = (char)(0x80 | (code & 0x3F));
    code >>= 6;
  }
  mp_buf_add(out, bytes, n);
}

void mp_utf8_replace(mp_buf *out, const char *s, size_t len) {
  for (size_t i = 0; i < len;) {
    size_t n = (unsigned char)s[i] < 0x80 ? 1 : mp_utf8_sequence(s + i, len - i);
    if (n == 0)
      mp_utf8_add(out, 0xFFFD);
    else
      mp_buf_add(out, s + i, n);
    i += n ? n : 1;
  }
}
