/* Sealing what is secret in the store. Runs on the store thread. */
#include "engine/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "crypto/key.h"
#include "engine/log.h"

/* What the seal is made of: its content does not matter. */
#define SEAL_TEXT "moonpost"

/* ---- the key -------------------------------------------------------------------------------- */

static mp_code missing_key(const mp_settings *s, mp_error *err) {
  return mp_fail(err, MP_EKEY,
                 "%s: its secrets are sealed, and the key is missing: MOONPOST_KEY is not set, and "
                 "there is no file %s",
                 s->store, s->key_file);
}

static mp_code make_file(const char *path, unsigned char key[MP_SEAL_KEY_SIZE], mp_error *err) {
  mp_code code = mp_key_new(key, err);

  if (code == MP_OK) code = mp_key_write(path, key, err);
  return code == MP_EBUSY ? mp_key_read(path, key, err) : code; /* another process was quicker */
}

static mp_code find_key(const mp_settings *s, bool sealed, unsigned char key[MP_SEAL_KEY_SIZE],
                        mp_error *err) {
  mp_code code;

  if (strcmp(s->store, ":memory:") == 0) return mp_key_new(key, err);
  if (s->key) return mp_key_parse(s->key, "MOONPOST_KEY", key, err);
  code = mp_key_read(s->key_file, key, err);
  if (code != MP_ENOENT) return code;
  return sealed ? missing_key(s, err) : make_file(s->key_file, key, err);
}

static mp_code check_seal(const mp_settings *s, mp_sealer *sealer, const char *seal,
                          mp_error *err) {
  mp_error why;
  mp_buf text;
  mp_code code;

  mp_buf_init(&text, MP_BUF_NO_LIMIT);
  code = mp_unseal(sealer, "seal", seal, &text, &why);
  mp_buf_free(&text);
  if (code != MP_EKEY) return code == MP_OK ? code : mp_fail(err, code, "%s", why.message);
  return mp_fail(err, MP_EKEY,
                 "%s: its secrets are sealed with another key than that of %s; nothing was changed",
                 s->store, s->key ? "MOONPOST_KEY" : s->key_file);
}

/* seal: "" for a store that has none yet. */
static mp_code open_with(const mp_settings *s, const char *seal, mp_sealer **out, mp_error *err) {
  unsigned char key[MP_SEAL_KEY_SIZE];
  mp_code code = find_key(s, seal[0] != '\0', key, err);

  if (code == MP_OK) code = mp_sealer_new(key, out, err);
  mp_key_wipe(key);
  if (code == MP_OK && seal[0]) code = check_seal(s, *out, seal, err);
  if (code != MP_OK) {
    mp_sealer_free(*out);
    *out = NULL;
  }
  return code;
}

/* A rekeying that was cut off after its commit left the store's key beside its place. */
static mp_code finish_rekeying(const mp_settings *s, const char *seal, mp_sealer **out) {
  mp_settings beside = *s;
  mp_error why;
  mp_code code = MP_ENOMEM;

  if (s->key || !seal[0]) return MP_EKEY;
  if (asprintf(&beside.key_file, "%s" MP_NEW_KEY_SUFFIX, s->key_file) < 0) return code;
  code = open_with(&beside, seal, out, &why);
  if (code == MP_OK && rename(beside.key_file, s->key_file) != 0) {
    mp_log(s->log, MP_LOG_WARN, "key.not_moved",
           "the store's key stays in %s: it cannot be moved to %s", beside.key_file, s->key_file);
  }
  free(beside.key_file);
  return code;
}

mp_code mp_secret_open(const mp_settings *settings, mp_store *store, mp_sealer **out,
                       mp_error *err) {
  mp_buf seal;
  mp_code code;

  *out = NULL;
  mp_buf_init(&seal, MP_BUF_NO_LIMIT);
  code = mp_store_seal(store, &seal, err);
  mp_buf_add_char(&seal, '\0');
  if (code == MP_OK && seal.failed != MP_OK) code = mp_fail(err, seal.failed, "out of memory");
  if (code == MP_OK) code = open_with(settings, seal.data, out, err);
  if (code == MP_EKEY && finish_rekeying(settings, seal.data, out) == MP_OK) code = MP_OK;
  mp_buf_free(&seal);
  return code;
}

mp_code mp_secret_set(mp_store *store, mp_sealer *sealer, mp_error *err) {
  mp_buf text;
  mp_code code;

  mp_buf_init(&text, MP_BUF_NO_LIMIT);
  code = mp_seal(sealer, "seal", SEAL_TEXT, strlen(SEAL_TEXT), &text, err);
  mp_buf_add_char(&text, '\0');
  if (code == MP_OK && text.failed != MP_OK) code = mp_fail(err, text.failed, "out of memory");
  if (code == MP_OK) code = mp_store_set_seal(store, text.data, err);
  mp_buf_free(&text);
  return code;
}

mp_code mp_secret_claim(mp_store *store, mp_sealer *sealer, mp_error *err) {
  mp_buf seal, text;
  mp_code code;

  mp_buf_init(&seal, MP_BUF_NO_LIMIT);
  mp_buf_init(&text, MP_BUF_NO_LIMIT);
  code = mp_store_seal(store, &seal, err);
  if (code == MP_OK && seal.len > 0) {
    mp_buf_add_char(&seal, '\0');
    code = seal.failed == MP_OK ? mp_unseal(sealer, "seal", seal.data, &text, err)
                                : mp_fail(err, seal.failed, "out of memory");
  } else if (code == MP_OK) {
    code = mp_secret_set(store, sealer, err);
  }
  mp_buf_free(&seal);
  mp_buf_free(&text);
  return code;
}

/* ---- texts ---------------------------------------------------------------------------------- */

static mp_code end(mp_code code, mp_buf *out, mp_error *err) {
  mp_buf_add_char(out, '\0');
  if (code == MP_OK && out->failed != MP_OK) return mp_fail(err, out->failed, "out of memory");
  return code;
}

mp_code mp_secret_hide_webhook(mp_sealer *sealer, const char *name, const char *text, mp_buf *out,
                               mp_error *err) {
  mp_buf_reset(out);
  return end(mp_seal(sealer, name, text, strlen(text), out, err), out, err);
}

mp_code mp_secret_show_webhook(mp_sealer *sealer, const char *name, const char *sealed, mp_buf *out,
                               mp_error *err) {
  mp_buf_reset(out);
  return end(mp_unseal(sealer, name, sealed, out, err), out, err);
}

mp_code mp_secret_hide_event(mp_sealer *sealer, int64_t id, const char *text, mp_buf *out,
                             mp_error *err) {
  char name[MP_EVENT_ID_SIZE];
  mp_event_id_format(id, name);
  return mp_secret_hide_webhook(sealer, name, text, out, err);
}

mp_code mp_secret_show_event(mp_sealer *sealer, int64_t id, const char *sealed, mp_buf *out,
                             mp_error *err) {
  char name[MP_EVENT_ID_SIZE];
  mp_event_id_format(id, name);
  return mp_secret_show_webhook(sealer, name, sealed, out, err);
}
