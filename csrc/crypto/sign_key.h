/* The bytes of secrets and signing keys, for this folder. */
#ifndef MP_CRYPTO_SIGN_KEY_H
#define MP_CRYPTO_SIGN_KEY_H

#include <openssl/evp.h>

#include "crypto/sign.h"

#define MP_SIGN_KEY_SIZE 64 /* the most that one has */

typedef struct mp_sign_bytes {
  unsigned char data[MP_SIGN_KEY_SIZE];
  size_t len;
} mp_sign_bytes;

/* Wipe it after use. As mp_sign_check. */
mp_code mp_sign_parse(const char *text, mp_sign_kind kind, const char *where, mp_sign_bytes *out,
                      mp_error *err);
void mp_sign_wipe(mp_sign_bytes *bytes);

/* An ed25519 key, private or public; the caller frees it. */
mp_code mp_sign_load(const char *text, mp_sign_kind kind, const char *where, EVP_PKEY **out,
                     mp_error *err);

#endif
