/* Secrets and signing keys as text, and what is wrong with one. Any thread; no state.
 *
 * What always holds: no message shows a byte of what it is about. */
#include "crypto/sign_key.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#include "crypto/base64.h"

#define SEED_SIZE       32
#define PUBLIC_SIZE     32
#define NEW_SECRET_SIZE 32 /* as long as the hash: RFC 2104 section 3 */

static const struct {
  const char *prefix;
  const char *expected;
} kinds[] = {
    [MP_SIGN_SECRET] = {"whsec_", "whsec_ and the base64 of 24 to 64 bytes"},
    [MP_SIGN_KEY] = {"whsk_", "whsk_ and the base64 of an ed25519 key (64 bytes)"},
    [MP_SIGN_PUBLIC_KEY] = {"whpk_", "whpk_ and the base64 of an ed25519 public key (32 bytes)"},
};

static bool is_length(mp_sign_kind kind, size_t len) {
  if (kind == MP_SIGN_SECRET) return len >= 24 && len <= MP_SIGN_KEY_SIZE;
  if (kind == MP_SIGN_KEY) return len == SEED_SIZE || len == SEED_SIZE + PUBLIC_SIZE;
  return len == PUBLIC_SIZE;
}

static bool begins(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* What was probably meant. */
static const char *hint(const char *text, mp_sign_kind kind) {
  if (begins(text, "v1,") || begins(text, "v1a,")) {
    return "; 'v1,' belongs to a signature and is no part of a secret: leave it out";
  }
  for (int i = MP_SIGN_SECRET; i <= MP_SIGN_PUBLIC_KEY; i++) {
    if ((mp_sign_kind)i != kind && begins(text, kinds[i].prefix)) {
      return i == MP_SIGN_SECRET ? "; whsec_ is a shared secret"
             : i == MP_SIGN_KEY  ? "; whsk_ is a private signing key"
                                 : "; whpk_ is a public key, for who verifies";
    }
  }
  return "";
}

static mp_code refuse(const char *where, mp_sign_kind kind, const char *got, mp_error *err) {
  return mp_fail(err, MP_EINVAL, "%s: expected %s%s", where, kinds[kind].expected, got);
}

mp_code mp_sign_parse(const char *text, mp_sign_kind kind, const char *where, mp_sign_bytes *out,
                      mp_error *err) {
  const char *rest = text + strlen(kinds[kind].prefix);
  mp_code code = MP_OK;
  mp_buf bytes;
  bool decoded;

  out->len = 0;
  if (!begins(text, kinds[kind].prefix)) return refuse(where, kind, hint(text, kind), err);
  mp_buf_init(&bytes, MP_SIGN_KEY_SIZE * 2);
  decoded = mp_base64_decode(&bytes, rest, strlen(rest));
  if (bytes.failed == MP_ENOMEM)
    code = mp_fail(err, MP_ENOMEM, "out of memory");
  else if (!decoded)
    code = refuse(where, kind, ", got something else after the prefix", err);
  else if (!is_length(kind, bytes.len))
    code = mp_fail(err, MP_EINVAL, "%s: expected %s, got %zu bytes", where, kinds[kind].expected,
                   bytes.len);
  if (code == MP_OK) {
    memcpy(out->data, bytes.data, bytes.len);
    out->len = bytes.len;
  }
  if (bytes.data) OPENSSL_cleanse(bytes.data, bytes.cap);
  mp_buf_free(&bytes);
  return code;
}

void mp_sign_wipe(mp_sign_bytes *bytes) {
  OPENSSL_cleanse(bytes, sizeof *bytes);
}

/* Of the two halves of a private key the second follows from the first. */
static mp_code check_halves(EVP_PKEY *key, const mp_sign_bytes *bytes, const char *where,
                            mp_error *err) {
  unsigned char public_half[PUBLIC_SIZE];
  size_t len = sizeof public_half;

  if (bytes->len == SEED_SIZE) return MP_OK;
  if (EVP_PKEY_get_raw_public_key(key, public_half, &len) != 1) {
    return mp_fail(err, MP_ENOMEM, "out of memory");
  }
  if (CRYPTO_memcmp(public_half, bytes->data + SEED_SIZE, PUBLIC_SIZE) == 0) return MP_OK;
  return mp_fail(err, MP_EINVAL, "%s: its two halves do not belong together", where);
}

mp_code mp_sign_load(const char *text, mp_sign_kind kind, const char *where, EVP_PKEY **out,
                     mp_error *err) {
  mp_sign_bytes bytes;
  mp_code code = mp_sign_parse(text, kind, where, &bytes, err);

  *out = NULL;
  if (code != MP_OK) return code;
  if (kind == MP_SIGN_PUBLIC_KEY) {
    *out = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes.data, PUBLIC_SIZE);
  } else {
    *out = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, bytes.data, SEED_SIZE);
  }
  if (!*out)
    code = mp_fail(err, MP_ENOMEM, "out of memory");
  else if (kind == MP_SIGN_KEY)
    code = check_halves(*out, &bytes, where, err);
  mp_sign_wipe(&bytes);
  if (code != MP_OK) {
    EVP_PKEY_free(*out);
    *out = NULL;
  }
  return code;
}

mp_code mp_sign_check(const char *text, mp_sign_kind kind, const char *where, mp_error *err) {
  mp_sign_bytes bytes;
  EVP_PKEY *key = NULL;
  mp_code code;

  if (kind == MP_SIGN_SECRET) {
    code = mp_sign_parse(text, kind, where, &bytes, err);
    mp_sign_wipe(&bytes);
  } else {
    code = mp_sign_load(text, kind, where, &key, err);
    EVP_PKEY_free(key);
  }
  return code;
}

static mp_code write_text(mp_sign_kind kind, mp_sign_bytes *bytes, mp_buf *out, mp_error *err) {
  mp_buf_add_str(out, kinds[kind].prefix);
  mp_base64_add(out, bytes->data, bytes->len);
  mp_sign_wipe(bytes);
  return out->failed == MP_OK ? MP_OK : mp_fail(err, out->failed, "out of memory");
}

mp_code mp_sign_new_secret(mp_buf *out, mp_error *err) {
  mp_sign_bytes bytes = {.len = NEW_SECRET_SIZE};

  if (RAND_bytes(bytes.data, NEW_SECRET_SIZE) != 1) {
    return mp_fail(err, MP_EIO, "cannot make a secret: no randomness");
  }
  return write_text(MP_SIGN_SECRET, &bytes, out, err);
}

mp_code mp_sign_new_key(mp_buf *out, mp_error *err) {
  EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
  mp_sign_bytes bytes = {.len = MP_SIGN_KEY_SIZE};
  size_t seed = SEED_SIZE, half = PUBLIC_SIZE;
  bool ok = key && EVP_PKEY_get_raw_private_key(key, bytes.data, &seed) == 1 &&
            EVP_PKEY_get_raw_public_key(key, bytes.data + SEED_SIZE, &half) == 1;

  EVP_PKEY_free(key);
  if (!ok) return mp_fail(err, MP_EIO, "cannot make a signing key: no randomness");
  return write_text(MP_SIGN_KEY, &bytes, out, err);
}

mp_code mp_sign_public_key(const char *key, mp_buf *out, mp_error *err) {
  mp_sign_bytes bytes = {.len = PUBLIC_SIZE};
  EVP_PKEY *loaded;
  mp_code code = mp_sign_load(key, MP_SIGN_KEY, "signingKey", &loaded, err);

  if (code == MP_OK && EVP_PKEY_get_raw_public_key(loaded, bytes.data, &bytes.len) != 1) {
    code = mp_fail(err, MP_ENOMEM, "out of memory");
  }
  EVP_PKEY_free(loaded);
  return code == MP_OK ? write_text(MP_SIGN_PUBLIC_KEY, &bytes, out, err) : code;
}
