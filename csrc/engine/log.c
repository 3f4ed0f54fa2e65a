/* Where lines of the log go, and how many. Any thread.
 *
 * log->lock is held shortly: nothing is written under it, and of other locks only a mailbox's is
 * taken. */
#include "engine/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/log_line.h"
#include "engine/mailbox.h"

#define MAX_LINE  8192 /* bytes */
#define MAX_WHAT  128
#define MAX_KINDS 32 /* of lines; more share the last one's rate */

typedef struct kind {
  const char *event; /* NULL: free */
  mp_log_level level;
  int64_t since_ms; /* monotonic */
  long lines;
  long left_out;
} kind;

typedef struct listener {
  struct listener *next;
  mp_mailbox *mailbox;
} listener;

struct mp_logger {
  mp_log_level level; /* immutable */
  bool json;
  pid_t pid;

  pthread_mutex_t lock;
  int refs;
  int holds; /* hosts that take lines */
  listener *listeners;
  mp_list lines; /* of mp_log_line, for hosts */
  long lost;     /* for want of a host that takes them, or of memory */
  kind kinds[MAX_KINDS];
};

mp_logger *mp_logger_new(mp_log_level level, bool json) {
  mp_logger *log = calloc(1, sizeof *log);
  if (!log) return NULL;
  log->level = level;
  log->json = json;
  log->pid = getpid();
  log->refs = 1;
  pthread_mutex_init(&log->lock, NULL);
  return log;
}

mp_logger *mp_logger_ref(mp_logger *log) {
  pthread_mutex_lock(&log->lock);
  log->refs++;
  pthread_mutex_unlock(&log->lock);
  return log;
}

bool mp_log_wants(const mp_logger *log, mp_log_level level) {
  return log && level <= log->level;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* A buffer that never grows: a line is also written when there is no memory. */
#define LINE_BUF(name)         \
  char name##_bytes[MAX_LINE]; \
  mp_buf name = {.data = name##_bytes, .cap = MAX_LINE - 2, .limit = MAX_LINE - 2}

static void write_line(const char *text, size_t len) {
  if (write(STDERR_FILENO, text, len) < 0) return; /* nobody is there to be told */
}

static void format(const mp_logger *log, const mp_log_record *record, mp_buf *out) {
  (log->json ? mp_log_as_json : mp_log_as_text)(record, out);
}

static void write_record(const mp_logger *log, const mp_log_record *record) {
  LINE_BUF(line);

  format(log, record, &line);
  line.data[line.len++] = '\n';
  write_line(line.data, line.len);
}

static mp_log_line *new_line(const mp_logger *log, const mp_log_record *record) {
  LINE_BUF(text);
  LINE_BUF(object);
  mp_log_line *line;
  char *at;

  format(log, record, &text);
  mp_log_as_json(record, &object);
  line = malloc(sizeof *line + text.len + object.len + 2);
  if (!line) return NULL;
  at = (char *)(line + 1);
  *line = (mp_log_line){.level = record->level, .text = at, .object = at + text.len + 1};
  memcpy(at, text.data, text.len);
  at[text.len] = '\0';
  memcpy(at + text.len + 1, object.data, object.len);
  at[text.len + 1 + object.len] = '\0';
  return line;
}

/* With the lock held. */
static void keep(mp_logger *log, mp_log_line *line) {
  if (line)
    mp_list_push(&log->lines, &line->node);
  else
    log->lost++;
  if (log->lines.count > MP_LOG_KEPT) {
    free(MP_CONTAINER(mp_list_pop(&log->lines), mp_log_line, node));
    log->lost++;
  }
  for (listener *l = log->listeners; l; l = l->next)
    mp_mailbox_ring(l->mailbox);
}

static void put(mp_logger *log, const mp_log_record *record) {
  mp_log_line *line;
  bool held;

  pthread_mutex_lock(&log->lock);
  held = log->holds > 0;
  pthread_mutex_unlock(&log->lock);
  if (!held) {
    write_record(log, record);
    return;
  }
  line = new_line(log, record);
  pthread_mutex_lock(&log->lock);
  keep(log, line); /* the last host may be gone since: the logger's end sees to it */
  pthread_mutex_unlock(&log->lock);
}

/* ---- rates ---------------------------------------------------------------------------------- */

/* With the lock held. */
static kind *kind_of(mp_logger *log, const char *event) {
  size_t i = 0;
  while (i < MAX_KINDS - 1 && log->kinds[i].event && strcmp(log->kinds[i].event, event) != 0)
    i++;
  if (!log->kinds[i].event) log->kinds[i].event = event;
  return &log->kinds[i];
}

static bool may_write(mp_logger *log, mp_log_level level, const char *event, int64_t now_ms) {
  kind *k;
  bool may;

  pthread_mutex_lock(&log->lock);
  k = kind_of(log, event);
  if (k->left_out == 0 && now_ms - k->since_ms >= MP_LOG_RATE_MS) {
    k->since_ms = now_ms;
    k->lines = 0;
  }
  may = k->lines++ < MP_LOG_RATE;
  if (!may) k->left_out++;
  k->level = level;
  pthread_mutex_unlock(&log->lock);
  return may;
}

static void tell(mp_logger *log, mp_log_level level, long count, const char *what) {
  char message[MP_LOG_MESSAGE];
  mp_log_record record = {
      .level = level, .wall_ms = mp_wall_ms(), .event = "log.left_out", .message = message};

  snprintf(message, sizeof message, "%ld lines %s", count, what);
  put(log, &record);
}

/* Says what was left out of kinds whose time is over. */
static void tell_left_out(mp_logger *log, int64_t now_ms) {
  kind over[MAX_KINDS];
  size_t count = 0;

  pthread_mutex_lock(&log->lock);
  for (size_t i = 0; i < MAX_KINDS && log->kinds[i].event; i++) {
    kind *k = &log->kinds[i];
    if (k->left_out == 0 || now_ms - k->since_ms < MP_LOG_RATE_MS) continue;
    over[count++] = *k;
    *k = (kind){.event = k->event, .since_ms = now_ms};
  }
  pthread_mutex_unlock(&log->lock);
  for (size_t i = 0; i < count; i++) {
    char what[MAX_WHAT];
    snprintf(what, sizeof what, "of %s were left out", over[i].event);
    tell(log, over[i].level, over[i].left_out, what);
  }
}

/* ---- logging -------------------------------------------------------------------------------- */

static void write_if_it_may(mp_logger *log, mp_log_record *record) {
  int64_t now_ms = mp_mono_ms();

  tell_left_out(log, now_ms);
  if (!may_write(log, record->level, record->event, now_ms)) return;
  record->wall_ms = mp_wall_ms();
  put(log, record);
}

void mp_log(mp_logger *log, mp_log_level level, const char *event, const char *format_text, ...) {
  char message[MP_LOG_MESSAGE];
  mp_log_record record = {.level = level, .event = event, .message = message};
  va_list args;

  if (!mp_log_wants(log, level)) return;
  va_start(args, format_text);
  vsnprintf(message, sizeof message, format_text, args);
  va_end(args);
  write_if_it_may(log, &record);
}

void mp_log_object(mp_logger *log, mp_log_level level, const char *event, const char *object,
                   size_t len) {
  mp_log_record record = {.level = level, .event = event, .object = object, .object_len = len};

  if (mp_log_wants(log, level)) write_if_it_may(log, &record);
}

/* ---- hosts ---------------------------------------------------------------------------------- */

void mp_log_hold(mp_logger *log) {
  pthread_mutex_lock(&log->lock);
  log->holds++;
  pthread_mutex_unlock(&log->lock);
}

mp_code mp_log_listen(mp_logger *log, mp_mailbox *mailbox, mp_error *err) {
  listener *l = malloc(sizeof *l);

  if (!l) return mp_fail(err, MP_ENOMEM, "out of memory");
  l->mailbox = mailbox;
  pthread_mutex_lock(&log->lock);
  l->next = log->listeners;
  log->listeners = l;
  if (log->lines.head) mp_mailbox_ring(mailbox);
  pthread_mutex_unlock(&log->lock);
  return MP_OK;
}

static void write_lines(mp_list *lines) {
  for (mp_node *n; (n = mp_list_pop(lines)) != NULL;) {
    mp_log_line *line = MP_CONTAINER(n, mp_log_line, node);
    char bytes[MAX_LINE];
    int len = snprintf(bytes, sizeof bytes, "%s\n", line->text);

    write_line(bytes, (size_t)len);
    free(line);
  }
}

void mp_log_release(mp_logger *log, mp_mailbox *mailbox) {
  mp_list rest = {0};

  if (log->pid != getpid()) return; /* in a forked child the lock may be held for ever */
  pthread_mutex_lock(&log->lock);
  for (listener **at = &log->listeners; *at; at = &(*at)->next) {
    listener *l = *at;
    if (l->mailbox != mailbox) continue;
    *at = l->next;
    free(l);
    break;
  }
  if (--log->holds == 0) mp_list_append(&rest, &log->lines);
  pthread_mutex_unlock(&log->lock);
  write_lines(&rest);
}

mp_log_line *mp_log_take(mp_logger *log, bool last) {
  mp_node *n;
  long lost;

  if (log->pid != getpid()) return NULL;
  tell_left_out(log, last ? INT64_MAX : mp_mono_ms());
  pthread_mutex_lock(&log->lock);
  lost = log->lost;
  log->lost = 0;
  pthread_mutex_unlock(&log->lock);
  if (lost > 0) tell(log, MP_LOG_WARN, lost, "were lost: they were not taken in time (hooks:poll)");
  pthread_mutex_lock(&log->lock);
  n = mp_list_pop(&log->lines);
  pthread_mutex_unlock(&log->lock);
  return n ? MP_CONTAINER(n, mp_log_line, node) : NULL;
}

void mp_logger_free(mp_logger *log) {
  bool last;

  if (!log || log->pid != getpid()) return;
  pthread_mutex_lock(&log->lock);
  last = --log->refs == 0;
  pthread_mutex_unlock(&log->lock);
  if (!last) return;
  tell_left_out(log, INT64_MAX);
  write_lines(&log->lines);
  pthread_mutex_destroy(&log->lock);
  free(log);
}
