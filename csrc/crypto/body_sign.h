/* The older kind of signature: HMAC-SHA-256 of the body alone, in a header field of the receiver's
 * choice, as GitHub's X-Hub-Signature-256. It says nothing of the time: who has seen a request can
 * send it again. */
#ifndef MP_CRYPTO_BODY_SIGN_H
#define MP_CRYPTO_BODY_SIGN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define MP_BODY_PREFIX         64 /* the longest */
#define MP_BODY_SIGNATURE_SIZE (MP_BODY_PREFIX + 65)

/* Made by any thread, used by one at a time. */
typedef struct mp_body_signer mp_body_signer;

/* secret: its bytes are the key. prefix: before the hash. hex: else base64. MP_EINVAL (a prefix
 * that is too long, no secret), MP_ENOMEM. */
mp_code mp_body_signer_new(const char *secret, const char *prefix, bool hex, mp_body_signer **out,
                           mp_error *err);
/* For another thread; only while the signer is not used. MP_ENOMEM. */
mp_code mp_body_signer_copy(const mp_body_signer *signer, mp_body_signer **out, mp_error *err);
void mp_body_signer_free(mp_body_signer *signer); /* NULL-safe; wipes the secret */

/* The field's value, NUL-terminated. MP_ENOMEM. */
mp_code mp_body_sign(mp_body_signer *signer, const char *body, size_t len,
                     char out[MP_BODY_SIGNATURE_SIZE], mp_error *err);

#endif
