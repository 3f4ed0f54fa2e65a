/* payload/number: numbers in ECMAScript's form, and that no shorter one reads back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those before it */
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "payload/number.h"
#include "test/comma_locale.h"

static const char *written(double value) {
  static char text[64];
  mp_buf b;

  mp_buf_init(&b, sizeof text - 1);
  mp_number_add_double(&b, value);
  assert_int_equal(MP_OK, b.failed);
  memcpy(text, b.data, b.len);
  text[b.len] = '\0';
  mp_buf_free(&b);
  return text;
}

static void test_integers(void **state) {
  static const struct {
    int64_t value;
    const char *text;
  } cases[] = {{0, "0"},
               {-1, "-1"},
               {10, "10"},
               {1700000000000123, "1700000000000123"},
               {9007199254740993, "9007199254740993"},
               {INT64_MAX, "9223372036854775807"},
               {INT64_MIN, "-9223372036854775808"}};

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    mp_buf b;
    mp_buf_init(&b, 64);
    mp_number_add_integer(&b, cases[i].value);
    assert_int_equal(strlen(cases[i].text), b.len);
    assert_memory_equal(cases[i].text, b.data, b.len);
    mp_buf_free(&b);
  }
}

static const struct {
  double value;
  const char *text;
} doubles[] = {
    {0.0, "0"},
    {-0.0, "0"},
    {1.0, "1"},
    {-17.0, "-17"},
    {0.1, "0.1"},
    {-0.1, "-0.1"},
    {0.1 + 0.2, "0.30000000000000004"},
    {1.0 / 3, "0.3333333333333333"},
    {2.0 / 3, "0.6666666666666666"},
    {228.19, "228.19"},
    {48.856614, "48.856614"},
    {4.35, "4.35"},
    {1234567.891, "1234567.891"},
    {123456789012345.6, "123456789012345.6"},
    {1e5, "100000"},
    {9007199254740991.0, "9007199254740991"},
    {9007199254740992.0, "9007199254740992"},
    {9007199254740994.0, "9007199254740994"},
    {1152921504606846976.0, "1152921504606847000"}, /* 2^60: zeros beyond the shortest digits */
    {123456789012345680000.0, "123456789012345680000"},
    {999999999999999900000.0, "999999999999999900000"},
    {1e21, "1e+21"},
    {-1.5e21, "-1.5e+21"},
    {1.2345e25, "1.2345e+25"},
    {1e100, "1e+100"},
    {1e-5, "0.00001"},
    {1e-6, "0.000001"},
    {1.5e-6, "0.0000015"},
    {9.99e-7, "9.99e-7"},
    {1e-7, "1e-7"},
    {123e-20, "1.23e-18"},
    {DBL_MAX, "1.7976931348623157e+308"},
    {DBL_MIN, "2.2250738585072014e-308"},
    {4.9406564584124654e-324, "5e-324"},
    {2.2250738585072009e-308, "2.225073858507201e-308"}, /* the greatest subnormal */
    {0x1p-44, "5.684341886080802e-14"}, /* the nearest of 16 digits does not read back */
    {0x1p-1022, "2.2250738585072014e-308"},
    {0x1p89, "6.189700196426902e+26"},
    {5e-320, "5e-320"},
    {9.5e-323, "9.4e-323"},
};

static void test_doubles(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof doubles / sizeof doubles[0]; i++) {
    assert_string_equal(doubles[i].text, written(doubles[i].value));
  }
}

static void test_read(void **state) {
  static const struct {
    const char *text;
    double value;
  } good[] = {{"0", 0},      {"-0.5", -0.5}, {"2.5", 2.5},        {"1e3", 1000},
              {"1E-2", .01}, {"007", 7},     {"1e400", INFINITY}, {"1e-400", 0}};
  static const char *const bad[] = {"",     " 1",  "1 ",   "1,5",    "nan",  "inf", "-Infinity",
                                    "0x10", "1e",  "1e+",  "1.5.2",  "-",    ".",   "e5",
                                    "1-2",  "--1", "1\n2", "0x1p-2", "1e1e1"};
  double value;

  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    assert_true(mp_number_read(good[i].text, &value));
    assert_true(value == good[i].value);
  }
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    if (mp_number_read(bad[i], &value)) fail_msg("'%s' was read as %g", bad[i], value);
  }
}

/* A host may have set a locale whose decimal point is a comma. */
static void test_locale(void **state) {
  (void)state;
  enter_comma_locale();
  test_doubles(state);
  test_read(state);
  leave_comma_locale();
}

static uint64_t next(uint64_t *seed) { /* xorshift64 */
  *seed ^= *seed << 13;
  *seed ^= *seed >> 7;
  *seed ^= *seed << 17;
  return *seed;
}

static int digits_of(const char *text) {
  char digits[64];
  int n = 0, first = 0;

  for (; *text && *text != 'e'; text++) {
    if (*text >= '0' && *text <= '9') digits[n++] = *text;
  }
  while (first < n - 1 && digits[first] == '0')
    first++;
  while (n > first + 1 && digits[n - 1] == '0')
    n--;
  return n - first;
}

static void check_shortest(double value) {
  char shorter[64];
  const char *text = written(value);
  int n = digits_of(text);

  if (strtod(text, NULL) != value) fail_msg("%a: %s does not read back", value, text);
  if (n == 1) return;
  snprintf(shorter, sizeof shorter, "%.*e", n - 2, value);
  if (strtod(shorter, NULL) == value) fail_msg("%a: %s, but %s is shorter", value, text, shorter);
}

static void test_random(void **state) {
  uint64_t seed = 88172645463325252u;

  (void)state;
  for (int i = 0; i < 50000; i++) {
    uint64_t bits = next(&seed);
    double value;
    memcpy(&value, &bits, sizeof value);
    if (isfinite(value)) check_shortest(value);
    check_shortest((double)(next(&seed) % 100000000) / 1000);     /* prices */
    check_shortest((double)next(&seed) / 18446744073709551616.0); /* 0 to 1, all digits */
  }
  for (int exponent = -1074; exponent < 1024; exponent++)
    check_shortest(ldexp(1, exponent));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_integers),
                                     cmocka_unit_test(test_doubles), cmocka_unit_test(test_read),
                                     cmocka_unit_test(test_locale), cmocka_unit_test(test_random)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
