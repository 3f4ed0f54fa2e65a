/* What the store keeps sealed: webhook definitions (URLs and header values may hold secrets) and
 * the header fields of single events. Store thread. */
#ifndef MP_ENGINE_SECRET_H
#define MP_ENGINE_SECRET_H

#include "crypto/seal.h"
#include "engine/settings.h"
#include "queue/store.h"

/* Finds the store's key (the settings' own, else its file, which is made for a store that has no
 * seal yet; a store in memory gets one of its own) and checks it against the store's seal. MP_EKEY:
 * it is another, or it is missing; nothing was changed. */
mp_code mp_secret_open(const mp_settings *settings, mp_store *store, mp_sealer **out,
                       mp_error *err);

/* The file, beside the key's, in which a new key waits while the store is sealed anew. */
#define MP_NEW_KEY_SUFFIX ".new"

/* Inside a transaction: writes the seal. */
mp_code mp_secret_set(mp_store *store, mp_sealer *sealer, mp_error *err);

/* Inside a transaction: writes the seal where there is none. MP_EKEY when another process has just
 * sealed the store with another key. */
mp_code mp_secret_claim(mp_store *store, mp_sealer *sealer, mp_error *err);

/* The sealed form of a text of a webhook or an event, and back, into a buffer that is reset first
 * and NUL-terminated. */
mp_code mp_secret_hide_webhook(mp_sealer *sealer, const char *name, const char *text, mp_buf *out,
                               mp_error *err);
mp_code mp_secret_show_webhook(mp_sealer *sealer, const char *name, const char *sealed, mp_buf *out,
                               mp_error *err);
mp_code mp_secret_hide_event(mp_sealer *sealer, int64_t id, const char *text, mp_buf *out,
                             mp_error *err);
mp_code mp_secret_show_event(mp_sealer *sealer, int64_t id, const char *sealed, mp_buf *out,
                             mp_error *err);

#endif
