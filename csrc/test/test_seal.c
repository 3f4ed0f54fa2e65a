/* Sealing, base64 and key files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* cmocka.h needs those above it. */
#include <cmocka.h>

#include "crypto/base64.h"
#include "crypto/key.h"
#include "crypto/seal.h"

/* ---- base64 --------------------------------------------------------------------------------- */

/* RFC 4648 section 10. */
static const char *const vectors[][2] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};

static bool decodes(const char *text, mp_buf *out) {
  mp_buf_init(out, MP_BUF_NO_LIMIT);
  return mp_base64_decode(out, text, strlen(text));
}

static void base64_is_the_rfcs(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
    mp_buf b;
    mp_buf_init(&b, MP_BUF_NO_LIMIT);
    mp_base64_add(&b, (const unsigned char *)vectors[i][0], strlen(vectors[i][0]));
    assert_int_equal(b.len, strlen(vectors[i][1]));
    if (b.len) assert_memory_equal(b.data, vectors[i][1], b.len);
    mp_buf_free(&b);
    assert_true(decodes(vectors[i][1], &b));
    assert_int_equal(b.len, strlen(vectors[i][0]));
    if (b.len) assert_memory_equal(b.data, vectors[i][0], b.len);
    mp_buf_free(&b);
  }
}

static void base64_has_one_spelling(void **state) {
  static const char *const bad[] = {"Z",    "Zg",       "Zg=",    "Zh==", "Zm9=", "Zm9v=", "====",
                                    "Z===", "Zg==Zg==", "Zm9v\n", "Zm-v", "Zm_v", "Z g="};
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    mp_buf b;
    if (decodes(bad[i], &b)) fail_msg("accepted: %s", bad[i]);
    mp_buf_free(&b);
  }
}

static void every_byte_comes_back(void **state) {
  unsigned char bytes[256];
  (void)state;
  for (int i = 0; i < 256; i++)
    bytes[i] = (unsigned char)i;
  for (size_t len = 0; len <= sizeof bytes; len++) {
    mp_buf text, back;
    mp_buf_init(&text, MP_BUF_NO_LIMIT);
    mp_buf_init(&back, MP_BUF_NO_LIMIT);
    mp_base64_add(&text, bytes, len);
    assert_true(mp_base64_decode(&back, text.data ? text.data : "", text.len));
    assert_int_equal(back.len, len);
    if (len) assert_memory_equal(back.data, bytes, len);
    mp_buf_free(&text);
    mp_buf_free(&back);
  }
}

/* ---- sealing -------------------------------------------------------------------------------- */

static const unsigned char key_a[MP_SEAL_KEY_SIZE] = {1}, key_b[MP_SEAL_KEY_SIZE] = {2};

static mp_sealer *sealer(const unsigned char *key) {
  mp_sealer *s;
  assert_int_equal(mp_sealer_new(key, &s, NULL), MP_OK);
  return s;
}

/* NUL-terminated. */
static char *sealed(mp_sealer *s, const char *of, const char *text) {
  mp_buf b;
  mp_buf_init(&b, MP_BUF_NO_LIMIT);
  assert_int_equal(mp_seal(s, of, text, strlen(text), &b, NULL), MP_OK);
  mp_buf_add_char(&b, '\0');
  return mp_buf_take(&b, NULL);
}

static mp_code unsealed(mp_sealer *s, const char *of, const char *text, const char *expected) {
  mp_error err = {0};
  mp_buf b;
  mp_code code;

  mp_buf_init(&b, MP_BUF_NO_LIMIT);
  code = mp_unseal(s, of, text, &b, &err);
  assert_int_equal(err.code, code);
  if (code == MP_OK) {
    assert_int_equal(b.len, strlen(expected));
    if (b.len) assert_memory_equal(b.data, expected, b.len);
  }
  mp_buf_free(&b);
  return code;
}

static void what_is_sealed_comes_back_with_its_key_alone(void **state) {
  static const char *const texts[] = {"", "x", "Bearer s3cr3t", "{\"a\":[1,2,3]}"};
  mp_sealer *a = sealer(key_a), *b = sealer(key_b);
  (void)state;

  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    char *one = sealed(a, "crm", texts[i]), *two = sealed(a, "crm", texts[i]);

    assert_string_not_equal(one, two); /* a nonce of its own each time */
    if (strlen(texts[i]) > 3) assert_null(strstr(one, texts[i]));
    assert_int_equal(unsealed(a, "crm", one, texts[i]), MP_OK);
    assert_int_equal(unsealed(a, "crm", two, texts[i]), MP_OK);
    assert_int_equal(unsealed(b, "crm", one, texts[i]), MP_EKEY);
    assert_int_equal(unsealed(a, "other", one, texts[i]), MP_EKEY);
    free(one);
    free(two);
  }
  mp_sealer_free(a);
  mp_sealer_free(b);
}

static void any_change_is_noticed(void **state) {
  mp_sealer *a = sealer(key_a);
  char *text = sealed(a, "crm", "Bearer s3cr3t");
  (void)state;

  for (size_t i = 0; text[i]; i++) {
    char was = text[i];
    text[i] = was == 'A' ? 'B' : 'A';
    assert_int_equal(unsealed(a, "crm", text, ""), MP_EKEY);
    text[i] = '\0';
    assert_int_equal(unsealed(a, "crm", text, ""), MP_EKEY);
    text[i] = was;
  }
  assert_int_equal(unsealed(a, "crm", text, "Bearer s3cr3t"), MP_OK);
  assert_int_equal(unsealed(a, "crm", "", ""), MP_EKEY);
  assert_int_equal(unsealed(a, "crm", "{\"url\":\"http://a/\"}", ""), MP_EKEY);
  free(text);
  mp_sealer_free(a);
}

/* ---- keys ----------------------------------------------------------------------------------- */

static void a_key_file_is_made_once_and_for_its_owner_alone(void **state) {
  unsigned char one[MP_SEAL_KEY_SIZE], two[MP_SEAL_KEY_SIZE];
  char folder[] = "/tmp/moonpost-test.XXXXXX", path[64];
  mp_error err;
  struct stat st;
  (void)state;

  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/key", folder);
  assert_int_equal(mp_key_read(path, one, &err), MP_ENOENT);
  assert_int_equal(mp_key_new(one, &err), MP_OK);
  assert_int_equal(mp_key_write(path, one, &err), MP_OK);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0600);
  assert_int_equal(st.st_nlink, 1); /* no draft is left */
  assert_int_equal(mp_key_read(path, two, &err), MP_OK);
  assert_memory_equal(one, two, sizeof one);
  assert_int_equal(mp_key_write(path, one, &err), MP_EBUSY);
  assert_int_equal(chmod(path, 0640), 0);
  assert_int_equal(mp_key_read(path, two, &err), MP_EKEY);
  assert_non_null(strstr(err.message, "0640"));
  assert_non_null(strstr(err.message, path));
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mp_key_write("/nowhere/key", one, &err), MP_EIO);
  assert_int_equal(rmdir(folder), 0);
}

static void a_key_is_32_bytes(void **state) {
  static const char *const bad[] = {"",
                                    "x",
                                    "AAAA",
                                    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA =",
                                    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
  unsigned char key[MP_SEAL_KEY_SIZE];
  mp_error err;
  (void)state;

  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(mp_key_parse(bad[i], "MOONPOST_KEY", key, &err), MP_EKEY);
    assert_non_null(strstr(err.message, "MOONPOST_KEY: expected a key"));
    if (strlen(bad[i]) > 8) assert_null(strstr(err.message, bad[i])); /* it may be one */
  }
  assert_int_equal(mp_key_parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\r\n", "k", key, &err),
                   MP_OK);
  for (int i = 0; i < MP_SEAL_KEY_SIZE; i++)
    assert_int_equal(key[i], i);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(base64_is_the_rfcs),
      cmocka_unit_test(base64_has_one_spelling),
      cmocka_unit_test(every_byte_comes_back),
      cmocka_unit_test(what_is_sealed_comes_back_with_its_key_alone),
      cmocka_unit_test(any_change_is_noticed),
      cmocka_unit_test(a_key_file_is_made_once_and_for_its_owner_alone),
      cmocka_unit_test(a_key_is_32_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
