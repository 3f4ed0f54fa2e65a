/* Rekeying a store: a transaction of its own, on the caller's thread, with no engine. */
#include "engine/rekey.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.h"
#include "crypto/key.h"
#include "engine/secret.h"

typedef struct rekeying {
  mp_store *store;
  mp_sealer *old;
  mp_sealer *new;
  mp_buf plain;
  mp_buf sealed;
  mp_rekeyed done;
} rekeying;

/* ---- the store ------------------------------------------------------------------------------ */

static mp_code reseal(void *arg, const mp_sealed_text *text, const char **out, mp_error *err) {
  rekeying *r = arg;
  mp_code code;

  if (text->webhook) {
    code = mp_secret_show_webhook(r->old, text->webhook, text->sealed, &r->plain, err);
    if (code == MP_OK) {
      code = mp_secret_hide_webhook(r->new, text->webhook, r->plain.data, &r->sealed, err);
    }
    r->done.webhooks++;
  } else {
    code = mp_secret_show_event(r->old, text->event_id, text->sealed, &r->plain, err);
    if (code == MP_OK) {
      code = mp_secret_hide_event(r->new, text->event_id, r->plain.data, &r->sealed, err);
    }
    r->done.texts++;
  }
  *out = r->sealed.data;
  return code;
}

typedef struct open_engine {
  int64_t pid; /* of one that is open; 0: none */
  char host[MP_HOST_SIZE];
} open_engine;

static mp_code note_engine(void *arg, int64_t id, const mp_engine_identity *who, mp_error *err) {
  open_engine *o = arg;
  (void)id;
  (void)err;
  o->pid = who->pid;
  snprintf(o->host, sizeof o->host, "%s", who->host ? who->host : "?");
  return MP_OK;
}

/* An engine that has the store open would go on sealing with the old key. */
static mp_code check_alone(rekeying *r, const char *name, mp_error *err) {
  open_engine open = {0};
  char host[MP_HOST_SIZE];
  int64_t released;
  mp_code code;

  mp_host_name(host);
  code = mp_store_engine_reap(r->store, 0, host, 0, INT64_MAX, &released, err);
  if (code == MP_OK) code = mp_store_engines(r->store, note_engine, &open, err);
  if (code != MP_OK || open.pid == 0) return code;
  return mp_fail(err, MP_EBUSY, "%s: it is open (pid %lld on %s): stop what uses it first", name,
                 (long long)open.pid, open.host);
}

static mp_code transact(rekeying *r, const char *name, mp_error *err) {
  mp_code code = mp_store_begin(r->store, err);

  if (code == MP_OK) code = check_alone(r, name, err);
  if (code == MP_OK) code = mp_store_reseal(r->store, reseal, r, err);
  if (code == MP_OK) code = mp_secret_set(r->store, r->new, err);
  if (code == MP_OK) code = mp_store_commit(r->store, err);
  if (code != MP_OK) mp_store_rollback(r->store);
  return code;
}

/* ---- the key -------------------------------------------------------------------------------- */

static mp_code new_key(const mp_settings *s, const char *text, unsigned char key[MP_SEAL_KEY_SIZE],
                       mp_error *err) {
  if (text) return mp_key_parse(text, "the new key", key, err);
  if (!s->key) return mp_key_new(key, err);
  return mp_fail(err, MP_EINVAL,
                 "the store's key is in MOONPOST_KEY: a new one is expected in MOONPOST_NEW_KEY");
}

/* Without a file of its own the key is the operator's to keep. */
static mp_code write_beside(const mp_settings *s, const unsigned char key[MP_SEAL_KEY_SIZE],
                            char **path, mp_error *err) {
  if (s->key) return MP_OK;
  if (asprintf(path, "%s" MP_NEW_KEY_SUFFIX, s->key_file) < 0) {
    *path = NULL;
    return mp_fail(err, MP_ENOMEM, "out of memory");
  }
  unlink(*path); /* of a rekeying that failed: the store's open saw that it is not the store's */
  return mp_key_write(*path, key, err);
}

static mp_code rekey(const mp_settings *s, rekeying *r, const char *text, mp_error *err) {
  unsigned char key[MP_SEAL_KEY_SIZE];
  char *beside = NULL;
  mp_code code = new_key(s, text, key, err);

  if (code == MP_OK) code = mp_sealer_new(key, &r->new, err);
  if (code == MP_OK) code = write_beside(s, key, &beside, err);
  mp_key_wipe(key);
  if (code == MP_OK) {
    code = transact(r, s->store, err);
    if (code != MP_OK && beside) unlink(beside);
  }
  if (code == MP_OK && beside && rename(beside, s->key_file) != 0) {
    code = mp_fail(err, MP_EIO, "the store has its new key, in %s; moving it to %s: %s", beside,
                   s->key_file, strerror(errno));
  }
  free(beside);
  return code;
}

mp_code mp_engine_rekey(const mp_settings *settings, const char *key, mp_rekeyed *out,
                        mp_error *err) {
  rekeying r = {0};
  struct stat st;
  mp_code code;

  if (strcmp(settings->store, ":memory:") == 0) {
    return mp_fail(err, MP_EINVAL, "a store in memory has no key to change");
  }
  if (stat(settings->store, &st) != 0) {
    return mp_fail(err, MP_ENOENT, "%s: there is no store", settings->store);
  }
  mp_buf_init(&r.plain, MP_BUF_NO_LIMIT);
  mp_buf_init(&r.sealed, MP_BUF_NO_LIMIT);
  code = mp_store_open(settings->store, &r.store, err);
  if (code == MP_OK) code = mp_secret_open(settings, r.store, &r.old, err);
  if (code == MP_OK) code = rekey(settings, &r, key, err);
  *out = r.done;
  mp_sealer_free(r.old);
  mp_sealer_free(r.new);
  mp_buf_free(&r.plain);
  mp_buf_free(&r.sealed);
  mp_store_close(r.store);
  return code;
}
