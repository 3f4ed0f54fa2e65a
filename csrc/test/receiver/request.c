/* Reading HTTP/1.1 requests (RFC 9112), strictly: what a tolerant server would let pass (a bare
 * line feed, a folded line, two framings) is answered 400, so that a test of the sender sees it. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "receiver.h"

#define MAX_CHUNK_LINE 256

bool slice_is(slice s, const char *text) {
  return strlen(text) == s.len && strncasecmp(s.data, text, s.len) == 0;
}

void request_init(request *r) {
  *r = (request){0};
  mp_buf_init(&r->decoded, MAX_BODY);
}

void request_free(request *r) {
  mp_buf_free(&r->decoded);
}

void request_reset(request *r) {
  mp_buf decoded = r->decoded;
  *r = (request){.decoded = decoded};
  mp_buf_reset(&r->decoded);
}

static request_state bad(request *r, int status, const char *reason) {
  r->status = status;
  r->reason = reason;
  return REQUEST_BAD;
}

static slice trim(const char *from, const char *to) {
  while (from < to && (*from == ' ' || *from == '\t'))
    from++;
  while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
    to--;
  return (slice){from, (size_t)(to - from)};
}

static bool is_token(slice s) {
  for (size_t i = 0; i < s.len; i++) {
    unsigned char c = (unsigned char)s.data[i];
    if (c <= 0x20 || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c)) return false;
  }
  return s.len > 0;
}

static bool is_value(slice s) {
  for (size_t i = 0; i < s.len; i++) {
    unsigned char c = (unsigned char)s.data[i];
    if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
  }
  return true;
}

bool request_header(const request *r, size_t *at, slice *name, slice *value) {
  const char *end = r->head.data + r->head.len - 2; /* the empty line */
  const char *line, *colon, *stop;

  if (*at == 0)
    *at = (size_t)((const char *)memchr(r->head.data, '\n', r->head.len) - r->head.data) + 1;
  line = r->head.data + *at;
  if (line >= end) return false;
  stop = memchr(line, '\n', (size_t)(end - line));
  colon = memchr(line, ':', (size_t)(stop - line));
  if (!colon) colon = line; /* an empty name, which is refused */
  *name = (slice){line, (size_t)(colon - line)};
  *value = trim(colon + 1, stop - 1);
  *at = (size_t)(stop + 1 - r->head.data);
  return true;
}

static bool read_start_line(request *r) {
  const char *line = r->head.data;
  const char *end = memchr(line, '\r', r->head.len);
  const char *space = memchr(line, ' ', (size_t)(end - line));
  const char *version = space ? memchr(space + 1, ' ', (size_t)(end - space - 1)) : NULL;

  if (!version) return false;
  r->method = (slice){line, (size_t)(space - line)};
  r->target = (slice){space + 1, (size_t)(version - space - 1)};
  version++;
  if (end - version != 8 || memcmp(version, "HTTP/1.", 7) != 0) return false;
  if (version[7] != '0' && version[7] != '1') return false;
  r->keep_alive = version[7] == '1';
  return is_token(r->method) && r->target.len > 0 && is_value(r->target);
}

static bool read_length(slice s, size_t *length) {
  size_t n = 0;
  for (size_t i = 0; i < s.len; i++) {
    if (s.data[i] < '0' || s.data[i] > '9' || i > 17) return false;
    n = n * 10 + (size_t)(s.data[i] - '0');
  }
  *length = n;
  return s.len > 0;
}

static request_state read_head(request *r) {
  bool has_length = false;
  int hosts = 0;
  size_t at = 0;
  slice name, value;

  for (size_t i = 0; i < r->head.len; i++) {
    if ((r->head.data[i] == '\n') != (i > 0 && r->head.data[i - 1] == '\r'))
      return bad(r, 400, "a CR or LF alone in the header");
  }
  if (!read_start_line(r)) return bad(r, 400, "not an HTTP/1.1 request line");
  while (request_header(r, &at, &name, &value)) {
    if (!is_token(name)) return bad(r, 400, "a header name that is no token");
    if (!is_value(value)) return bad(r, 400, "a control character in a header value");
    if (slice_is(name, "host")) hosts++;
    if (slice_is(name, "connection") && slice_is(value, "close")) r->keep_alive = false;
    if (slice_is(name, "expect") && slice_is(value, "100-continue")) r->expects_continue = true;
    if (slice_is(name, "transfer-encoding")) {
      if (r->chunked || !slice_is(value, "chunked"))
        return bad(r, 400, "a Transfer-Encoding other than chunked, once");
      r->chunked = true;
    }
    if (slice_is(name, "content-length")) {
      if (has_length || !read_length(value, &r->content_length))
        return bad(r, 400, "a Content-Length that is no number, or two");
      has_length = true;
    }
  }
  if (r->chunked && has_length) return bad(r, 400, "Content-Length and Transfer-Encoding");
  if (hosts > 1 || (hosts == 0 && r->keep_alive)) return bad(r, 400, "not one Host header");
  if (r->content_length > MAX_BODY) return bad(r, 413, "a body of more than 64 MiB");
  return REQUEST_DONE;
}

/* A line of a chunked body, without its CRLF. REQUEST_DONE when there is one. */
static request_state read_line(request *r, const char *data, size_t len, slice *line) {
  size_t left = len - r->position;
  const char *start = data + r->position;
  const char *end = memchr(start, '\n', left < MAX_CHUNK_LINE ? left : MAX_CHUNK_LINE);

  if (!end) {
    if (left >= MAX_CHUNK_LINE) return bad(r, 400, "a chunk's line of more than 256 bytes");
    return REQUEST_MORE;
  }
  if (end == start || end[-1] != '\r') return bad(r, 400, "a chunk's line without CR");
  *line = (slice){start, (size_t)(end - 1 - start)};
  r->position += line->len + 2;
  return REQUEST_DONE;
}

static bool read_chunk_size(slice line, size_t *size) {
  size_t n = 0, digits = 0;

  for (; digits < line.len; digits++) {
    const char *hex = "0123456789abcdef";
    char c = line.data[digits];
    const char *digit = c ? strchr(hex, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
    if (!digit || digits == 8) break;
    n = n * 16 + (size_t)(digit - hex);
  }
  *size = n;
  return digits > 0 && (digits == line.len || line.data[digits] == ';');
}

static request_state read_chunks(request *r, const char *data, size_t len) {
  for (;;) {
    request_state state;
    slice line;
    size_t n;

    switch (r->chunk) {
      case CHUNK_SIZE:
        state = read_line(r, data, len, &line);
        if (state != REQUEST_DONE) return state;
        if (!read_chunk_size(line, &r->chunk_left)) return bad(r, 400, "not a chunk size");
        r->chunk = r->chunk_left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
        break;
      case CHUNK_DATA:
        n = len - r->position < r->chunk_left ? len - r->position : r->chunk_left;
        mp_buf_add(&r->decoded, data + r->position, n);
        if (r->decoded.failed != MP_OK) return bad(r, 413, "a body of more than 64 MiB");
        r->position += n;
        r->chunk_left -= n;
        if (r->chunk_left > 0) return REQUEST_MORE;
        r->chunk = CHUNK_END;
        break;
      case CHUNK_END:
        state = read_line(r, data, len, &line);
        if (state != REQUEST_DONE) return state;
        if (line.len != 0) return bad(r, 400, "a chunk longer than its size");
        r->chunk = CHUNK_SIZE;
        break;
      case CHUNK_TRAILER:
        state = read_line(r, data, len, &line);
        if (state != REQUEST_DONE) return state;
        if (line.len == 0) return REQUEST_DONE;
        break;
    }
  }
}

static request_state find_head(request *r, const char *data, size_t len) {
  size_t from = r->scanned > 3 ? r->scanned - 3 : 0;
  const char *end = memmem(data + from, len - from, "\r\n\r\n", 4);

  r->scanned = len;
  if (end ? (size_t)(end - data) + 4 > MAX_HEAD : len > MAX_HEAD)
    return bad(r, 431, "a header of more than 64 KiB");
  if (!end) return REQUEST_MORE;
  r->head = (slice){data, (size_t)(end - data) + 4};
  r->head_len = r->head.len;
  r->position = r->head_len;
  return read_head(r);
}

request_state request_read(request *r, const char *data, size_t len) {
  request_state state;
  size_t target_at, method_len, target_len;

  if (r->head_len == 0) {
    state = find_head(r, data, len);
    if (state != REQUEST_DONE) return state;
  }
  if (r->chunked) {
    state = read_chunks(r, data, len);
    if (state != REQUEST_DONE) return state;
    r->body = (slice){r->decoded.data, r->decoded.len};
    r->input_used = r->position;
  } else {
    if (len - r->head_len < r->content_length) return REQUEST_MORE;
    r->body = (slice){data + r->head_len, r->content_length};
    r->input_used = r->head_len + r->content_length;
  }
  /* The input may have moved in memory since the head was read. */
  method_len = r->method.len;
  target_len = r->target.len;
  target_at = method_len + 1;
  r->head = (slice){data, r->head_len};
  r->method = (slice){data, method_len};
  r->target = (slice){data + target_at, target_len};
  return REQUEST_DONE;
}
