/* Signatures: the vectors that the reference libraries and Svix carry, rotation, and what a
 * verifier refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/body_sign.h"
#include "crypto/sign.h"

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define OTHER  "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
#define KEY                                                                                  \
  "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6" \
  "Kvg=="
#define SEED   "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="
#define PUBLIC "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
#define ID     "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define TIME   1614265330
#define BODY   "{\"test\": 2432232314}"
#define V1     "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define V1A                                                                                  \
  "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TB" \
  "Ag=="

static const mp_message message = {ID, (int64_t)TIME * 1000 + 999, BODY, sizeof BODY - 1};

static mp_signer *signer_of(const char *first, int64_t first_until, const char *second,
                            int64_t second_until, const char *key) {
  mp_signer *s;
  mp_error err = {0};

  assert_int_equal(mp_signer_new(&s, &err), MP_OK);
  if (first) assert_int_equal(mp_signer_add_secret(s, first, first_until, &err), MP_OK);
  if (second) assert_int_equal(mp_signer_add_secret(s, second, second_until, &err), MP_OK);
  if (key) assert_int_equal(mp_signer_set_key(s, key, &err), MP_OK);
  return s;
}

static void assert_signs(mp_signer *s, const char *expected) {
  char out[MP_SIGNATURES_SIZE];
  mp_error err = {0};

  for (int i = 0; i < 3; i++) { /* a signer is used again and again */
    assert_int_equal(mp_signer_sign(s, &message, out, &err), MP_OK);
    assert_string_equal(out, expected);
  }
  mp_signer_free(s);
}

static void test_vectors(void **state) {
  (void)state;
  assert_signs(signer_of(SECRET, 0, NULL, 0, NULL), V1);
  assert_signs(signer_of(NULL, 0, NULL, 0, KEY), V1A);
  assert_signs(signer_of(SECRET, 0, NULL, 0, KEY), V1 " " V1A);
  assert_signs(signer_of(SECRET, 0, NULL, 0, SEED), V1 " " V1A);
  assert_signs(signer_of(NULL, 0, NULL, 0, NULL), "");
}

static void test_rotation_signs_newest_first_until_the_old_one_ends(void **state) {
  char other[MP_SIGNATURES_SIZE], both[MP_SIGNATURES_SIZE * 2];
  mp_signer *s = signer_of(OTHER, 0, NULL, 0, NULL);
  mp_error err = {0};
  (void)state;

  assert_int_equal(mp_signer_sign(s, &message, other, &err), MP_OK);
  mp_signer_free(s);
  snprintf(both, sizeof both, "%s %s", other, V1);
  assert_signs(signer_of(OTHER, 0, SECRET, message.at_ms + 1, NULL), both);
  assert_signs(signer_of(OTHER, 0, SECRET, message.at_ms, NULL), other);
}

static void test_most_secrets_fit(void **state) {
  mp_signer *s = signer_of(SECRET, 0, SECRET, 0, KEY);
  char out[MP_SIGNATURES_SIZE];
  mp_error err = {0};
  (void)state;

  for (int i = 2; i < MP_SIGN_SECRETS; i++)
    assert_int_equal(mp_signer_add_secret(s, SECRET, 0, &err), MP_OK);
  assert_int_equal(mp_signer_add_secret(s, SECRET, 0, &err), MP_EINVAL);
  assert_int_equal(mp_signer_sign(s, &message, out, &err), MP_OK);
  assert_int_equal(strlen(out), sizeof out - 1);
  mp_signer_free(s);
}

/* A copy shares nothing with what it was made of. */
static void test_copies_sign_alike(void **state) {
  mp_signer *s = signer_of(SECRET, 0, OTHER, message.at_ms, KEY), *copy;
  mp_error err = {0};
  (void)state;

  assert_int_equal(mp_signer_copy(s, &copy, &err), MP_OK);
  assert_signs(s, V1 " " V1A);
  assert_signs(copy, V1 " " V1A);
  s = signer_of(NULL, 0, NULL, 0, NULL);
  assert_int_equal(mp_signer_copy(s, &copy, &err), MP_OK);
  mp_signer_free(s);
  assert_signs(copy, "");
}

static void assert_refused(const char *text, mp_sign_kind kind, const char *hint) {
  mp_error err = {0};
  assert_int_equal(mp_sign_check(text, kind, "secret", &err), MP_EINVAL);
  assert_ptr_equal(strstr(err.message, "secret: expected wh"), err.message);
  if (!strstr(err.message, hint)) fail_msg("%s: %s", text, err.message);
  if (strlen(text) > 20) assert_null(strstr(err.message, text + strlen(text) - 12));
}

static void test_secrets_are_checked_and_never_shown(void **state) {
  mp_error err = {0};
  (void)state;

  assert_int_equal(mp_sign_check(SECRET, MP_SIGN_SECRET, "secret", &err), MP_OK);
  assert_refused("v1," SECRET, MP_SIGN_SECRET, "'v1,' belongs to a signature");
  assert_refused(KEY, MP_SIGN_SECRET, "whsk_ is a private signing key");
  assert_refused(PUBLIC, MP_SIGN_SECRET, "whpk_ is a public key");
  assert_refused(SECRET, MP_SIGN_KEY, "whsec_ is a shared secret");
  assert_refused("", MP_SIGN_SECRET, "24 to 64 bytes");
  assert_refused("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", MP_SIGN_SECRET, "expected whsec_");
  assert_refused("whsec_", MP_SIGN_SECRET, "got 0 bytes");
  assert_refused("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", MP_SIGN_SECRET, "something else");
  assert_refused("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa==", MP_SIGN_SECRET, "");
  assert_refused("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS\n", MP_SIGN_SECRET, "something else");
  assert_refused("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", MP_SIGN_SECRET, "got 23 bytes");
}

static void test_a_signing_key_has_two_halves_that_agree(void **state) {
  char text[] = KEY;
  mp_buf out;
  mp_error err = {0};
  (void)state;

  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  assert_int_equal(mp_sign_public_key(KEY, &out, &err), MP_OK);
  assert_int_equal(out.len, strlen(PUBLIC));
  assert_memory_equal(out.data, PUBLIC, out.len);
  mp_buf_free(&out);
  text[strlen(text) - 6]++; /* in the second half */
  assert_int_equal(mp_sign_check(text, MP_SIGN_KEY, "signingKey", &err), MP_EINVAL);
  assert_non_null(strstr(err.message, "its two halves do not belong together"));
}

static void test_new_ones_are_of_the_right_form_and_differ(void **state) {
  mp_buf a, b;
  mp_error err = {0};
  (void)state;

  for (int key = 0; key < 2; key++) {
    mp_code (*make)(mp_buf *, mp_error *) = key ? mp_sign_new_key : mp_sign_new_secret;
    mp_buf_init(&a, MP_BUF_NO_LIMIT);
    mp_buf_init(&b, MP_BUF_NO_LIMIT);
    assert_int_equal(make(&a, &err), MP_OK);
    assert_int_equal(make(&b, &err), MP_OK);
    mp_buf_add_char(&a, '\0');
    mp_buf_add_char(&b, '\0');
    assert_int_equal(mp_sign_check(a.data, key ? MP_SIGN_KEY : MP_SIGN_SECRET, "new", &err), MP_OK);
    assert_string_not_equal(a.data, b.data);
    mp_buf_free(&a);
    mp_buf_free(&b);
  }
}

/* ---- verifying ------------------------------------------------------------------------------ */

static mp_text text_of(const char *text) {
  return (mp_text){text, text ? strlen(text) : 0};
}

static mp_code verify(const char *secret, const char *id, const char *time, const char *signatures,
                      const char *body, int64_t now, mp_error *err) {
  mp_received claim = {text_of(id), text_of(time), text_of(signatures), text_of(body)};
  return mp_verify(&secret, 1, &claim, 300, now, err);
}

static void test_verifies_what_is_right_and_nothing_else(void **state) {
  static const char time[] = "1614265330";
  char long_field[6000];
  mp_error err = {0};
  (void)state;

#define RESULT(secret, id, t, signatures, body) verify(secret, id, t, signatures, body, TIME, &err)
  assert_int_equal(RESULT(SECRET, ID, time, V1, BODY), MP_OK);
  assert_int_equal(RESULT(PUBLIC, ID, time, V1A, BODY), MP_OK);
  assert_int_equal(RESULT(SECRET, ID, time, V1 " " V1A, BODY), MP_OK);
  assert_int_equal(RESULT(PUBLIC, ID, time, V1 "  " V1A " ", BODY), MP_OK);
  assert_int_equal(RESULT(SECRET, ID, time, "v2,abc v1,AAAA garbage " V1, BODY), MP_OK);
  assert_int_equal(RESULT(OTHER, ID, time, V1, BODY), MP_ESIGNATURE);
  assert_int_equal(RESULT(SECRET, ID, time, V1A, BODY), MP_ESIGNATURE);
  assert_int_equal(RESULT(PUBLIC, ID, time, V1, BODY), MP_ESIGNATURE);
  assert_int_equal(RESULT(SECRET, ID "x", time, V1, BODY), MP_ESIGNATURE);
  assert_int_equal(RESULT(SECRET, ID, "1614265331", V1, BODY), MP_ESIGNATURE);
  assert_int_equal(RESULT(PUBLIC, ID, "1614265331", V1A, BODY), MP_ESIGNATURE);
  assert_int_equal(RESULT(SECRET, ID, time, V1, BODY " "), MP_ESIGNATURE);
  assert_int_equal(RESULT(PUBLIC, ID, time, V1A, BODY " "), MP_ESIGNATURE);
  assert_int_equal(RESULT(SECRET, ID, time, "", BODY), MP_ESIGNATURE);
  assert_int_equal(RESULT(SECRET, ID, time, V1 "x", BODY), MP_ESIGNATURE);
  assert_int_equal(RESULT(SECRET, ID, time, "v1g0hM9SsE", BODY), MP_ESIGNATURE);
  assert_int_equal(RESULT(SECRET, ID, time, "v1,", BODY), MP_ESIGNATURE);
  for (const char *const *t = (const char *const[]){"", "-1", "1614265330.5", "0x1", " 1614265330",
                                                    "99999999999999999999", NULL};
       *t; t++)
    assert_int_equal(RESULT(SECRET, ID, *t, V1, BODY), MP_ESIGNATURE);
  assert_int_equal(RESULT(SECRET, NULL, time, V1, BODY), MP_ESIGNATURE);
  assert_non_null(strstr(err.message, "webhook-id"));
  assert_int_equal(RESULT(SECRET, ID, NULL, V1, BODY), MP_ESIGNATURE);
  assert_non_null(strstr(err.message, "webhook-timestamp"));
  assert_int_equal(RESULT(SECRET, ID, time, NULL, BODY), MP_ESIGNATURE);
  assert_non_null(strstr(err.message, "webhook-signature"));
  memset(long_field, ' ', sizeof long_field);
  strcpy(long_field + sizeof long_field - sizeof V1, V1);
  assert_int_equal(RESULT(SECRET, ID, time, long_field, BODY), MP_ESIGNATURE);
  assert_int_equal(RESULT("v1," SECRET, NULL, NULL, NULL, BODY), MP_EINVAL);
#undef RESULT
}

static void test_verifies_the_time_both_ways(void **state) {
  static const char time[] = "1614265330";
  mp_error err = {0};
  (void)state;

  assert_int_equal(verify(SECRET, ID, time, V1, BODY, TIME + 300, &err), MP_OK);
  assert_int_equal(verify(SECRET, ID, time, V1, BODY, TIME - 300, &err), MP_OK);
  assert_int_equal(verify(SECRET, ID, time, V1, BODY, TIME + 301, &err), MP_EEXPIRED);
  assert_non_null(strstr(err.message, "301 seconds old"));
  assert_int_equal(verify(SECRET, ID, time, V1, BODY, TIME - 301, &err), MP_EEXPIRED);
  assert_non_null(strstr(err.message, "301 seconds in the future"));
}

static void test_verifies_with_any_of_several_secrets(void **state) {
  const char *const secrets[] = {OTHER, PUBLIC, SECRET};
  mp_received claim = {text_of(ID), text_of("1614265330"), text_of(V1), text_of(BODY)};
  mp_error err = {0};
  (void)state;

  assert_int_equal(mp_verify(secrets, 3, &claim, 300, TIME, &err), MP_OK);
  assert_int_equal(mp_verify(secrets, 2, &claim, 300, TIME, &err), MP_ESIGNATURE);
  assert_int_equal(mp_verify(secrets, 0, &claim, 300, TIME, &err), MP_ESIGNATURE);
}

/* GitHub's documentation has the first as its example. */
static void test_signs_bodies(void **state) {
  static const struct {
    const char *prefix, *expected;
    bool hex;
  } cases[] = {
      {"sha256=", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", true},
      {"", "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc=", false},
  };
  char out[MP_BODY_SIGNATURE_SIZE], longest[MP_BODY_PREFIX + 2];
  mp_body_signer *s, *copy;
  mp_error err = {0};
  (void)state;

  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    assert_int_equal(
        mp_body_signer_new("It's a Secret to Everybody", cases[i].prefix, cases[i].hex, &s, &err),
        MP_OK);
    assert_int_equal(mp_body_signer_copy(s, &copy, &err), MP_OK);
    for (int j = 0; j < 2; j++) {
      assert_int_equal(mp_body_sign(s, "Hello, World!", 13, out, &err), MP_OK);
      assert_string_equal(out, cases[i].expected);
    }
    mp_body_signer_free(s);
    assert_int_equal(mp_body_sign(copy, "Hello, World!", 13, out, &err), MP_OK);
    assert_string_equal(out, cases[i].expected);
    mp_body_signer_free(copy);
  }
  memset(longest, 'p', sizeof longest);
  longest[MP_BODY_PREFIX + 1] = '\0';
  assert_int_equal(mp_body_signer_new("s", longest, true, &s, &err), MP_EINVAL);
  assert_int_equal(mp_body_signer_new("", "", true, &s, &err), MP_EINVAL);
  assert_int_equal(mp_body_signer_new("s", longest + 1, true, &s, &err), MP_OK);
  assert_int_equal(mp_body_sign(s, "", 0, out, &err), MP_OK);
  assert_int_equal(strlen(out), sizeof out - 1);
  mp_body_signer_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_vectors),
      cmocka_unit_test(test_rotation_signs_newest_first_until_the_old_one_ends),
      cmocka_unit_test(test_most_secrets_fit),
      cmocka_unit_test(test_copies_sign_alike),
      cmocka_unit_test(test_secrets_are_checked_and_never_shown),
      cmocka_unit_test(test_a_signing_key_has_two_halves_that_agree),
      cmocka_unit_test(test_new_ones_are_of_the_right_form_and_differ),
      cmocka_unit_test(test_verifies_what_is_right_and_nothing_else),
      cmocka_unit_test(test_verifies_the_time_both_ways),
      cmocka_unit_test(test_verifies_with_any_of_several_secrets),
      cmocka_unit_test(test_signs_bodies),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
