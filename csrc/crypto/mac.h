/* A prepared HMAC-SHA-256 key (RFC 2104): what depends on the key alone is computed once, so that a
 * sum costs the hashing of its text and no more. Used by one thread at a time. */
#ifndef MP_CRYPTO_MAC_H
#define MP_CRYPTO_MAC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "crypto/hash.h"

typedef struct mp_mac mp_mac;

/* Copies the key, of at least one byte. MP_ENOMEM. */
mp_code mp_mac_new(const void *key, size_t len, mp_mac **out, mp_error *err);
/* For another thread; only while the mac is not used. MP_ENOMEM. */
mp_code mp_mac_copy(const mp_mac *mac, mp_mac **out, mp_error *err);
void mp_mac_free(mp_mac *mac); /* NULL-safe; wipes the key */

/* One text, in pieces. Each is false when OpenSSL fails (it has no memory); begin starts anew. */
bool mp_mac_begin(mp_mac *mac);
bool mp_mac_add(mp_mac *mac, const void *bytes, size_t len);
bool mp_mac_end(mp_mac *mac, unsigned char out[MP_SHA256_SIZE]);

#endif
