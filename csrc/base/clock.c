/* Clocks and the payload's time format. No state; callable from any thread. */
#include "base/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t id, int64_t per_second) {
  struct timespec t;
  clock_gettime(id, &t);
  return (int64_t)t.tv_sec * per_second + t.tv_nsec / (1000000000 / per_second);
}

int64_t mp_wall_ms(void) {
  return read_clock(CLOCK_REALTIME, 1000);
}
int64_t mp_mono_ms(void) {
  return read_clock(CLOCK_MONOTONIC, 1000);
}
int64_t mp_boot_ms(void) {
  return read_clock(CLOCK_BOOTTIME, 1000);
}
int64_t mp_mono_us(void) {
  return read_clock(CLOCK_MONOTONIC, 1000000);
}

static char *digits(char *out, int value, int width) {
  for (int i = width - 1; i >= 0; i--) {
    out[i] = (char)('0' + value % 10);
    value /= 10;
  }
  return out + width;
}

void mp_iso8601(int64_t wall_ms, char out[MP_ISO8601_SIZE]) {
  int64_t seconds = wall_ms / 1000;
  int ms = (int)(wall_ms % 1000);
  struct tm tm;
  time_t t;
  char *p = out;

  if (ms < 0) {
    ms += 1000;
    seconds--;
  }
  t = (time_t)seconds;
  gmtime_r(&t, &tm);
  p = digits(p, tm.tm_year + 1900, 4);
  *p++ = '-';
  p = digits(p, tm.tm_mon + 1, 2);
  *p++ = '-';
  p = digits(p, tm.tm_mday, 2);
  *p++ = 'T';
  p = digits(p, tm.tm_hour, 2);
  *p++ = ':';
  p = digits(p, tm.tm_min, 2);
  *p++ = ':';
  p = digits(p, tm.tm_sec, 2);
  *p++ = '.';
  p = digits(p, ms, 3);
  *p++ = 'Z';
  *p = '\0';
}
