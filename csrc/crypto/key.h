/* The key that a store's secrets are sealed with: where it comes from, and its file. */
#ifndef MP_CRYPTO_KEY_H
#define MP_CRYPTO_KEY_H

#include "base/error.h"
#include "crypto/seal.h"

/* Reads the base64 of 32 bytes. where names it in the message. MP_EKEY. */
mp_code mp_key_parse(const char *text, const char *where, unsigned char key[MP_SEAL_KEY_SIZE],
                     mp_error *err);

/* Reads a key's file. MP_ENOENT: there is none. MP_EKEY: it holds no key, or others than its owner
 * may read it. MP_EIO. */
mp_code mp_key_read(const char *path, unsigned char key[MP_SEAL_KEY_SIZE], mp_error *err);

/* Writes a key into a new file of mode 0600, whole or not at all. MP_EBUSY: the file is there.
 * MP_ENOSPC, MP_EIO. */
mp_code mp_key_write(const char *path, const unsigned char key[MP_SEAL_KEY_SIZE], mp_error *err);

void mp_key_wipe(unsigned char key[MP_SEAL_KEY_SIZE]);

/* A new key. MP_EIO (no randomness). */
mp_code mp_key_new(unsigned char key[MP_SEAL_KEY_SIZE], mp_error *err);

#endif
