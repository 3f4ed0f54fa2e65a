/* A thread's sleep. All but mp_watch_ring runs on the thread that sleeps. */
#include "engine/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

typedef struct process {
  int64_t pid;
  int fd;
} process;

struct mp_watch {
  int epoll;
  int bell;
  int file; /* inotify; -1: none */
  process *processes;
  int process_count;
};

/* What an epoll event is about. */
enum { BELL = 1, FILE_WRITTEN = 2, PROCESS_ENDED = 3 };

static bool add(mp_watch *w, int fd, uint32_t events, uint64_t about) {
  struct epoll_event e = {.events = events, .data.u64 = about};
  return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

mp_code mp_watch_new(mp_watch **out, mp_error *err) {
  mp_watch *w = calloc(1, sizeof *w);

  *out = NULL;
  if (!w) return mp_fail(err, MP_ENOMEM, "out of memory");
  w->file = -1;
  w->epoll = epoll_create1(EPOLL_CLOEXEC);
  w->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  /* Edge-triggered: each ring is an edge, and nothing has to be read. */
  if (w->epoll < 0 || w->bell < 0 || !add(w, w->bell, EPOLLIN | EPOLLET, BELL)) {
    mp_fail(err, MP_EIO, "cannot watch for work: %s", strerror(errno));
    mp_watch_free(w);
    return MP_EIO;
  }
  *out = w;
  return MP_OK;
}

void mp_watch_free(mp_watch *watch) {
  if (!watch) return;
  for (int i = 0; i < watch->process_count; i++)
    close(watch->processes[i].fd);
  free(watch->processes);
  if (watch->file >= 0) close(watch->file);
  if (watch->bell >= 0) close(watch->bell);
  if (watch->epoll >= 0) close(watch->epoll);
  free(watch);
}

void mp_watch_ring(mp_watch *watch) {
  uint64_t one = 1;
  /* It fails only when 2^64 - 2 rings were not heard, and then the bell is ringing. */
  if (write(watch->bell, &one, sizeof one) < 0) return;
}

static int timeout(int64_t until_ms) {
  int64_t left;

  if (until_ms == INT64_MAX) return -1;
  left = until_ms - mp_mono_ms();
  if (left <= 0) return 0;
  return left < INT_MAX ? (int)left : INT_MAX;
}

mp_news mp_watch_sleep(mp_watch *watch, int64_t until_ms) {
  struct epoll_event events[8];
  mp_news news = {0};
  int n = epoll_wait(watch->epoll, events, 8, timeout(until_ms));

  for (int i = 0; i < n; i++) {
    news.file = news.file || events[i].data.u64 == FILE_WRITTEN;
    news.process = news.process || events[i].data.u64 == PROCESS_ENDED;
  }
  return news;
}

/* ---- files -------------------------------------------------------------------------------- */

static bool watch_path(mp_watch *w, const char *path, uint32_t events) {
  int fd = w->file >= 0 ? w->file : inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

  if (fd < 0) return false;
  if (w->file < 0 && !add(w, fd, EPOLLIN | EPOLLONESHOT, FILE_WRITTEN)) {
    close(fd);
    return false;
  }
  w->file = fd;
  return inotify_add_watch(fd, path, events) >= 0;
}

bool mp_watch_file(mp_watch *watch, const char *path) {
  return watch_path(watch, path, IN_MODIFY);
}

bool mp_watch_folder(mp_watch *watch, const char *path) {
  return watch_path(watch, path,
                    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR);
}

void mp_watch_look(mp_watch *watch) {
  struct epoll_event again = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = FILE_WRITTEN};
  char events[4096];

  if (watch->file < 0) return;
  while (read(watch->file, events, sizeof events) > 0)
    continue;
  epoll_ctl(watch->epoll, EPOLL_CTL_MOD, watch->file, &again);
}

/* ---- processes ------------------------------------------------------------------------------ */

static int find(const mp_watch *w, int64_t pid) {
  for (int i = 0; i < w->process_count; i++) {
    if (w->processes[i].pid == pid) return i;
  }
  return -1;
}

static bool watch_process(mp_watch *w, int64_t pid, process *out) {
  int at = find(w, pid);

  if (at >= 0) { /* taken over */
    *out = w->processes[at];
    w->processes[at].fd = -1;
    return true;
  }
  *out = (process){.pid = pid, .fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0)};
  if (out->fd < 0) return errno == ESRCH; /* it is gone: nothing to wait for */
  if (add(w, out->fd, EPOLLIN | EPOLLONESHOT, PROCESS_ENDED)) return true;
  close(out->fd);
  out->fd = -1;
  return false;
}

bool mp_watch_processes(mp_watch *watch, const int64_t *pids, int count) {
  process *list = count ? calloc((size_t)count, sizeof *list) : NULL;
  bool all = true;
  int kept = 0;

  if (count && !list) return false;
  for (int i = 0; i < count; i++) {
    all = watch_process(watch, pids[i], &list[kept]) && all;
    if (list[kept].fd >= 0) kept++;
  }
  for (int i = 0; i < watch->process_count; i++) {
    if (watch->processes[i].fd >= 0) close(watch->processes[i].fd);
  }
  free(watch->processes);
  watch->processes = list;
  watch->process_count = kept;
  return all;
}
