/* Webhook URLs, checked with libcurl's own parser: the same that will dial them. */
#ifndef MP_HTTP_URL_H
#define MP_HTTP_URL_H

#include "base/error.h"
#include "http/netguard.h"

/* Is this an absolute http or https URL with a host, at most 2048 bytes, without control characters
 * or spaces? MP_EINVAL names what is wrong and quotes the URL without its userinfo. */
mp_code mp_url_check(const char *url, mp_error *err);

/* Where a request for a URL that passed the check goes, or one to a proxy. MP_EINVAL: to a host
 * whose name is too long to be one; MP_ENOMEM. */
mp_code mp_url_place(const char *url, mp_place *out, mp_error *err);

/* May it go there, as far as that can be said without a resolver? MP_EINVAL says why not. */
mp_code mp_url_guard(const char *url, const mp_netguard *guard, mp_error *err);

#endif
