/* Hashes of a whole text at once. */
#include "crypto/hash.h"

#include <openssl/evp.h>

mp_code mp_sha256(const void *data, size_t len, unsigned char out[MP_SHA256_SIZE], mp_error *err) {
  if (EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) == 1) return MP_OK;
  return mp_fail(err, MP_ENOMEM, "out of memory");
}

mp_code mp_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                       unsigned char out[MP_SHA256_SIZE], mp_error *err) {
  size_t written;
  if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, key_len, data, len, out, MP_SHA256_SIZE,
                &written)) {
    return MP_OK;
  }
  return mp_fail(err, MP_ENOMEM, "out of memory");
}
