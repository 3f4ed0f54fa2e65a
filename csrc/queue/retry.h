/* The retry schedule: when is a delivery that failed tried again? Pure; any thread. */
#ifndef MP_QUEUE_RETRY_H
#define MP_QUEUE_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The waits between attempts: n of them make n + 1 attempts. */
typedef struct mp_retry {
  const int64_t *delays_ms; /* each >= 0 */
  size_t count;
} mp_retry;

#define MP_RETRY_MAX_JITTER_MS (15 * 60 * 1000)

/* attempts_made counts the attempts of the present schedule, so it is at least 1. False when the
 * schedule is used up. Otherwise delay_ms is the wait until the next attempt: the schedule's own
 * and, so that what failed together does not come back together, up to a tenth more (at most
 * MP_RETRY_MAX_JITTER_MS), chosen by random. Never less: a schedule is a promise to the receiver.
 */
bool mp_retry_next(const mp_retry *retry, int attempts_made, uint64_t random, int64_t *delay_ms);

#endif
