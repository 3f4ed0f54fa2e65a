/* Scripts in files of a folder of the test's own, loaded as the engine loads them. */
#ifndef MP_TEST_SANDBOX_FIXTURE_H
#define MP_TEST_SANDBOX_FIXTURE_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* cmocka.h needs those above it. */
#include <cmocka.h>

#include "script/script.h"
#include "test/temp_folder.h"

static const mp_script_ops *const ops = &mp_script_lua_ops;
static char logged[8192]; /* lines, each "level text\n" */
static mp_script_use use; /* of the last call */
static mp_error error;    /* of the last call that failed */
static mp_script_limits limits = {.time_us = 5000000, .instructions = 10000000, .memory = 16 << 20};

/* name: "crm", "lib/text" */
static inline void write_file(const char *name, const char *text, size_t len) {
  char path[256];
  int fd;

  snprintf(path, sizeof path, "%s/lib", folder);
  mkdir(path, 0700);
  snprintf(path, sizeof path, "%s/%s.lua", folder, name);
  fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, len), len);
  close(fd);
}

static inline void on_log(void *arg, int level, const char *script, const char *line) {
  size_t len = strlen(logged);
  (void)arg;
  (void)script;
  snprintf(logged + len, sizeof logged - len, "%d %s\n", level, line);
}

static inline mp_code load_file(const char *name, mp_script **out) {
  mp_script_options o = {.folder = folder,
                         .name = name,
                         .constants = "{\"region\":\"eu\",\"list\":[1,2],\"big\":9007199254740993}",
                         .limits = limits,
                         .log = on_log};
  return ops->load(&o, out, &error);
}

static inline mp_code load_text(const char *text, mp_script **out) {
  write_file("crm", text, strlen(text));
  return load_file("crm", out);
}

static inline mp_script *loaded(const char *text) {
  mp_script *script;
  if (load_text(text, &script) != MP_OK) fail_msg("%s\n%s", error.message, text);
  return script;
}

static const char *const patterns[] = {"entry.*"};
static const mp_script_webhook hook = {.id = 7,
                                       .name = "crm",
                                       .url = "https://user:secret@example.com/hook?a=b",
                                       .events = patterns,
                                       .event_count = 1};
#define BODY                                                                                     \
  "{\"event\":\"entry.create\",\"created_at\":\"2020-01-10T08:47:36.649Z\",\"model\":"           \
  "\"address\",\"entry\":{\"id\":9007199254740993,\"city\":\"Paris\",\"price\":1.50,\"tags\":[]" \
  ",\"geo\":{\"lat\":48.85,\"lon\":2.35},\"rows\":[{\"b\":1,\"a\":2}],\"none\":null}}"
static const mp_script_event event = {.id = "evt_0000000000001",
                                      .type = "entry.create",
                                      .model = "address",
                                      .created_ms = 1578646056649,
                                      .body = BODY,
                                      .body_len = sizeof BODY - 1};

/* What a transform made: body, then content type and headers when there are any. NULL: it failed.
 * Valid until the next call. */
static inline const char *transformed(mp_script *script, const mp_script_event *of) {
  static char text[1 << 16];
  mp_buf body, headers, type;
  bool changed;
  mp_code code;

  mp_buf_init(&body, MP_BUF_NO_LIMIT);
  mp_buf_init(&headers, MP_BUF_NO_LIMIT);
  mp_buf_init(&type, MP_BUF_NO_LIMIT);
  code = ops->transform(script, of, &hook, of->body, of->body_len, &changed, &body, &headers, &type,
                        &use, &error);
  if (!changed) mp_buf_add_str(&body, "unchanged");
  if (type.len) mp_buf_add_char(&body, ' ');
  mp_buf_add(&body, type.data, type.len);
  if (headers.len) mp_buf_add_char(&body, ' ');
  mp_buf_add(&body, headers.data, headers.len);
  assert_true(body.len < sizeof text);
  memcpy(text, body.data, body.len);
  text[body.len] = '\0';
  mp_buf_free(&body);
  mp_buf_free(&headers);
  mp_buf_free(&type);
  return code == MP_OK ? text : NULL;
}

/* What the Lua code makes, with payload, event and webhook at hand: its text or JSON. */
static inline const char *made(const char *code) {
  static char source[1 << 15];
  static char result[1 << 16];
  const char *text;
  mp_script *script;

  snprintf(source, sizeof source,
           "return { transform = function(payload, event, webhook)\n%s\nend }", code);
  script = loaded(source);
  text = transformed(script, &event);
  snprintf(result, sizeof result, "%s", text ? text : error.message);
  ops->free(script);
  return result;
}

/* The code makes this text: a string without its content type. */
static inline void assert_makes(const char *code, const char *expected) {
  char wanted[4096];
  const char *got = made(code);

  snprintf(wanted, sizeof wanted, "%s text/plain; charset=utf-8", expected);
  if (strcmp(got, wanted) != 0 && strcmp(got, expected) != 0) {
    fail_msg("%s\nmade     %s\nexpected %s", code, got, expected);
  }
}

static inline void assert_fails(const char *code, const char *part) {
  const char *got = made(code);
  if (!strstr(got, part)) fail_msg("%s\nmade     %s\nexpected an error with %s", code, got, part);
}

#endif
