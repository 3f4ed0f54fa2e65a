/* A circuit breaker: when is a receiver that keeps failing left alone, and when is it tried again?
 *
 * Pure; one for each lane, used by the store thread. Open after 10 failures in a row, or when at
 * least 70 % of at least 10 attempts within a minute failed. Then one probe after a wait (30 s by
 * default), and while the probes fail after twice as long each time, up to 10 times the first wait.
 * The first success closes it. */
#ifndef MP_ENGINE_CIRCUIT_H
#define MP_ENGINE_CIRCUIT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct mp_circuit {
  bool open;
  int64_t probe_ms; /* open: when the next probe may start (store's clock) */
  int64_t wait_ms;  /* open: the wait before that probe */
  int streak;       /* failures in a row */
  int64_t minute;   /* the minute that is counted */
  int attempts;     /* in it */
  int failures;     /* in it */
} mp_circuit;

typedef enum mp_circuit_change {
  MP_CIRCUIT_SAME,
  MP_CIRCUIT_OPENED,
  MP_CIRCUIT_POSTPONED, /* a probe failed */
  MP_CIRCUIT_CLOSED
} mp_circuit_change;

/* An attempt that was started at started_ms has ended at now_ms. first_wait_ms: before the first
 * probe. */
mp_circuit_change mp_circuit_note(mp_circuit *c, bool ok, int64_t started_ms, int64_t now_ms,
                                  int64_t first_wait_ms);

#endif
