/* Any JSON as the payload of a script that hands it back: what comes out is JSON, and stays as it
 * is when it goes through again. */
#include <stdio.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "payload/sanitize.h"
#include "script/script.h"

static mp_script *load(void) {
  static const char text[] =
      "return { transform = function(payload)\n"
      "  for key, value in pairs(payload) do payload[key] = value end\n"
      "  return payload, { headers = { [\"X-Type\"] = type(payload.entry) } }\n"
      "end }";
  mp_script_options options = {
      .name = "same",
      .limits = {.time_us = 5000000, .instructions = 10000000, .memory = (size_t)32 << 20}};
  char folder[] = "/tmp/moonpost-fuzz-XXXXXX", path[64];
  mp_script *script;
  mp_error err;
  FILE *file;

  must(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/same.lua", folder);
  file = fopen(path, "w");
  must(file && fputs(text, file) >= 0 && fclose(file) == 0);
  options.folder = folder;
  must(mp_script_lua_ops.load(&options, &script, &err) == MP_OK);
  unlink(path);
  rmdir(folder);
  return script;
}

/* False: the script failed of it. */
static bool transform(mp_script *script, const char *text, size_t len, mp_buf *out) {
  mp_script_event event = {.id = "evt_1",
                           .type = "entry.create",
                           .model = "application::address.address",
                           .created_ms = 1578645000000,
                           .body = "{\"event\":\"entry.create\"}",
                           .body_len = 24};
  mp_script_webhook webhook = {.id = 1, .name = "w", .url = "http://127.0.0.1/"};
  mp_script_use use;
  mp_buf headers, type;
  mp_error err = {0};
  bool changed = false;
  mp_code code;

  mp_buf_init(&headers, MP_BUF_NO_LIMIT);
  mp_buf_init(&type, MP_BUF_NO_LIMIT);
  mp_buf_reset(out);
  code = mp_script_lua_ops.transform(script, &event, &webhook, text, len, &changed, out, &headers,
                                     &type, &use, &err);
  must(code == MP_OK || (code == MP_EINVAL && err.message[0] != '\0'));
  mp_buf_free(&headers);
  mp_buf_free(&type);
  return code == MP_OK && changed && type.len == 0;
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
  static mp_script *script;
  mp_buf payload;

  if (!script) script = load();
  mp_buf_init(&payload, MP_BUF_NO_LIMIT);
  /* As the store holds it. */
  if (size <= 65536 && compact((const char *)data, size, &payload)) check(script, &payload);
  mp_buf_free(&payload);
  return 0;
}
