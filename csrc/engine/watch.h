/* What a thread sleeps on: the bell that other threads ring; for the store thread, the store's file
 * as other processes write it, and the processes of the other engines; for the script thread, the
 * scripts' folder. So an engine that has nothing to do is not woken at all. eventfd(2), inotify(7),
 * pidfd_open(2) and epoll(7). */
#ifndef MP_ENGINE_WATCH_H
#define MP_ENGINE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct mp_watch mp_watch;

/* What ended a sleep, beside its time and the bell. */
typedef struct mp_news {
  bool file;    /* it was written, by whatever process; not told again before mp_watch_look */
  bool process; /* one ended */
} mp_news;

/* MP_EIO when the process has no descriptors left. */
mp_code mp_watch_new(mp_watch **out, mp_error *err);
void mp_watch_free(mp_watch *watch); /* NULL-safe */

void mp_watch_ring(mp_watch *watch); /* any thread: ends the sleep, or the next one */

/* Until a moment of the monotonic clock (ms; INT64_MAX: for ever), or until there is news. */
mp_news mp_watch_sleep(mp_watch *watch, int64_t until_ms);

/* Watches a file. False: it cannot be watched (the user's inotify instances are used up). */
bool mp_watch_file(mp_watch *watch, const char *path);

/* Watches a folder, likewise: files that are written, moved in or removed. */
bool mp_watch_folder(mp_watch *watch, const char *path);

/* What was written until now is known: tells of what is written from now on. */
void mp_watch_look(mp_watch *watch);

/* Watches these processes, and no others. False: not all of them can be watched. */
bool mp_watch_processes(mp_watch *watch, const int64_t *pids, int count);

#endif
