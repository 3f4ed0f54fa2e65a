/* Hostile scripts: fuzz_sandbox.lua calls every function that scripts have, as the input's bytes
 * say, under limits of memory and instructions. It ends, with a payload or a reason, and nothing of
 * it is left for the next call. The input: a text, ended by a NUL, and the steps. */
#include "fuzz/script.h"
#include "payload/json_writer.h"

/* Numbers that no double holds, and none. */
static const char numbers[] =
    "[12345678901234567890,0.1000000000000000055511151231257827,-0.0,"
    "9223372036854775808,1e400,123456789012345678901234567890]";

static void add_payload(fuzz_input *in, mp_buf *out) {
  char *text = fuzz_text(in);
  size_t len = out->len;

  if (!mp_json_add_string(out, text, strlen(text))) {
    out->len = len;
    mp_buf_add_str(out, "null");
  }
  free(text);
  mp_buf_add_format(out, ",\"numbers\":%s,\"steps\":[", numbers);
  for (size_t i = 0; i < in->size; i++)
    mp_buf_add_format(out, i > 0 ? ",%u" : "%u", in->data[i]);
  mp_buf_add_str(out, "]}");
}

/* A call that does nothing answers as it did before any other. */
static void check_clean(mp_script *script, mp_buf *out) {
  static const char expected[] = "[0,\"CLEAN\",1,2]";
  bool changed;

  must(fuzz_script_transform(script, "{}", 2, &changed, out) && changed);
  must(out->len == strlen(expected) && memcmp(out->data, expected, out->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const mp_script_limits limits = {
      .time_us = 5000000, .instructions = 300000, .memory = (size_t)4 << 20};
  static mp_script *script;
  fuzz_input in = {data, size};
  mp_buf payload, out;
  bool changed;

  if (size > 2048) return 0;
  if (!script) script = fuzz_script_load("fuzz_sandbox", &limits);
  mp_buf_init(&payload, MP_BUF_NO_LIMIT);
  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  mp_buf_add_str(&payload, "{\"text\":");
  add_payload(&in, &payload);
  fuzz_script_transform(script, payload.data, payload.len, &changed, &out);
  check_clean(script, &out);
  mp_buf_free(&payload);
  mp_buf_free(&out);
  return 0;
}
