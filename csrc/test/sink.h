/* A receiver in the test's own process: answers every request with 200 and keeps which event came
 * to which path. Nothing in it fails (fault.h): it stands for another machine. */
#ifndef MP_TEST_SINK_H
#define MP_TEST_SINK_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/id.h"
#include "test/fault.h"

#define SINK_PEERS 64
#define SINK_NOTES 4096

typedef struct sink_note {
  int64_t event;
  char path; /* the letter after the slash */
} sink_note;

typedef struct sink {
  int listener;
  int port;
  atomic_int status;   /* that it answers with; 0: it keeps requests until there is one */
  atomic_int kept;     /* requests without an answer */
  atomic_bool lenient; /* what it does not understand is left out */
  atomic_bool stop;
  pthread_t thread;
  pthread_mutex_t lock;
  sink_note notes[SINK_NOTES]; /* lock */
  int count;                   /* lock */
  char buffers[SINK_PEERS][4096];
  size_t used[SINK_PEERS];
} sink;

static inline void sink_note_request(sink *s, const char *request) {
  const char *id = strstr(request, "webhook-id: ");
  char text[MP_EVENT_ID_SIZE] = "";
  int64_t event = 0;

  if (id) snprintf(text, sizeof text, "%s", id + strlen("webhook-id: "));
  if (atomic_load(&s->lenient) && !mp_event_id_parse(text, &event)) return;
  CHECK(strncmp(request, "POST /", 6) == 0 && mp_event_id_parse(text, &event),
        "the receiver got: %s", request);
  pthread_mutex_lock(&s->lock);
  CHECK(s->count < SINK_NOTES, "the receiver got more than %d requests", SINK_NOTES);
  s->notes[s->count++] = (sink_note){.event = event, .path = request[6]};
  pthread_mutex_unlock(&s->lock);
}

/* The length of the first request in the buffer; 0 while it is not there whole. */
static inline size_t sink_request(const char *buffer, size_t used) {
  const char *body = strstr(buffer, "\r\n\r\n"), *length = strstr(buffer, "Content-Length: ");
  size_t n;

  if (!body) return 0;
  CHECK(length && length < body, "a request without a length");
  n = (size_t)(body + 4 - buffer) + (size_t)atol(length + strlen("Content-Length: "));
  return n <= used ? n : 0;
}

static inline bool sink_read(sink *s, int fd, int peer) {
  char *buffer = s->buffers[peer];
  size_t used = s->used[peer];
  ssize_t got = read(fd, buffer + used, sizeof s->buffers[0] - 1 - used);

  if (got <= 0) return false;
  s->used[peer] = used + (size_t)got;
  buffer[s->used[peer]] = '\0';
  return true;
}

static inline bool sink_answer(sink *s, int fd, int peer) {
  int status = atomic_load(&s->status);
  char *buffer = s->buffers[peer], answer[128];
  size_t used = s->used[peer], n;

  while (status && (n = sink_request(buffer, used)) > 0) {
    sink_note_request(s, buffer);
    snprintf(answer, sizeof answer, "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok", status);
    if (write(fd, answer, strlen(answer)) < 0) return false;
    used -= n;
    memmove(buffer, buffer + n, used + 1);
  }
  s->used[peer] = used;
  return true;
}

static inline void *sink_run(void *arg) {
  sink *s = arg;
  struct pollfd fds[SINK_PEERS + 1];

  fault_spared = true;
  for (int i = 0; i <= SINK_PEERS; i++)
    fds[i] = (struct pollfd){.fd = -1, .events = POLLIN};
  fds[SINK_PEERS].fd = s->listener;
  while (!atomic_load(&s->stop)) {
    int kept = 0;

    poll(fds, SINK_PEERS + 1, 20);
    for (int i = 0; i < SINK_PEERS; i++) {
      if (fds[i].fd < 0) continue;
      if ((!fds[i].revents || sink_read(s, fds[i].fd, i)) && sink_answer(s, fds[i].fd, i)) {
        kept += sink_request(s->buffers[i], s->used[i]) > 0;
        continue;
      }
      close(fds[i].fd);
      fds[i].fd = -1;
    }
    atomic_store(&s->kept, kept);
    if (fds[SINK_PEERS].revents) {
      int i = 0;
      while (i < SINK_PEERS && fds[i].fd >= 0)
        i++;
      CHECK(i < SINK_PEERS, "the receiver has too many connections");
      fds[i].fd = accept(s->listener, NULL, NULL);
      s->used[i] = 0;
      s->buffers[i][0] = '\0';
      fds[i].revents = 0;
    }
  }
  for (int i = 0; i <= SINK_PEERS; i++) {
    if (fds[i].fd >= 0) close(fds[i].fd);
  }
  return NULL;
}

static inline void sink_start(sink *s) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;

  memset(s, 0, sizeof *s);
  atomic_store(&s->status, 200);
  pthread_mutex_init(&s->lock, NULL);
  s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(bind(s->listener, (struct sockaddr *)&address, sizeof address) == 0 &&
            listen(s->listener, 64) == 0 &&
            getsockname(s->listener, (struct sockaddr *)&address, &len) == 0,
        "there is no receiver");
  s->port = ntohs(address.sin_port);
  CHECK(pthread_create(&s->thread, NULL, sink_run, s) == 0, "there is no thread for the receiver");
}

static inline void sink_stop(sink *s) {
  atomic_store(&s->stop, true);
  pthread_join(s->thread, NULL);
  pthread_mutex_destroy(&s->lock);
}

/* How often did the event come to the path? */
static inline int sink_got(sink *s, int64_t event, char path) {
  int n = 0;
  pthread_mutex_lock(&s->lock);
  for (int i = 0; i < s->count; i++)
    n += s->notes[i].event == event && s->notes[i].path == path;
  pthread_mutex_unlock(&s->lock);
  return n;
}

static inline int sink_got_anywhere(sink *s, int64_t event) {
  return sink_got(s, event, 'c') + sink_got(s, event, 'a') + sink_got(s, event, 'b');
}

#endif
