/* Writing answers. Ids are strings (LuaJIT's numbers are doubles); times are ISO 8601; what is not
 * there is left out. Bytes that are not UTF-8 (a receiver may answer anything) come out as U+FFFD.
 */
#include "engine/answer.h"

#include "base/clock.h"
#include "base/id.h"
#include "payload/json_writer.h"
#include "payload/utf8.h"

static void key(mp_buf *out, const char *name) {
  if (out->len > 0 && out->data[out->len - 1] != '{') mp_buf_add_char(out, ',');
  mp_json_add_string(out, name, strlen(name));
  mp_buf_add_char(out, ':');
}

void mp_answer_text(mp_buf *out, const char *name, const char *text, size_t len) {
  mp_buf clean;

  key(out, name);
  mp_buf_init(&clean, MP_BUF_NO_LIMIT);
  mp_utf8_replace(&clean, text, len);
  mp_json_add_string(out, clean.data ? clean.data : "", clean.len);
  if (clean.failed != MP_OK) out->failed = clean.failed;
  mp_buf_free(&clean);
}

void mp_answer_string(mp_buf *out, const char *name, const char *text) {
  if (text) mp_answer_text(out, name, text, strlen(text));
}

void mp_answer_flag(mp_buf *out, const char *name, bool flag) {
  key(out, name);
  mp_buf_add_str(out, flag ? "true" : "false");
}

void mp_answer_number(mp_buf *out, const char *name, int64_t number) {
  key(out, name);
  mp_buf_add_format(out, "%lld", (long long)number);
}

void mp_answer_time(mp_buf *out, const char *name, int64_t wall_ms) {
  char time[MP_ISO8601_SIZE];
  if (wall_ms == 0) return;
  mp_iso8601(wall_ms, time);
  mp_answer_string(out, name, time);
}

static void duration(mp_buf *out, int64_t us) {
  key(out, "duration_ms");
  mp_buf_add_format(out, "%lld.%03d", (long long)(us / 1000), (int)(us % 1000));
}

void mp_answer_id(mp_buf *out, const char *name, int64_t id) {
  key(out, name);
  mp_buf_add_format(out, "\"%lld\"", (long long)id);
}

void mp_answer_event_id(mp_buf *out, const char *name, int64_t id) {
  char text[MP_EVENT_ID_SIZE];
  mp_event_id_format(id, text);
  mp_answer_string(out, name, text);
}

void mp_answer_delivery_id(mp_buf *out, const char *name, int64_t of_event, int64_t of_webhook) {
  char text[MP_DELIVERY_ID_SIZE];
  mp_delivery_id_format(of_event, of_webhook, text);
  mp_answer_string(out, name, text);
}

void mp_answer_webhook(mp_buf *out, const mp_webhook *webhook, int64_t hold_ms,
                       int64_t failing_ms) {
  mp_buf_add_char(out, '{');
  mp_answer_id(out, "id", webhook->id);
  mp_answer_string(out, "source", webhook->from_config ? "config" : "api");
  mp_answer_flag(out, "enabled", webhook->enabled);
  mp_answer_time(out, "created_at", webhook->created_ms);
  mp_answer_time(out, "updated_at", webhook->updated_ms);
  mp_answer_number(out, "updated_ms", webhook->updated_ms);
  mp_answer_time(out, "left_alone_until", hold_ms);
  mp_answer_time(out, "failing_since", failing_ms);
  key(out, "definition");
  mp_buf_add_str(out, webhook->definition);
  mp_buf_add_char(out, '}');
}

void mp_answer_delivery(mp_buf *out, const mp_delivery_row *row, int64_t due_ms) {
  mp_buf_add_char(out, '{');
  mp_answer_delivery_id(out, "id", row->event_id, row->webhook_id);
  mp_answer_event_id(out, "event_id", row->event_id);
  mp_answer_id(out, "webhook_id", row->webhook_id);
  mp_answer_string(out, "event", row->event_type);
  mp_answer_string(out, "model", row->model);
  mp_answer_string(out, "state", mp_delivery_state_name(row->state));
  mp_answer_number(out, "attempts", row->attempts_total);
  mp_answer_time(out, "created_at", row->created_ms);
  mp_answer_time(out, "due_at", due_ms);
  mp_answer_string(out, "scripts", row->script);
  if (row->last_at_ms) {
    key(out, "last");
    mp_buf_add_char(out, '{');
    mp_answer_time(out, "at", row->last_at_ms);
    duration(out, row->last_duration_us);
    if (row->last_status) mp_answer_number(out, "status", row->last_status);
    mp_answer_string(out, "class", row->last_error_class);
    mp_answer_string(out, "error", row->last_error);
    mp_buf_add_char(out, '}');
  } else if (row->last_error_class) {
    key(out, "last");
    mp_buf_add_char(out, '{');
    mp_answer_string(out, "class", row->last_error_class);
    mp_answer_string(out, "error", row->last_error);
    mp_buf_add_char(out, '}');
  }
  mp_buf_add_char(out, '}');
}

void mp_answer_attempt(mp_buf *out, int number, const mp_attempt *attempt) {
  mp_buf_add_char(out, '{');
  if (number) mp_answer_number(out, "number", number);
  mp_answer_time(out, "at", attempt->at_ms);
  duration(out, attempt->duration_us);
  if (attempt->status) mp_answer_number(out, "status", attempt->status);
  mp_answer_string(out, "class", attempt->error_class);
  mp_answer_string(out, "error", attempt->error);
  if (attempt->response) {
    mp_answer_text(out, "response", attempt->response, attempt->response_len);
  }
  mp_answer_string(out, "scripts", attempt->script);
  mp_buf_add_char(out, '}');
}

void mp_answer_event(mp_buf *out, const mp_event_row *row) {
  mp_buf_add_char(out, '{');
  mp_answer_event_id(out, "id", row->id);
  mp_answer_string(out, "type", row->type);
  mp_answer_string(out, "model", row->model);
  mp_answer_string(out, "key", row->order_key);
  if (row->routing != MP_ROUTED) {
    mp_answer_string(out, "routing", row->routing == MP_ROUTING_HELD ? "held" : "waiting");
    mp_answer_string(out, "routing_error", row->routing_error);
  }
  mp_answer_time(out, "created_at", row->created_ms);
  mp_answer_text(out, "body", row->body, row->body_len);
  mp_buf_add_char(out, '}');
}
