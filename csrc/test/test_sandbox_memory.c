/* Scripts without memory: whatever allocation is refused, by the limit or by the host, a load or a
 * call ends with an error that says so, nothing leaks, and the next call works. */
#include "sandbox_fixture.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *s);

static int until_failure = -1; /* allocations of ours that succeed yet; below 0: all */

/* One fails, those after it succeed: a script may catch the error and go on. */
static bool fails(void) {
  return until_failure >= 0 && until_failure-- == 0;
}

void *__wrap_malloc(size_t size) {
  return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
  return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size) {
  return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *s) {
  return fails() ? NULL : __real_strdup(s);
}

/* A bit of all that takes memory. */
static const char source[] =
    "local lib = require 'lib.text'\n"
    "return { events = { 'entry.*' }, models = { 'address', 'sample' },\n"
    "transform = function(payload, event, webhook)\n"
    "  local e = payload.entry\n"
    "  local t = {}\n"
    "  for k, v in pairs(e) do t[#t + 1] = tostring(k) end\n"
    "  table.sort(t)\n"
    "  local ok = pcall(function() return json.decode(json.encode({ t, constants.big })) end)\n"
    "  e.text = lib.up(table.concat(t, ',')):gsub('%w', '%0'):rep(3) .. webhook.url\n"
    "  e.hash = base64.encode(crypto.sha256(e.text, 'raw')) .. utf8.char(233)\n"
    "  log.info('x', ok)\n"
    "  return payload, { headers = { ['X-A'] = ('%5d'):format(1) } }\n"
    "end }";
static const char lib[] = "return { up = function(s) return s:upper() end }";

static mp_code load_and_run(bool *made) {
  mp_buf body, headers, type;
  mp_script *script;
  bool changed;
  mp_code code = load_file("crm", &script);

  *made = false;
  if (code != MP_OK) {
    assert_null(script);
    return code;
  }
  mp_buf_init(&body, MP_BUF_NO_LIMIT);
  mp_buf_init(&headers, MP_BUF_NO_LIMIT);
  mp_buf_init(&type, MP_BUF_NO_LIMIT);
  code = ops->transform(script, &event, &hook, event.body, event.body_len, &changed, &body,
                        &headers, &type, &use, &error);
  *made = code == MP_OK && body.len > event.body_len && headers.len > 0;
  mp_buf_free(&body);
  mp_buf_free(&headers);
  mp_buf_free(&type);
  if (code == MP_ENOMEM) assert_non_null(transformed(script, &event)); /* the next call goes on */
  ops->free(script);
  return code;
}

static void every_allocation_of_ours_may_fail(void **state) {
  bool made = false;
  (void)state;
  write_file("crm", source, sizeof source - 1);
  write_file("lib/text", lib, sizeof lib - 1);
  for (int n = 0, left = -1; left < 0; n++) {
    mp_code code;
    until_failure = n;
    code = load_and_run(&made);
    left = until_failure;
    until_failure = -1;
    if (code != MP_ENOMEM && !(code == MP_OK && made)) {
      fail_msg("allocation %d: %s", n, error.message);
    }
    assert_true(n < 10000);
  }
}

static void every_limit_of_memory_is_told(void **state) {
  bool made = false;
  (void)state;
  write_file("crm", source, sizeof source - 1);
  write_file("lib/text", lib, sizeof lib - 1);
  for (limits.memory = 2000; !made; limits.memory += 211) {
    mp_code code = load_and_run(&made);
    if (code != MP_OK && (code != MP_EINVAL || !strstr(error.message, "bytes of memory"))) {
      fail_msg("%zu bytes: %s: %s", limits.memory, mp_code_name(code), error.message);
    }
    assert_true(limits.memory < 1 << 20);
  }
  limits.memory = 16 << 20;
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
  const struct CMUnitTest tests[] = {
      TEST(every_allocation_of_ours_may_fail),
      TEST(every_limit_of_memory_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
