/* payload/json_writer, scan, utf8, path: what is written is as JSON.stringify writes it, and reads
 * back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those before it */
#include <cmocka.h>
#include <string.h>

#include "payload/json_reader.h"
#include "payload/json_writer.h"
#include "payload/path.h"
#include "payload/scan.h"
#include "payload/utf8.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- writing -------------------------------------------------------------------------------- */

static void expect_written(const char *s, size_t len, const char *expected) {
  mp_buf b;
  mp_buf_init(&b, MP_BUF_NO_LIMIT);
  assert_true(mp_json_add_string(&b, s, len));
  assert_int_equal(strlen(expected), b.len);
  assert_memory_equal(expected, b.data, b.len);
  mp_buf_free(&b);
}

/* As JSON.stringify writes them. */
static void test_strings(void **state) {
  (void)state;
  expect_written("", 0, "\"\"");
  expect_written("plain", 5, "\"plain\"");
  expect_written("\"\\/", 3, "\"\\\"\\\\/\"");
  expect_written("\b\f\n\r\t\0\x01\x1f\x7f", 9, "\"\\b\\f\\n\\r\\t\\u0000\\u0001\\u001f\x7f\"");
  expect_written("\xE2\x80\xA8\xC3\xA9 </script>", 15, "\"\xE2\x80\xA8\xC3\xA9 </script>\"");
  expect_written("\xF0\x9F\x8C\x99\n\xE6\x97\xA5", 8, "\"\xF0\x9F\x8C\x99\\n\xE6\x97\xA5\"");
}

/* An odd byte at any place of a short string is found, and what is written reads back. */
static void test_odd_byte_anywhere(void **state) {
  static const char odd[] = {'"', '\\', '\n', '\0', 0x1f};
  static const char bad[] = {'\x80', '\xC3', '\xFF', '\xF0'};
  char s[40];
  mp_buf text, back;

  (void)state;
  mp_buf_init(&text, MP_BUF_NO_LIMIT);
  mp_buf_init(&back, MP_BUF_NO_LIMIT);
  for (size_t len = 1; len <= sizeof s; len++) {
    for (size_t at = 0; at < len; at++) {
      memset(s, 'x', sizeof s);
      for (size_t i = 0; i < COUNT(odd); i++) {
        mp_error err = {0};
        mp_json j;
        s[at] = odd[i];
        mp_buf_reset(&text);
        mp_buf_reset(&back);
        assert_int_equal(at, mp_plain_run(s, len));
        assert_true(mp_json_add_string(&text, s, len));
        mp_json_init(&j, text.data, text.len, "x", &err);
        assert_true(mp_json_string(&j, &back) && mp_json_end(&j));
        mp_json_free(&j);
        assert_int_equal(len, back.len);
        assert_memory_equal(s, back.data, len);
      }
      for (size_t i = 0; i < COUNT(bad); i++) {
        s[at] = bad[i];
        mp_buf_reset(&text);
        assert_int_equal(at, mp_plain_run(s, len));
        assert_false(mp_json_add_string(&text, s, len));
      }
    }
  }
  mp_buf_free(&text);
  mp_buf_free(&back);
}

static void test_limit(void **state) {
  mp_buf b;
  (void)state;
  mp_buf_init(&b, 6);
  assert_true(mp_json_add_string(&b, "abcde", 5));
  assert_int_equal(MP_E2BIG, b.failed);
  mp_buf_free(&b);
}

/* ---- UTF-8, paths --------------------------------------------------------------------------- */

/* Every code point is written and read back; surrogates' bytes are refused. */
static void test_utf8_all(void **state) {
  mp_buf b;

  (void)state;
  mp_buf_init(&b, 8);
  for (uint32_t code = 0; code <= 0x10FFFF; code++) {
    mp_buf_reset(&b);
    mp_utf8_add(&b, code);
    if (mp_utf8_valid(b.data, b.len) == (code >= 0xD800 && code <= 0xDFFF)) {
      fail_msg("U+%04X", (unsigned)code);
    }
    if (code >= 0x80 && b.len > 1) assert_int_equal(0, mp_utf8_sequence(b.data, b.len - 1));
  }
  mp_buf_free(&b);
}

static void test_utf8_malformed(void **state) {
  static const char *const texts[] = {"\x80",
                                      "\xBF",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xC3",
                                      "\xC3(",
                                      "\xE0\x80\x80",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xED\xBF\xBF",
                                      "\xE6\x97",
                                      "\xF0\x80\x80\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFE",
                                      "\xFF",
                                      "\xF8\x88\x80\x80\x80",
                                      "ok\xE6\x97z"};
  mp_buf b;

  (void)state;
  for (size_t i = 0; i < COUNT(texts); i++)
    assert_false(mp_utf8_valid(texts[i], strlen(texts[i])));
  mp_buf_init(&b, 64);
  mp_utf8_replace(&b, "a\xFF\xC3\xA9\xE6\x97z", 7);
  assert_memory_equal("a\xEF\xBF\xBD\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBDz", b.data, b.len);
  mp_buf_free(&b);
}

static void expect_step(const char *key, size_t len, const char *expected) {
  char step[MP_PATH_STEP];
  assert_int_equal(strlen(expected), mp_path_key(step, key, len));
  assert_string_equal(expected, step);
}

static void test_paths(void **state) {
  char step[MP_PATH_STEP], key[200];

  (void)state;
  expect_step("price_2", 7, ".price_2");
  expect_step("2nd", 3, "[\"2nd\"]");
  expect_step("", 0, "[\"\"]");
  expect_step("a b", 3, "[\"a b\"]");
  expect_step("a\0\n\xFF", 4, "[\"a???\"]");
  expect_step("na\xC3\xAFve", 6, "[\"na\xC3\xAFve\"]");
  assert_int_equal(3, mp_path_index(step, 7));
  assert_string_equal("[7]", step);
  memset(key, 'k', sizeof key);
  assert_int_equal(61, mp_path_key(step, key, 60));
  for (size_t len = 61; len < sizeof key; len++) {
    assert_true(mp_path_key(step, key, len) < sizeof step);
    assert_non_null(strstr(step, "kk...\"]"));
  }
  for (size_t i = 0; i + 1 < sizeof key; i += 2)
    memcpy(key + i, "\xC3\xA9", 2);
  for (size_t len = 0; len < sizeof key; len++) {
    assert_true(mp_path_key(step, key, len) < sizeof step);
    assert_true(mp_utf8_valid(step, strlen(step)));
  }
}

/* Each byte of a key counts, wherever it stands: no two keys that differ in one byte hash alike. */
static void test_hash(void **state) {
  char key[40];

  (void)state;
  for (size_t len = 1; len <= sizeof key; len++) {
    uint32_t same;
    memset(key, 'k', sizeof key);
    same = mp_hash(key, len);
    assert_true(same != mp_hash(key, len - 1));
    for (size_t at = 0; at < len; at++) {
      key[at] = 'l';
      assert_true(same != mp_hash(key, len));
      key[at] = 'k';
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_strings),
                                     cmocka_unit_test(test_odd_byte_anywhere),
                                     cmocka_unit_test(test_limit),
                                     cmocka_unit_test(test_utf8_all),
                                     cmocka_unit_test(test_utf8_malformed),
                                     cmocka_unit_test(test_paths),
                                     cmocka_unit_test(test_hash)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
