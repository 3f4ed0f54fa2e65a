/* A growing byte buffer with a limit. Failure is sticky: after the first one every append does
 * nothing, so that a writer checks once, at its end. Not locked: one owner at a time. */
#ifndef MP_BASE_BUF_H
#define MP_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/error.h"

typedef struct mp_buf {
  char *data;     /* malloc'd; not NUL-terminated */
  size_t len;     /* bytes in use */
  size_t cap;     /* bytes that fit */
  size_t limit;   /* most bytes that may be in use */
  mp_code failed; /* MP_OK, MP_E2BIG or MP_ENOMEM */
} mp_buf;

#define MP_BUF_NO_LIMIT ((size_t)-1 / 4)

void mp_buf_init(mp_buf *b, size_t limit);
void mp_buf_free(mp_buf *b);

/* Forgets the content and any failure, keeps the memory. */
void mp_buf_reset(mp_buf *b);

/* Gives the memory away (the caller frees it) and leaves the buffer empty. NULL when nothing was
 * ever allocated. */
char *mp_buf_take(mp_buf *b, size_t *len);

/* Makes room for n more bytes. False, with the failure kept, when that cannot be. */
bool mp_buf_reserve_slow(mp_buf *b, size_t n);

static inline bool mp_buf_reserve(mp_buf *b, size_t n) {
  return (b->cap - b->len >= n && b->failed == MP_OK) || mp_buf_reserve_slow(b, n);
}

static inline void mp_buf_add(mp_buf *b, const char *bytes, size_t n) {
  if (n != 0 && mp_buf_reserve(b, n)) {
    memcpy(b->data + b->len, bytes, n);
    b->len += n;
  }
}

static inline void mp_buf_add_char(mp_buf *b, char c) {
  if (mp_buf_reserve(b, 1)) b->data[b->len++] = c;
}

/* A NUL-terminated string, without its NUL. */
static inline void mp_buf_add_str(mp_buf *b, const char *s) {
  mp_buf_add(b, s, strlen(s));
}

void mp_buf_add_format(mp_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
