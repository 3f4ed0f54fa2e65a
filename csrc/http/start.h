/* Starting libcurl. */
#ifndef MP_HTTP_START_H
#define MP_HTTP_START_H

#include <curl/curl.h>

#include "base/error.h"

/* Once in a process, whoever asks. Never undone: the host may use libcurl too. A failure is not for
 * ever. Any thread. MP_ENOMEM, MP_EIO. */
mp_code mp_curl_start(mp_error *err);

/* What libcurl was built with, after mp_curl_start: libcurl's own call writes texts each time. */
const curl_version_info_data *mp_curl_built(void);

#endif
