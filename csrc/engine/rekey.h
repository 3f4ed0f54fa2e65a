/* Changing the key that a store's secrets are sealed with. */
#ifndef MP_ENGINE_REKEY_H
#define MP_ENGINE_REKEY_H

#include "engine/settings.h"

typedef struct mp_rekeyed {
  int64_t webhooks; /* definitions that were sealed anew */
  int64_t texts;    /* header fields of events and of what scripts made, likewise */
} mp_rekeyed;

/* Seals every secret of the settings' store with another key, in one transaction. key: the base64
 * of the new key; NULL: one is made. Where the present key is in the settings' file, the new one
 * takes its place there (written beside it before the transaction, moved over it after: the next
 * open finishes what a crash between the two left). Where it is in the settings themselves
 * (MOONPOST_KEY), a new one must be given, and nothing is written but the store. Blocks the calling
 * thread. MP_ENOENT: there is no such store. MP_EBUSY: an engine has it open. MP_EINVAL: a store in
 * memory, or no new key. MP_EKEY: the present key is not the store's, or a secret cannot be read
 * with it; nothing was changed. */
mp_code mp_engine_rekey(const mp_settings *settings, const char *key, mp_rekeyed *out,
                        mp_error *err);

#endif
