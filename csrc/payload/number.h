/* Numbers as text, and from it. No state; any thread; whatever the process's locale is. */
#ifndef MP_PAYLOAD_NUMBER_H
#define MP_PAYLOAD_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

void mp_number_add_integer(mp_buf *out, int64_t value);

/* A finite number as ECMAScript's Number::toString writes it: the fewest digits that read back the
 * same, no
 * ".0", an exponent from 1e21 on and below 1e-6; -0 is 0. */
void mp_number_add_double(mp_buf *out, double value);

/* Reads the whole text as a decimal number: digits, a point, an exponent. False for anything else,
 * also for what strtod takes besides: space, hexadecimals, "inf" and "nan". What is too great for a
 * double is infinite. */
bool mp_number_read(const char *text, double *out);

#endif
