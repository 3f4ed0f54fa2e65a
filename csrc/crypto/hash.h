/* SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104), through OpenSSL's EVP. Any thread; no state. */
#ifndef MP_CRYPTO_HASH_H
#define MP_CRYPTO_HASH_H

#include <stddef.h>

#include "base/error.h"

#define MP_SHA256_SIZE 32

/* Both: MP_ENOMEM when OpenSSL has none. */
mp_code mp_sha256(const void *data, size_t len, unsigned char out[MP_SHA256_SIZE], mp_error *err);
mp_code mp_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                       unsigned char out[MP_SHA256_SIZE], mp_error *err);

#endif
