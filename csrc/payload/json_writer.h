/* Writing JSON strings, as ECMAScript's JSON.stringify writes them. Numbers are in number.h; commas
 * and brackets are the caller's. No state; any thread. */
#ifndef MP_PAYLOAD_JSON_WRITER_H
#define MP_PAYLOAD_JSON_WRITER_H

#include <stdbool.h>

#include "base/buf.h"

/* A string with its quotes. Control characters, the quote and the backslash are escaped, everything
 * else is written raw. False, with nothing usable written, when the bytes are not UTF-8. */
bool mp_json_add_string(mp_buf *out, const char *s, size_t len);

#endif
