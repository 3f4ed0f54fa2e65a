/* http/headers: what is accepted, what is refused by name, and what the merge sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those before it */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/headers.h"
#include "http/quote.h"

static mp_code check(const char *name, const char *value, mp_error *err) {
  return mp_header_check("webhooks.defaultHeaders", name, strlen(name), value, strlen(value), err);
}

static void assert_header(const mp_headers *h, size_t i, const char *name, const char *value) {
  assert_true(i < h->count);
  assert_string_equal(h->items[i].name, name);
  assert_string_equal(h->items[i].value, value);
}

static void set(mp_headers *h, const char *name, const char *value) {
  assert_int_equal(mp_headers_set(h, name, value, NULL), MP_OK);
}

static void test_names_are_tokens(void **state) {
  static const char *const good[] = {"X-A", "a", "0", "!#$%&'*+-.^_`|~", "X_Y.z"};
  static const char *const bad[] = {"",     "X A", " X",   "X ",  "X:",  "X\r\nY", "X\tY",
                                    "X(a)", "X/Y", "X\"Y", "[X]", "{X}", "X,Y",    "X;Y",
                                    "X=Y",  "X@Y", "X\\Y", "<X>", "X?Y", "\x7f",   "X-\xc3\xa9"};
  mp_error err;

  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    assert_int_equal(check(good[i], "v", &err), MP_OK);
  }
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(check(bad[i], "v", &err), MP_EINVAL);
  }
  assert_int_equal(mp_header_check("own", "X\0Y", 3, "v", 1, &err), MP_EINVAL);
}

static void test_every_byte_of_a_name(void **state) {
  (void)state;
  for (int c = 0; c < 256; c++) {
    char name[2] = {'x', (char)c};
    bool token = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 (c && memchr("!#$%&'*+-.^_`|~", c, 15));
    assert_int_equal(mp_header_check("own", name, 2, "", 0, NULL), token ? MP_OK : MP_EINVAL);
  }
}

static void test_every_byte_of_a_value(void **state) {
  (void)state;
  for (int c = 0; c < 256; c++) {
    char value[3] = {'a', (char)c, 'b'};
    bool good = c == '\t' || (c >= 0x20 && c != 0x7f);
    assert_int_equal(mp_header_check("own", "X-A", 3, value, 3, NULL), good ? MP_OK : MP_EINVAL);
  }
  assert_int_equal(mp_header_check("own", "X-A", 3, "", 0, NULL), MP_OK);
}

static void test_a_refusal_names_the_header(void **state) {
  mp_error err;
  char *long_name = malloc(5000);

  (void)state;
  check("X-A b", "v", &err);
  assert_int_equal(err.code, MP_EINVAL);
  assert_non_null(strstr(err.message, "webhooks.defaultHeaders['X-A b']: not a valid header name"));
  check("X-A", "one\r\nX-Evil: two", &err);
  assert_non_null(strstr(err.message, "webhooks.defaultHeaders['X-A']: not a valid header value"));
  assert_non_null(strstr(err.message, "0x0d"));
  assert_non_null(strstr(err.message, "byte 4"));
  assert_null(strstr(err.message, "two"));
  check("X\r\nY\xff", "v", &err);
  assert_non_null(strstr(err.message, "['X\\x0d\\x0aY\\xff']"));

  memset(long_name, ' ', 4999);
  long_name[4999] = '\0';
  check(long_name, "v", &err);
  assert_non_null(strstr(err.message, "...']: not a valid header name"));
  free(long_name);
}

static void test_quote_fits(void **state) {
  char out[16];
  (void)state;
  assert_string_equal(mp_quote("abc", 3, out, 8), "abc");
  assert_string_equal(mp_quote("abcdefg", 7, out, 8), "abcdefg");
  assert_string_equal(mp_quote("abcdefgh", 8, out, 8), "abcd...");
  assert_string_equal(mp_quote("abc\n", 4, out, 8), "abc\\x0a");
  assert_string_equal(mp_quote("abcd\n", 5, out, 8), "abcd...");
  assert_string_equal(mp_quote("a\0b", 3, out, 16), "a\\x00b");
  assert_string_equal(mp_quote("", 0, out, 8), "");
}

static void test_set_keeps_the_place_and_takes_the_spelling(void **state) {
  mp_headers h;

  (void)state;
  mp_headers_init(&h);
  set(&h, "X-A", "1");
  set(&h, "X-B", "2");
  set(&h, "x-a", "3");
  assert_int_equal(h.count, 2);
  assert_header(&h, 0, "x-a", "3");
  assert_header(&h, 1, "X-B", "2");
  assert_string_equal(mp_headers_get(&h, "X-A"), "3");
  assert_null(mp_headers_get(&h, "X-"));
  assert_null(mp_headers_get(&h, "X-AA"));
  mp_headers_free(&h);
  assert_int_equal(h.count, 0);
}

static void test_set_trims_whitespace(void **state) {
  mp_headers h;

  (void)state;
  mp_headers_init(&h);
  set(&h, "X-A", " \t a b\t ");
  set(&h, "X-B", " \t ");
  set(&h, "X-C", "");
  assert_header(&h, 0, "X-A", "a b");
  assert_header(&h, 1, "X-B", "");
  assert_header(&h, 2, "X-C", "");
  mp_headers_free(&h);
}

static void test_set_takes_many(void **state) {
  mp_headers h;
  char name[16];

  (void)state;
  mp_headers_init(&h);
  for (int i = 0; i < 100; i++) {
    snprintf(name, sizeof name, "X-%d", i);
    set(&h, name, name);
  }
  assert_int_equal(h.count, 100);
  assert_header(&h, 99, "X-99", "X-99");
  mp_headers_free(&h);
}

static void test_reserved_names(void **state) {
  static const char *const reserved[] = {
      "Host",       "CONTENT-LENGTH", "webhook-id", "Webhook-Signature",   "webhook-anything",
      "connection", "Keep-Alive",     "TE",         "Proxy-Authorization", "proxy-connection",
      "trailer",    "Upgrade",        "Expect",     "transfer-encoding"};
  static const char *const free_names[] = {
      "Content-Type", "X-Strapi-Event", "Authorization", "User-Agent", "X-Host",         "Hos",
      "Hosts",        "webhook",        "Proxy",         "TEA",        "Accept-Encoding"};
  (void)state;
  for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
    assert_true(mp_header_reserved(reserved[i]));
  }
  for (size_t i = 0; i < sizeof free_names / sizeof free_names[0]; i++) {
    assert_false(mp_header_reserved(free_names[i]));
  }
}

static void test_merge_precedence(void **state) {
  mp_headers defaults, own, out;

  (void)state;
  mp_headers_init(&defaults);
  mp_headers_init(&own);
  mp_headers_init(&out);
  set(&defaults, "Custom-Header", "my-custom-header");
  set(&defaults, "X-Merge", "from-default");
  set(&defaults, "X-Case", "from-default");
  set(&defaults, "Host", "evil");
  set(&own, "X-Own", "");
  set(&own, "x-case", "from-own");
  set(&own, "X-Merge", "from-own");
  set(&own, "transfer-encoding", "chunked");
  set(&own, "Webhook-Id", "evil");
  assert_int_equal(mp_headers_merge(&defaults, &own, "entry.create", &out, NULL), MP_OK);
  assert_int_equal(out.count, 6);
  assert_header(&out, 0, "Custom-Header", "my-custom-header");
  assert_header(&out, 1, "X-Merge", "from-own");
  assert_header(&out, 2, "x-case", "from-own");
  assert_header(&out, 3, "X-Own", "");
  assert_header(&out, 4, "X-Strapi-Event", "entry.create");
  assert_header(&out, 5, "Content-Type", "application/json");
  /* What was merged is as it was. */
  assert_int_equal(defaults.count, 4);
  assert_header(&defaults, 1, "X-Merge", "from-default");
  mp_headers_free(&out);
  mp_headers_free(&own);
  mp_headers_free(&defaults);
}

static void test_merge_forces_whatever_the_spelling(void **state) {
  mp_headers defaults, own, out;

  (void)state;
  mp_headers_init(&defaults);
  mp_headers_init(&own);
  mp_headers_init(&out);
  set(&defaults, "content-TYPE", "text/default");
  set(&own, "X-A", "1");
  set(&own, "x-strapi-event", "spoofed");
  set(&own, "CONTENT-type", "text/own");
  assert_int_equal(mp_headers_merge(&defaults, &own, "media.create", &out, NULL), MP_OK);
  assert_int_equal(out.count, 3);
  assert_header(&out, 0, "Content-Type", "application/json");
  assert_header(&out, 1, "X-A", "1");
  assert_header(&out, 2, "X-Strapi-Event", "media.create");
  mp_headers_free(&out);
  mp_headers_free(&own);
  mp_headers_free(&defaults);
}

static void test_merge_of_nothing(void **state) {
  mp_headers out;

  (void)state;
  mp_headers_init(&out);
  assert_int_equal(mp_headers_merge(NULL, NULL, "trigger-test", &out, NULL), MP_OK);
  assert_int_equal(out.count, 2);
  assert_header(&out, 0, "X-Strapi-Event", "trigger-test");
  mp_headers_free(&out);
}

static void test_merge_refuses_an_event_that_breaks_lines(void **state) {
  mp_headers out;
  mp_error err;

  (void)state;
  mp_headers_init(&out);
  assert_int_equal(mp_headers_merge(NULL, NULL, "a\r\nX: y", &out, &err), MP_EINVAL);
  assert_non_null(strstr(err.message, "X-Strapi-Event"));
  mp_headers_free(&out);
}

static void test_merge_is_bounded(void **state) {
  mp_headers defaults, own, out;
  char *value = malloc(MP_HEADERS_MAX_BYTES);
  mp_error err;

  (void)state;
  memset(value, 'v', MP_HEADERS_MAX_BYTES);
  value[MP_HEADERS_MAX_BYTES - 6] = '\0';
  mp_headers_init(&defaults);
  mp_headers_init(&own);
  mp_headers_init(&out);
  set(&defaults, "X-A", value);
  set(&own, "X-B", "");
  assert_int_equal(mp_headers_merge(&defaults, &own, "e", &out, NULL), MP_OK);
  mp_headers_free(&out);
  set(&own, "X-B", "1");
  assert_int_equal(mp_headers_merge(&defaults, &own, "e", &out, &err), MP_E2BIG);
  assert_non_null(strstr(err.message, "8193 bytes"));
  mp_headers_free(&out);
  mp_headers_free(&own);
  mp_headers_free(&defaults);
  free(value);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names_are_tokens),
      cmocka_unit_test(test_every_byte_of_a_name),
      cmocka_unit_test(test_every_byte_of_a_value),
      cmocka_unit_test(test_a_refusal_names_the_header),
      cmocka_unit_test(test_quote_fits),
      cmocka_unit_test(test_set_keeps_the_place_and_takes_the_spelling),
      cmocka_unit_test(test_set_trims_whitespace),
      cmocka_unit_test(test_set_takes_many),
      cmocka_unit_test(test_reserved_names),
      cmocka_unit_test(test_merge_precedence),
      cmocka_unit_test(test_merge_forces_whatever_the_spelling),
      cmocka_unit_test(test_merge_of_nothing),
      cmocka_unit_test(test_merge_refuses_an_event_that_breaks_lines),
      cmocka_unit_test(test_merge_is_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
