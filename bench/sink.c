/* The bench's receiver: answers HTTP/1.1 requests on the loopback as fast as one thread can, so
 * that what is measured is the sender. One epoll loop; a request's body is counted, not kept.
 *
 *   sink [--port 0] [--latency MS] [--record FILE [--record-prefix /w/]]
 *
 *   any path         200 "ok", after --latency
 *   /lat/MS[/...]    after MS milliseconds
 *   /hang[/...]      no answer
 *   GET /count       what came so far, as JSON; writes out the record
 *   GET /reset       the same, and counts from zero
 *
 * Prints "listening on PORT pid PID" and ends on SIGTERM or when its parent dies. A record is a
 * line "MICROSECONDS PATH WEBHOOK-ID" for each request whose path begins with the prefix: when its
 * first byte was read (CLOCK_MONOTONIC). It is a receiver for well-behaved clients: no pipelining
 * while an answer is due, no chunked bodies. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sink_head.h"

#define EVENTS     512
#define READ_SIZE  (256 << 10)
#define HEAD_MAX   (16 << 10) /* a request's head that came in pieces */
#define PATH_MAX_  128        /* bytes of a path that are told apart */
#define PATHS      8192       /* a power of 2; at most half are used */
#define DELAYS     16         /* different latencies */
#define RECORD_MAX (1 << 20)
#define HANG       (-1)

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static const char proceed[] = "HTTP/1.1 100 Continue\r\n\r\n";

typedef struct connection {
  int fd;
  bool waiting;        /* an answer is due later, or never */
  size_t body_left;    /* of the request being read */
  struct route *route; /* of the request whose body is being read */
  char *head;          /* a head that came in pieces; NULL: none */
  size_t head_len;
  int64_t first_us;                   /* when that head's first byte came */
  int64_t due_us;                     /* waiting */
  struct connection *previous, *next; /* in its delay's queue */
  struct delay *queue;                /* NULL: in none */
} connection;

/* Requests that wait equally long are answered in the order in which they came. */
typedef struct delay {
  int64_t us;
  connection *first, *last;
} delay;

typedef struct route {
  char path[PATH_MAX_];
  uint64_t count;
  int64_t latency_us; /* HANG: no answer */
  bool recorded;
} route;

typedef struct sink {
  int epoll;
  int listener;
  int record; /* -1: none */
  int64_t latency_us;
  const char *record_prefix;
  route routes[PATHS];
  size_t route_count;
  delay delays[DELAYS];
  size_t delay_count;
  uint64_t requests;
  uint64_t connections; /* accepted */
  char lines[RECORD_MAX];
  size_t lines_len;
  char input[READ_SIZE];
} sink;

static volatile sig_atomic_t stopped;

static _Noreturn void die(const char *what, const char *why) {
  fprintf(stderr, "sink: %s: %s\n", what, why);
  exit(1);
}

static int64_t mono_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- routes --------------------------------------------------------------------------------- */

static int64_t latency_of(const sink *s, const char *path) {
  size_t len = strcspn(path + 1, "/") + 1;

  if (len == 5 && memcmp(path, "/hang", 5) == 0) return HANG;
  if (strncmp(path, "/lat/", 5) == 0) return (int64_t)strtoul(path + 5, NULL, 10) * 1000;
  return s->latency_us;
}

static route *find_route(sink *s, const char *path, size_t len) {
  uint32_t hash = 2166136261u; /* FNV-1a */
  route *r;

  if (len >= PATH_MAX_) len = PATH_MAX_ - 1;
  for (size_t i = 0; i < len; i++)
    hash = (hash ^ (unsigned char)path[i]) * 16777619u;
  for (;; hash++) {
    r = &s->routes[hash % PATHS];
    if (r->path[0] == '\0') break;
    if (memcmp(r->path, path, len) == 0 && r->path[len] == '\0') return r;
  }
  if (++s->route_count > PATHS / 2) die("paths", "more than the sink tells apart");
  memcpy(r->path, path, len);
  r->latency_us = latency_of(s, r->path);
  r->recorded = s->record >= 0 && strncmp(r->path, s->record_prefix, strlen(s->record_prefix)) == 0;
  return r;
}

/* ---- the record ----------------------------------------------------------------------------- */

static void flush_record(sink *s) {
  for (size_t at = 0; at < s->lines_len;) {
    ssize_t n = write(s->record, s->lines + at, s->lines_len - at);
    if (n < 0 && errno != EINTR) die("record", strerror(errno));
    if (n > 0) at += (size_t)n;
  }
  s->lines_len = 0;
}

static void add_record(sink *s, const route *to, const request *r, int64_t us) {
  int id_len = r->id_len < 64 ? (int)r->id_len : 64;

  if (s->lines_len + PATH_MAX_ + 128 > sizeof s->lines) flush_record(s);
  s->lines_len +=
      (size_t)snprintf(s->lines + s->lines_len, sizeof s->lines - s->lines_len, "%lld %s %.*s\n",
                       (long long)us, to->path, r->id ? id_len : 1, r->id ? r->id : "-");
}

/* ---- connections ---------------------------------------------------------------------------- */

static void leave_queue(connection *c) {
  delay *d = c->queue;

  if (!d) return;
  if (c->previous)
    c->previous->next = c->next;
  else
    d->first = c->next;
  if (c->next)
    c->next->previous = c->previous;
  else
    d->last = c->previous;
  c->queue = NULL;
}

static void close_connection(connection *c) {
  leave_queue(c);
  close(c->fd);
  free(c->head);
  free(c);
}

static void join_queue(sink *s, connection *c, int64_t latency_us) {
  delay *d = s->delays;

  while (d < s->delays + s->delay_count && d->us != latency_us)
    d++;
  if (d == s->delays + s->delay_count) {
    if (s->delay_count == DELAYS) die("latencies", "more than the sink tells apart");
    s->delay_count++;
    d->us = latency_us;
  }
  c->queue = d;
  c->due_us = mono_us() + latency_us;
  c->previous = d->last;
  c->next = NULL;
  if (d->last)
    d->last->next = c;
  else
    d->first = c;
  d->last = c;
}

/* An answer fits into an empty socket buffer. False: the client has gone. */
static bool send_all(const connection *c, const char *data, size_t len) {
  return send(c->fd, data, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* False: the client has gone. */
static bool finish_request(sink *s, connection *c) {
  const route *r = c->route;

  c->route = NULL;
  if (r->latency_us == 0) return send_all(c, answer, sizeof answer - 1);
  c->waiting = true;
  if (r->latency_us != HANG) join_queue(s, c, r->latency_us);
  return true;
}

/* Answers what is due. Returns the milliseconds until the next answer; -1 without one. */
static int answer_due(sink *s) {
  int64_t now = mono_us(), next = INT64_MAX;

  for (delay *d = s->delays; d < s->delays + s->delay_count; d++) {
    while (d->first && d->first->due_us <= now) {
      connection *c = d->first;
      leave_queue(c);
      c->waiting = false;
      if (!send_all(c, answer, sizeof answer - 1)) close_connection(c);
    }
    if (d->first && d->first->due_us < next) next = d->first->due_us;
  }
  if (next == INT64_MAX) return -1;
  return (int)((next - now + 999) / 1000);
}

/* ---- GET /count ----------------------------------------------------------------------------- */

static void add_text(char **text, size_t *len, size_t *cap, const char *piece) {
  size_t n = strlen(piece);

  if (*len + n + 1 > *cap) {
    *cap = (*len + n + 1) * 2;
    *text = realloc(*text, *cap);
    if (!*text) die("memory", strerror(errno));
  }
  memcpy(*text + *len, piece, n + 1);
  *len += n;
}

static bool answer_count(sink *s, const connection *c, bool reset) {
  char *text = NULL, piece[2 * PATH_MAX_ + 256];
  size_t len = 0, cap = 0;
  const char *separator = "";
  struct rusage usage;
  bool sent;

  flush_record(s);
  getrusage(RUSAGE_SELF, &usage);
  snprintf(piece, sizeof piece,
           "{\"requests\":%llu,\"connections\":%llu,\"cpu_seconds\":%.6f,\"paths\":{",
           (unsigned long long)s->requests, (unsigned long long)s->connections,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
  add_text(&text, &len, &cap, piece);
  for (size_t i = 0; i < PATHS; i++) {
    const route *r = &s->routes[i];
    if (r->count == 0) continue;
    snprintf(piece, sizeof piece, "%s\"%s\":%llu", separator, r->path,
             (unsigned long long)r->count);
    separator = ",";
    add_text(&text, &len, &cap, piece);
  }
  add_text(&text, &len, &cap, "}}\n");
  snprintf(piece, sizeof piece,
           "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", len);
  /* As long as many paths' names: the socket may block here, nothing is measured meanwhile. */
  fcntl(c->fd, F_SETFL, 0);
  sent = send_all(c, piece, strlen(piece)) && send_all(c, text, len);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  free(text);
  if (reset) {
    s->requests = s->connections = 0;
    for (size_t i = 0; i < PATHS; i++)
      s->routes[i].count = 0;
  }
  return sent;
}

/* ---- requests ------------------------------------------------------------------------------- */

/* False: the connection is to be closed. */
static bool begin_request(sink *s, connection *c, const char *head, size_t len, int64_t us) {
  request r = parse_head(head, len);

  if (r.bad) return false;
  if (r.get && r.path_len == 6 && memcmp(r.path, "/count", 6) == 0) {
    return answer_count(s, c, false);
  }
  if (r.get && r.path_len == 6 && memcmp(r.path, "/reset", 6) == 0) return answer_count(s, c, true);
  c->route = find_route(s, r.path, r.path_len);
  c->route->count++;
  c->body_left = r.content_length;
  s->requests++;
  if (c->route->recorded) add_record(s, c->route, &r, us);
  if (r.expects) return send_all(c, proceed, sizeof proceed - 1);
  return true;
}

/* A head that came in pieces goes on. Takes what belongs to it; false: the connection is to be
 * closed. */
static bool continue_head(sink *s, connection *c, const char **data, size_t *len) {
  size_t before = c->head_len, take = *len, head;
  bool ok;

  if (take > HEAD_MAX - before) take = HEAD_MAX - before;
  memcpy(c->head + before, *data, take);
  head = head_length(c->head, before + take);
  if (head == 0) {
    c->head_len += take;
    *len = 0;
    return c->head_len < HEAD_MAX;
  }
  *data += head - before;
  *len -= head - before;
  ok = begin_request(s, c, c->head, head, c->first_us);
  free(c->head);
  c->head = NULL;
  return ok;
}

static bool keep_piece(connection *c, const char *data, size_t len, int64_t us) {
  if (len >= HEAD_MAX) return false;
  c->head = malloc(HEAD_MAX);
  if (!c->head) return false;
  memcpy(c->head, data, len);
  c->head_len = len;
  c->first_us = us;
  return true;
}

/* False: the connection is to be closed. */
static bool take_input(sink *s, connection *c, const char *data, size_t len) {
  int64_t us = s->record >= 0 ? mono_us() : 0;

  while (len > 0) {
    if (c->waiting) return false; /* pipelined, or garbage */
    if (c->head) {
      if (!continue_head(s, c, &data, &len)) return false;
    } else if (!c->route) {
      size_t head = head_length(data, len);
      if (head == 0) return keep_piece(c, data, len, us);
      if (!begin_request(s, c, data, head, us)) return false;
      data += head;
      len -= head;
    } else {
      size_t take = len < c->body_left ? len : c->body_left;
      c->body_left -= take;
      data += take;
      len -= take;
    }
    if (c->route && c->body_left == 0 && !finish_request(s, c)) return false;
  }
  return true;
}

static void read_connection(sink *s, connection *c) {
  ssize_t n = recv(c->fd, s->input, sizeof s->input, 0);

  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0 || !take_input(s, c, s->input, (size_t)n)) close_connection(c);
}

static void accept_all(sink *s) {
  int fd, on = 1;

  while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    connection *c = calloc(1, sizeof *c);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (!c) die("memory", strerror(errno));
    c->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll", strerror(errno));
    s->connections++;
  }
  if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) die("accept", strerror(errno));
}

/* ---- start and loop ------------------------------------------------------------------------- */

static void listen_on(sink *s, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                .sin_port = htons((uint16_t)port)};
  socklen_t size = sizeof address;
  struct epoll_event event = {.events = EPOLLIN};
  int on = 1;

  s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(s->listener, (struct sockaddr *)&address, size) != 0 || listen(s->listener, 4096) != 0 ||
      getsockname(s->listener, (struct sockaddr *)&address, &size) != 0) {
    die("listen", strerror(errno));
  }
  s->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (s->epoll < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &event) != 0) {
    die("epoll", strerror(errno));
  }
  printf("listening on %u pid %ld\n", ntohs(address.sin_port), (long)getpid());
  fflush(stdout);
}

static void on_stop(int signal_number) {
  (void)signal_number;
  stopped = 1;
}

static void run(sink *s) {
  struct epoll_event events[EVENTS];
  sigset_t none;

  sigemptyset(&none);
  while (!stopped) {
    int timeout = answer_due(s);
    int n = epoll_pwait(s->epoll, events, EVENTS, timeout, &none);
    if (n < 0 && errno != EINTR) die("epoll", strerror(errno));
    for (int i = 0; i < n; i++) {
      if (events[i].data.ptr)
        read_connection(s, events[i].data.ptr);
      else
        accept_all(s);
    }
  }
}

static long number(const char *name, const char *text, long most) {
  char *end;
  long value = strtol(text, &end, 10);
  if (*text == '\0' || *end != '\0' || value < 0 || value > most)
    die(name, "not a number it takes");
  return value;
}

int main(int argc, char **argv) {
  static sink s = {.record = -1, .record_prefix = "/"};
  struct rlimit files;
  sigset_t blocked;
  long port = 0;

  for (int i = 1; i < argc; i += 2) {
    const char *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (!value) die(argv[i], "needs a value");
    if (strcmp(argv[i], "--port") == 0) {
      port = number(argv[i], value, 65535);
    } else if (strcmp(argv[i], "--latency") == 0) {
      s.latency_us = number(argv[i], value, 600000) * 1000;
    } else if (strcmp(argv[i], "--record") == 0) {
      s.record = open(value, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
      if (s.record < 0) die(value, strerror(errno));
    } else if (strcmp(argv[i], "--record-prefix") == 0) {
      s.record_prefix = value;
    } else {
      die(argv[i], "no such option (--port, --latency, --record, --record-prefix)");
    }
  }
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  /* Signals are let in while epoll waits alone; the loop always comes back to it. */
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGINT);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  signal(SIGTERM, on_stop);
  signal(SIGINT, on_stop);
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  listen_on(&s, (int)port);
  run(&s);
  if (s.record >= 0) flush_record(&s);
  return 0;
}
