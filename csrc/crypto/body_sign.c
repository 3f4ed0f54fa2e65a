/* Signing bodies. One thread at a time: one of the engine's delivery threads. Allocates nothing to
 * sign. */
#include "crypto/body_sign.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/mac.h"

struct mp_body_signer {
  mp_mac *mac;
  bool hex;
  char prefix[MP_BODY_PREFIX + 1];
};

mp_code mp_body_signer_new(const char *secret, const char *prefix, bool hex, mp_body_signer **out,
                           mp_error *err) {
  mp_body_signer *s;
  mp_code code;

  *out = NULL;
  if (!*secret) return mp_fail(err, MP_EINVAL, "hubSignature.secret: expected a secret, got none");
  if (strlen(prefix) > MP_BODY_PREFIX) {
    return mp_fail(err, MP_EINVAL, "hubSignature.prefix: expected at most %d bytes",
                   MP_BODY_PREFIX);
  }
  s = calloc(1, sizeof *s);
  if (!s) return mp_fail(err, MP_ENOMEM, "out of memory");
  strcpy(s->prefix, prefix);
  s->hex = hex;
  code = mp_mac_new(secret, strlen(secret), &s->mac, err);
  if (code != MP_OK) {
    mp_body_signer_free(s);
    return code;
  }
  *out = s;
  return MP_OK;
}

mp_code mp_body_signer_copy(const mp_body_signer *signer, mp_body_signer **out, mp_error *err) {
  mp_body_signer *copy = malloc(sizeof *copy);
  mp_code code;

  *out = NULL;
  if (!copy) return mp_fail(err, MP_ENOMEM, "out of memory");
  *copy = *signer;
  code = mp_mac_copy(signer->mac, &copy->mac, err);
  if (code != MP_OK) {
    free(copy);
    return code;
  }
  *out = copy;
  return MP_OK;
}

void mp_body_signer_free(mp_body_signer *signer) {
  if (!signer) return;
  mp_mac_free(signer->mac);
  free(signer);
}

static void write_hex(char *out, const unsigned char *bytes, size_t len) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < len; i++) {
    *out++ = digits[bytes[i] >> 4];
    *out++ = digits[bytes[i] & 15];
  }
  *out = '\0';
}

mp_code mp_body_sign(mp_body_signer *signer, const char *body, size_t len,
                     char out[MP_BODY_SIGNATURE_SIZE], mp_error *err) {
  unsigned char sum[MP_SHA256_SIZE];
  char *end;

  if (!mp_mac_begin(signer->mac) || !mp_mac_add(signer->mac, body, len) ||
      !mp_mac_end(signer->mac, sum)) {
    return mp_fail(err, MP_ENOMEM, "cannot sign: out of memory");
  }
  end = stpcpy(out, signer->prefix);
  if (signer->hex)
    write_hex(end, sum, sizeof sum);
  else
    EVP_EncodeBlock((unsigned char *)end, sum, sizeof sum);
  return MP_OK;
}
