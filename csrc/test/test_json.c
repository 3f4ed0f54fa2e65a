/* payload/json_reader: what is JSON and what is not, where an error is, and the pull interface. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those before it */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "payload/json_reader.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The text in memory of just its size, so that a read past its end is seen. */
static mp_code check(const char *text, size_t len, mp_error *err) {
  char *copy = malloc(len ? len : 1);
  mp_json j;

  assert_non_null(copy);
  memcpy(copy, text, len);
  *err = (mp_error){0};
  mp_json_init(&j, copy, len, "entry", err);
  mp_json_skip(&j, NULL);
  mp_json_end(&j);
  mp_json_free(&j);
  free(copy);
  return j.failed ? err->code : MP_OK;
}

/* ---- what is JSON --------------------------------------------------------------------------- */

static void test_accepted(void **state) {
  static const char *const texts[] = {"null",
                                      "true",
                                      "false",
                                      "0",
                                      "-0",
                                      "-0.0e-0",
                                      "1E400",
                                      "123456789012345678901234567890",
                                      "1.5e+3",
                                      "\"\"",
                                      "\"/\\/\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\uD83C\\uDF19\"",
                                      "[]",
                                      "{}",
                                      " \t\r\n[ 1 , [ ] , { \"a\" : null } ] \n",
                                      "{\"\":1,\" \":2}",
                                      "\"\xE6\x97\xA5\x7F\"",
                                      "\"\xF4\x8F\xBF\xBF\xEF\xBF\xBF\xE2\x80\xA8\"",
                                      "{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1}]}",
                                      "[\"\xC3\xA9\xC3\xA9 mixed \xC3\xA9\\n\xC3\xA9\"]"};
  mp_error err;

  (void)state;
  for (size_t i = 0; i < COUNT(texts); i++) {
    if (check(texts[i], strlen(texts[i]), &err) != MP_OK) fail_msg("%s: %s", texts[i], err.message);
  }
}

static const struct {
  const char *text, *message;
} refused[] = {
    {"", "entry: the JSON text ends where a value is expected (byte 1)"},
    {"  ", "entry: the JSON text ends where a value is expected (byte 3)"},
    {"[1", "entry[1]: the JSON text ends before a ']' (byte 3)"},
    {"[1,", "entry[2]: the JSON text ends where a value is expected (byte 4)"},
    {"{\"a\":1", "entry.a: the JSON text ends before a '}' (byte 7)"},
    {"{\"a\"", "entry.a: not JSON: expected ':' (byte 5)"},
    {"{\"a\" 1}", "entry.a: not JSON: expected ':' (byte 6)"},
    {"{\"a\":1 \"b\":2}", "entry.a: not JSON: expected ',' or '}' (byte 8)"},
    {"{\"a\":1,}", "entry.a: not JSON: expected a key in quotes (byte 8)"},
    {"{,}", "entry: not JSON: expected a key in quotes (byte 2)"},
    {"{a:1}", "entry: not JSON: expected a key in quotes (byte 2)"},
    {"[1,]", "entry[2]: not JSON: expected a value (byte 4)"},
    {"[,1]", "entry[1]: not JSON: expected a value (byte 2)"},
    {"[1 2]", "entry[1]: not JSON: expected ',' or ']' (byte 4)"},
    {"[1}", "entry[1]: not JSON: expected ',' or ']' (byte 3)"},
    {"1 2", "entry: more text after the JSON value (byte 3)"},
    {"{} null", "entry: more text after the JSON value (byte 4)"},
    {"nul", "entry: not JSON: expected null (byte 1)"},
    {"[truth]", "entry[1]: not JSON: expected true (byte 2)"},
    {"falsy", "entry: not JSON: expected false (byte 1)"},
    {"NaN", "entry: not JSON: expected a value (byte 1)"},
    {"\xEF\xBB\xBF{}", "entry: not JSON: expected a value (byte 1)"},
    {"// a\n1", "entry: not JSON: expected a value (byte 1)"},
    {"'a'", "entry: not JSON: expected a value (byte 1)"},
    {"{\"n\":01}", "entry.n: a JSON number has no leading zeros (byte 6)"},
    {"-", "entry: not a JSON number (byte 1)"},
    {"-a", "entry: not a JSON number (byte 1)"},
    {"+1", "entry: not JSON: expected a value (byte 1)"},
    {".5", "entry: not JSON: expected a value (byte 1)"},
    {"1.", "entry: not a JSON number: expected a digit after the point (byte 1)"},
    {"1.e3", "entry: not a JSON number: expected a digit after the point (byte 1)"},
    {"1e", "entry: not a JSON number: expected a digit in the exponent (byte 1)"},
    {"1e+", "entry: not a JSON number: expected a digit in the exponent (byte 1)"},
    {"0x10", "entry: more text after the JSON value (byte 2)"},
    {"\"a", "entry: the JSON text ends within a string (byte 3)"},
    {"\"a\\", "entry: not a JSON escape (byte 3)"},
    {"\"\\x\"", "entry: not a JSON escape (byte 2)"},
    {"\"\\u12\"", "entry: expected four hexadecimal digits after \\u (byte 2)"},
    {"\"\\u12g4\"", "entry: expected four hexadecimal digits after \\u (byte 2)"},
    {"\"\\uD800\"", "entry: a lone surrogate (byte 2)"},
    {"\"\\uD800\\n\"", "entry: a lone surrogate (byte 2)"},
    {"\"\\uD800\\uD800\"", "entry: a lone surrogate (byte 2)"},
    {"\"\\uD83C\\u0041\"", "entry: a lone surrogate (byte 2)"},
    {"\"x\\uDF19\"", "entry: a lone surrogate (byte 3)"},
    {"\"a\nb\"", "entry: a control character within a string (byte 3)"},
    {"\"a\x1f\"", "entry: a control character within a string (byte 3)"},
    {"\"a\xFF\"", "entry: a string is not valid UTF-8 (byte 3)"},
    {"\"\xC0\xAF\"", "entry: a string is not valid UTF-8 (byte 2)"},
    {"\"\xED\xA0\x80\"", "entry: a string is not valid UTF-8 (byte 2)"},
    {"\"\xE6\x97\"", "entry: a string is not valid UTF-8 (byte 2)"},
    {"{\"\xFF\":1}", "entry: a string is not valid UTF-8 (byte 3)"},
    {"{\"items\":[1,2,{\"price\":.5}]}",
     "entry.items[3].price: not JSON: expected a value (byte 24)"},
    {"{\"a b\":{\"c\\\"d\":[x]}}",
     "entry[\"a b\"][\"c\\\"d\"][1]: not JSON: expected a value (byte 17)"},
};

static void test_refused(void **state) {
  mp_error err;

  (void)state;
  for (size_t i = 0; i < COUNT(refused); i++) {
    assert_int_equal(MP_EINVAL, check(refused[i].text, strlen(refused[i].text), &err));
    assert_string_equal(refused[i].message, err.message);
  }
}

/* No beginning of a text is JSON, and none is read past its end. */
static void test_truncated(void **state) {
  static const char text[] =
      "{\"a\":[1.5e-3,true,{\"k\\u00e9\":\"\xE6\x97\xA5\\uD83C\\uDF19\"},null],\"b\":\"\\n\"}";
  mp_error err;

  (void)state;
  for (size_t len = 0; len < sizeof text - 1; len++) {
    assert_int_equal(MP_EINVAL, check(text, len, &err));
  }
  assert_int_equal(MP_OK, check(text, sizeof text - 1, &err));
}

static void test_nul_bytes(void **state) {
  mp_error err;

  (void)state;
  assert_int_equal(MP_EINVAL, check("\"a\0b\"", 5, &err));
  assert_string_equal("entry: a control character within a string (byte 3)", err.message);
  assert_int_equal(MP_EINVAL, check("\"\\\0\"", 4, &err));
  assert_int_equal(MP_EINVAL, check("1\0", 2, &err));
}

static mp_code check_nested(int depth, char open, char close, mp_error *err) {
  char text[1024];
  size_t n = 0;

  for (int i = 0; i < depth; i++) {
    text[n++] = open;
    if (open == '{' && i < depth - 1) {
      memcpy(text + n, "\"a\":", 4);
      n += 4;
    }
  }
  for (int i = 0; i < depth; i++)
    text[n++] = close;
  return check(text, n, err);
}

static void test_depth(void **state) {
  mp_error err;

  (void)state;
  assert_int_equal(MP_OK, check_nested(MP_JSON_MAX_DEPTH, '[', ']', &err));
  assert_int_equal(MP_OK, check_nested(MP_JSON_MAX_DEPTH, '{', '}', &err));
  assert_int_equal(MP_EINVAL, check_nested(MP_JSON_MAX_DEPTH + 1, '[', ']', &err));
  assert_non_null(strstr(err.message, ": nested more than 100 deep (byte 101)"));
  assert_int_equal(MP_EINVAL, check_nested(MP_JSON_MAX_DEPTH + 1, '{', '}', &err));
  assert_non_null(strstr(err.message, "entry.a.a.a"));
  assert_non_null(strstr(err.message, "a.a: nested more than 100 deep"));
}

static void test_long_path(void **state) {
  mp_error err;
  mp_buf b;

  (void)state;
  mp_buf_init(&b, MP_BUF_NO_LIMIT);
  for (int i = 0; i < 50; i++)
    mp_buf_add_format(&b, "{\"a_key_of_this_length_%d\":", i);
  mp_buf_add_str(&b, "x");
  assert_int_equal(MP_EINVAL, check(b.data, b.len, &err));
  assert_non_null(strstr(err.message, "entry.a_key_of_this_length_0.a_key_of_this_length_1."));
  assert_non_null(strstr(err.message, "[...]: not JSON: expected a value (byte "));
  mp_buf_free(&b);
}

/* ---- duplicate keys ------------------------------------------------------------------------- */

static void test_duplicates(void **state) {
  static const struct {
    const char *text, *message;
  } cases[] = {
      {"{\"a\":1,\"b\":{\"a\":2},\"a\":3}", "entry.a: this key is there twice (byte 20)"},
      {"{\"x\":[{\"a\":1},{\"a\":1,\"a\":1}]}", "entry.x[2].a: this key is there twice (byte 22)"},
      {"{\"password\":1,\"passwor\\u0064\":2}",
       "entry.password: this key is there twice (byte 15)"},
      {"{\"\\u0000\":1,\"\\u0000\":2}", "entry[\"?\"]: this key is there twice (byte 13)"},
      {"{\"\":1,\"\":2}", "entry[\"\"]: this key is there twice (byte 7)"},
      {"{\"\xC3\xA9\":1,\"\\u00e9\":2}", "entry[\"\xC3\xA9\"]: this key is there twice (byte 9)"},
  };
  static const char alike[] = "{\"a\":1,\"a\\u0000\":2,\"a\\u0000b\":3,\"A\":4}";
  mp_error err;

  (void)state;
  for (size_t i = 0; i < COUNT(cases); i++) {
    assert_int_equal(MP_EINVAL, check(cases[i].text, strlen(cases[i].text), &err));
    assert_string_equal(cases[i].message, err.message);
  }
  /* Different keys, though one is the other's beginning, or cut by a NUL. */
  assert_int_equal(MP_OK, check(alike, sizeof alike - 1, &err));
}

/* An object of so many keys, the last of which is the same as the one at twin (-1: as none). */
static mp_code check_keys(int count, int twin, bool escaped, mp_error *err) {
  mp_buf b;
  mp_code code;

  mp_buf_init(&b, MP_BUF_NO_LIMIT);
  mp_buf_add_char(&b, '{');
  for (int i = 0; i < count; i++) {
    int n = i == count - 1 && twin >= 0 ? twin : i;
    mp_buf_add_format(&b, "%s\"%s%d\":%d", i ? "," : "", escaped && i % 3 == 0 ? "\\u006b" : "k", n,
                      i);
  }
  mp_buf_add_str(&b, "}");
  code = check(b.data, b.len, err);
  mp_buf_free(&b);
  return code;
}

static void test_many_keys(void **state) {
  static const int counts[] = {2, 31, 32, 33, 34, 35, 64, 65, 1000};
  mp_error err;

  (void)state;
  for (size_t i = 0; i < COUNT(counts); i++) {
    for (int escaped = 0; escaped < 2; escaped++) {
      int n = counts[i];
      assert_int_equal(MP_OK, check_keys(n, -1, escaped, &err));
      assert_int_equal(MP_EINVAL, check_keys(n, 0, escaped, &err));
      assert_non_null(strstr(err.message, "entry.k0: this key is there twice"));
      assert_int_equal(MP_EINVAL, check_keys(n, n - 2, escaped, &err));
    }
  }
}

/* Ends at once, were it quadratic it would not within the test's time. */
static void test_very_many_keys(void **state) {
  mp_error err;

  (void)state;
  assert_int_equal(MP_OK, check_keys(300000, -1, true, &err));
  assert_int_equal(MP_EINVAL, check_keys(300000, 123456, true, &err));
  assert_non_null(strstr(err.message, "entry.k123456: this key is there twice"));
}

/* ---- the pull interface --------------------------------------------------------------------- */

static bool is(mp_span s, const char *text) {
  return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/* A small document, as the engine reads its own. */
static void test_pull(void **state) {
  static const char text[] =
      " {\"url\" : \"http:\\/\\/h\", \"headers\":[[\"a\",\"b\"],[\"c\",\"\\u0000d\"]], \"n\": "
      "3.50, "
      "\"other\":{\"deep\":[1,{}]}, \"\\u006c\\u0061st\":true}";
  mp_error err = {0};
  mp_json j;
  mp_span key, raw;
  mp_buf b;
  int seen = 0, pairs = 0;

  (void)state;
  mp_buf_init(&b, 100);
  mp_json_init(&j, text, sizeof text - 1, "webhook", &err);
  assert_int_equal(MP_JSON_OBJECT, mp_json_type_of(&j));
  assert_true(mp_json_begin_object(&j));
  while (mp_json_next_key(&j, &key)) {
    mp_buf_reset(&b);
    seen++;
    if (is(key, "url")) {
      assert_int_equal(MP_JSON_STRING, mp_json_type_of(&j));
      assert_true(mp_json_string(&j, &b));
      assert_true(is((mp_span){b.data, b.len}, "http://h"));
    } else if (is(key, "headers")) {
      assert_true(mp_json_begin_array(&j));
      while (mp_json_next_element(&j)) {
        assert_true(mp_json_begin_array(&j));
        while (mp_json_next_element(&j))
          assert_true(mp_json_string(&j, &b));
        pairs++;
      }
    } else if (is(key, "n")) {
      assert_int_equal(MP_JSON_NUMBER, mp_json_type_of(&j));
      assert_true(mp_json_scalar(&j, &raw));
      assert_true(is(raw, "3.50"));
    } else if (is(key, "other")) {
      assert_true(mp_json_skip(&j, &raw));
      assert_true(is(raw, "{\"deep\":[1,{}]}"));
    } else {
      assert_true(is(key, "last"));
      assert_int_equal(MP_JSON_TRUE, mp_json_type_of(&j));
      assert_true(mp_json_skip(&j, NULL));
    }
  }
  assert_true(mp_json_end(&j));
  assert_int_equal(5, seen);
  assert_int_equal(2, pairs);
  mp_json_free(&j);
  mp_buf_free(&b);
}

static void test_string_span(void **state) {
  static const char text[] = "[\"plain\",\"\",\"\\u0041\\u0000\",\"\\n\"]";
  static const mp_span expected[] = {{"plain", 5}, {"", 0}, {"A\0", 2}, {"\n", 1}};
  mp_error err = {0};
  mp_json j;
  mp_span span;
  mp_buf scratch;

  (void)state;
  mp_buf_init(&scratch, 100);
  mp_json_init(&j, text, sizeof text - 1, "x", &err);
  assert_true(mp_json_begin_array(&j));
  for (size_t i = 0; i < COUNT(expected); i++) {
    assert_true(mp_json_next_element(&j));
    assert_true(mp_json_string_span(&j, &scratch, &span));
    assert_int_equal(expected[i].len, span.len);
    assert_memory_equal(expected[i].data, span.data, span.len);
  }
  assert_false(mp_json_next_element(&j));
  assert_true(mp_json_end(&j));
  mp_json_free(&j);
  mp_buf_free(&scratch);
}

/* What was not expected is an error that says so; nothing is read after it, and the first one
 * stays. */
static void test_wrong_types(void **state) {
  mp_error err = {0};
  mp_json j;
  mp_span key;
  mp_buf b;

  (void)state;
  mp_buf_init(&b, 3);
  mp_json_init(&j, "{\"a\":[1]}", 9, "x", &err);
  assert_false(mp_json_begin_array(&j));
  assert_string_equal("x: expected an array, got an object (byte 1)", err.message);
  assert_false(mp_json_begin_object(&j));
  assert_false(mp_json_next_key(&j, &key));
  assert_int_equal(MP_JSON_NONE, mp_json_type_of(&j));
  assert_false(mp_json_skip(&j, NULL));
  assert_false(mp_json_end(&j));
  assert_string_equal("x: expected an array, got an object (byte 1)", err.message);
  mp_json_free(&j);

  mp_json_init(&j, "{\"a\":[1]}", 9, "x", &err);
  assert_true(mp_json_begin_object(&j) && mp_json_next_key(&j, &key));
  assert_false(mp_json_string(&j, &b));
  assert_string_equal("x.a: expected a string, got an array (byte 6)", err.message);
  mp_json_free(&j);

  mp_json_init(&j, "\"\\u0061bcd\"", 11, "x", &err);
  assert_false(mp_json_string(&j, &b));
  assert_int_equal(MP_E2BIG, err.code);
  assert_string_equal("x: a string of more than 3 bytes (byte 12)", err.message);
  mp_json_free(&j);
  mp_buf_free(&b);
}

static void test_peek(void **state) {
  static const char text[] = "[{\"a\":1,\"\\u0062\":\"B\"}]";
  mp_error err = {0};
  mp_json j, peek;
  mp_span key, raw;

  (void)state;
  mp_json_init(&j, text, sizeof text - 1, "x", &err);
  assert_true(mp_json_begin_array(&j) && mp_json_next_element(&j));
  mp_json_peek(&j, &peek);
  assert_true(mp_json_begin_object(&peek));
  assert_true(mp_json_next_key(&peek, &key) && is(key, "a") && mp_json_skip(&peek, NULL));
  assert_true(mp_json_next_key(&peek, &key) && is(key, "b"));
  assert_false(mp_json_begin_object(&peek));
  mp_json_free(&peek);
  assert_string_equal("", err.message);
  assert_true(mp_json_skip(&j, &raw));
  assert_true(is(raw, "{\"a\":1,\"\\u0062\":\"B\"}"));
  assert_false(mp_json_next_element(&j));
  assert_true(mp_json_end(&j));
  mp_json_free(&j);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_accepted),
                                     cmocka_unit_test(test_refused),
                                     cmocka_unit_test(test_truncated),
                                     cmocka_unit_test(test_nul_bytes),
                                     cmocka_unit_test(test_depth),
                                     cmocka_unit_test(test_long_path),
                                     cmocka_unit_test(test_duplicates),
                                     cmocka_unit_test(test_many_keys),
                                     cmocka_unit_test(test_very_many_keys),
                                     cmocka_unit_test(test_pull),
                                     cmocka_unit_test(test_string_span),
                                     cmocka_unit_test(test_wrong_types),
                                     cmocka_unit_test(test_peek)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
