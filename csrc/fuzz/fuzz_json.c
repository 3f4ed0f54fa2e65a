/* Any bytes as JSON text. What the reader takes is written compact by the sanitizer, is taken again
 * and does not change; each string in it survives being decoded and written; a peek never tells
 * more than the reader. The envelope reads the same bytes. As a string, they are written when they
 * are UTF-8. */
#include "fuzz/fuzz.h"
#include "payload/envelope.h"
#include "payload/json_reader.h"
#include "payload/json_writer.h"
#include "payload/sanitize.h"
#include "payload/utf8.h"

static mp_code compact(const char *text, size_t len, mp_buf *out) {
  static const mp_sanitize_options options = {0};
  mp_buf_init(out, MP_BUF_NO_LIMIT);
  return mp_sanitize_json(NULL, NULL, &options, "fuzz", text, len, out, NULL);
}

static void check_string(mp_span string) {
  mp_buf written, again;
  mp_json j;

  mp_buf_init(&written, MP_BUF_NO_LIMIT);
  mp_buf_init(&again, MP_BUF_NO_LIMIT);
  if (mp_json_add_string(&written, string.data, string.len)) {
    must(mp_utf8_valid(string.data, string.len));
    mp_json_init(&j, written.data, written.len, "fuzz", NULL);
    must(mp_json_string(&j, &again) && mp_json_end(&j));
    must(again.len == string.len &&
         (again.len == 0 || memcmp(again.data, string.data, again.len) == 0));
    mp_json_free(&j);
  } else {
    must(!mp_utf8_valid(string.data, string.len));
  }
  mp_buf_free(&written);
  mp_buf_free(&again);
}

/* Reads by the pull functions what skip passes over. */
static void pull(mp_json *j) {
  mp_json_type type = mp_json_type_of(j);
  mp_span span;
  mp_buf scratch;

  if (type == MP_JSON_OBJECT) {
    mp_json_begin_object(j);
    while (mp_json_next_key(j, &span)) {
      must(mp_utf8_valid(span.data, span.len));
      pull(j);
    }
  } else if (type == MP_JSON_ARRAY) {
    mp_json_begin_array(j);
    while (mp_json_next_element(j))
      pull(j);
  } else if (type == MP_JSON_STRING) {
    mp_buf_init(&scratch, MP_BUF_NO_LIMIT);
    if (mp_json_string_span(j, &scratch, &span)) {
      must(mp_utf8_valid(span.data, span.len));
      check_string(span);
    }
    mp_buf_free(&scratch);
  } else {
    mp_json_scalar(j, &span);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data;
  mp_envelope envelope;
  mp_buf first, second;
  mp_json reader, puller, peek;
  mp_error err = {0};
  bool valid;

  mp_json_init(&reader, text, size, "fuzz", &err);
  mp_json_peek(&reader, &peek);
  valid = mp_json_skip(&reader, NULL) && mp_json_end(&reader);
  must(valid == (err.message[0] == '\0') && mp_utf8_valid(err.message, strnlen(err.message, 400)));
  must(!valid || (mp_json_skip(&peek, NULL) && mp_json_end(&peek)));
  mp_json_free(&peek);
  mp_json_free(&reader);

  mp_json_init(&puller, text, size, "fuzz", NULL);
  pull(&puller);
  must(mp_json_end(&puller) == valid);
  mp_json_free(&puller);

  must((compact(text, size, &first) == MP_OK) == valid);
  if (valid) {
    must(compact(first.data, first.len, &second) == MP_OK);
    must(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    mp_buf_free(&second);
  }
  mp_buf_free(&first);
  check_string((mp_span){text, size});

  if (mp_envelope_parse(text, size, &envelope, &err) == MP_OK && envelope.slot == MP_SLOT_ENTRIES) {
    mp_envelope_entries it;
    mp_span entry;
    mp_envelope_entries_init(&it, &envelope);
    while (mp_envelope_entries_next(&it, &entry)) {
      must(entry.data >= text && entry.data + entry.len <= text + size);
    }
    mp_envelope_entries_free(&it);
  }
  return 0;
}
