/* How a line of the log looks. Pure. */
#ifndef MP_ENGINE_LOG_LINE_H
#define MP_ENGINE_LOG_LINE_H

#include <stdint.h>

#include "base/buf.h"
#include "engine/log.h"

/* One thing that happened: a message, or an object (mp_log_object). */
typedef struct mp_log_record {
  mp_log_level level;
  int64_t wall_ms;
  const char *event;
  const char *message; /* NULL: it is the object */
  const char *object;
  size_t object_len;
} mp_log_record;

/* {"time":...,"level":...,"event":...,...} */
void mp_log_as_json(const mp_log_record *record, mp_buf *out);

/* moonpost: warn: the message; or: moonpost: warn: webhook.failing webhook.id=1 class=timeout. One
 * line, without a newline; only printable characters, and UTF-8 as it came. */
void mp_log_as_text(const mp_log_record *record, mp_buf *out);

#endif
