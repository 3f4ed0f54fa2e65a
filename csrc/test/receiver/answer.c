/* What each path does. An answer is bytes in out, a phase and an ending; connection.c does the
 * rest. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "receiver.h"

#define MAX_SEQUENCES 4096
#define MAX_DELAY     3600.0
#define MAX_PARAMETER 2048

/* 16 lines of 64 bytes. */
#define LINE  "0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXY\n"
#define LINES LINE LINE LINE LINE
#define CHUNK "400\r\n" LINES LINES LINES LINES "\r\n"

/* A request target's parts: "/NAME/ARGUMENT?QUERY". */
typedef struct route {
  slice name;
  slice argument;
  slice query;
} route;

/* ---- plain answers -----------------------------------------------------------------------------
 */

static const char *reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 302:
      return "Found";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 410:
      return "Gone";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "Status";
  }
}

/* A whole answer; fields are header lines with their CRLF. */
static void answer(connection *c, int status, const char *fields, slice body) {
  bool has_body = status != 204 && status != 304;

  c->phase = PHASE_WRITING;
  c->ending = c->request.keep_alive ? END_KEEP : END_CLOSE;
  c->status = status;
  mp_buf_add_format(&c->out, "HTTP/1.1 %d %s\r\n%s", status, reason_phrase(status), fields);
  if (!c->request.keep_alive) mp_buf_add_str(&c->out, "Connection: close\r\n");
  if (has_body) mp_buf_add_format(&c->out, "Content-Length: %zu\r\n", body.len);
  mp_buf_add_str(&c->out, "\r\n");
  if (has_body && !slice_is(c->request.method, "HEAD")) mp_buf_add(&c->out, body.data, body.len);
}

static void answer_text(connection *c, int status, const char *fields, const char *text) {
  char all[MAX_PARAMETER + 128];
  snprintf(all, sizeof all, "Content-Type: text/plain\r\n%s", fields);
  answer(c, status, all, (slice){text, strlen(text)});
}

static void answer_ok(connection *c) {
  static const char ok[] =
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n";

  if (!c->request.keep_alive || slice_is(c->request.method, "HEAD")) {
    answer_text(c, 200, "", "ok\n");
    return;
  }
  c->phase = PHASE_WRITING;
  c->ending = END_KEEP;
  c->status = 200;
  mp_buf_add(&c->out, ok, sizeof ok - 1);
}

static void answer_refused(connection *c, const char *expected) {
  char text[128];
  snprintf(text, sizeof text, "expected %s\n", expected);
  answer_text(c, 400, "", text);
}

/* Bytes that are no whole answer, and an ending. */
static void answer_raw(connection *c, const char *bytes, ending end) {
  c->phase = PHASE_WRITING;
  c->ending = end;
  mp_buf_add_str(&c->out, bytes);
}

void answer_bad_request(connection *c) {
  char text[128];
  c->request.keep_alive = false;
  snprintf(text, sizeof text, "refused: %s\n", c->request.reason);
  answer_text(c, c->request.status, "", text);
  c->ending = END_DRAIN;
}

/* ---- parameters --------------------------------------------------------------------------------
 */

/* A number of the argument's whole text, from min to max. */
static bool read_number(slice s, double min, double max, double *number) {
  char text[32];
  char *end;

  if (s.len == 0 || s.len >= sizeof text || !strchr("0123456789.", s.data[0])) return false;
  memcpy(text, s.data, s.len);
  text[s.len] = '\0';
  *number = strtod(text, &end);
  return *end == '\0' && *number >= min && *number <= max;
}

static bool read_status(slice s, int *status) {
  double number;
  if (s.len != 3 || !read_number(s, 200, 999, &number) || number != floor(number)) return false;
  *status = (int)number;
  return true;
}

static int hex_digit(char c) {
  const char *digits = "0123456789abcdef";
  const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
  return at ? (int)(at - digits) : -1;
}

/* The query's parameter, percent-decoded; out is empty when it is not there. False for one that is
 * too long or would break a header line. */
static bool read_parameter(slice query, const char *name, char out[MAX_PARAMETER]) {
  size_t name_len = strlen(name);
  size_t used = 0;
  const char *p = query.data, *end = query.data + query.len;

  while (p < end &&
         !((size_t)(end - p) > name_len && memcmp(p, name, name_len) == 0 && p[name_len] == '=')) {
    const char *ampersand = memchr(p, '&', (size_t)(end - p));
    p = ampersand ? ampersand + 1 : end;
  }
  for (p = p < end ? p + name_len + 1 : end; p < end && *p != '&'; p++) {
    int c = (unsigned char)*p;
    if (c == '%' && end - p > 2 && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0) {
      c = hex_digit(p[1]) * 16 + hex_digit(p[2]);
      p += 2;
    }
    if (c < 0x20 || c == 0x7f || used + 1 == MAX_PARAMETER) return false;
    out[used++] = (char)c;
  }
  out[used] = '\0';
  return true;
}

/* ---- the paths ---------------------------------------------------------------------------------
 */

static void answer_status(connection *c, int status, slice query) {
  char after[MAX_PARAMETER];
  char field[MAX_PARAMETER + 32] = "";
  char text[32];

  if (!read_parameter(query, "retry-after", after)) {
    answer_refused(c, "retry-after to be a header value");
    return;
  }
  if (after[0]) snprintf(field, sizeof field, "Retry-After: %s\r\n", after);
  snprintf(text, sizeof text, "status %d\n", status);
  answer_text(c, status, field, text);
}

static void route_status(server *s, connection *c, const route *r) {
  int status;
  (void)s;
  if (read_status(r->argument, &status))
    answer_status(c, status, r->query);
  else
    answer_refused(c, "/status/N, N from 200 to 999");
}

/* How often this target was asked for, this time included; 0 when there are too many targets. */
static uint64_t count_target(server *s, slice target) {
  sequence *q = s->sequences;

  while (q && !(strlen(q->target) == target.len && memcmp(q->target, target.data, target.len) == 0))
    q = q->next;
  if (!q) {
    if (s->sequence_count == MAX_SEQUENCES) return 0;
    q = calloc(1, sizeof *q);
    if (!q) return 0;
    q->target = strndup(target.data, target.len);
    if (!q->target) {
      free(q);
      return 0;
    }
    q->next = s->sequences;
    s->sequences = q;
    s->sequence_count++;
  }
  return ++q->count;
}

static void route_sequence(server *s, connection *c, const route *r) {
  uint64_t n = count_target(s, c->request.target);
  slice rest = r->argument;
  int status = 0;

  for (uint64_t i = 0; i < n && rest.data; i++) {
    const char *comma = memchr(rest.data, ',', rest.len);
    slice item = {rest.data, comma ? (size_t)(comma - rest.data) : rest.len};

    if (!read_status(item, &status)) {
      answer_refused(c, "/sequence/N,N,..., N from 200 to 999");
      return;
    }
    rest = comma ? (slice){comma + 1, rest.len - item.len - 1} : (slice){0};
  }
  if (status == 0)
    answer_text(c, 500, "", "too many sequences\n");
  else
    answer_status(c, status, r->query);
}

/* Marsaglia's xorshift64: the same numbers in each run. */
static double next_random(server *s) {
  s->random ^= s->random << 13;
  s->random ^= s->random >> 7;
  s->random ^= s->random << 17;
  return (double)(s->random >> 11) / 9007199254740992.0;
}

static void route_flaky(server *s, connection *c, const route *r) {
  double percent;
  if (!read_number(r->argument, 0, 100, &percent))
    answer_refused(c, "/flaky/PERCENT, from 0 to 100");
  else if (next_random(s) * 100 < percent)
    answer_status(c, 500, r->query);
  else
    answer_ok(c);
}

static void route_flaky_reset(server *s, connection *c, const route *r) {
  double percent;
  if (!read_number(r->argument, 0, 100, &percent))
    answer_refused(c, "/flaky-reset/PERCENT, from 0 to 100");
  else if (next_random(s) * 100 < percent)
    answer_raw(c, "", END_RESET);
  else
    answer_ok(c);
}

static void route_delay(server *s, connection *c, const route *r) {
  double seconds;
  (void)s;
  if (!read_number(r->argument, 0, MAX_DELAY, &seconds)) {
    answer_refused(c, "/delay/SECONDS, at most 3600");
    return;
  }
  answer_ok(c);
  c->phase = PHASE_DELAYED;
  c->due_us = mp_mono_us() + (int64_t)(seconds * 1e6);
}

static void route_hang(server *s, connection *c, const route *r) {
  (void)s, (void)r;
  c->phase = PHASE_SILENT;
}

static void route_reset(server *s, connection *c, const route *r) {
  (void)s, (void)r;
  answer_raw(c, "", END_RESET);
}

static void route_close(server *s, connection *c, const route *r) {
  (void)s, (void)r;
  answer_raw(c, "", END_CLOSE);
}

static void route_garbage(server *s, connection *c, const route *r) {
  (void)s, (void)r;
  answer_raw(c, "\x15\x03\x01 this is no HTTP\n\n", END_CLOSE);
}

static void route_half(server *s, connection *c, const route *r) {
  (void)s, (void)r;
  answer_raw(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n10 bytes..", END_CLOSE);
}

static void route_half_head(server *s, connection *c, const route *r) {
  (void)s, (void)r;
  answer_raw(c, "HTTP/1.1 200 OK\r\nContent-Le", END_CLOSE);
}

static void route_headers_forever(server *s, connection *c, const route *r) {
  (void)s, (void)r;
  answer_raw(c, "HTTP/1.1 200 OK\r\n", END_DRIP);
  c->drip = "X-And-Another: one more header line\r\n";
}

static void route_body_forever(server *s, connection *c, const route *r) {
  (void)s, (void)r;
  answer_raw(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", END_DRIP);
  c->drip = CHUNK;
}

static void route_big(server *s, connection *c, const route *r) {
  double bytes;
  (void)s;
  if (!read_number(r->argument, 0, 1e12, &bytes)) {
    answer_refused(c, "/big/BYTES, at most 1e12");
    return;
  }
  c->phase = PHASE_WRITING;
  c->ending = c->request.keep_alive ? END_KEEP : END_CLOSE;
  c->status = 200;
  mp_buf_add_format(&c->out, "HTTP/1.1 200 OK\r\nContent-Length: %.0f\r\n\r\n", floor(bytes));
  if (!slice_is(c->request.method, "HEAD")) c->filler = (uint64_t)bytes;
}

static void route_continue(server *s, connection *c, const route *r) {
  (void)s, (void)r;
  mp_buf_add_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
  mp_buf_add_str(&c->out, "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n");
  answer_ok(c);
}

static void route_redirect(server *s, connection *c, const route *r) {
  char to[MAX_PARAMETER];
  char field[MAX_PARAMETER + 32];
  int status = 302;

  (void)s;
  if ((r->argument.len > 0 && !read_status(r->argument, &status)) ||
      !read_parameter(r->query, "to", to) || !to[0]) {
    answer_refused(c, "/redirect?to=URL or /redirect/N?to=URL");
    return;
  }
  snprintf(field, sizeof field, "Location: %s\r\n", to);
  answer_text(c, status, field, "moved\n");
}

static void route_no_content(server *s, connection *c, const route *r) {
  (void)s, (void)r;
  answer(c, 204, "", (slice){0});
}

static void route_echo(server *s, connection *c, const route *r) {
  (void)s, (void)r;
  answer(c, 200, "Content-Type: application/octet-stream\r\n", c->request.body);
}

/* The n-th request of this target gets token-n. */
static void route_token(server *s, connection *c, const route *r) {
  char life[MAX_PARAMETER], wait[MAX_PARAMETER], text[MAX_PARAMETER + 128];
  double seconds = 0;

  if (!read_parameter(r->query, "life", life) || !read_parameter(r->query, "delay", wait) ||
      (wait[0] && !read_number((slice){wait, strlen(wait)}, 0, MAX_DELAY, &seconds))) {
    answer_refused(c, "/token?life=SECONDS&delay=SECONDS");
    return;
  }
  snprintf(text, sizeof text, "{\"access_token\":\"token-%llu\",\"token_type\":\"bearer\"%s%s}",
           (unsigned long long)count_target(s, c->request.target),
           life[0] ? ",\"expires_in\":" : "", life);
  answer(c, 200, "Content-Type: application/json\r\n", (slice){text, strlen(text)});
  if (!wait[0]) return;
  c->phase = PHASE_DELAYED;
  c->due_us = mp_mono_us() + (int64_t)(seconds * 1e6);
}

static void route_bearer(server *s, connection *c, const route *r) {
  slice name, value;
  size_t at = 0;
  int status = 401;

  (void)s;
  while (request_header(&c->request, &at, &name, &value)) {
    if (slice_is(name, "authorization") && value.len == r->argument.len + 7 &&
        memcmp(value.data, "Bearer ", 7) == 0 &&
        memcmp(value.data + 7, r->argument.data, r->argument.len) == 0) {
      status = 200;
    }
  }
  answer_text(c, status, "", status == 200 ? "ok\n" : "who are you?\n");
}

static void route_json(server *s, connection *c, const route *r) {
  char text[MAX_PARAMETER];
  int status;

  (void)s;
  if (!read_status(r->argument, &status) || !read_parameter(r->query, "body", text)) {
    answer_refused(c, "/json/N?body=TEXT");
    return;
  }
  answer(c, status, "Content-Type: application/json\r\n", (slice){text, strlen(text)});
}

static void route_ok(server *s, connection *c, const route *r) {
  (void)s, (void)r;
  answer_ok(c);
}

static route split_target(slice target) {
  const char *p = target.data, *end = target.data + target.len;
  const char *query, *slash;
  route r = {.argument = {"", 0}, .query = {"", 0}};

  /* RFC 9112 section 3.2.2: a server takes the absolute form too. */
  if (target.len > 7 && memcmp(p, "http://", 7) == 0) {
    p = memchr(p + 7, '/', (size_t)(end - p - 7));
    if (!p) p = end;
  }
  query = memchr(p, '?', (size_t)(end - p));
  if (query) {
    r.query = (slice){query + 1, (size_t)(end - query - 1)};
    end = query;
  }
  if (p < end && *p == '/') p++;
  slash = memchr(p, '/', (size_t)(end - p));
  r.name = (slice){p, (size_t)((slash ? slash : end) - p)};
  if (slash) r.argument = (slice){slash + 1, (size_t)(end - slash - 1)};
  return r;
}

void answer_request(server *s, connection *c) {
  static const struct {
    const char *name;
    void (*answer)(server *s, connection *c, const route *r);
  } routes[] = {
      {"ok", route_ok},
      {"status", route_status},
      {"sequence", route_sequence},
      {"flaky", route_flaky},
      {"flaky-reset", route_flaky_reset},
      {"delay", route_delay},
      {"hang", route_hang},
      {"reset", route_reset},
      {"close", route_close},
      {"garbage", route_garbage},
      {"half", route_half},
      {"half-head", route_half_head},
      {"headers-forever", route_headers_forever},
      {"body-forever", route_body_forever},
      {"big", route_big},
      {"continue", route_continue},
      {"redirect", route_redirect},
      {"no-content", route_no_content},
      {"echo", route_echo},
      {"token", route_token},
      {"bearer", route_bearer},
      {"json", route_json},
  };
  route r = split_target(c->request.target);

  c->status = 0;
  for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
    if (slice_is(r.name, routes[i].name)) {
      routes[i].answer(s, c, &r);
      return;
    }
  }
  answer_ok(c);
}
