/* The rate of a webhook. Pure functions; any thread. */
#include "queue/pace.h"

static int64_t within(const mp_pace *p, int64_t full_us, int64_t now_us) {
  int64_t latest = now_us + p->interval_us * p->burst;
  if (full_us > latest) return latest;
  return full_us > now_us ? full_us : now_us;
}

int mp_pace_room(const mp_pace *pace, int64_t full_us, int64_t now_ms) {
  int64_t now_us;

  if (pace->interval_us == 0) return INT32_MAX;
  now_us = now_ms * 1000;
  full_us = within(pace, full_us, now_us);
  return (int)((now_us + pace->interval_us * pace->burst - full_us) / pace->interval_us);
}

int64_t mp_pace_take(const mp_pace *pace, int64_t full_us, int64_t now_ms, int count) {
  return within(pace, full_us, now_ms * 1000) + pace->interval_us * count;
}

int64_t mp_pace_ready_ms(const mp_pace *pace, int64_t full_us, int64_t now_ms) {
  int64_t ready_us;

  if (pace->interval_us == 0) return now_ms;
  full_us = within(pace, full_us, now_ms * 1000);
  ready_us = full_us - pace->interval_us * (pace->burst - 1);
  return ready_us <= now_ms * 1000 ? now_ms : (ready_us + 999) / 1000;
}
