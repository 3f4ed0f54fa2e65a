/* Log lines to standard error. */
#include "engine/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"off", "error", "warn", "info", "debug"};

void mp_log(int threshold, mp_log_level level, const char *format, ...) {
  char line[1024];
  va_list args;
  int head, n;

  if ((int)level > threshold) return;
  head = snprintf(line, sizeof line, "moonpost: %s: ", names[level]);
  va_start(args, format);
  n = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, args);
  va_end(args);
  if (n < 0) return;
  n = (int)strlen(line);
  line[n++] = '\n';
  if (write(STDERR_FILENO, line, (size_t)n) < 0) return; /* nobody is there to be told */
}
