/* Webhook URLs, checked with libcurl's own parser: the same that will dial them. */
#ifndef MP_HTTP_URL_H
#define MP_HTTP_URL_H

#include "base/error.h"

/* Is this an absolute http or https URL with a host, at most 2048 bytes, without control characters
 * or spaces? MP_EINVAL names what is wrong and quotes the URL without its userinfo. */
mp_code mp_url_check(const char *url, mp_error *err);

#endif
