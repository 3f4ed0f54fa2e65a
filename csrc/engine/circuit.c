/* The circuit breaker's rules. */
#include "engine/circuit.h"

#define STREAK    10
#define SHARE     70 /* per cent of a minute's attempts ... */
#define LEAST     10 /* ... when there were so many */
#define MINUTE_MS 60000
#define MAX_WAITS 10 /* the longest wait, in first ones */

static void count(mp_circuit *c, bool ok, int64_t now_ms) {
  if (now_ms / MINUTE_MS != c->minute) {
    c->minute = now_ms / MINUTE_MS;
    c->attempts = c->failures = 0;
  }
  c->attempts++;
  if (ok) {
    c->streak = 0;
  } else {
    c->failures++;
    c->streak++;
  }
}

mp_circuit_change mp_circuit_note(mp_circuit *c, bool ok, int64_t started_ms, int64_t now_ms,
                                  int64_t first_wait_ms) {
  int64_t longest_ms = first_wait_ms * MAX_WAITS;

  if (ok) {
    bool was_open = c->open;
    if (was_open) *c = (mp_circuit){0};
    count(c, true, now_ms);
    return was_open ? MP_CIRCUIT_CLOSED : MP_CIRCUIT_SAME;
  }
  if (c->open) {
    /* What was under way when it opened is no probe. */
    if (started_ms < c->probe_ms) return MP_CIRCUIT_SAME;
    c->wait_ms = c->wait_ms * 2 < longest_ms ? c->wait_ms * 2 : longest_ms;
    c->probe_ms = now_ms + c->wait_ms;
    return MP_CIRCUIT_POSTPONED;
  }
  count(c, false, now_ms);
  if (c->streak < STREAK && (c->attempts < LEAST || c->failures * 100 < c->attempts * SHARE)) {
    return MP_CIRCUIT_SAME;
  }
  c->open = true;
  c->wait_ms = first_wait_ms;
  c->probe_ms = now_ms + c->wait_ms;
  return MP_CIRCUIT_OPENED;
}
