/* Reading a webhook's TLS options from its definition. */
#ifndef MP_ENGINE_TLS_H
#define MP_ENGINE_TLS_H

#include "http/tls.h"
#include "payload/json_reader.h"

/* { "ca", "cert", "key": paths, "pin": "sha256//...", "minVersion": "1.2" | "1.3", "insecure": bool
 * }, each optional. Paths are relative to the folder (NULL: to the process's). */
bool mp_tls_read(mp_json *j, const char *folder, mp_tls *tls);

/* Are its files there, and what they should be? Reads the disk. MP_EINVAL, MP_ENOMEM. */
mp_code mp_tls_check(const mp_tls *tls, mp_error *err);

#endif
