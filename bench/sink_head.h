/* Reading a request's head, for the sink: the few things that it needs, from clients that are well
 * behaved. */
#ifndef MP_BENCH_SINK_HEAD_H
#define MP_BENCH_SINK_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Pointers are into the head. */
typedef struct request {
  const char *path;
  size_t path_len;
  const char *id; /* webhook-id */
  size_t id_len;
  size_t content_length;
  bool get;
  bool expects;
  bool bad;
} request;

/* With its empty line; 0 while that has not come. */
static inline size_t head_length(const char *data, size_t len) {
  const char *end = memmem(data, len, "\r\n\r\n", 4);
  return end ? (size_t)(end - data) + 4 : 0;
}

static inline bool is_field(const char *line, const char *end, const char *name,
                            const char **value) {
  size_t len = strlen(name);

  if ((size_t)(end - line) <= len || line[len] != ':' || strncasecmp(line, name, len) != 0) {
    return false;
  }
  for (*value = line + len + 1; *value < end && **value == ' ';)
    ++*value;
  return true;
}

/* head ends with an empty line. A path with a quote or a backslash is refused: paths are shown as
 * JSON. */
static inline request parse_head(const char *head, size_t len) {
  request r = {.get = len > 4 && memcmp(head, "GET ", 4) == 0};
  const char *end = head + len, *line = memchr(head, '\n', len);
  const char *space = memchr(head, ' ', (size_t)(line - head)), *value;

  if (!space || space[1] != '/') return (request){.bad = true};
  r.path = space + 1;
  space = memchr(r.path, ' ', (size_t)(line - r.path));
  if (!space) return (request){.bad = true};
  r.path_len = (size_t)(space - r.path);
  r.bad = memchr(r.path, '"', r.path_len) || memchr(r.path, '\\', r.path_len);
  while (++line < end - 2) {
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    const char *last = stop > line && stop[-1] == '\r' ? stop - 1 : stop;
    switch (line[0] | 0x20) {
      case 'c':
        if (is_field(line, last, "content-length", &value)) {
          r.content_length = strtoul(value, NULL, 10);
        }
        break;
      case 'e':
        r.expects = r.expects || is_field(line, last, "expect", &value);
        break;
      case 't':
        r.bad = r.bad || is_field(line, last, "transfer-encoding", &value);
        break;
      case 'w':
        if (is_field(line, last, "webhook-id", &value)) {
          r.id = value;
          r.id_len = (size_t)(last - value);
        }
        break;
      default:
        break;
    }
    line = stop;
  }
  return r;
}

#endif
