/* Any text as a secret, as a signing key, as what a receiver was sent, and as a sealed text. What
 * is taken for a secret signs, and what it signs is verified, whatever stands beside the signature,
 * but not with a byte changed. */
#include "crypto/seal.h"
#include "crypto/sign.h"
#include "fuzz/fuzz.h"

#define NOW 1700000000

static mp_text text_of(const char *s) {
  return (mp_text){s, strlen(s)};
}

static void check_signer(const char *secret, bool is_key, const char *body) {
  char signatures[MP_SIGNATURES_SIZE], public[128] = "";
  mp_message message = {
      .id = "evt_1", .at_ms = (int64_t)NOW * 1000, .body = body, .body_len = strlen(body)};
  mp_received received = {.id = text_of("evt_1"), .timestamp = text_of("1700000000")};
  const char *with = secret;
  mp_signer *signer;
  mp_error err;
  mp_buf key;

  must(mp_signer_new(&signer, &err) == MP_OK);
  must((is_key ? mp_signer_set_key(signer, secret, &err)
               : mp_signer_add_secret(signer, secret, 0, &err)) == MP_OK);
  must(mp_signer_sign(signer, &message, signatures, &err) == MP_OK);
  mp_buf_init(&key, sizeof public);
  if (is_key) {
    must(mp_sign_public_key(secret, &key, &err) == MP_OK && key.len < sizeof public);
    memcpy(public, key.data, key.len);
    with = public;
  }
  received.signatures = text_of(signatures);
  received.body = text_of(body);
  must(mp_verify(&with, 1, &received, 300, NOW, &err) == MP_OK);
  must(mp_verify(&with, 1, &received, 300, NOW + 301, &err) == MP_EEXPIRED);
  received.id = text_of("evt_2");
  must(mp_verify(&with, 1, &received, 300, NOW, &err) == MP_ESIGNATURE);
  mp_buf_free(&key);
  mp_signer_free(signer);
}

/* What was sent is signed here: the signature is found between others. */
static void check_between(const char *secret, const mp_received *sent) {
  char signatures[MP_SIGNATURES_SIZE];
  mp_message message = {.id = sent->id.data,
                        .at_ms = (int64_t)NOW * 1000,
                        .body = sent->body.data,
                        .body_len = sent->body.len};
  mp_received received = {.id = sent->id, .timestamp = text_of("1700000000"), .body = sent->body};
  mp_signer *signer;
  mp_error err;
  mp_buf all;
  mp_code code;

  must(mp_signer_new(&signer, &err) == MP_OK);
  must(mp_signer_add_secret(signer, secret, 0, &err) == MP_OK);
  must(mp_signer_sign(signer, &message, signatures, &err) == MP_OK);
  mp_buf_init(&all, MP_BUF_NO_LIMIT);
  mp_buf_add(&all, sent->signatures.data, sent->signatures.len);
  mp_buf_add_format(&all, " %s ", signatures);
  mp_buf_add(&all, sent->timestamp.data, sent->timestamp.len);
  received.signatures = (mp_text){all.data, all.len};
  code = mp_verify(&secret, 1, &received, 300, NOW, &err);
  must(code == (all.len > 4096 ? MP_ESIGNATURE : MP_OK));
  received.body = text_of("another");
  must(mp_verify(&secret, 1, &received, 300, NOW, &err) == MP_ESIGNATURE);
  mp_buf_free(&all);
  mp_signer_free(signer);
}

static void check_received(fuzz_input *in) {
  static const char *const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  char *fields[4];
  mp_received received;
  mp_error err;

  for (int i = 0; i < 4; i++)
    fields[i] = fuzz_text(in);
  received =
      (mp_received){text_of(fields[0]), text_of(fields[1]), text_of(fields[2]), text_of(fields[3])};
  must(mp_verify(&secret, 1, &received, 300, NOW, &err) != MP_OK); /* that would be a forgery */
  must(err.message[0] != '\0' && strstr(err.message, "MfKQ9r8G") == NULL);
  if (strlen(fields[0]) <= 100 && strcmp(fields[3], "another") != 0)
    check_between(secret, &received);
  for (int i = 0; i < 4; i++)
    free(fields[i]);
}

static void check_sealed(const char *sealed) {
  static const unsigned char key[MP_SEAL_KEY_SIZE] = "0123456789abcdef0123456789abcde";
  mp_sealer *sealer;
  mp_buf out, plain;
  mp_error err;

  must(mp_sealer_new(key, &sealer, &err) == MP_OK);
  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  mp_buf_init(&plain, MP_BUF_NO_LIMIT);
  must(mp_unseal(sealer, "w", sealed, &out, &err) == MP_EKEY);
  mp_buf_reset(&out);
  must(mp_seal(sealer, "w", sealed, strlen(sealed), &out, &err) == MP_OK);
  mp_buf_add_char(&out, '\0');
  must(mp_unseal(sealer, "w", out.data, &plain, &err) == MP_OK);
  must(plain.len == strlen(sealed) && (plain.len == 0 || !memcmp(plain.data, sealed, plain.len)));
  mp_buf_free(&out);
  mp_buf_free(&plain);
  mp_sealer_free(sealer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_input in = {data, size};
  char *text = fuzz_text(&in);
  mp_error err;

  for (int kind = MP_SIGN_SECRET; kind <= MP_SIGN_PUBLIC_KEY; kind++) {
    mp_code code = mp_sign_check(text, (mp_sign_kind)kind, "secret", &err);
    if (code == MP_OK && kind != MP_SIGN_PUBLIC_KEY) check_signer(text, kind == MP_SIGN_KEY, "{}");
    must(code == MP_OK || (code == MP_EINVAL && err.message[0] != '\0'));
  }
  check_sealed(text);
  check_received(&in);
  free(text);
  return 0;
}
