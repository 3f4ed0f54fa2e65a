/* SHA-256 and HMAC-SHA-256, against the vectors of their documents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* cmocka.h needs those above it. */
#include <cmocka.h>

#include "crypto/hash.h"

static void assert_hex(const unsigned char bytes[MP_SHA256_SIZE], const char *expected) {
  char hex[2 * MP_SHA256_SIZE + 1];
  for (size_t i = 0; i < MP_SHA256_SIZE; i++)
    snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
  assert_string_equal(hex, expected);
}

/* FIPS 180-4, examples of NIST's Cryptographic Standards and Guidelines. */
static void sha256_is_nists(void **state) {
  static const char *const vectors[][2] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
  };
  unsigned char out[MP_SHA256_SIZE];
  (void)state;
  for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
    assert_int_equal(mp_sha256(vectors[i][0], strlen(vectors[i][0]), out, NULL), MP_OK);
    assert_hex(out, vectors[i][1]);
  }
}

static void check_hmac(const void *key, size_t key_len, const void *data, size_t len,
                       const char *expected) {
  unsigned char out[MP_SHA256_SIZE];
  assert_int_equal(mp_hmac_sha256(key, key_len, data, len, out, NULL), MP_OK);
  assert_hex(out, expected);
}

/* RFC 4231 section 4: test cases 1, 2, 3, 6. */
static void hmac_is_the_rfcs(void **state) {
  static const char larger[] = "Test Using Larger Than Block-Size Key - Hash Key First";
  unsigned char key[131], data[50];
  (void)state;
  memset(key, 0x0b, 20);
  check_hmac(key, 20, "Hi There", 8,
             "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  check_hmac("Jefe", 4, "what do ya want for nothing?", 28,
             "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  memset(key, 0xaa, sizeof key);
  memset(data, 0xdd, sizeof data);
  check_hmac(key, 20, data, sizeof data,
             "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  check_hmac(key, sizeof key, larger, sizeof larger - 1,
             "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* A key or a text of no bytes is a key or a text. */
static void nothing_is_hashed_too(void **state) {
  (void)state;
  check_hmac("", 0, "", 0, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sha256_is_nists),
      cmocka_unit_test(hmac_is_the_rfcs),
      cmocka_unit_test(nothing_is_hashed_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
