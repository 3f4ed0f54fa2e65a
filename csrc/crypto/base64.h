/* Base64 with padding (RFC 4648 section 4). Pure; any thread. */
#ifndef MP_CRYPTO_BASE64_H
#define MP_CRYPTO_BASE64_H

#include <stdbool.h>

#include "base/buf.h"

void mp_base64_add(mp_buf *out, const unsigned char *bytes, size_t len);

/* False, with out as it was or holding a part, when the text is not canonical base64. */
bool mp_base64_decode(mp_buf *out, const char *text, size_t len);

#endif
