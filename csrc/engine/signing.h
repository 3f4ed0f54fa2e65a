/* How one webhook's requests are signed: read from its definition, used at each attempt. Part of
 * the webhook's snapshot: made by the store thread, used by one delivery thread. */
#ifndef MP_ENGINE_SIGNING_H
#define MP_ENGINE_SIGNING_H

#include "crypto/body_sign.h"
#include "crypto/sign.h"
#include "http/client.h"
#include "payload/json_reader.h"

typedef struct mp_signing {
  mp_signer *signer;           /* NULL: not signed */
  mp_body_signer *body_signer; /* NULL: none */
  char *body_header;           /* the name of its field */
} mp_signing;

/* "secrets": [["whsec_..."], ["whsec_...", until_ms], ...], newest first; until_ms on the wall
 * clock: when an old one ends. */
bool mp_signing_read_secrets(mp_json *j, mp_signing *signing);
/* "signingKey": "whsk_..." */
bool mp_signing_read_key(mp_json *j, mp_signing *signing);
/* "hubSignature": { "header", "prefix", "encoding": "hex" | "base64", "secret" } */
bool mp_signing_read_hub(mp_json *j, mp_signing *signing);

/* For another thread; only while from is not used. to: empty. MP_ENOMEM. */
mp_code mp_signing_copy(const mp_signing *from, mp_signing *to, mp_error *err);
void mp_signing_free(mp_signing *signing);

/* The fields of one attempt, with the texts that they point to. */
typedef struct mp_signed {
  mp_field fields[MP_REQUEST_FIELDS];
  size_t count;
  char timestamp[24];
  char signatures[MP_SIGNATURES_SIZE];
  char body_signature[MP_BODY_SIGNATURE_SIZE];
} mp_signed;

/* webhook-id, and what the webhook signs with. out points to the message's id. MP_ENOMEM. */
mp_code mp_signing_sign(mp_signing *signing, const mp_message *message, mp_signed *out,
                        mp_error *err);

#endif
