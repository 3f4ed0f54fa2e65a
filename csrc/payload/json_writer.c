/* JSON strings onto a buffer. */
#include "payload/json_writer.h"

#include "payload/scan.h"
#include "payload/utf8.h"

static void add_escape(mp_buf *out, unsigned char c) {
  static const char hex[] = "0123456789abcdef";
  static const char names[0x20] = {
      ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
  char name = c < 0x20 ? names[c] : (char)c;

  if (name)
    mp_buf_add(out, (char[]){'\\', name}, 2);
  else
    mp_buf_add(out, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

bool mp_json_add_string(mp_buf *out, const char *s, size_t len) {
  size_t i = mp_plain_run(s, len), start = 0;

  if (i == len) { /* mostly: room once for all of it */
    if (!mp_buf_reserve(out, len + 2)) return true;
    out->data[out->len] = '"';
    memcpy(out->data + out->len + 1, s, len);
    out->data[out->len + 1 + len] = '"';
    out->len += len + 2;
    return true;
  }
  mp_buf_add_char(out, '"');
  for (; i < len; i += mp_plain_run(s + i, len - i)) {
    while (i < len && (unsigned char)s[i] >= 0x80) {
      size_t n = mp_utf8_sequence(s + i, len - i);
      if (n == 0) return false;
      i += n;
    }
    if (i == len || mp_is_plain((unsigned char)s[i])) continue;
    mp_buf_add(out, s + start, i - start);
    add_escape(out, (unsigned char)s[i]);
    start = ++i;
  }
  mp_buf_add(out, s + start, len - start);
  mp_buf_add_char(out, '"');
  return true;
}
