/* The retry schedule. Pure functions; any thread. */
#include "queue/retry.h"

#define SECONDS(n) ((int64_t)(n)*1000)
#define MINUTES(n) SECONDS((n)*60)
#define HOURS(n)   MINUTES((n)*60)

static const int64_t default_delays_ms[] = {
    SECONDS(5), MINUTES(5), MINUTES(30), HOURS(2),  HOURS(5),
    HOURS(10),  HOURS(14),  HOURS(20),   HOURS(24),
};

const mp_retry mp_retry_default = {
    .delays_ms = default_delays_ms,
    .count = sizeof default_delays_ms / sizeof default_delays_ms[0],
};

bool mp_retry_next(const mp_retry *retry, int attempts_made, uint64_t random, int64_t *delay_ms) {
  int64_t base, jitter;

  if (attempts_made < 1 || (size_t)attempts_made > retry->count) return false;
  base = retry->delays_ms[attempts_made - 1];
  jitter = base / 10;
  if (jitter > MP_RETRY_MAX_JITTER_MS) jitter = MP_RETRY_MAX_JITTER_MS;
  *delay_ms = base + (int64_t)(random % ((uint64_t)jitter + 1));
  return true;
}
