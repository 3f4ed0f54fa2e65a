/* Numbers as text, and from it.
 *
 * A double is written by ECMAScript 2023 section 6.1.6.1.20 (Number::toString): of the decimals
 * that read back as it those with the fewest digits, and of these the nearest. Integers and
 * decimals of up to 15 digits, which is what prices and coordinates are, need no more than a
 * division; the rest asks libc, in forms that have no decimal point or skip it, for a point is the
 * locale's. */
#include "payload/number.h"

#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_INTEGERS 9007199254740992.0 /* 2^53: every integer below is a double */
#define MOST_DIGITS    17                 /* of a shortest decimal (DBL_DECIMAL_DIG) */
#define SAFE_DIGITS    15 /* decimals of so many are distinct as doubles (DBL_DIG) */

/* digits times ten to the exponent; no trailing zeros. */
typedef struct decimal {
  uint64_t digits;
  int exponent;
} decimal;

static size_t format_digits(char text[20], uint64_t value) {
  char reversed[20];
  size_t n = 0;

  do {
    reversed[n++] = (char)('0' + value % 10);
    value /= 10;
  } while (value != 0);
  for (size_t i = 0; i < n; i++)
    text[i] = reversed[n - 1 - i];
  return n;
}

void mp_number_add_integer(mp_buf *out, int64_t value) {
  char text[21] = {'-'};
  size_t sign = value < 0;
  uint64_t v = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

  mp_buf_add(out, text, sign + format_digits(text + sign, v));
}

/* Is value a decimal of up to 15 digits with a fraction? As both numbers are exact, the quotient is
 * the double that the decimal reads as; as a decimal so short is the only one near value, the first
 * that is found is the shortest. */
static bool short_fraction(double value, decimal *d) {
  static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

  if (value < 1e-5 || value >= powers[SAFE_DIGITS]) return false;
  for (int i = 1; i <= SAFE_DIGITS; i++) {
    double digits = floor(value * powers[i] + 0.5);
    if (digits >= powers[SAFE_DIGITS]) return false;
    if (digits / powers[i] == value) {
      *d = (decimal){(uint64_t)digits, -i};
      return true;
    }
  }
  return false;
}

static bool reads_as(const decimal *d, double value) {
  char text[32];
  snprintf(text, sizeof text, "%" PRIu64 "e%d", d->digits, d->exponent);
  return strtod(text, NULL) == value;
}

/* The decimal of so many digits that is nearest to value. */
static decimal nearest(double value, int precision) {
  decimal d = {0, 0};
  char text[40];

  snprintf(text, sizeof text, "%.*e", precision - 1, value);
  for (const char *p = text; *p != 'e'; p++) {
    if (*p >= '0' && *p <= '9') d.digits = d.digits * 10 + (uint64_t)(*p - '0');
  }
  d.exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10) - (precision - 1);
  return d;
}

/* value > 0 */
static decimal shortest(double value) {
  int exponent, precision = value < DBL_MIN ? 1 : SAFE_DIGITS;
  bool at_power = frexp(value, &exponent) == 0.5;
  decimal d;

  if (short_fraction(value, &d)) return d;
  for (;; precision++) {
    d = nearest(value, precision);
    if (precision == MOST_DIGITS || reads_as(&d, value)) break;
    /* Above a power of two doubles lie twice as far apart as below it: the decimal above may read
     * back though a nearer one below does not. */
    if (at_power) {
      d.digits++;
      if (reads_as(&d, value)) break;
    }
  }
  for (; d.digits % 10 == 0; d.exponent++)
    d.digits /= 10;
  return d;
}

static void add_zeros(mp_buf *out, int count) {
  while (count-- > 0)
    mp_buf_add_char(out, '0');
}

void mp_number_add_double(mp_buf *out, double value) {
  decimal d;
  char text[20];
  int n, point; /* digits, and how many of them stand before the point */

  if (fabs(value) < EXACT_INTEGERS && value == floor(value)) {
    mp_number_add_integer(out, (int64_t)value);
    return;
  }
  if (value < 0) mp_buf_add_char(out, '-');
  d = shortest(fabs(value));
  n = (int)format_digits(text, d.digits);
  point = n + d.exponent;
  if (point > 21 || point < -5) {
    mp_buf_add_char(out, text[0]);
    if (n > 1) mp_buf_add_char(out, '.');
    mp_buf_add(out, text + 1, (size_t)n - 1);
    mp_buf_add_format(out, "e%+d", point - 1);
  } else if (point <= 0) {
    mp_buf_add(out, "0.", 2);
    add_zeros(out, -point);
    mp_buf_add(out, text, (size_t)n);
  } else if (point >= n) {
    mp_buf_add(out, text, (size_t)n);
    add_zeros(out, point - n);
  } else {
    mp_buf_add(out, text, (size_t)point);
    mp_buf_add_char(out, '.');
    mp_buf_add(out, text + point, (size_t)(n - point));
  }
}

bool mp_number_read(const char *text, double *out) {
  locale_t plain, before;
  char *end;

  if (text[0] == '\0' || text[strspn(text, "+-.0123456789eE")] != '\0') return false;
  plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  before = plain ? uselocale(plain) : (locale_t)0;
  *out = strtod(text, &end);
  if (plain) {
    uselocale(before);
    freelocale(plain);
  }
  return end != text && *end == '\0';
}
