/* What the fuzz targets share: an invariant that does not hold ends the process, and input that is
 * read step by step. */
#ifndef MP_FUZZ_FUZZ_H
#define MP_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void must(bool holds) {
  if (!holds) abort();
}

typedef struct fuzz_input {
  const uint8_t *data;
  size_t size;
} fuzz_input;

/* 0 when nothing is left. */
static inline unsigned fuzz_choose(fuzz_input *in, unsigned count) {
  if (in->size == 0) return 0;
  in->size--;
  return *in->data++ % count;
}

/* The bytes up to the next NUL, or to the end, as a string of their own: the caller frees it. */
static inline char *fuzz_text(fuzz_input *in) {
  size_t len = strnlen((const char *)in->data, in->size);
  char *text = malloc(len + 1);

  must(text != NULL);
  if (len > 0) memcpy(text, in->data, len);
  text[len] = '\0';
  if (len < in->size) len++;
  in->data += len;
  in->size -= len;
  return text;
}

#endif
