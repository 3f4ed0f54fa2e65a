/* What the inner loops of the reader, the writer and the schema share: finding the end of a run of
 * plain string bytes, and hashing keys. No state; any thread. */
#ifndef MP_PAYLOAD_SCAN_H
#define MP_PAYLOAD_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t mp_load64(const char *s) {
  uint64_t word;
  memcpy(&word, s, sizeof word);
  return word;
}

static inline uint32_t mp_load32(const char *s) {
  uint32_t word;
  memcpy(&word, s, sizeof word);
  return word;
}

/* Bytes that stand for themselves within a JSON string: ASCII but controls, quote and backslash. */
static inline bool mp_is_plain(unsigned char c) {
  return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

#define MP_EACH_BYTE(c) (0x0101010101010101u * (c))

/* How many of the first bytes are plain. Eight at a time: in a byte's top bit stands whether it is
 * under 0x20, a quote, a backslash or over 0x7F. A borrow can set a bit wrongly, but only above a
 * byte that is not plain itself, so that a word without any bit set is plain. */
static inline size_t mp_plain_run(const char *s, size_t len) {
  size_t i = 0;

  for (; i + 8 <= len; i += 8) {
    uint64_t w = mp_load64(s + i);
    uint64_t quote = w ^ MP_EACH_BYTE('"'), backslash = w ^ MP_EACH_BYTE('\\');
    uint64_t odd =
        (w - MP_EACH_BYTE(0x20)) | (quote - MP_EACH_BYTE(1)) | (backslash - MP_EACH_BYTE(1)) | w;
    if (odd & MP_EACH_BYTE(0x80)) break;
  }
  while (i < len && mp_is_plain((unsigned char)s[i]))
    i++;
  return i;
}

/* Every byte counts. Not proof against keys that are made to collide: users of it bound what those
 * cost. */
static inline uint32_t mp_hash(const char *s, size_t len) {
  const uint64_t multiplier = 0x9E3779B97F4A7C15u; /* 2^64 divided by the golden ratio */
  uint64_t h = len * multiplier, last = 0;

  for (; len > 8; s += 8, len -= 8) {
    h = (h ^ mp_load64(s)) * multiplier;
    h ^= h >> 32;
  }
  if (len >= 4)
    last = mp_load32(s) | (uint64_t)mp_load32(s + len - 4) << 32;
  else if (len > 0)
    last = (unsigned char)s[0] | (uint64_t)(unsigned char)s[len / 2] << 8 |
           (uint64_t)(unsigned char)s[len - 1] << 16;
  h = (h ^ last) * multiplier;
  return (uint32_t)(h >> 32);
}

#endif
