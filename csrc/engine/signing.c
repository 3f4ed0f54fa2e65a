/* Signing requests. Reading: store thread; signing: a delivery thread. */
#include "engine/signing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/read.h"

/* Is what failed the definition's fault, or the memory's? */
static bool fail(mp_json *j, const mp_error *why) {
  return why->code == MP_ENOMEM ? mp_read_no_memory(j) : mp_json_fail(j, "%s", why->message);
}

static void wipe(char *text) {
  if (text) explicit_bzero(text, strlen(text));
  free(text);
}

static bool need_signer(mp_json *j, mp_signing *s) {
  mp_error why;
  return s->signer || mp_signer_new(&s->signer, &why) == MP_OK || fail(j, &why);
}

/* ["whsec_..."] or ["whsec_...", until_ms] */
static bool read_secret(mp_json *j, mp_signing *s) {
  char *secret = NULL;
  double until_ms = 0;
  mp_error why;
  int n = 0;
  bool ok = mp_read_list(j);

  while (ok && mp_json_next_element(j)) {
    if (n == 0)
      ok = mp_read_string(j, &secret);
    else
      ok = n == 1 ? mp_read_number(j, 0, 1e15, &until_ms) : mp_json_fail(j, "expected no more");
    n++;
  }
  ok = ok && !j->failed && (secret || mp_json_fail(j, "expected a secret"));
  if (ok && mp_signer_add_secret(s->signer, secret, (int64_t)until_ms, &why) != MP_OK) {
    ok = fail(j, &why);
  }
  wipe(secret);
  return ok;
}

bool mp_signing_read_secrets(mp_json *j, mp_signing *signing) {
  if (!need_signer(j, signing) || !mp_read_list(j)) return false;
  while (mp_json_next_element(j)) {
    if (!read_secret(j, signing)) return false;
  }
  return !j->failed;
}

bool mp_signing_read_key(mp_json *j, mp_signing *signing) {
  char *key = NULL;
  mp_error why;
  bool ok = need_signer(j, signing) && mp_read_string(j, &key);

  if (ok && mp_signer_set_key(signing->signer, key, &why) != MP_OK) ok = fail(j, &why);
  wipe(key);
  return ok;
}

/* ---- the older kind ------------------------------------------------------------------------- */

static bool check_header(mp_json *j, const char *name) {
  mp_error why;

  if (mp_header_check("hubSignature.header", name, strlen(name), "", 0, &why) != MP_OK) {
    return mp_json_fail(j, "%s", why.message);
  }
  if (mp_header_is_own(name)) {
    return mp_json_fail(j, "hubSignature.header: '%s' is moonpost's own", name);
  }
  return true;
}

bool mp_signing_read_hub(mp_json *j, mp_signing *signing) {
  static const char *const encodings[] = {"hex", "base64", NULL};
  char *header = NULL, *prefix = NULL, *secret = NULL;
  int encoding = 0;
  mp_error why;
  mp_span key;
  bool ok = mp_read_object(j);

  while (ok && mp_json_next_key(j, &key)) {
    if (mp_read_is(key, "header"))
      ok = mp_read_string(j, &header) && check_header(j, header);
    else if (mp_read_is(key, "prefix"))
      ok = mp_read_string(j, &prefix);
    else if (mp_read_is(key, "secret"))
      ok = mp_read_string(j, &secret);
    else if (mp_read_is(key, "encoding"))
      ok = mp_read_word(j, encodings, &encoding);
    else
      ok = mp_json_skip(j, NULL);
  }
  ok = ok && !j->failed;
  if (ok && (!header || !secret)) ok = mp_json_fail(j, "expected header and secret");
  mp_body_signer_free(signing->body_signer); /* of a key that is there twice, as with auth */
  signing->body_signer = NULL;
  if (ok && mp_body_signer_new(secret, prefix ? prefix : "", encoding == 0, &signing->body_signer,
                               &why) != MP_OK) {
    ok = fail(j, &why);
  }
  if (ok) {
    free(signing->body_header);
    signing->body_header = header;
    header = NULL;
  }
  free(header);
  free(prefix);
  wipe(secret);
  return ok;
}

mp_code mp_signing_copy(const mp_signing *from, mp_signing *to, mp_error *err) {
  mp_code code = MP_OK;

  if (from->signer) code = mp_signer_copy(from->signer, &to->signer, err);
  if (code == MP_OK && from->body_signer) {
    code = mp_body_signer_copy(from->body_signer, &to->body_signer, err);
  }
  if (code == MP_OK && from->body_header) {
    to->body_header = strdup(from->body_header);
    if (!to->body_header) code = mp_fail(err, MP_ENOMEM, "out of memory");
  }
  return code; /* what was copied is freed with the webhook */
}

void mp_signing_free(mp_signing *signing) {
  mp_signer_free(signing->signer);
  mp_body_signer_free(signing->body_signer);
  free(signing->body_header);
  *signing = (mp_signing){0};
}

/* ---- an attempt ----------------------------------------------------------------------------- */

static void add(mp_signed *out, const char *name, const char *value) {
  out->fields[out->count++] = (mp_field){name, value};
}

mp_code mp_signing_sign(mp_signing *signing, const mp_message *message, mp_signed *out,
                        mp_error *err) {
  mp_code code = MP_OK;

  out->count = 0;
  add(out, "webhook-id", message->id);
  if (signing->signer) {
    snprintf(out->timestamp, sizeof out->timestamp, "%" PRId64, message->at_ms / 1000);
    code = mp_signer_sign(signing->signer, message, out->signatures, err);
    if (code != MP_OK) return code;
    add(out, "webhook-timestamp", out->timestamp);
    if (out->signatures[0]) add(out, "webhook-signature", out->signatures);
  }
  if (signing->body_signer) {
    code = mp_body_sign(signing->body_signer, message->body, message->body_len, out->body_signature,
                        err);
    add(out, signing->body_header, out->body_signature);
  }
  return code;
}
