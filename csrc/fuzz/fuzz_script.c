/* Any JSON as the payload of a script that hands it back (fuzz_script.lua): what comes out is JSON,
 * and stays as it is when it goes through again. */
#include "fuzz/script.h"
#include "payload/sanitize.h"

static bool transform(mp_script *script, const char *text, size_t len, mp_buf *out) {
  bool changed;
  return fuzz_script_transform(script, text, len, &changed, out) && changed;
}

static bool compact(const char *text, size_t len, mp_buf *out) {
  static const mp_sanitize_options options = {0};
  mp_buf_reset(out);
  return mp_sanitize_json(NULL, NULL, &options, "fuzz", text, len, out, NULL) == MP_OK;
}

static void check(mp_script *script, const mp_buf *payload) {
  mp_buf first, second;

  mp_buf_init(&first, MP_BUF_NO_LIMIT);
  mp_buf_init(&second, MP_BUF_NO_LIMIT);
  if (transform(script, payload->data, payload->len, &first)) {
    must(compact(first.data, first.len, &second) && first.len == second.len);
    must(transform(script, first.data, first.len, &second));
    must(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
  }
  mp_buf_free(&first);
  mp_buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const mp_script_limits limits = {
      .time_us = 5000000, .instructions = 10000000, .memory = (size_t)32 << 20};
  static mp_script *script;
  mp_buf payload;

  if (!script) script = fuzz_script_load("fuzz_script", &limits);
  mp_buf_init(&payload, MP_BUF_NO_LIMIT);
  /* As the store holds it. */
  if (size <= 65536 && compact((const char *)data, size, &payload)) check(script, &payload);
  mp_buf_free(&payload);
  return 0;
}
