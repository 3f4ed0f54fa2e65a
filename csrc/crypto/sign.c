/* Signing. A signer is used by one thread at a time: one of the engine's delivery threads.
 *
 * Signing with secrets allocates nothing; only ed25519, which reads its text in one piece, takes
 * memory for it. */
#include "crypto/sign.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/mac.h"
#include "crypto/sign_key.h"

#define HEAD_SIZE      300 /* "ID.TIMESTAMP." */
#define ED25519_SIZE   64
#define BASE64_SIZE(n) (((n) + 2) / 3 * 4)

_Static_assert(4 + BASE64_SIZE(MP_SHA256_SIZE) == 48, "MP_SIGNATURES_SIZE");
_Static_assert(5 + BASE64_SIZE(ED25519_SIZE) == 93, "MP_SIGNATURES_SIZE");

struct mp_signer {
  struct {
    mp_mac *mac;
    int64_t until_ms; /* 0: it does not end */
  } secrets[MP_SIGN_SECRETS];
  size_t count;
  EVP_PKEY *key; /* NULL: none */
  EVP_MD_CTX *context;
};

mp_code mp_signer_new(mp_signer **out, mp_error *err) {
  *out = calloc(1, sizeof **out);
  return *out ? MP_OK : mp_fail(err, MP_ENOMEM, "out of memory");
}

void mp_signer_free(mp_signer *signer) {
  if (!signer) return;
  for (size_t i = 0; i < signer->count; i++)
    mp_mac_free(signer->secrets[i].mac);
  EVP_MD_CTX_free(signer->context);
  EVP_PKEY_free(signer->key);
  free(signer);
}

mp_code mp_signer_copy(const mp_signer *signer, mp_signer **out, mp_error *err) {
  mp_signer *copy;
  mp_code code = mp_signer_new(&copy, err);

  *out = NULL;
  while (code == MP_OK && copy->count < signer->count) {
    code = mp_mac_copy(signer->secrets[copy->count].mac, &copy->secrets[copy->count].mac, err);
    copy->secrets[copy->count].until_ms = signer->secrets[copy->count].until_ms;
    if (code == MP_OK) copy->count++;
  }
  if (code == MP_OK && signer->key) {
    copy->context = EVP_MD_CTX_new();
    if (!copy->context || EVP_PKEY_up_ref(signer->key) != 1)
      code = mp_fail(err, MP_ENOMEM, "out of memory");
    else
      copy->key = signer->key; /* immutable, and counted */
  }
  if (code == MP_OK)
    *out = copy;
  else
    mp_signer_free(copy);
  return code;
}

mp_code mp_signer_add_secret(mp_signer *signer, const char *secret, int64_t until_ms,
                             mp_error *err) {
  mp_sign_bytes bytes;
  mp_code code;

  if (signer->count == MP_SIGN_SECRETS) {
    return mp_fail(err, MP_EINVAL, "secret: expected at most %d", MP_SIGN_SECRETS);
  }
  code = mp_sign_parse(secret, MP_SIGN_SECRET, "secret", &bytes, err);
  if (code == MP_OK) {
    code = mp_mac_new(bytes.data, bytes.len, &signer->secrets[signer->count].mac, err);
  }
  mp_sign_wipe(&bytes);
  if (code == MP_OK) signer->secrets[signer->count++].until_ms = until_ms;
  return code;
}

mp_code mp_signer_set_key(mp_signer *signer, const char *key, mp_error *err) {
  EVP_PKEY *loaded;
  mp_code code = mp_sign_load(key, MP_SIGN_KEY, "signingKey", &loaded, err);

  if (code != MP_OK) return code;
  EVP_PKEY_free(signer->key);
  signer->key = loaded;
  if (!signer->context) signer->context = EVP_MD_CTX_new();
  return signer->context ? MP_OK : mp_fail(err, MP_ENOMEM, "out of memory");
}

/* "VERSION,BASE64 " at out; answers its end. */
static char *add(char *out, const char *version, const unsigned char *bytes, int len) {
  out = stpcpy(out, version);
  *out++ = ',';
  out += EVP_EncodeBlock((unsigned char *)out, bytes, len); /* and a NUL */
  *out++ = ' ';
  return out;
}

static bool sum(mp_mac *mac, const char *head, size_t head_len, const mp_message *m,
                unsigned char out[MP_SHA256_SIZE]) {
  return mp_mac_begin(mac) && mp_mac_add(mac, head, head_len) &&
         mp_mac_add(mac, m->body, m->body_len) && mp_mac_end(mac, out);
}

static bool sign_ed25519(mp_signer *s, const char *head, size_t head_len, const mp_message *m,
                         unsigned char out[ED25519_SIZE]) {
  unsigned char *text = malloc(head_len + m->body_len);
  size_t len = ED25519_SIZE;
  bool ok = text != NULL;

  if (ok) {
    memcpy(text, head, head_len);
    memcpy(text + head_len, m->body, m->body_len);
    ok = EVP_MD_CTX_reset(s->context) == 1 &&
         EVP_DigestSignInit(s->context, NULL, NULL, NULL, s->key) == 1 &&
         EVP_DigestSign(s->context, out, &len, text, head_len + m->body_len) == 1;
  }
  free(text);
  return ok;
}

mp_code mp_signer_sign(mp_signer *signer, const mp_message *message, char out[MP_SIGNATURES_SIZE],
                       mp_error *err) {
  unsigned char bytes[ED25519_SIZE];
  char head[HEAD_SIZE], *end = out;
  int n = snprintf(head, sizeof head, "%s.%" PRId64 ".", message->id, message->at_ms / 1000);
  bool ok = true;

  if (n < 0 || (size_t)n >= sizeof head) return mp_fail(err, MP_EINVAL, "an id that is too long");
  for (size_t i = 0; i < signer->count && ok; i++) {
    int64_t until_ms = signer->secrets[i].until_ms;
    if (until_ms != 0 && until_ms <= message->at_ms) continue;
    ok = sum(signer->secrets[i].mac, head, (size_t)n, message, bytes);
    if (ok) end = add(end, "v1", bytes, MP_SHA256_SIZE);
  }
  if (signer->key && ok) {
    ok = sign_ed25519(signer, head, (size_t)n, message, bytes);
    if (ok) end = add(end, "v1a", bytes, ED25519_SIZE);
  }
  if (!ok) return mp_fail(err, MP_ENOMEM, "cannot sign: out of memory");
  if (end > out) end--; /* the last space */
  *end = '\0';
  return MP_OK;
}
