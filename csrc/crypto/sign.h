/* Signatures of requests: Standard Webhooks 1.0.0, and the older kind that hashes the body alone
 * (X-Hub-Signature-256).
 *
 * A secret is "whsec_" and the base64 of 24 to 64 bytes: HMAC-SHA-256, the version v1. A signing
 * key is "whsk_" and the base64 of an ed25519 seed with its public key (64 bytes; the seed's 32
 * do), its public key "whpk_" and the base64 of 32 bytes: the version v1a. No message here has a
 * secret in it. */
#ifndef MP_CRYPTO_SIGN_H
#define MP_CRYPTO_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define MP_SIGN_SECRETS 5 /* that one signer may have */
/* "v1," and 44 characters for each secret, "v1a," and 88; a space or the end after each. */
#define MP_SIGNATURES_SIZE (MP_SIGN_SECRETS * 48 + 93)

/* ---- secrets and keys ----------------------------------------------------------------------- */

typedef enum mp_sign_kind { MP_SIGN_SECRET, MP_SIGN_KEY, MP_SIGN_PUBLIC_KEY } mp_sign_kind;

/* Is the text one of this kind? where names it in the message. MP_EINVAL, MP_ENOMEM. */
mp_code mp_sign_check(const char *text, mp_sign_kind kind, const char *where, mp_error *err);

/* Appends a new secret (of 32 bytes) or a new signing key. MP_EIO (no randomness), MP_ENOMEM. */
mp_code mp_sign_new_secret(mp_buf *out, mp_error *err);
mp_code mp_sign_new_key(mp_buf *out, mp_error *err);

/* Appends the public key of a signing key. MP_EINVAL, MP_ENOMEM. */
mp_code mp_sign_public_key(const char *key, mp_buf *out, mp_error *err);

/* ---- signing -------------------------------------------------------------------------------- */

/* What one webhook signs with, prepared. Made by any thread, used by one at a time. */
typedef struct mp_signer mp_signer;

mp_code mp_signer_new(mp_signer **out, mp_error *err);
void mp_signer_free(mp_signer *signer); /* NULL-safe; wipes the keys */

/* The same for another thread; only while the signer is not used. MP_ENOMEM. */
mp_code mp_signer_copy(const mp_signer *signer, mp_signer **out, mp_error *err);

/* One more secret, older than those before it. until_ms (wall clock): when it ends; 0: never.
 * MP_EINVAL (it is none, or one too many), MP_ENOMEM. */
mp_code mp_signer_add_secret(mp_signer *signer, const char *secret, int64_t until_ms,
                             mp_error *err);
mp_code mp_signer_set_key(mp_signer *signer, const char *key, mp_error *err);

typedef struct mp_message {
  const char *id;
  int64_t at_ms; /* of the attempt, on the wall clock */
  const char *body;
  size_t body_len;
} mp_message;

/* The value of webhook-signature, NUL-terminated: the secrets' signatures, newest first, then the
 * key's, one space between. MP_ENOMEM. */
mp_code mp_signer_sign(mp_signer *signer, const mp_message *message, char out[MP_SIGNATURES_SIZE],
                       mp_error *err);

/* ---- verifying ------------------------------------------------------------------------------ */

/* What came, byte for byte; data NULL: the field is missing. */
typedef struct mp_text {
  const char *data;
  size_t len;
} mp_text;

typedef struct mp_received {
  mp_text id;
  mp_text timestamp;
  mp_text signatures;
  mp_text body;
} mp_received;

/* Is one of the signatures right, for one of the secrets or public keys? Takes the same time
 * wherever a wrong one differs. tolerance_s: how far the timestamp may be from now_s, both ways.
 * MP_ESIGNATURE: none is, or a field is missing or malformed; MP_EEXPIRED; MP_EINVAL: a secret is
 * none; MP_ENOMEM. */
mp_code mp_verify(const char *const *secrets, size_t count, const mp_received *received,
                  int64_t tolerance_s, int64_t now_s, mp_error *err);

#endif
