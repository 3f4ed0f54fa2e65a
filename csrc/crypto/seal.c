/* Sealing with AES-256-GCM. One thread at a time: the store thread. */
#include "crypto/seal.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base64.h"

#define PREFIX     "sealed1:"
#define NONCE_SIZE 12
#define TAG_SIZE   16

struct mp_sealer {
  EVP_CIPHER_CTX *context;
  unsigned char key[MP_SEAL_KEY_SIZE];
};

mp_code mp_sealer_new(const unsigned char key[MP_SEAL_KEY_SIZE], mp_sealer **out, mp_error *err) {
  mp_sealer *s = calloc(1, sizeof *s);

  *out = NULL;
  if (s) s->context = EVP_CIPHER_CTX_new();
  if (!s || !s->context) {
    free(s);
    return mp_fail(err, MP_ENOMEM, "out of memory");
  }
  memcpy(s->key, key, sizeof s->key);
  *out = s;
  return MP_OK;
}

void mp_sealer_free(mp_sealer *sealer) {
  if (!sealer) return;
  EVP_CIPHER_CTX_free(sealer->context);
  OPENSSL_cleanse(sealer->key, sizeof sealer->key);
  free(sealer);
}

/* box: room for nonce, len bytes and tag; filled. */
static bool encrypt(mp_sealer *s, const char *belongs_to, const char *text, int len,
                    unsigned char *box) {
  unsigned char *nonce = box, *cipher = box + NONCE_SIZE, *tag = cipher + len;
  int n;

  return RAND_bytes(nonce, NONCE_SIZE) == 1 &&
         EVP_EncryptInit_ex(s->context, EVP_aes_256_gcm(), NULL, s->key, nonce) == 1 &&
         EVP_EncryptUpdate(s->context, NULL, &n, (const unsigned char *)belongs_to,
                           (int)strlen(belongs_to)) == 1 &&
         EVP_EncryptUpdate(s->context, cipher, &n, (const unsigned char *)text, len) == 1 &&
         EVP_EncryptFinal_ex(s->context, cipher + n, &n) == 1 &&
         EVP_CIPHER_CTX_ctrl(s->context, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, tag) == 1;
}

static bool decrypt(mp_sealer *s, const char *belongs_to, unsigned char *box, int len,
                    unsigned char *text) {
  unsigned char *cipher = box + NONCE_SIZE, *tag = cipher + len;
  int n, last;

  return EVP_DecryptInit_ex(s->context, EVP_aes_256_gcm(), NULL, s->key, box) == 1 &&
         EVP_DecryptUpdate(s->context, NULL, &n, (const unsigned char *)belongs_to,
                           (int)strlen(belongs_to)) == 1 &&
         EVP_DecryptUpdate(s->context, text, &n, cipher, len) == 1 &&
         EVP_CIPHER_CTX_ctrl(s->context, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1 &&
         EVP_DecryptFinal_ex(s->context, text + n, &last) == 1;
}

mp_code mp_seal(mp_sealer *sealer, const char *belongs_to, const char *text, size_t len,
                mp_buf *out, mp_error *err) {
  size_t size = NONCE_SIZE + len + TAG_SIZE;
  unsigned char *box;
  bool ok;

  if (len > INT_MAX / 2) return mp_fail(err, MP_E2BIG, "a text that is too long to be sealed");
  box = malloc(size);
  if (!box) return mp_fail(err, MP_ENOMEM, "out of memory");
  ok = encrypt(sealer, belongs_to, text, (int)len, box);
  if (ok) {
    mp_buf_add_str(out, PREFIX);
    mp_base64_add(out, box, size);
  }
  free(box);
  if (!ok) return mp_fail(err, MP_EIO, "cannot encrypt: OpenSSL failed");
  return out->failed == MP_OK ? MP_OK : mp_fail(err, out->failed, "out of memory");
}

mp_code mp_unseal(mp_sealer *sealer, const char *belongs_to, const char *sealed, mp_buf *out,
                  mp_error *err) {
  bool ok = strncmp(sealed, PREFIX, strlen(PREFIX)) == 0;
  mp_buf box;
  mp_code code = MP_OK;

  mp_buf_init(&box, MP_BUF_NO_LIMIT);
  ok = ok && mp_base64_decode(&box, sealed + strlen(PREFIX), strlen(sealed) - strlen(PREFIX)) &&
       box.len >= NONCE_SIZE + TAG_SIZE && box.len < INT_MAX / 2;
  if (box.failed != MP_OK) {
    code = mp_fail(err, box.failed, "out of memory");
  } else if (ok) {
    size_t len = box.len - NONCE_SIZE - TAG_SIZE;
    if (!mp_buf_reserve(out, len + 1)) {
      code = mp_fail(err, MP_ENOMEM, "out of memory");
    } else {
      ok = decrypt(sealer, belongs_to, (unsigned char *)box.data, (int)len,
                   (unsigned char *)out->data + out->len);
      if (ok) out->len += len;
    }
  }
  mp_buf_free(&box);
  if (code == MP_OK && !ok) {
    return mp_fail(err, MP_EKEY, "sealed with another key, or damaged");
  }
  return code;
}
