/* The receiver: an HTTP/1.1 server on the loopback whose request paths say how it behaves, for the
 * tests, the demo and the bench. One thread; every struct is its own.
 *
 *   /ok and any other path      200
 *   /status/N[?retry-after=V]   N, with Retry-After
 *   /sequence/500,500,200       the n-th request of this target (query included) gets the n-th, and
 *                               any later one the last; retry-after as above
 *   /flaky/PERCENT              500 for that share, else 200
 *   /delay/SECONDS              200 after a time
 *   /hang  /reset  /close       no answer; a reset; a close without an answer
 *   /flaky-reset/PERCENT        a reset for that share, else 200
 *   /garbage                    bytes that are no HTTP
 *   /half  /half-head           a body, a header that ends too early
 *   /headers-forever            a header line every few milliseconds
 *   /body-forever               a chunk every few milliseconds
 *   /big/BYTES                  200 with a body of that size
 *   /continue                   100, 103, then 200
 *   /redirect[/N]?to=URL        302, or N
 *   /no-content  /echo          204; 200 with the body that came
 *   /token[?life=S&delay=S]     an OAuth 2.0 answer: the n-th of this target has token-n
 *   /bearer/TOKEN               200 when the request shows that token, else 401
 *   /json/N?body=TEXT           N, with that body
 */
#ifndef MP_TEST_RECEIVER_H
#define MP_TEST_RECEIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define MAX_HEAD        ((size_t)64 << 10)
#define MAX_BODY        ((size_t)64 << 20)
#define MAX_CONNECTIONS 4096

typedef struct slice {
  const char *data;
  size_t len;
} slice;

bool slice_is(slice s, const char *text); /* in any case */

/* ---- request.c: reading one request ------------------------------------------------------------
 */

typedef enum request_state { REQUEST_MORE, REQUEST_DONE, REQUEST_BAD } request_state;

typedef enum chunk_state { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, CHUNK_TRAILER } chunk_state;

typedef struct request {
  size_t scanned;  /* where the search for the head's end goes on */
  size_t head_len; /* with its empty line; 0 until it is complete */
  bool keep_alive;
  bool expects_continue;
  bool chunked;
  size_t content_length;
  chunk_state chunk;
  size_t chunk_left;
  size_t position; /* of the chunked body's next byte in the input */
  mp_buf decoded;  /* a chunked body */

  int status; /* REQUEST_BAD: what to answer, and why */
  const char *reason;

  /* REQUEST_DONE: valid until the input changes. */
  slice head;
  slice method;
  slice target;
  slice body;
  size_t input_used;
} request;

void request_init(request *r);
void request_free(request *r);
void request_reset(request *r);

/* Goes on reading the request that starts at data. */
request_state request_read(request *r, const char *data, size_t len);

/* The next header field; *at starts at 0. False after the last. */
bool request_header(const request *r, size_t *at, slice *name, slice *value);

/* ---- connection.c ------------------------------------------------------------------------------
 */

typedef enum phase {
  PHASE_READING,
  PHASE_DELAYED,  /* the answer in out is sent at due_us */
  PHASE_SILENT,   /* until the client goes */
  PHASE_WRITING,  /* out, then filler bytes, then what ending says */
  PHASE_DRIPPING, /* drip is sent at due_us, again and again */
  PHASE_DRAINING, /* the last bytes are sent: reads until the client closes */
} phase;

typedef enum ending { END_KEEP, END_CLOSE, END_RESET, END_DRAIN, END_DRIP } ending;

typedef struct server server;

typedef struct connection {
  int fd;
  uint64_t number;
  phase phase;
  ending ending;
  int status; /* of the answer; 0: none, or bytes that are no whole answer */
  request request;
  mp_buf in;
  mp_buf out;
  size_t sent;       /* bytes of out */
  uint64_t filler;   /* bytes of a large body still to be sent after out */
  const char *drip;  /* PHASE_DRIPPING; static */
  int64_t due_us;    /* PHASE_DELAYED, PHASE_DRIPPING */
  uint32_t interest; /* epoll events asked for */
  bool has_timer;
  struct connection *timer_next, *timer_previous;
  struct connection *next, *previous;
} connection;

typedef struct sequence {
  char *target;
  uint64_t count;
  struct sequence *next;
} sequence;

struct server {
  int epoll;
  int listener;
  int record;       /* -1: none */
  int record_brief; /* likewise */
  int max_connections;
  int connections;
  connection *all;
  connection *timers;
  int64_t next_due_us; /* not later than the earliest timer; INT64_MAX without timers */
  uint64_t accepted;
  uint64_t requests;
  uint64_t random; /* never 0 */
  sequence *sequences;
  int sequence_count;
  mp_buf line; /* the record being written */
};

void connection_accept(server *s);
void connection_ready(server *s, connection *c, uint32_t events);
void connection_close(server *s, connection *c);
void connection_timers(server *s, int64_t now_us);

/* ---- answer.c ----------------------------------------------------------------------------------
 */

/* Fills out and says by phase and ending what is done with it. */
void answer_request(server *s, connection *c);
void answer_bad_request(connection *c);

/* ---- record.c ----------------------------------------------------------------------------------
 */

/* Appends the request to the records that are kept, as one line in one write(2), when its answer is
 * chosen and not yet sent. Ends the process when it cannot. */
void record_request(server *s, const connection *c);

#endif
