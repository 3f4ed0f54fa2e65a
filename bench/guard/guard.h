/* What the guard's programs share. Each is one operation: "guard_NAME COUNT [ARGUMENT]" sets it up,
 * does it COUNT times in guarded(), and ends. Callgrind counts in guarded() alone
 * (--toggle-collect). */
#ifndef MP_BENCH_GUARD_H
#define MP_BENCH_GUARD_H

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

/* The operation, count times. Defined by each program. */
void guarded(void *state, long count);

#define GUARDED __attribute__((noinline)) void guarded

static inline void guard_check(mp_code code, const mp_error *err, const char *what) {
  if (code == MP_OK) return;
  fprintf(stderr, "guard: %s: %s\n", what, err ? err->message : mp_strerror(code));
  exit(1);
}

static inline long guard_count(int argc, char **argv) {
  long count = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
  if (count > 0) return count;
  fprintf(stderr, "usage: %s COUNT\n", argv[0]);
  exit(2);
}

#endif
