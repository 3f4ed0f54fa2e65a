/* Base64. No state; callable from any thread. */
#include "crypto/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void mp_base64_add(mp_buf *out, const unsigned char *bytes, size_t len) {
  for (size_t i = 0; i < len; i += 3) {
    size_t left = len - i;
    unsigned group = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                     (left > 2 ? bytes[i + 2] : 0);
    char text[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63],
                    left > 1 ? alphabet[group >> 6 & 63] : '=',
                    left > 2 ? alphabet[group & 63] : '='};
    mp_buf_add(out, text, 4);
  }
}

static int digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

/* Four characters to one to three bytes; 0 when they are none. Bits that padding leaves over must
 * be zero, so that a value has one spelling. */
static int decode_group(const char *text, unsigned char out[3]) {
  int digits[4], bytes = text[3] != '=' ? 3 : text[2] != '=' ? 2 : 1;
  unsigned group = 0;

  for (int i = 0; i < 4; i++) {
    digits[i] = i > bytes ? 0 : digit(text[i]);
    if (digits[i] < 0 || (i > bytes && text[i] != '=')) return 0;
    group = group << 6 | (unsigned)digits[i];
  }
  out[0] = (unsigned char)(group >> 16);
  out[1] = (unsigned char)(group >> 8);
  out[2] = (unsigned char)group;
  if ((bytes < 3 && out[2] != 0) || (bytes < 2 && out[1] != 0)) return 0;
  return bytes;
}

bool mp_base64_decode(mp_buf *out, const char *text, size_t len) {
  if (len % 4 != 0) return false;
  for (size_t i = 0; i < len; i += 4) {
    unsigned char bytes[3];
    int count = decode_group(text + i, bytes);
    if (count == 0 || (count < 3 && i + 4 < len)) return false;
    mp_buf_add(out, (const char *)bytes, (size_t)count);
  }
  return out->failed == MP_OK;
}
