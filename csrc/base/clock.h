/* Time. Wall time is for what people read; it may jump. Waiting uses the monotonic clock, and what
 * must outlive the process is counted from the machine's boot (queue/store.h: the store's time). */
#ifndef MP_BASE_CLOCK_H
#define MP_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since 1970-01-01T00:00:00Z. */
int64_t mp_wall_ms(void);

/* Milliseconds and microseconds of CLOCK_MONOTONIC. */
int64_t mp_mono_ms(void);
int64_t mp_mono_us(void);

/* Milliseconds of CLOCK_BOOTTIME: since the machine's boot, its sleep included. */
int64_t mp_boot_ms(void);

#define MP_ISO8601_SIZE 25

/* ISO 8601 in UTC with milliseconds ("2020-01-10T08:47:36.649Z"), NUL-terminated; the form of
 * ECMAScript's Date.prototype.toISOString for the years 0000 to 9999. */
void mp_iso8601(int64_t wall_ms, char out[MP_ISO8601_SIZE]);

#endif
