/* A script and one event for it, for the targets that run scripts. */
#ifndef MP_FUZZ_SCRIPT_H
#define MP_FUZZ_SCRIPT_H

#include <stdio.h>

#include "fuzz/fuzz.h"
#include "script/script.h"

/* csrc/fuzz/NAME.lua */
static inline mp_script *fuzz_script_load(const char *name, const mp_script_limits *limits) {
  mp_script_options options = {.folder = MP_FUZZ_FOLDER, .name = name, .limits = *limits};
  mp_script *script;
  mp_error err;

  if (mp_script_lua_ops.load(&options, &script, &err) != MP_OK) {
    fprintf(stderr, "%s\n", err.message);
    abort();
  }
  return script;
}

/* False: the script failed of it, and said why. Else out has the new payload, unless it is none. */
static inline bool fuzz_script_transform(mp_script *script, const char *text, size_t len,
                                         bool *changed, mp_buf *out) {
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
  mp_code code;

  mp_buf_init(&headers, MP_BUF_NO_LIMIT);
  mp_buf_init(&type, MP_BUF_NO_LIMIT);
  mp_buf_reset(out);
  *changed = false;
  code = mp_script_lua_ops.transform(script, &event, &webhook, text, len, changed, out, &headers,
                                     &type, &use, &err);
  must(code == MP_OK || (code == MP_EINVAL && err.message[0] != '\0'));
  *changed = *changed && type.len == 0;
  mp_buf_free(&headers);
  mp_buf_free(&type);
  return code == MP_OK;
}

#endif
