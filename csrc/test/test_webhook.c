/* engine/webhook: definitions that no check has seen, as a store may hold them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those before it */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/webhook.h"
#include "test/comma_locale.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define HEAD         "{\"url\":\"http://h.example/\",\"events\":[\"*\"],"

static char *event_names[] = {"entry.create", "entry.update"};
static const mp_settings settings = {.events = event_names, .event_count = COUNT(event_names)};

static mp_code make(const char *definition, mp_webhook **out, mp_error *err) {
  mp_webhook_row row = {.id = 1, .name = "w", .definition = definition};
  *err = (mp_error){0};
  return mp_webhook_new(&settings, &row, out, err);
}

static mp_webhook *made(const char *definition) {
  mp_webhook *w;
  mp_error err;
  if (make(definition, &w, &err) != MP_OK) fail_msg("%s: %s", definition, err.message);
  return w;
}

static const struct {
  const char *definition, *message;
} refused[] = {
    {"", "webhook: the JSON text ends where a value is expected"},
    {"[]", "webhook: expected an object"},
    {"{}", "webhook.url: expected a URL, got none"},
    {"{\"url\":\"http://h.example/\"}", "webhook.events: expected a list, got none"},
    {HEAD "\"url\":\"http://other.example/\"}", "webhook.url: this key is there twice"},
    {HEAD "\"\\u0075rl\":\"http://other.example/\"}", "this key is there twice"},
    {HEAD "\"timeout\":1} x", "webhook: more text after the JSON value"},
    {"{\"url\":\"http://h.example/\\u0000\",\"events\":[]}", "webhook.url: a NUL"},
    {"{\"url\":\"ftp://h.example/\",\"events\":[]}", "only http and https are allowed"},
    {"{\"url\":1,\"events\":[]}", "webhook.url: expected a string, got a number"},
    {"{\"url\":\"http://h.example/\",\"events\":[1]}", "webhook.events[1]: expected a string"},
    {"{\"url\":\"http://h.example/\",\"events\":\"*\"}", "webhook.events: expected a list"},
    {HEAD "\"models\":[[]]}", "webhook.models[1]: expected a string"},
    {HEAD "\"headers\":{}}", "webhook.headers: expected a list"},
    {HEAD "\"headers\":[[\"X-A\"]]}", "expected a name and a value"},
    {HEAD "\"headers\":[[\"X-A\",\"b\",\"c\"]]}", "expected a name and a value"},
    {HEAD "\"headers\":[[\"X-A\",\"b\\r\\nX-B: c\"]]}", "not a valid header value"},
    {HEAD "\"headers\":[[\"X-A\",\"b\\u0000\"]]}", "a NUL"},
    {HEAD "\"headers\":[[\"X A\",\"b\"]]}", "not a valid header name"},
    {HEAD "\"headers\":[[\"\",\"b\"]]}", "a header name is empty"},
    {HEAD "\"timeout\":\"1\"}", "webhook.timeout: expected a number"},
    {HEAD "\"timeout\":0}", "webhook.timeout: expected a number between"},
    {HEAD "\"timeout\":-1e999}", "webhook.timeout: expected a number between"},
    {HEAD "\"timeout\":1e999}", "webhook.timeout: expected a number between"},
    {HEAD "\"timeout\":1.00000000000000000000000000000001}", "a number that is too long"},
    {HEAD "\"concurrency\":0}", "webhook.concurrency: expected a number between"},
    {HEAD "\"concurrency\":1001}", "webhook.concurrency: expected a number between"},
    {HEAD "\"retrySchedule\":[1,-1]}", "webhook.retrySchedule[2]: expected a number between"},
    {HEAD "\"rate\":{}}", "webhook.rate: expected perSecond"},
    {HEAD "\"rate\":{\"perSecond\":0}}", "webhook.rate.perSecond: expected a number between"},
    {HEAD "\"rate\":{\"perSecond\":1,\"burst\":0.5}}", "webhook.rate.burst: expected a number"},
    {HEAD "\"order\":\"random\"}", "webhook.order: expected another word than 'random'"},
    {HEAD "\"on_enable\":true}", "webhook.on_enable: expected a string"},
    {HEAD "\"tls\":[]}", "webhook.tls: expected an object"},
    {HEAD "\"tls\":{\"insecure\":\"yes\"}}", "webhook.tls.insecure: expected a boolean"},
    {HEAD "\"auth\":{\"type\":\"digest\"}}", "expected a type: bearer, basic"},
    {HEAD "\"auth\":{\"type\":\"bearer\"}}", "expected token"},
    {HEAD "\"auth\":{\"type\":\"basic\",\"username\":\"a:b\"}}", "username: expected no colon"},
    {HEAD "\"auth\":{\"type\":\"header\",\"name\":\"Host\",\"value\":\"a\"}}", "moonpost's own"},
    {HEAD "\"auth\":{\"type\":\"bearer\",\"token\":\"a\\nb\"}}", "not a valid header value"},
    {HEAD "\"secrets\":[\"whsec_\"]}", "webhook.secrets"},
    {HEAD "\"secrets\":[[]]}", "webhook.secrets[1]: expected a secret"},
    {HEAD "\"signingKey\":\"whsk_x\"}", "webhook.signingKey"},
    {HEAD "\"hubSignature\":{\"header\":\"X-S\"}}", "expected header and secret"},
};

/* Each is refused with its place, and leaks nothing. */
static void test_malformed(void **state) {
  mp_webhook *w;
  mp_error err;

  (void)state;
  for (size_t i = 0; i < COUNT(refused); i++) {
    if (make(refused[i].definition, &w, &err) != MP_EINVAL ||
        !strstr(err.message, refused[i].message)) {
      fail_msg("%s: %s", refused[i].definition, err.message);
    }
    assert_null(w);
  }
}

/* No beginning of a definition is one, and none is read past its end. */
static void test_truncated(void **state) {
  static const char whole[] = HEAD
      "\"headers\":[[\"X-A\",\"\\u00e9\"]],\"timeout\":1.5,\"retrySchedule\":[1,2.5],"
      "\"rate\":{\"perSecond\":2,\"burst\":3},\"order\":\"key\",\"models\":[\"a\"],"
      "\"auth\":{\"type\":\"basic\",\"username\":\"u\",\"password\":\"p\"},"
      "\"tls\":{\"minVersion\":\"1.3\"},\"proxy\":\"http://p.example:3128\"}";
  mp_webhook *w;
  mp_error err;

  (void)state;
  for (size_t len = 0; len < sizeof whole - 1; len++) {
    char *text = strndup(whole, len);
    assert_int_equal(MP_EINVAL, make(text, &w, &err));
    free(text);
  }
  mp_webhook_unref(made(whole));
}

/* A host may have set a locale whose decimal point is a comma. */
static void test_fractions_whatever_the_locale(void **state) {
  mp_webhook *w;

  (void)state;
  enter_comma_locale();
  w = made(HEAD "\"timeout\":1.5,\"retrySchedule\":[0.25],\"rate\":{\"perSecond\":0.5}}");
  assert_int_equal(1500, w->timeout_ms);
  assert_int_equal(250, w->retry.delays_ms[0]);
  assert_int_equal(2000000, w->pace.interval_us);
  mp_webhook_unref(w);
  leave_comma_locale();
}

/* That is the definition's fault, not the memory's: it will not go away. */
static void test_long_credentials_are_not_out_of_memory(void **state) {
  static const struct {
    const char *before, *between;
  } forms[] = {
      {HEAD "\"auth\":{\"type\":\"bearer\",\"token\":\"", ""},
      {HEAD "\"auth\":{\"type\":\"basic\",\"username\":\"", "\",\"password\":\""},
      {HEAD "\"auth\":{\"type\":\"oauth2\",\"tokenUrl\":\"https://t.example/\",\"clientId\":\"",
       "\",\"clientSecret\":\""},
  };
  char half[4097], text[9000];
  mp_webhook *w;
  mp_error err;

  (void)state;
  memset(half, '+', sizeof half - 1);
  half[sizeof half - 1] = '\0';
  for (size_t i = 0; i < COUNT(forms); i++) {
    snprintf(text, sizeof text, "%s%s%s%s\"}}", forms[i].before, half, forms[i].between, half);
    assert_int_equal(MP_EINVAL, make(text, &w, &err));
    assert_non_null(strstr(err.message, "webhook.auth: more than 8192 bytes"));
  }
}

/* Of so many keys it is found out at the object's end alone: they were read by then. */
static void test_a_key_that_is_there_twice_behind_many_others(void **state) {
  static const char *const fields[] = {
      "\"url\":\"http://other.example/\"",
      "\"events\":[\"entry.create\"]",
      "\"models\":[\"a::a.a\"]",
      "\"headers\":[[\"X-A\",\"b\"]]",
      "\"retrySchedule\":[1,2]",
      "\"script\":\"s\"",
      "\"proxy\":\"http://p.example\"",
      "\"tls\":{\"ca\":\"/ca\",\"cert\":\"/cert\",\"key\":\"/key\",\"pin\":\"p\"}",
      "\"secrets\":[[\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]]",
      "\"signingKey\":\"whsk_6Xb/dCcHpPea21PS1N9VY/"
      "NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ"
      "6p9lMicMFs6Kvg==\"",
      "\"hubSignature\":{\"header\":\"X-S\",\"prefix\":\"p\",\"secret\":\"s\"}",
      "\"auth\":{\"type\":\"bearer\",\"token\":\"t\"}",
      "\"auth\":{\"type\":\"oauth2\",\"tokenUrl\":\"https://t.example/\",\"clientId\":\"a\","
      "\"clientSecret\":\"b\"}",
  };
  mp_webhook *w;
  mp_error err;

  (void)state;
  for (size_t i = 0; i < COUNT(fields); i++) {
    char text[2000] = HEAD;
    size_t n = strlen(text);
    for (int k = 0; k < 40; k++)
      n += (size_t)snprintf(text + n, sizeof text - n, "\"k%d\":0,", k);
    snprintf(text + n, sizeof text - n, "%s,%s}", fields[i], fields[i]);
    assert_int_equal(MP_EINVAL, make(text, &w, &err));
    assert_non_null(strstr(err.message, "this key is there twice"));
  }
}

/* concurrency, threads, shares */
static void test_is_shared_among_threads_when_many_requests_may_be_under_way(void **state) {
  static const int cases[][3] = {{1, 2, 1},    {31, 2, 1},   {32, 1, 1},  {32, 2, 2},
                                 {33, 2, 2},   {47, 8, 2},   {48, 8, 3},  {127, 8, 7},
                                 {1000, 8, 8}, {1000, 2, 2}, {1000, 1, 1}};
  (void)state;

  for (size_t i = 0; i < COUNT(cases); i++) {
    int concurrency = cases[i][0], shares = cases[i][2], sum = 0;
    mp_settings s = settings;
    mp_webhook_row row = {.id = 1, .name = "w"};
    char definition[256];
    mp_webhook *w;
    s.delivery_threads = cases[i][1];
    row.definition = definition;
    snprintf(definition, sizeof definition, HEAD "\"concurrency\":%d}", concurrency);
    assert_int_equal(mp_webhook_new(&s, &row, &w, NULL), MP_OK);
    assert_int_equal(w->shares, shares);
    for (int share = 0; share < shares; share++) {
      int part = mp_webhook_share(w, share);
      assert_true(part == concurrency / shares || part == concurrency / shares + 1);
      sum += part;
    }
    assert_int_equal(sum, concurrency);
    mp_webhook_unref(w);
  }
}

static void test_is_not_shared_when_it_has_a_token(void **state) {
  mp_settings s = settings;
  mp_webhook_row row = {.id = 1,
                        .name = "w",
                        .definition = HEAD
                        "\"concurrency\":1000,\"auth\":{\"type\":\"oauth2\",\"tokenUrl\":"
                        "\"https://t.example/\",\"clientId\":\"a\",\"clientSecret\":\"b\"}}"};
  mp_webhook *w;
  (void)state;

  s.delivery_threads = 8;
  assert_int_equal(mp_webhook_new(&s, &row, &w, NULL), MP_OK);
  assert_int_equal(w->shares, 1);
  mp_webhook_unref(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_malformed),
      cmocka_unit_test(test_truncated),
      cmocka_unit_test(test_fractions_whatever_the_locale),
      cmocka_unit_test(test_long_credentials_are_not_out_of_memory),
      cmocka_unit_test(test_a_key_that_is_there_twice_behind_many_others),
      cmocka_unit_test(test_is_shared_among_threads_when_many_requests_may_be_under_way),
      cmocka_unit_test(test_is_not_shared_when_it_has_a_token),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
