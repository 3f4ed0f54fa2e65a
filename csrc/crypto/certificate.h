/* The PEM files of a client certificate and of CAs, looked at before they are used. */
#ifndef MP_CRYPTO_CERTIFICATE_H
#define MP_CRYPTO_CERTIFICATE_H

#include "base/error.h"

/* Is there a certificate in each of ca and cert, and in key (NULL: in cert) the private key of
 * cert's first? Each may be NULL. where names them in messages ("webhook.tls"), which show nothing
 * of what is in the files. Reads them; does not wait for one that is no regular file. MP_EINVAL,
 * MP_ENOMEM. */
mp_code mp_certificate_check(const char *where, const char *ca, const char *cert, const char *key,
                             mp_error *err);

#endif
