/* TLS options of a webhook. Store thread. */
#include "engine/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/certificate.h"
#include "engine/read.h"

static bool read_path(mp_json *j, const char *folder, char **out) {
  char *path = NULL, *whole = NULL;

  if (!mp_read_string(j, &path)) return false;
  if (path[0] == '/' || !folder) {
    free(*out);
    *out = path;
    return true;
  }
  if (asprintf(&whole, "%s/%s", folder, path) < 0) whole = NULL;
  free(path);
  if (!whole) return mp_read_no_memory(j);
  free(*out);
  *out = whole;
  return true;
}

static bool read_flag(mp_json *j, bool *out) {
  mp_span raw;

  if (mp_json_type_of(j) != MP_JSON_TRUE && mp_json_type_of(j) != MP_JSON_FALSE)
    return mp_json_fail(j, "expected a boolean");
  *out = mp_json_type_of(j) == MP_JSON_TRUE;
  return mp_json_scalar(j, &raw);
}

static bool read_option(mp_json *j, const char *folder, mp_span key, mp_tls *tls) {
  static const char *const versions[] = {"1.2", "1.3", NULL};
  int version;

  if (mp_read_is(key, "ca")) return read_path(j, folder, &tls->ca);
  if (mp_read_is(key, "cert")) return read_path(j, folder, &tls->cert);
  if (mp_read_is(key, "key")) return read_path(j, folder, &tls->key);
  if (mp_read_is(key, "pin")) return mp_read_string(j, &tls->pin);
  if (mp_read_is(key, "insecure")) return read_flag(j, &tls->insecure);
  if (mp_read_is(key, "minVersion")) {
    if (!mp_read_word(j, versions, &version)) return false;
    tls->only_1_3 = version == 1;
    return true;
  }
  return mp_json_skip(j, NULL);
}

bool mp_tls_read(mp_json *j, const char *folder, mp_tls *tls) {
  mp_span key;

  if (!mp_read_object(j)) return false;
  tls->configured = true;
  while (mp_json_next_key(j, &key)) {
    if (!read_option(j, folder, key, tls)) return false;
  }
  return !j->failed;
}

mp_code mp_tls_check(const mp_tls *tls, mp_error *err) {
  return mp_certificate_check("webhook.tls", tls->ca, tls->cert, tls->key, err);
}
