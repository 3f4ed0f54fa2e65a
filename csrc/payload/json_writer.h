/* Writing JSON tokens, compact and as ECMAScript's JSON.stringify writes them. Commas are the caller's.
 * No state; any thread. */
#ifndef MP_PAYLOAD_JSON_WRITER_H
#define MP_PAYLOAD_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* A string with its quotes. Control characters, the quote and the backslash are escaped, everything
 * else is written raw. False, with nothing usable written, when the bytes are not UTF-8. */
bool mp_json_add_string(mp_buf *out, const char *s, size_t len);

void mp_json_add_integer(mp_buf *out, int64_t value);

/* A finite number in ECMAScript's form (Number::toString): the fewest digits that read back the same, no ".0",
 * an exponent from 1e21 on and below 1e-6; -0 is 0. */
void mp_json_add_double(mp_buf *out, double value);

#endif
