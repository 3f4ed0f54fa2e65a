/* UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing over U+10FFFF. No state; any
 * thread. */
#ifndef MP_PAYLOAD_UTF8_H
#define MP_PAYLOAD_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* The length of the well-formed multi-byte sequence at s (its first byte is 0x80 or more), at most
 * len bytes; 0 when it is malformed. */
size_t mp_utf8_sequence(const char *s, size_t len);

bool mp_utf8_valid(const char *s, size_t len);

/* Appends a code point that is no surrogate. */
void mp_utf8_add(mp_buf *out, uint32_t code);

/* Appends the bytes with each malformed one replaced by U+FFFD. */
void mp_utf8_replace(mp_buf *out, const char *s, size_t len);

#endif
