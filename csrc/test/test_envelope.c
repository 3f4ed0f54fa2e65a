/* payload/envelope: what emit_json takes, and how it refuses the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those before it */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "payload/envelope.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void expect_slot(const char *text, mp_slot slot, const char *value) {
  mp_envelope e;
  mp_error err = {0};

  if (mp_envelope_parse(text, strlen(text), &e, &err) != MP_OK)
    fail_msg("%s: %s", text, err.message);
  assert_string_equal("entry.create", e.event);
  assert_int_equal(slot, e.slot);
  if (!value) return;
  assert_int_equal(strlen(value), e.value.len);
  assert_memory_equal(value, e.value.data, e.value.len);
}

static void test_slots(void **state) {
  mp_envelope e;
  mp_error err = {0};
  static const char named[] =
      "{\"model\":\"\\u0061ddress\",\"event\":\"entry\\u002eupdate\",\"entry\":1}";

  (void)state;
  expect_slot("{\"event\":\"entry.create\",\"entry\":{\"a\": [1]}}", MP_SLOT_ENTRY, "{\"a\": [1]}");
  expect_slot("{\"media\" : 12.50 ,\"event\":\"entry.create\"}", MP_SLOT_MEDIA, "12.50");
  expect_slot("{\"event\":\"entry.create\",\"entries\":[{}, 2]}", MP_SLOT_ENTRIES, "[{}, 2]");
  expect_slot("{\"event\":\"entry.create\"}", MP_SLOT_NONE, NULL);
  expect_slot("{\"event\":\"entry.create\",\"entry\":null,\"media\":{}}", MP_SLOT_MEDIA, "{}");

  assert_int_equal(MP_OK, mp_envelope_parse(named, sizeof named - 1, &e, &err));
  assert_string_equal("entry.update", e.event);
  assert_true(e.has_model);
  assert_string_equal("address", e.model);
}

static void test_refused(void **state) {
  static const struct {
    const char *text, *message;
  } cases[] = {
      {"[]", "text: expected an object, got an array (byte 1)"},
      {"{}", "text: expected the key \"event\", got none (byte 3)"},
      {"{\"entry\":{}}", "text: expected the key \"event\", got none (byte 13)"},
      {"{\"event\":1}", "text.event: expected a string, got a number (byte 10)"},
      {"{\"event\":\"\"}",
       "text.event: expected 1 to 255 bytes without NUL, got 0 bytes (byte 12)"},
      {"{\"event\":\"a\\u0000\"}",
       "text.event: expected 1 to 255 bytes without NUL, got 2 bytes (byte 19)"},
      {"{\"event\":\"a\",\"model\":null}", "text.model: expected a string, got null (byte 22)"},
      {"{\"event\":\"a\",\"model\":[\"x\"]}",
       "text.model: expected a string, got an array (byte 22)"},
      {"{\"event\":\"a\",\"event\":\"b\"}", "text.event: this key is there twice (byte 14)"},
      {"{\"event\":\"a\",\"entry\":{},\"media\":{}}",
       "text.media: expected one of entry, entries and media, got several (byte 33)"},
      {"{\"event\":\"a\",\"entries\":{}}",
       "text.entries: expected an array, got an object (byte 24)"},
      {"{\"event\":\"a\",\"entries\":null}", "text.entries: expected an array, got null (byte 24)"},
      {"{\"event\":\"a\",\"entyr\":{}}",
       "text.entyr: unknown key (expected event, model, entry, entries or media) (byte 22)"},
      {"{\"event\":\"a\",\"entry\":{\"x\":[01]}}",
       "text.entry.x[1]: a JSON number has no leading zeros (byte 28)"},
      {"{\"event\":\"a\"} x", "text: more text after the JSON value (byte 15)"},
      {"{\"event\":\"a\",\"entry\":",
       "text.entry: the JSON text ends where a value is expected (byte 22)"},
  };

  (void)state;
  for (size_t i = 0; i < COUNT(cases); i++) {
    mp_envelope e;
    mp_error err = {0};
    assert_int_equal(MP_EINVAL, mp_envelope_parse(cases[i].text, strlen(cases[i].text), &e, &err));
    assert_string_equal(cases[i].message, err.message);
  }
}

static void test_long_names(void **state) {
  static const struct {
    int len;
    mp_code code;
  } cases[] = {{255, MP_OK}, {256, MP_EINVAL}, {257, MP_EINVAL}, {5000, MP_EINVAL}};
  char text[6000], name[5001];
  mp_envelope e;
  mp_error err = {0};

  (void)state;
  memset(name, 'n', sizeof name);
  for (size_t i = 0; i < COUNT(cases); i++) {
    int n = snprintf(text, sizeof text, "{\"event\":\"%.*s\"}", cases[i].len, name);
    assert_int_equal(cases[i].code, mp_envelope_parse(text, (size_t)n, &e, &err));
  }
  assert_non_null(strstr(err.message, "text.event: expected 1 to 255 bytes without NUL, got 5000"));
}

static void test_entries(void **state) {
  static const char text[] = "{\"event\":\"e\",\"entries\": [ {\"a\":1} ,2, [] , \"\\n\",null ] }";
  static const char *const expected[] = {"{\"a\":1}", "2", "[]", "\"\\n\"", "null"};
  mp_envelope e;
  mp_envelope_entries it;
  mp_error err = {0};
  mp_span entry;
  size_t count = 0;

  (void)state;
  assert_int_equal(MP_OK, mp_envelope_parse(text, sizeof text - 1, &e, &err));
  mp_envelope_entries_init(&it, &e);
  while (mp_envelope_entries_next(&it, &entry)) {
    assert_true(count < COUNT(expected));
    assert_int_equal(strlen(expected[count]), entry.len);
    assert_memory_equal(expected[count], entry.data, entry.len);
    count++;
  }
  mp_envelope_entries_free(&it);
  assert_int_equal(COUNT(expected), count);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_slots), cmocka_unit_test(test_refused),
                                     cmocka_unit_test(test_long_names),
                                     cmocka_unit_test(test_entries)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
