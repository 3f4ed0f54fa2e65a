/* The growing byte buffer: doubling, up to its limit. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void mp_buf_init(mp_buf *b, size_t limit) {
  *b = (mp_buf){.limit = limit < MP_BUF_NO_LIMIT ? limit : MP_BUF_NO_LIMIT};
}

void mp_buf_free(mp_buf *b) {
  free(b->data);
  *b = (mp_buf){.limit = b->limit};
}

void mp_buf_reset(mp_buf *b) {
  b->len = 0;
  b->failed = MP_OK;
}

char *mp_buf_take(mp_buf *b, size_t *len) {
  char *data = b->data;
  if (len) *len = b->len;
  *b = (mp_buf){.limit = b->limit};
  return data;
}

bool mp_buf_reserve_slow(mp_buf *b, size_t n) {
  size_t cap, need;
  char *data;

  if (b->failed != MP_OK) return false;
  if (n > b->limit || b->len > b->limit - n) {
    b->failed = MP_E2BIG;
    return false;
  }
  need = b->len + n;
  if (need <= b->cap) return true;
  cap = b->cap ? b->cap * 2 : 256;
  while (cap < need)
    cap *= 2;
  if (cap > b->limit) cap = b->limit;
  data =
      realloc(b->data, cap + 1); /* vsnprintf wants room for a NUL that the buffer does not keep */
  if (!data) {
    b->failed = MP_ENOMEM;
    return false;
  }
  b->data = data;
  b->cap = cap;
  return true;
}

void mp_buf_add_format(mp_buf *b, const char *format, ...) {
  va_list args;
  int n;

  va_start(args, format);
  n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (n < 0 || !mp_buf_reserve(b, (size_t)n)) return;
  if (!b->data) return; /* nothing to write into nothing */
  va_start(args, format);
  vsnprintf(b->data + b->len, (size_t)n + 1, format, args);
  va_end(args);
  b->len += (size_t)n;
}
