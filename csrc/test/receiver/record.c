/* The records: one line a request, complete in the file before the answer is sent, so that who has
 * seen the answer finds the line.
 *
 * The full record's line is JSON. Bytes are code points U+0000 to U+00FF, those over 0x7e escaped.
 * The brief record's, for runs of millions, is "AT TARGET ID HASH STATUS": monotonic microseconds,
 * the request's target, its webhook-id ("-" for none), the body's 64-bit FNV-1a in 16 hexadecimal
 * digits, and the status it is answered with (0: none, or no whole answer). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "receiver.h"

static void add_string(mp_buf *out, slice s) {
  size_t plain = 0;

  mp_buf_add_char(out, '"');
  for (size_t i = 0; i < s.len; i++) {
    unsigned char c = (unsigned char)s.data[i];
    if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') continue;
    mp_buf_add(out, s.data + plain, i - plain);
    mp_buf_add_format(out, "\\u%04x", c);
    plain = i + 1;
  }
  mp_buf_add(out, s.data + plain, s.len - plain);
  mp_buf_add_char(out, '"');
}

static void add_headers(mp_buf *out, const request *r) {
  const char *separator = "";
  size_t at = 0;
  slice name, value;

  mp_buf_add_char(out, '[');
  while (request_header(r, &at, &name, &value)) {
    mp_buf_add_str(out, separator);
    mp_buf_add_char(out, '[');
    add_string(out, name);
    mp_buf_add_char(out, ',');
    add_string(out, value);
    mp_buf_add_char(out, ']');
    separator = ",";
  }
  mp_buf_add_char(out, ']');
}

static void write_all(int fd, const char *data, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, data, len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      fprintf(stderr, "receiver: the record: %s\n", strerror(errno));
      exit(1);
    }
    data += n;
    len -= (size_t)n;
  }
}

static void add_full(mp_buf *line, const server *s, const connection *c) {
  const request *r = &c->request;

  mp_buf_add_format(line, "{\"n\":%llu,\"at_us\":%lld,\"connection\":%llu,\"method\":",
                    (unsigned long long)s->requests, (long long)mp_mono_us(),
                    (unsigned long long)c->number);
  add_string(line, r->method);
  mp_buf_add_str(line, ",\"path\":");
  add_string(line, r->target);
  mp_buf_add_str(line, ",\"headers\":");
  add_headers(line, r);
  mp_buf_add_str(line, ",\"body\":");
  add_string(line, r->body);
  mp_buf_add_str(line, ",\"raw_head\":");
  add_string(line, r->head);
  mp_buf_add_str(line, "}\n");
}

static uint64_t fnv_1a(slice s) {
  uint64_t hash = 0xcbf29ce484222325;

  for (size_t i = 0; i < s.len; i++) {
    hash ^= (unsigned char)s.data[i];
    hash *= 0x100000001b3;
  }
  return hash;
}

/* A word of the brief record: what would end it, or the line, is a question mark. */
static void add_word(mp_buf *out, slice s) {
  if (s.len == 0) mp_buf_add_char(out, '-');
  for (size_t i = 0; i < s.len; i++) {
    bool plain = s.data[i] > 0x20 && s.data[i] < 0x7f;
    mp_buf_add_char(out, plain ? s.data[i] : '?');
  }
}

static slice webhook_id(const request *r) {
  size_t at = 0;
  slice name, value;

  while (request_header(r, &at, &name, &value)) {
    if (slice_is(name, "webhook-id")) return value;
  }
  return (slice){"", 0};
}

static void add_brief(mp_buf *line, const connection *c) {
  const request *r = &c->request;

  mp_buf_add_format(line, "%lld ", (long long)mp_mono_us());
  add_word(line, r->target);
  mp_buf_add_char(line, ' ');
  add_word(line, webhook_id(r));
  mp_buf_add_format(line, " %016llx %d\n", (unsigned long long)fnv_1a(r->body), c->status);
}

static void write_line(int fd, mp_buf *line) {
  if (line->failed != MP_OK) {
    fprintf(stderr, "receiver: the record: %s\n", mp_strerror(line->failed));
    exit(1);
  }
  write_all(fd, line->data, line->len);
  mp_buf_reset(line);
}

void record_request(server *s, const connection *c) {
  if (s->record >= 0) {
    add_full(&s->line, s, c);
    write_line(s->record, &s->line);
  }
  if (s->record_brief >= 0) {
    add_brief(&s->line, c);
    write_line(s->record_brief, &s->line);
  }
}
