/* The engine's log: one line for each change of state, for what no caller is waiting to hear.
 *
 * Callable from any thread, whatever locks it holds but a mailbox's. Lines go to standard error,
 * each with one write(2); while hosts take them (mp_log_hold) they wait for these instead. Never
 * payloads, header values or secrets. Of each kind of line at most MP_LOG_RATE come within
 * MP_LOG_RATE_MS; how many were left out is said afterwards. */
#ifndef MP_ENGINE_LOG_H
#define MP_ENGINE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/list.h"

#define MP_LOG_RATE    100
#define MP_LOG_RATE_MS 10000
#define MP_LOG_KEPT    1024 /* lines that wait for hosts; the oldest go first */
#define MP_LOG_MESSAGE 1000 /* bytes of a message */

typedef enum mp_log_level {
  MP_LOG_OFF = 0,
  MP_LOG_ERROR = 1,
  MP_LOG_WARN = 2,
  MP_LOG_INFO = 3,
  MP_LOG_DEBUG = 4
} mp_log_level;

typedef struct mp_logger mp_logger;
typedef struct mp_mailbox mp_mailbox;

/* What is below the level is left out. json: lines are JSON objects. NULL: no memory. */
mp_logger *mp_logger_new(mp_log_level level, bool json);
mp_logger *mp_logger_ref(mp_logger *log);
void mp_logger_free(mp_logger *log); /* gives up a reference; NULL-safe */

/* Would a line of this level be written? A NULL logger writes none. */
bool mp_log_wants(const mp_logger *log, mp_log_level level);

/* event: the kind of line, a literal such as "store.failing". */
void mp_log(mp_logger *log, mp_log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* object: a JSON object that says what happened; its first member is "event". */
void mp_log_object(mp_logger *log, mp_log_level level, const char *event, const char *object,
                   size_t len);

/* ---- hosts ---------------------------------------------------------------------------------- */

typedef struct mp_log_line {
  mp_node node;
  mp_log_level level;
  const char *text;   /* as it would be on standard error, by the logger's format */
  const char *object; /* as a JSON object */
} mp_log_line;

/* From now on lines are for a host that takes them; until as many mp_log_release: then what was not
 * taken goes to standard error. mailbox (may be NULL): is rung for them from mp_log_listen on. */
void mp_log_hold(mp_logger *log);
mp_code mp_log_listen(mp_logger *log, mp_mailbox *mailbox, mp_error *err);
void mp_log_release(mp_logger *log, mp_mailbox *mailbox);

/* The oldest, to be freed with free; NULL: none. last: what was left out until now is said. */
mp_log_line *mp_log_take(mp_logger *log, bool last);

const char *mp_log_level_name(mp_log_level level);

#endif
