/* The one error convention of the C core: a function that can fail returns an mp_code and, where
 * the caller passed an mp_error, leaves there a sentence that names the thing that was wrong. */
#ifndef MP_BASE_ERROR_H
#define MP_BASE_ERROR_H

typedef enum mp_code {
  MP_OK = 0,
  MP_EINVAL,     /* the caller's input is wrong */
  MP_EPRIVATE,   /* users are never sent */
  MP_E2BIG,      /* over a size limit */
  MP_EAGAIN,     /* the inbox is full: try again later */
  MP_ENOENT,     /* no such webhook, delivery or event */
  MP_EROFS,      /* read-only: the webhook is kept in the config */
  MP_ENOMEM,     /* out of memory */
  MP_ENOSPC,     /* the disk is full */
  MP_EIO,        /* the store could not be read or written */
  MP_EBUSY,      /* the store is locked by another process, or open here with other settings */
  MP_ECHANGED,   /* the webhook was changed since it was read: read it again */
  MP_ECORRUPT,   /* the store's file is damaged, or not a store */
  MP_EVERSION,   /* the store was written by a newer moonpost */
  MP_EKEY,       /* the store's secrets are sealed with another key, or it is not readable */
  MP_ETIMEDOUT,  /* the time the caller gave has passed */
  MP_ECLOSED,    /* used after close */
  MP_EFORK,      /* used in a process that did not open it */
  MP_ESIGNATURE, /* no signature is right */
  MP_EEXPIRED,   /* what was signed is too old, or of the future */
  MP_CODE_COUNT
} mp_code;

typedef struct mp_error {
  mp_code code;
  char message[512];
} mp_error;

/* The code's name as Lua callers see it ("EINVAL"). */
const char *mp_code_name(mp_code code);

/* A general sentence for the code, for places that have nothing more exact to say. */
const char *mp_strerror(mp_code code);

/* Fills err (which may be NULL) and returns code, so that a failure is one statement. */
mp_code mp_fail(mp_error *err, mp_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
