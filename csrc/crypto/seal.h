/* Sealing: text that is kept in a store but must not be read from its file.
 *
 * AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce, through OpenSSL's EVP. A sealed text is
 * "sealed1:" and the base64 of nonce, ciphertext and 128-bit tag. What it belongs to (a webhook's
 * name, say) is authenticated with it, so that one cannot be put in another's place. */
#ifndef MP_CRYPTO_SEAL_H
#define MP_CRYPTO_SEAL_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

#define MP_SEAL_KEY_SIZE 32

typedef struct mp_sealer mp_sealer;

/* Copies the key. Not locked: used by one thread at a time. MP_ENOMEM. */
mp_code mp_sealer_new(const unsigned char key[MP_SEAL_KEY_SIZE], mp_sealer **out, mp_error *err);
void mp_sealer_free(mp_sealer *sealer); /* NULL-safe; wipes the key */

/* Appends the sealed text. MP_ENOMEM, MP_EIO (no randomness). */
mp_code mp_seal(mp_sealer *sealer, const char *belongs_to, const char *text, size_t len,
                mp_buf *out, mp_error *err);

/* Appends the plain text. MP_EKEY: sealed with another key, for something else, or damaged. */
mp_code mp_unseal(mp_sealer *sealer, const char *belongs_to, const char *sealed, mp_buf *out,
                  mp_error *err);

#endif
