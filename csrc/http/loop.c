/* The event loop. Each runs on one delivery thread; libcurl's callbacks here touch only the loop.
 *
 * libcurl says of each socket what it waits for, and takes that back when a transfer ends, although
 * the connection is kept for the next one: two system calls a request. So a connection's socket
 * stays in the epoll set as it is until libcurl wants something else of it or it has something to
 * say that nobody waits for. What always holds: a descriptor's entry in the table is what the
 * kernel has; a socket that libcurl opens begins with nothing (on_open), and loses everything when
 * it is closed (on_close). Descriptors that libcurl opens without telling (its resolver's) are
 * taken out of the set when libcurl says so. */
#include "http/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

#define EVENTS 128 /* of one round */
#define BELL   UINT64_MAX

/* What the kernel has, and what libcurl wants. */
typedef struct watched {
  uint8_t registered; /* EPOLLIN, EPOLLOUT; 0: it is not in the set */
  uint8_t wanted;
  bool connection; /* libcurl told of its opening, and will of its closing */
  uint32_t opened; /* how often: an event of the one before may still be in the round's list */
} watched;

struct mp_loop {
  CURLM *multi;
  int epoll;
  int bell;         /* an eventfd */
  atomic_bool rung; /* the bell was, since the last round that heard it */
  int64_t timer_us; /* monotonic: when libcurl wants to go on; INT64_MAX: it does not say */
  watched *table;   /* by descriptor */
  size_t count;
  bool broken; /* what some request waits for is not known */
};

/* ---- descriptors ---------------------------------------------------------------------------- */

static watched *entry_of(mp_loop *l, int fd) {
  if ((size_t)fd >= l->count) {
    size_t count = l->count ? l->count : 64;
    watched *table;
    while (count <= (size_t)fd)
      count *= 2;
    table = realloc(l->table, count * sizeof *table);
    if (!table) return NULL;
    memset(table + l->count, 0, (count - l->count) * sizeof *table);
    l->table = table;
    l->count = count;
  }
  return &l->table[fd];
}

static uint64_t mark_of(int fd, const watched *w) {
  return (uint64_t)w->opened << 32 | (uint32_t)fd;
}

static bool put(mp_loop *l, int fd, watched *w, uint8_t events) {
  struct epoll_event event = {.events = events, .data.u64 = mark_of(fd, w)};
  int how = EPOLL_CTL_MOD;

  if (w->registered == events) return true;
  if (events == 0)
    how = EPOLL_CTL_DEL;
  else if (w->registered == 0)
    how = EPOLL_CTL_ADD;
  if (epoll_ctl(l->epoll, how, fd, &event) != 0 && events != 0) return false;
  w->registered = events;
  return true;
}

/* ---- libcurl's callbacks -------------------------------------------------------------------- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket) {
  mp_loop *l = arg;
  watched *w = entry_of(l, fd);

  (void)easy;
  (void)of_socket;
  if (!w) {
    l->broken = true;
    return 0; /* an error from here libcurl would not tell of everywhere */
  }
  w->wanted = 0;
  if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) w->wanted |= EPOLLIN;
  if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) w->wanted |= EPOLLOUT;
  if (what == CURL_POLL_REMOVE && w->connection) return 0;
  if (!put(l, fd, w, w->wanted)) l->broken = true;
  return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg) {
  mp_loop *l = arg;

  (void)multi;
  if (timeout_ms < 0)
    l->timer_us = INT64_MAX;
  else
    l->timer_us = timeout_ms ? mp_mono_us() + (int64_t)timeout_ms * 1000 : 0;
  return 0;
}

static int on_open(void *arg, curl_socket_t fd, curlsocktype purpose) {
  watched *w = entry_of(arg, fd);

  (void)purpose;
  if (!w) return CURL_SOCKOPT_ERROR;
  *w = (watched){.connection = true, .opened = w->opened + 1};
  return CURL_SOCKOPT_OK;
}

static int on_close(void *arg, curl_socket_t fd) {
  mp_loop *l = arg;

  if ((size_t)fd < l->count) l->table[fd] = (watched){.opened = l->table[fd].opened};
  return close(fd);
}

/* ---- the loop ------------------------------------------------------------------------------- */

mp_code mp_loop_new(mp_loop **out, mp_error *err) {
  struct epoll_event event = {.events = EPOLLIN};
  mp_loop *l = calloc(1, sizeof *l);

  *out = NULL;
  if (!l) return mp_fail(err, MP_ENOMEM, "out of memory");
  l->epoll = epoll_create1(EPOLL_CLOEXEC);
  l->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  event.data.u64 = BELL;
  if (l->epoll < 0 || l->bell < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->bell, &event) != 0) {
    mp_fail(err, MP_EIO, "the HTTP client did not start: %s", strerror(errno));
    mp_loop_free(l);
    return MP_EIO;
  }
  *out = l;
  return MP_OK;
}

void mp_loop_drive(mp_loop *loop, CURLM *multi) {
  loop->multi = multi;
  loop->timer_us = INT64_MAX;
  loop->broken = false;
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, loop);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, loop);
}

void mp_loop_free(mp_loop *loop) {
  if (!loop) return;
  if (loop->epoll >= 0) close(loop->epoll);
  if (loop->bell >= 0) close(loop->bell);
  free(loop->table);
  free(loop);
}

bool mp_loop_watch(mp_loop *loop, CURL *easy) {
  return curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_open) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, loop) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, loop) == CURLE_OK;
}

static void hear(mp_loop *l) {
  uint64_t count;

  /* Before the reader looks at what it was rung for: who rings from here on rings anew. */
  if (read(l->bell, &count, sizeof count) > 0) atomic_store(&l->rung, false);
}

static void act(mp_loop *l, curl_socket_t fd, int what) {
  int running;
  if (curl_multi_socket_action(l->multi, fd, what, &running) != CURLM_OK) l->broken = true;
}

static void go_on(mp_loop *l, const struct epoll_event *event) {
  int what = 0, fd = (int)(uint32_t)event->data.u64;
  watched *w = &l->table[fd];

  if (event->data.u64 != mark_of(fd, w)) return;
  if (w->wanted == 0) { /* a kept connection that ended, or says something unasked */
    put(l, fd, w, 0);
    return;
  }
  if (event->events & EPOLLIN) what |= CURL_CSELECT_IN;
  if (event->events & EPOLLOUT) what |= CURL_CSELECT_OUT;
  if (event->events & (EPOLLERR | EPOLLHUP)) what |= CURL_CSELECT_ERR;
  act(l, fd, what);
}

/* Milliseconds to wait, rounded up: a timer that is not quite due would spin. */
static int wait_of(const mp_loop *l, int timeout_ms) {
  int64_t left;

  if (l->timer_us == INT64_MAX || timeout_ms == 0) return timeout_ms;
  left = (l->timer_us - mp_mono_us() + 999) / 1000;
  if (left < 0) left = 0;
  return left < timeout_ms ? (int)left : timeout_ms;
}

static void run_timer(mp_loop *l) {
  if (l->timer_us == INT64_MAX || (l->timer_us > 0 && l->timer_us > mp_mono_us())) return;
  l->timer_us = INT64_MAX; /* libcurl sets it anew */
  act(l, CURL_SOCKET_TIMEOUT, 0);
}

bool mp_loop_run(mp_loop *loop, int timeout_ms) {
  struct epoll_event events[EVENTS];
  bool started = loop->timer_us == 0; /* requests were: they go out first */
  int count;

  if (started) run_timer(loop);
  count = epoll_wait(loop->epoll, events, EVENTS, started ? 0 : wait_of(loop, timeout_ms));
  for (int i = 0; i < count; i++) {
    if (events[i].data.u64 != BELL)
      go_on(loop, &events[i]);
    else if (timeout_ms != 0)
      hear(loop);
  }
  run_timer(loop);
  return !loop->broken;
}

void mp_loop_wake(mp_loop *loop) {
  uint64_t one = 1;

  if (atomic_exchange(&loop->rung, true)) return;
  while (write(loop->bell, &one, sizeof one) < 0 && errno == EINTR)
    continue;
}
