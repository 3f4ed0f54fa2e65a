/* TLS options and failures in libcurl's terms, for client.c. */
#ifndef MP_HTTP_TLS_HANDLE_H
#define MP_HTTP_TLS_HANDLE_H

#include <curl/curl.h>
#include <stddef.h>

#include "http/tls.h"

#define MP_TLS_REASON 512 /* room for a reason */

/* Sets an easy handle, whatever it was set to before. False: out of memory. */
bool mp_tls_apply(const mp_tls *tls, CURL *easy);

/* What a failure means where TLS failed: a sentence that names the reason, and libcurl's own text.
 * NULL: it was not TLS. */
const char *mp_tls_reason(CURLcode code, const char *text, char *out, size_t size);

#endif
