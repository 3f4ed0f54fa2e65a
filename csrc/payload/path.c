/* Steps of error paths. */
#include "payload/path.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "payload/utf8.h"

#define MAX_SHOWN 60 /* bytes of a key */

static bool in_identifier(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_identifier(const char *key, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (!in_identifier(key[i])) return false;
  }
  return len > 0 && (key[0] < '0' || key[0] > '9');
}

size_t mp_path_key(char step[MP_PATH_STEP], const char *key, size_t len) {
  size_t n = 2;

  if (len <= MAX_SHOWN && is_identifier(key, len)) {
    return (size_t)snprintf(step, MP_PATH_STEP, ".%.*s", (int)len, key);
  }
  memcpy(step, "[\"", 2);
  for (size_t i = 0; i < len;) {
    unsigned char c = (unsigned char)key[i];
    size_t size = c < 0x80 ? 1 : mp_utf8_sequence(key + i, len - i);
    bool shown = c < 0x80 ? c >= 0x20 && c < 0x7F : size > 0;
    if (n - 2 + size > MAX_SHOWN) {
      memcpy(step + n, "...", 3);
      n += 3;
      break;
    }
    if (size == 0) size = 1;
    if (shown)
      memcpy(step + n, key + i, size);
    else
      step[n] = '?';
    n += shown ? size : 1;
    i += size;
  }
  memcpy(step + n, "\"]", 3);
  return n + 2;
}

size_t mp_path_index(char step[MP_PATH_STEP], size_t index) {
  return (size_t)snprintf(step, MP_PATH_STEP, "[%zu]", index);
}
