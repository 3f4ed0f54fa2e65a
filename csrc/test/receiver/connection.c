/* One connection's life: read a request, record it, answer it, the next. A connection that waits
 * asks epoll only for the peer's leaving, so that a client's early next request costs nothing. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "receiver.h"

#define READ_SIZE ((size_t)16 << 10)
#define KEEP_SIZE ((size_t)1 << 20) /* a buffer grown over this is given back after its request */
#define DRIP_US   5000

static const char filler_block[64 << 10] = {0};

/* ---- timers: an unordered list, scanned when its earliest is due -------------------------------
 */

static void timer_remove(server *s, connection *c) {
  if (!c->has_timer) return;
  c->has_timer = false;
  if (c->timer_previous)
    c->timer_previous->timer_next = c->timer_next;
  else
    s->timers = c->timer_next;
  if (c->timer_next) c->timer_next->timer_previous = c->timer_previous;
}

static void timer_add(server *s, connection *c) {
  if (!c->has_timer) {
    c->has_timer = true;
    c->timer_previous = NULL;
    c->timer_next = s->timers;
    if (s->timers) s->timers->timer_previous = c;
    s->timers = c;
  }
  if (c->due_us < s->next_due_us) s->next_due_us = c->due_us;
}

/* ---- opening and closing -----------------------------------------------------------------------
 */

void connection_close(server *s, connection *c) {
  timer_remove(s, c);
  if (c->previous)
    c->previous->next = c->next;
  else
    s->all = c->next;
  if (c->next) c->next->previous = c->previous;
  s->connections--;
  close(c->fd);
  request_free(&c->request);
  mp_buf_free(&c->in);
  mp_buf_free(&c->out);
  free(c);
}

static void connection_open(server *s, int fd) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
  connection *c = s->connections < s->max_connections ? calloc(1, sizeof *c) : NULL;
  int on = 1;

  event.data.ptr = c;
  if (!c || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
    free(c);
    close(fd);
    return;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  c->fd = fd;
  c->number = ++s->accepted;
  c->interest = event.events;
  request_init(&c->request);
  mp_buf_init(&c->in, MAX_HEAD + 2 * MAX_BODY); /* the chunks' own lines count */
  mp_buf_init(&c->out, MAX_HEAD + MAX_BODY);
  c->next = s->all;
  if (s->all) s->all->previous = c;
  s->all = c;
  s->connections++;
}

void connection_accept(server *s) {
  for (int i = 0; i < 64; i++) {
    int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    connection_open(s, fd);
  }
}

static void want(server *s, connection *c, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = c};

  if (c->interest == events) return;
  c->interest = events;
  epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &event);
}

/* ---- writing -----------------------------------------------------------------------------------
 */

typedef enum progress { GOES_ON, BLOCKED, GONE } progress;

static progress write_some(connection *c, const char *data, size_t len, size_t *written) {
  ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

  *written = n > 0 ? (size_t)n : 0;
  if (n >= 0 || errno == EINTR) return GOES_ON;
  return errno == EAGAIN ? BLOCKED : GONE;
}

static progress write_out(connection *c) {
  progress state = GOES_ON;
  size_t n;

  while (state == GOES_ON && c->sent < c->out.len) {
    state = write_some(c, c->out.data + c->sent, c->out.len - c->sent, &n);
    c->sent += n;
  }
  while (state == GOES_ON && c->filler > 0) {
    size_t len = c->filler < sizeof filler_block ? (size_t)c->filler : sizeof filler_block;
    state = write_some(c, filler_block, len, &n);
    c->filler -= n;
  }
  return state;
}

static void reset_buffer(mp_buf *b) {
  if (b->cap > KEEP_SIZE)
    mp_buf_free(b);
  else
    mp_buf_reset(b);
}

static void next_request(connection *c) {
  size_t used = c->request.input_used;
  size_t left = c->in.len - used;

  if (left > 0) {
    memmove(c->in.data, c->in.data + used, left);
    c->in.len = left;
  } else {
    reset_buffer(&c->in);
  }
  reset_buffer(&c->request.decoded);
  request_reset(&c->request);
  reset_buffer(&c->out);
  c->sent = 0;
  c->phase = PHASE_READING;
}

/* The answer is sent. False: the connection is closed. */
static bool end_answer(server *s, connection *c) {
  struct linger at_once = {.l_onoff = 1, .l_linger = 0};

  switch (c->ending) {
    case END_KEEP:
      next_request(c);
      return true;
    case END_DRIP:
      c->phase = PHASE_DRIPPING;
      c->due_us = mp_mono_us() + DRIP_US;
      mp_buf_reset(&c->out);
      c->sent = 0;
      timer_add(s, c);
      want(s, c, EPOLLRDHUP);
      return true;
    case END_DRAIN: /* closing with input unread would reset the connection under the answer */
      shutdown(c->fd, SHUT_WR);
      c->phase = PHASE_DRAINING;
      want(s, c, EPOLLIN);
      return true;
    case END_RESET:
      setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      break;
    case END_CLOSE:
      break;
  }
  connection_close(s, c);
  return false;
}

/* False: the connection is closed. */
static bool flush(server *s, connection *c) {
  switch (write_out(c)) {
    case GOES_ON:
      return end_answer(s, c);
    case BLOCKED:
      want(s, c, EPOLLOUT);
      return true;
    case GONE:
      break;
  }
  connection_close(s, c);
  return false;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* RFC 9110 section 10.1.1: the client waits for this before it sends the body. */
static void send_continue(connection *c) {
  static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
  size_t n;

  if (!c->request.expects_continue || c->in.len > c->request.head_len) return;
  c->request.expects_continue = false;
  write_some(c, line, sizeof line - 1, &n);
}

/* False: the connection is closed. */
static bool start_answer(server *s, connection *c) {
  switch (c->phase) {
    case PHASE_DELAYED:
      timer_add(s, c);
      want(s, c, EPOLLRDHUP);
      return true;
    case PHASE_SILENT:
      want(s, c, EPOLLRDHUP);
      return true;
    default:
      return flush(s, c);
  }
}

/* Answers the whole requests that the input holds. The connection may be closed when it returns. */
static void serve(server *s, connection *c) {
  while (c->phase == PHASE_READING) {
    request_state state = REQUEST_MORE;

    if (c->in.len > 0) state = request_read(&c->request, c->in.data, c->in.len);
    if (state == REQUEST_MORE) {
      send_continue(c);
      want(s, c, EPOLLIN | EPOLLRDHUP);
      return;
    }
    if (state == REQUEST_BAD) {
      answer_bad_request(c);
    } else {
      s->requests++;
      answer_request(s, c);
      record_request(s, c);
    }
    if (!start_answer(s, c)) return;
  }
}

static void read_input(server *s, connection *c) {
  ssize_t n;

  if (!mp_buf_reserve(&c->in, READ_SIZE)) {
    c->request.status = 413;
    c->request.reason = "a request that is too large";
    answer_bad_request(c);
    flush(s, c);
    return;
  }
  n = recv(c->fd, c->in.data + c->in.len, c->in.cap - c->in.len, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    connection_close(s, c);
    return;
  }
  c->in.len += (size_t)n;
  serve(s, c);
}

static void drain_input(server *s, connection *c) {
  char scratch[READ_SIZE];
  ssize_t n = recv(c->fd, scratch, sizeof scratch, 0);
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) connection_close(s, c);
}

void connection_ready(server *s, connection *c, uint32_t events) {
  if (events & (EPOLLHUP | EPOLLERR)) {
    connection_close(s, c);
    return;
  }
  switch (c->phase) {
    case PHASE_READING:
      read_input(s, c);
      break;
    case PHASE_WRITING:
      if (flush(s, c)) serve(s, c);
      break;
    case PHASE_DRAINING:
      drain_input(s, c);
      break;
    case PHASE_DELAYED:
    case PHASE_SILENT:
    case PHASE_DRIPPING: /* the client went away */
      connection_close(s, c);
      break;
  }
}

void connection_timers(server *s, int64_t now_us) {
  connection *next;

  if (now_us < s->next_due_us) return;
  s->next_due_us = INT64_MAX;
  for (connection *c = s->timers; c; c = next) {
    next = c->timer_next;
    if (c->due_us > now_us) {
      timer_add(s, c);
      continue;
    }
    timer_remove(s, c);
    if (c->phase == PHASE_DRIPPING) mp_buf_add_str(&c->out, c->drip);
    c->phase = PHASE_WRITING;
    if (flush(s, c)) serve(s, c);
  }
}
