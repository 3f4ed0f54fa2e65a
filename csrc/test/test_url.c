/* http/url: which URLs a webhook may have, and that no refusal shows a password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those before it */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/url.h"

static void test_accepted(void **state) {
  static const char *const urls[] = {"http://a",
                                     "https://example.com/hook?x=1&y=%20#fragment",
                                     "HTTP://EXAMPLE.com",
                                     "hTTpS://example.com:8443/",
                                     "http://127.0.0.1:1/",
                                     "http://h:65535/",
                                     "http://h:00080/",
                                     "http://[::1]:8080/hook",
                                     "http://[fe80::1%25eth0]/",
                                     "https://user:pass@example.com/",
                                     "https://user@example.com/",
                                     "http://example.com//double//slash",
                                     "http://example.com/@user",
                                     "http://xn--bcher-kva.example/"};
  mp_error err;

  (void)state;
  for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
    if (mp_url_check(urls[i], &err) != MP_OK) fail_msg("%s: %s", urls[i], err.message);
  }
}

static void test_refused(void **state) {
  static const struct {
    const char *url;
    const char *reason;
  } cases[] = {
      {"", "it is empty"},
      {"example.com", "expected http:// or https://"},
      {"//example.com/", "expected http:// or https://"},
      {"/hook", "expected http:// or https://"},
      {"http:/example.com", "expected http:// or https://"},
      {"http:///example.com", "expected http:// or https://"},
      {"http:example.com", "expected http:// or https://"},
      {"ftp://example.com/", "only http and https"},
      {"file:///etc/passwd", "only http and https"},
      {"javascript:alert(1)", "only http and https"},
      {"localhost:8080/hook", "only http and https"},
      {"httpx://example.com/", "only http and https"},
      {"http://", "it has no host"},
      {"http://?x", "it has no host"},
      {"http://:80/", "it has no host"},
      {"http://user:pass@/", "it has no host"},
      {"http://h:0/", "its port is 0"},
      {"http://h:000/", "its port is 0"},
      {"http://h../", "its host has two dots in a row"},
      {"http://a..b:80/", "its host has two dots in a row"},
      {"http://h:65536/", "from 1 to 65535"},
      {"http://h:8x/", "from 1 to 65535"},
      {"http://h:-1/", "from 1 to 65535"},
      {"http://[::1", "IPv6"},
      {"http://[zz]/", "IPv6"},
      {"http://a b/", "a space or a control character"},
      {"http://h/a b", "a space or a control character"},
      {" http://h/", "a space or a control character"},
      {"http://h/\r\nX: y", "a space or a control character"},
      {"http://h/\x7f", "a space or a control character"},
      {"http://h%00/", "not a valid URL"},
      {"http://h%0a/", "not a valid URL"},
      {"http://b\xc3\xbc"
       "cher.example/",
       "its host is not ASCII"},
      {"http://b%C3%BCcher.example/", "its host is not ASCII"},
      {"http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/", "its host is not ASCII"},
  };
  mp_error err;

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    if (mp_url_check(cases[i].url, &err) != MP_EINVAL) fail_msg("accepted: %s", cases[i].url);
    if (!strstr(err.message, cases[i].reason)) fail_msg("%s: %s", cases[i].url, err.message);
  }
}

static void test_length(void **state) {
  char url[2100];
  mp_error err;

  (void)state;
  memset(url, 'a', sizeof url);
  memcpy(url, "http://h/", 9);
  url[2048] = '\0';
  assert_int_equal(mp_url_check(url, &err), MP_OK);
  url[2048] = 'a';
  url[2049] = '\0';
  assert_int_equal(mp_url_check(url, &err), MP_EINVAL);
  assert_non_null(strstr(err.message, "longer than 2048 bytes"));
  assert_non_null(strstr(err.message, "'http://h/aaa"));
}

/* Also where the URL is so malformed that no parser would call it userinfo. */
static void test_no_password_in_a_refusal(void **state) {
  static const char *const urls[] = {"ftp://joe:s3cret@h/",
                                     "http://joe:s3cret@h:0/",
                                     "http://joe:s3cret@/",
                                     "http://joe:s3c/s3cret@h/",
                                     "http://joe:s3cret#s3@h:x/",
                                     "http://joe:s3cret@h/ x",
                                     "joe:s3cret@h",
                                     "http:joe:s3cret@h/",
                                     "http://a@s3cret@h/",
                                     "s3cret@x://joe:s3cret@h/x",
                                     "http://joe:s3cret @h/"};
  char url[2200];
  mp_error err;

  (void)state;
  for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
    if (mp_url_check(urls[i], &err) == MP_OK) fail_msg("accepted: %s", urls[i]);
    if (strstr(err.message, "s3c")) fail_msg("%s", err.message);
    assert_non_null(strstr(err.message, "***@"));
  }
  snprintf(url, sizeof url, "http://joe:s3cret@h/%02100d", 0);
  assert_int_equal(mp_url_check(url, &err), MP_EINVAL);
  assert_null(strstr(err.message, "s3cret"));
  assert_non_null(strstr(err.message, "'http://***@h/000"));
}

static void test_a_refusal_is_one_clean_line(void **state) {
  mp_error err;
  (void)state;
  mp_url_check("http://h/\r\n\x1b[31m\xff", &err);
  assert_non_null(strstr(err.message, "\\x0d\\x0a\\x1b[31m\\xff"));
  for (const char *p = err.message; *p; p++)
    assert_true(*p >= 0x20 && *p < 0x7f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_accepted),
      cmocka_unit_test(test_refused),
      cmocka_unit_test(test_length),
      cmocka_unit_test(test_no_password_in_a_refusal),
      cmocka_unit_test(test_a_refusal_is_one_clean_line),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
