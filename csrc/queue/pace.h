/* A webhook's rate: how many attempts may begin now? Pure; any thread.
 *
 * A token bucket kept as one number (the generic cell rate algorithm, ATM Forum Traffic Management
 * 4.1 section 4.4.2): the time at which the bucket would be full again, in microseconds on the
 * store's clock. */
#ifndef MP_QUEUE_PACE_H
#define MP_QUEUE_PACE_H

#include <stdint.h>

typedef struct mp_pace {
  int64_t interval_us; /* between attempts in the long run; 0: no limit */
  int burst;           /* that may begin at once after a rest; at least 1 */
} mp_pace;

/* At most how many may begin now? INT32_MAX without a limit. A bucket that is further from full
 * than an empty one (the rate was changed, or the clock set back) counts as empty: it stalls
 * nothing. */
int mp_pace_room(const mp_pace *pace, int64_t full_us, int64_t now_ms);

/* That many begin, at a pace with a limit: the bucket's new time. */
int64_t mp_pace_take(const mp_pace *pace, int64_t full_us, int64_t now_ms, int count);

/* When may the next begin? now_ms or later. */
int64_t mp_pace_ready_ms(const mp_pace *pace, int64_t full_us, int64_t now_ms);

#endif
