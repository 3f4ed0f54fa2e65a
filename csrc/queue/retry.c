/* The retry schedule. Pure functions; any thread. */
#include "queue/retry.h"

bool mp_retry_next(const mp_retry *retry, int attempts_made, uint64_t random, int64_t *delay_ms) {
  int64_t base, jitter;

  if (attempts_made < 1 || (size_t)attempts_made > retry->count) return false;
  base = retry->delays_ms[attempts_made - 1];
  jitter = base / 10;
  if (jitter > MP_RETRY_MAX_JITTER_MS) jitter = MP_RETRY_MAX_JITTER_MS;
  *delay_ms = base + (int64_t)(random % ((uint64_t)jitter + 1));
  return true;
}
