/* Verifying what a sender claims. Any thread; no state.
 *
 * Everything here may come from anybody: what is read is bounded, and how long a comparison takes
 * says nothing about where it failed. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base64.h"
#include "crypto/mac.h"
#include "crypto/sign_key.h"

#define MAX_FIELD      4096 /* of webhook-signature: 85 signatures */
#define MAX_ID         256
#define MAX_DIGITS     15
#define SIGNATURE_SIZE 64

typedef struct version {
  const char *prefix; /* "v1," */
  size_t len;         /* of the base64 */
} version;

static const version v1 = {"v1,", 44};
static const version v1a = {"v1a,", 88};

static mp_code wrong(const char *message, mp_error *err) {
  return mp_fail(err, MP_ESIGNATURE, "%s", message);
}

static mp_code check_fields(const mp_received *c, mp_error *err) {
  if (!c->id.data) return wrong("webhook-id: expected the header field, got none", err);
  if (!c->timestamp.data) {
    return wrong("webhook-timestamp: expected the header field, got none", err);
  }
  if (!c->signatures.data) {
    return wrong("webhook-signature: expected the header field, got none", err);
  }
  if (c->id.len > MAX_ID || c->signatures.len > MAX_FIELD) {
    return wrong("webhook-id, webhook-signature: longer than any sender's", err);
  }
  return MP_OK;
}

/* Digits alone: the reference libraries refuse signs and fractions too. */
static mp_code check_time(const mp_text *t, int64_t tolerance_s, int64_t now_s, mp_error *err) {
  int64_t at = 0;

  if (t->len == 0 || t->len > MAX_DIGITS) {
    return wrong("webhook-timestamp: expected seconds since 1970", err);
  }
  for (size_t i = 0; i < t->len; i++) {
    if (t->data[i] < '0' || t->data[i] > '9') {
      return wrong("webhook-timestamp: expected seconds since 1970", err);
    }
    at = at * 10 + (t->data[i] - '0');
  }
  if (at < now_s - tolerance_s) {
    return mp_fail(err, MP_EEXPIRED,
                   "webhook-timestamp: it is %lld seconds old, at most %lld are allowed",
                   (long long)(now_s - at), (long long)tolerance_s);
  }
  if (at > now_s + tolerance_s) {
    return mp_fail(err, MP_EEXPIRED,
                   "webhook-timestamp: it is %lld seconds in the future, at most %lld are allowed",
                   (long long)(at - now_s), (long long)tolerance_s);
  }
  return MP_OK;
}

/* The next signature of this version after *at; false when there is none. What is of another
 * version, or of none, is passed over, as it is by who does not know it yet. */
static bool next(const mp_text *field, const version *v, size_t *at, const char **out) {
  size_t prefix = strlen(v->prefix);

  while (*at < field->len) {
    const char *word = field->data + *at;
    const char *space = memchr(word, ' ', field->len - *at);
    size_t len = space ? (size_t)(space - word) : field->len - *at;

    *at += len + 1;
    if (len == prefix + v->len && memcmp(word, v->prefix, prefix) == 0) {
      *out = word + prefix;
      return true;
    }
  }
  return false;
}

/* ---- one secret ----------------------------------------------------------------------------- */

static bool sum(mp_mac *mac, const mp_received *c, unsigned char out[MP_SHA256_SIZE]) {
  return mp_mac_begin(mac) && mp_mac_add(mac, c->id.data, c->id.len) && mp_mac_add(mac, ".", 1) &&
         mp_mac_add(mac, c->timestamp.data, c->timestamp.len) && mp_mac_add(mac, ".", 1) &&
         mp_mac_add(mac, c->body.data, c->body.len) && mp_mac_end(mac, out);
}

static mp_code try_secret(const char *secret, const mp_received *c, bool *right, mp_error *err) {
  unsigned char expected[MP_SHA256_SIZE];
  char text[48];
  const char *given;
  size_t at = 0;
  mp_sign_bytes bytes;
  mp_mac *mac = NULL;
  mp_code code = mp_sign_parse(secret, MP_SIGN_SECRET, "secret", &bytes, err);

  if (code == MP_OK) code = mp_mac_new(bytes.data, bytes.len, &mac, err);
  mp_sign_wipe(&bytes);
  if (code == MP_OK && !sum(mac, c, expected)) code = mp_fail(err, MP_ENOMEM, "out of memory");
  mp_mac_free(mac);
  if (code != MP_OK) return code;
  EVP_EncodeBlock((unsigned char *)text, expected, MP_SHA256_SIZE);
  while (next(&c->signatures, &v1, &at, &given)) {
    if (CRYPTO_memcmp(given, text, v1.len) == 0) *right = true;
  }
  OPENSSL_cleanse(text, sizeof text); /* what would have been right */
  OPENSSL_cleanse(expected, sizeof expected);
  return MP_OK;
}

/* ---- one public key ------------------------------------------------------------------------- */

static mp_code signed_text(const mp_received *c, mp_buf *out, mp_error *err) {
  mp_buf_add(out, c->id.data, c->id.len);
  mp_buf_add_char(out, '.');
  mp_buf_add(out, c->timestamp.data, c->timestamp.len);
  mp_buf_add_char(out, '.');
  mp_buf_add(out, c->body.data, c->body.len);
  return out->failed == MP_OK ? MP_OK : mp_fail(err, out->failed, "out of memory");
}

static mp_code check_one(EVP_PKEY *key, const mp_buf *text, const char *given, bool *right,
                         mp_error *err) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  bool ready = context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1;
  mp_buf bytes;

  mp_buf_init(&bytes, SIGNATURE_SIZE);
  if (ready && mp_base64_decode(&bytes, given, v1a.len) && bytes.len == SIGNATURE_SIZE &&
      EVP_DigestVerify(context, (unsigned char *)bytes.data, SIGNATURE_SIZE,
                       (unsigned char *)text->data, text->len) == 1) {
    *right = true;
  }
  ready = ready && bytes.failed != MP_ENOMEM;
  mp_buf_free(&bytes);
  EVP_MD_CTX_free(context);
  return ready ? MP_OK : mp_fail(err, MP_ENOMEM, "out of memory");
}

static mp_code try_public_key(const char *public_key, const mp_received *c, bool *right,
                              mp_error *err) {
  const char *given;
  size_t at = 0;
  EVP_PKEY *key;
  mp_buf text;
  mp_code code = mp_sign_load(public_key, MP_SIGN_PUBLIC_KEY, "secret", &key, err);

  if (code != MP_OK) return code;
  mp_buf_init(&text, MP_BUF_NO_LIMIT);
  code = signed_text(c, &text, err);
  while (code == MP_OK && !*right && next(&c->signatures, &v1a, &at, &given))
    code = check_one(key, &text, given, right, err);
  mp_buf_free(&text);
  EVP_PKEY_free(key);
  return code;
}

/* ---- all ------------------------------------------------------------------------------------ */

static mp_sign_kind kind_of(const char *secret) {
  return strncmp(secret, "whpk_", 5) == 0 ? MP_SIGN_PUBLIC_KEY : MP_SIGN_SECRET;
}

mp_code mp_verify(const char *const *secrets, size_t count, const mp_received *received,
                  int64_t tolerance_s, int64_t now_s, mp_error *err) {
  bool right = false;
  mp_code code = MP_OK;

  for (size_t i = 0; i < count && code == MP_OK; i++) /* one's own mistake is told first */
    code = mp_sign_check(secrets[i], kind_of(secrets[i]), "secret", err);
  if (code == MP_OK) code = check_fields(received, err);
  if (code == MP_OK) code = check_time(&received->timestamp, tolerance_s, now_s, err);
  for (size_t i = 0; i < count && code == MP_OK && !right; i++) {
    if (kind_of(secrets[i]) == MP_SIGN_PUBLIC_KEY)
      code = try_public_key(secrets[i], received, &right, err);
    else
      code = try_secret(secrets[i], received, &right, err);
  }
  if (code != MP_OK || right) return code;
  return wrong("webhook-signature: none of the signatures is right", err);
}
