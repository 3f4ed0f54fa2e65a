/* Lines of the log as text and as JSON. Any thread; no locks.
 *
 * A line that does not fit, or for which there is no memory, is made shorter, never two. */
#include "engine/log_line.h"

#include <string.h>

#include "base/clock.h"
#include "engine/answer.h"
#include "payload/json_reader.h"

#define MAX_NAME 64 /* bytes of a member's name, with those of the objects that it is in */

static const char *const names[] = {"off", "error", "warn", "info", "debug"};

const char *mp_log_level_name(mp_log_level level) {
  return names[level];
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static void begin(const mp_log_record *r, mp_buf *out) {
  char time[MP_ISO8601_SIZE];

  mp_iso8601(r->wall_ms, time);
  mp_buf_add_str(out, "{\"time\":\"");
  mp_buf_add_str(out, time);
  mp_buf_add_str(out, "\",\"level\":\"");
  mp_buf_add_str(out, names[r->level]);
  mp_buf_add_str(out, "\",");
}

static void add_event(const mp_log_record *r, mp_buf *out) {
  mp_buf_add_str(out, "\"event\":\"");
  mp_buf_add_str(out, r->event);
  mp_buf_add_char(out, '"');
}

void mp_log_as_json(const mp_log_record *record, mp_buf *out) {
  const mp_log_record *r = record;
  size_t start = out->len;

  begin(r, out);
  if (r->message) {
    add_event(r, out);
    mp_answer_string(out, "message", r->message);
    mp_buf_add_char(out, '}');
  } else {
    mp_buf_add(out, r->object + 1, r->object_len - 1);
  }
  if (out->failed == MP_OK) return;
  out->failed = MP_OK;
  out->len = start;
  begin(r, out);
  add_event(r, out);
  mp_buf_add_char(out, '}');
}

/* ---- text ----------------------------------------------------------------------------------- */

/* Who can put a newline into a message could else write lines of his own. */
static void add_clean(mp_buf *out, const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)text[i];
    mp_buf_add_char(out, c < 0x20 || c == 0x7f ? ' ' : (char)c);
  }
}

/* Without its quotes where it is a plain word. */
static void add_value(mp_buf *out, mp_span raw) {
  bool plain = raw.len > 2 && raw.data[0] == '"';

  for (size_t i = 1; plain && i < raw.len - 1; i++)
    plain = (unsigned char)raw.data[i] > ' ' && !strchr("\\\"=", raw.data[i]);
  if (plain)
    mp_buf_add(out, raw.data + 1, raw.len - 2);
  else
    mp_buf_add(out, raw.data, raw.len);
}

static void add_members(mp_json *j, mp_buf *out, const char *prefix, size_t prefix_len) {
  mp_span key, raw;

  mp_json_begin_object(j);
  while (mp_json_next_key(j, &key)) {
    char name[MAX_NAME];
    size_t len = prefix_len + key.len;

    if (len >= sizeof name || (prefix_len == 0 && key.len == 5 && !memcmp(key.data, "event", 5))) {
      mp_json_skip(j, NULL);
      continue;
    }
    memcpy(name, prefix, prefix_len);
    memcpy(name + prefix_len, key.data, key.len);
    if (mp_json_type_of(j) == MP_JSON_OBJECT) {
      name[len++] = '.';
      add_members(j, out, name, len);
    } else if (mp_json_skip(j, &raw)) {
      mp_buf_add_char(out, ' ');
      mp_buf_add(out, name, len);
      mp_buf_add_char(out, '=');
      add_value(out, raw);
    }
  }
}

void mp_log_as_text(const mp_log_record *record, mp_buf *out) {
  const mp_log_record *r = record;
  mp_json j;

  mp_buf_add_str(out, "moonpost: ");
  mp_buf_add_str(out, names[r->level]);
  mp_buf_add_str(out, ": ");
  if (r->message) {
    add_clean(out, r->message, strlen(r->message));
  } else {
    mp_buf_add_str(out, r->event);
    mp_json_init(&j, r->object, r->object_len, "log", NULL);
    add_members(&j, out, "", 0);
    mp_json_free(&j);
  }
  out->failed = MP_OK; /* what fits is there */
}
