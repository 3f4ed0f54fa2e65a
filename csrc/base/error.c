/* Error codes and their names. No state; callable from any thread. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
  const char *name;
  const char *text;
} codes[MP_CODE_COUNT] = {
    [MP_OK] = {"OK", "no error"},
    [MP_EINVAL] = {"EINVAL", "invalid argument"},
    [MP_EPRIVATE] = {"EPRIVATE", "users are never sent"},
    [MP_E2BIG] = {"E2BIG", "too large"},
    [MP_EAGAIN] = {"EAGAIN", "inbox full"},
    [MP_ENOENT] = {"ENOENT", "not found"},
    [MP_EROFS] = {"EROFS", "read-only"},
    [MP_ENOMEM] = {"ENOMEM", "out of memory"},
    [MP_ENOSPC] = {"ENOSPC", "the disk is full"},
    [MP_EIO] = {"EIO", "input/output error"},
    [MP_EBUSY] = {"EBUSY", "busy"},
    [MP_ECHANGED] = {"ECHANGED", "changed meanwhile"},
    [MP_ECORRUPT] = {"ECORRUPT", "damaged store"},
    [MP_EVERSION] = {"EVERSION", "store of a newer version"},
    [MP_EKEY] = {"EKEY", "wrong key"},
    [MP_ETIMEDOUT] = {"ETIMEDOUT", "timeout"},
    [MP_ECLOSED] = {"ECLOSED", "closed"},
    [MP_EFORK] = {"EFORK", "opened in another process"},
    [MP_ESIGNATURE] = {"ESIGNATURE", "wrong signature"},
    [MP_EEXPIRED] = {"EEXPIRED", "expired"},
};

const char *mp_code_name(mp_code code) {
  return (unsigned)code < MP_CODE_COUNT ? codes[code].name : "EUNKNOWN";
}

const char *mp_strerror(mp_code code) {
  return (unsigned)code < MP_CODE_COUNT ? codes[code].text : "unknown error";
}

mp_code mp_fail(mp_error *err, mp_code code, const char *format, ...) {
  if (err) {
    va_list args;
    err->code = code;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
  }
  return code;
}
