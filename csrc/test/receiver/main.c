/* The receiver's options, its socket and its loop; receiver.h says what it is for.
 *
 *   receiver [--bind 127.0.0.1] [--port 0] [--record FILE] [--record-brief FILE]
 *            [--stdin-lifetime] [--pid-parent]
 *
 * Prints "listening on ADDRESS:PORT" and ends on SIGTERM or SIGINT; with --stdin-lifetime when its
 * standard input is closed; with --pid-parent when its parent dies. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "receiver.h"

#define EVENTS    256
#define SPARE_FDS 16 /* standard streams, epoll, the records */

typedef struct options {
  const char *bind;
  const char *record;
  const char *record_brief;
  int port;
  bool stdin_lifetime;
  bool pid_parent;
} options;

static void die(const char *what, const char *why) {
  fprintf(stderr, "receiver: %s: %s\n", what, why);
  exit(1);
}

static int read_port(const char *text) {
  char *end;
  long port = strtol(text, &end, 10);
  if (*text == '\0' || *end != '\0' || port < 0 || port > 65535) die(text, "not a port");
  return (int)port;
}

static options read_options(int argc, char **argv) {
  options o = {.bind = "127.0.0.1"};

  for (int i = 1; i < argc; i++) {
    const char *name = argv[i];
    const char *value = argv[i + 1]; /* NULL after the last */

    if (strcmp(name, "--stdin-lifetime") == 0) {
      o.stdin_lifetime = true;
      continue;
    }
    if (strcmp(name, "--pid-parent") == 0) {
      o.pid_parent = true;
      continue;
    }
    if (strcmp(name, "--bind") != 0 && strcmp(name, "--port") != 0 &&
        strcmp(name, "--record") != 0 && strcmp(name, "--record-brief") != 0) {
      die(name,
          "no such option (--bind, --port, --record, --record-brief, --stdin-lifetime, "
          "--pid-parent)");
    }
    if (!value) die(name, "needs a value");
    if (strcmp(name, "--bind") == 0) o.bind = value;
    if (strcmp(name, "--port") == 0) o.port = read_port(value);
    if (strcmp(name, "--record") == 0) o.record = value;
    if (strcmp(name, "--record-brief") == 0) o.record_brief = value;
    i++;
  }
  return o;
}

/* ---- the socket --------------------------------------------------------------------------------
 */

typedef union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
} address;

/* Anyone may make it misbehave, so nobody else reaches it. */
static address loopback_address(const options *o) {
  address a = {0};

  if (inet_pton(AF_INET, o->bind, &a.v4.sin_addr) == 1) {
    a.v4.sin_family = AF_INET;
    a.v4.sin_port = htons((uint16_t)o->port);
    if (ntohl(a.v4.sin_addr.s_addr) >> 24 == 127) return a;
  } else if (inet_pton(AF_INET6, o->bind, &a.v6.sin6_addr) == 1) {
    a.v6.sin6_family = AF_INET6;
    a.v6.sin6_port = htons((uint16_t)o->port);
    if (IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr)) return a;
  }
  die(o->bind, "not a loopback address");
  return a;
}

static int listen_on(const options *o) {
  address a = loopback_address(o);
  socklen_t size = a.any.sa_family == AF_INET ? sizeof a.v4 : sizeof a.v6;
  int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;

  if (fd < 0) die("socket", strerror(errno));
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, &a.any, size) != 0 || listen(fd, MAX_CONNECTIONS) != 0)
    die(o->bind, strerror(errno));
  if (getsockname(fd, &a.any, &size) != 0) die("getsockname", strerror(errno));
  if (a.any.sa_family == AF_INET)
    printf("listening on %s:%u\n", o->bind, ntohs(a.v4.sin_port));
  else
    printf("listening on [%s]:%u\n", o->bind, ntohs(a.v6.sin6_port));
  return fd;
}

/* As many connections as files may be open, at most MAX_CONNECTIONS: with none left to accept, the
 * loop would spin on the listener. */
static int connection_limit(void) {
  struct rlimit files;

  if (getrlimit(RLIMIT_NOFILE, &files) != 0) die("getrlimit", strerror(errno));
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur <= SPARE_FDS) die("open files", "the limit is too low");
  if (files.rlim_cur >= MAX_CONNECTIONS + SPARE_FDS) return MAX_CONNECTIONS;
  return (int)files.rlim_cur - SPARE_FDS;
}

/* ---- the loop ----------------------------------------------------------------------------------
 */

/* -1 when no file is named. */
static int open_record(const char *path) {
  int fd;

  if (!path) return -1;
  fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) die(path, strerror(errno));
  return fd;
}

/* What an event is for, where it is not a connection's. */
static const char stdin_tag, signal_tag, listener_tag;

static void watch(server *s, int fd, const char *tag) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = (void *)tag};
  if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    die(fd == STDIN_FILENO ? "--stdin-lifetime" : "epoll_ctl", strerror(errno));
}

static bool stdin_ended(void) {
  char scratch[256];
  return read(STDIN_FILENO, scratch, sizeof scratch) == 0;
}

static int milliseconds_to_next(const server *s) {
  int64_t left;
  if (s->next_due_us == INT64_MAX) return -1;
  left = s->next_due_us - mp_mono_us();
  if (left <= 0) return 0;
  return left > 1000000 ? 1000 : (int)((left + 999) / 1000);
}

static void run(server *s) {
  struct epoll_event events[EVENTS];
  bool stopped = false;

  while (!stopped) {
    int n = epoll_wait(s->epoll, events, EVENTS, milliseconds_to_next(s));

    if (n < 0 && errno != EINTR) die("epoll", strerror(errno));
    for (int i = 0; i < n; i++) {
      void *tag = events[i].data.ptr;
      if (tag == &listener_tag)
        connection_accept(s);
      else if (tag == &signal_tag || (tag == &stdin_tag && stdin_ended()))
        stopped = true;
      else if (tag != &stdin_tag)
        connection_ready(s, tag, events[i].events);
    }
    connection_timers(s, mp_mono_us());
  }
}

/* A descriptor that is readable once SIGTERM or SIGINT has come. (A handler that runs only while
 * epoll_pwait waits would never run under load.) */
static int open_signals(void) {
  sigset_t signals;
  int fd;

  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  fd = signalfd(-1, &signals, SFD_CLOEXEC);
  if (fd < 0) die("signalfd", strerror(errno));
  return fd;
}

static void server_free(server *s) {
  while (s->all)
    connection_close(s, s->all);
  while (s->sequences) {
    sequence *q = s->sequences;
    s->sequences = q->next;
    free(q->target);
    free(q);
  }
  mp_buf_free(&s->line);
  close(s->listener);
  close(s->epoll);
  if (s->record >= 0) close(s->record);
  if (s->record_brief >= 0) close(s->record_brief);
}

int main(int argc, char **argv) {
  options o = read_options(argc, argv);
  server s = {.next_due_us = INT64_MAX, .random = 0x9e3779b97f4a7c15};
  pid_t parent = getppid();
  int signals;

  if (o.pid_parent) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) return 0; /* it died before the line above */
  }
  s.record = open_record(o.record);
  s.record_brief = open_record(o.record_brief);
  signals = open_signals();
  mp_buf_init(&s.line, 8 * (MAX_HEAD * 3 + MAX_BODY));
  s.max_connections = connection_limit();
  s.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (s.epoll < 0) die("epoll", strerror(errno));
  s.listener = listen_on(&o);
  watch(&s, s.listener, &listener_tag);
  watch(&s, signals, &signal_tag);
  if (o.stdin_lifetime) watch(&s, STDIN_FILENO, &stdin_tag);
  fflush(stdout);

  run(&s);
  server_free(&s);
  close(signals);
  return 0;
}
