/* The engine's log: one line an event on standard error, for what no caller is waiting to hear.
 * Callable from any thread. Never payloads, header values or secrets. */
#ifndef MP_ENGINE_LOG_H
#define MP_ENGINE_LOG_H

typedef enum mp_log_level {
  MP_LOG_OFF = 0,
  MP_LOG_ERROR = 1,
  MP_LOG_WARN = 2,
  MP_LOG_INFO = 3,
  MP_LOG_DEBUG = 4
} mp_log_level;

/* Writes the line when level is at or above the threshold, with one write(2). */
void mp_log(int threshold, mp_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
