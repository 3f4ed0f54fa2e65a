/* One event through one script, without an engine. */
#include "engine/script_try.h"

#include "script_fixture.h"

#define BODY "{\"event\":\"entry.create\",\"entry\":{\"title\":\"a\"}}"

static mp_code code_of_last;
static mp_error error_of_last;

/* What came of the event; "" when the script could not be tried. */
static const char *tried(const char *type) {
  static char text[4096];
  const mp_event_row event = {.id = 5,
                              .type = type,
                              .model = "article",
                              .created_ms = 1700000000000,
                              .body = BODY,
                              .body_len = strlen(BODY)};
  const mp_webhook_row webhook = {
      .id = 1, .name = "a", .definition = "{\"url\":\"http://127.0.0.1:1/\",\"events\":[\"*\"]}"};
  mp_settings *s = scripted_settings("crm");
  mp_buf out;

  mp_buf_init(&out, sizeof text - 1);
  memset(&error_of_last, 0, sizeof error_of_last);
  code_of_last = mp_script_try(s, &event, &webhook, &out, &error_of_last);
  memcpy(text, out.data ? out.data : "", out.len);
  text[out.len] = '\0';
  mp_buf_free(&out);
  mp_settings_free(s);
  return text;
}

static void what_has_no_say_is_sent_as_it_is(void **state) {
  (void)state;
  write_script("crm", "");
  assert_string_equal(tried("entry.create"),
                      "{\"verdict\":\"send\",\"body\":\"{\\\"event\\\":\\\"entry.create\\\","
                      "\\\"entry\\\":{\\\"title\\\":\\\"a\\\"}}\",\"phases\":{}}");
}

static void a_filter_says_no(void **state) {
  const char *text;
  (void)state;

  write_script("crm", "filter=no\ntransform={}");
  text = tried("entry.create");
  assert_has(text, "\"verdict\":\"filtered\"");
  assert_has(text, "\"version\":\"crm@");
  assert_has(text, "\"phases\":{\"filter\":{\"cpu_us\":5,");
  assert_has_not(text, "body");
  assert_has_not(text, "transform");
}

static void a_transform_is_sanitized(void **state) {
  const char *text;
  (void)state;

  write_script("crm",
               "route=[\"a\"]\ntransform={\"entry\":{\"title\":\"b\",\"secret\":1}}\n"
               "headers=[[\"X-A\",\"b\"]]");
  text = tried("entry.create");
  assert_has(text, "{\"route\":[\"a\"],\"verdict\":\"send\"");
  assert_has(text, "\"body\":\"{\\\"entry\\\":{\\\"title\\\":\\\"b\\\"}}\"");
  assert_has(text, "\"headers\":[[\"X-A\",\"b\"]]");
  assert_has(text, "\"route\":{\"cpu_us\"");
  assert_has(text, "\"transform\":{\"cpu_us\"");
}

static void a_text_has_its_content_type(void **state) {
  const char *text;
  (void)state;

  write_script("crm", "text=text/csv a,b");
  text = tried("entry.create");
  assert_has(text, "\"body\":\"a,b\"");
  assert_has(text, "\"content_type\":\"text/csv\"");
}

static void an_error_would_hold_it(void **state) {
  (void)state;
  write_script("crm", "filter=error");
  assert_has(tried("entry.create"), "\"verdict\":\"held\",\"error\":\"crm.lua:3: no city\"");
  write_script("crm", "headers=[[\"webhook-id\",\"1\"]]");
  assert_has(tried("entry.create"), "'webhook-id' is moonpost's own");
  write_script("crm", "route=error\ntransform={}");
  assert_has(tried("entry.create"), "{\"verdict\":\"held\",\"error\":\"routing.lua:7: no way\"");
  assert_int_equal(code_of_last, MP_OK);
}

static void what_cannot_be_loaded_is_told(void **state) {
  (void)state;
  assert_string_equal(tried("entry.create"), "");
  assert_int_equal(code_of_last, MP_ENOENT);
  write_script("crm", "broken");
  tried("entry.create");
  assert_int_equal(code_of_last, MP_EINVAL);
  assert_string_equal(error_of_last.message, "crm.lua:1: broken");
}

static void a_check_loads_them(void **state) {
  mp_settings *s;
  mp_buf out;
  mp_error err = {0};
  (void)state;

  write_script("crm", "filter=no");
  s = scripted_settings("crm");
  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  assert_int_equal(mp_script_check(s, &out, &err), MP_OK);
  mp_buf_add_char(&out, '\0');
  assert_has(out.data, "\"name\":\"crm\",\"global\":true,\"version\":");
  write_script("crm", "broken");
  assert_int_equal(mp_script_check(s, &out, &err), MP_EINVAL);
  mp_buf_free(&out);
  mp_settings_free(s);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, remove_folder)
  const struct CMUnitTest tests[] = {
      TEST(what_has_no_say_is_sent_as_it_is),
      TEST(a_filter_says_no),
      TEST(a_transform_is_sanitized),
      TEST(a_text_has_its_content_type),
      TEST(an_error_would_hold_it),
      TEST(what_cannot_be_loaded_is_told),
      TEST(a_check_loads_them),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
