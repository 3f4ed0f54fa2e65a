/* A locale whose decimal point is a comma, as a host may have set. CMakeLists.txt makes it in the
 * build folder; the system's are left alone. */
#ifndef MP_TEST_COMMA_LOCALE_H
#define MP_TEST_COMMA_LOCALE_H

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* cmocka.h needs those above it. */
#include <cmocka.h>

/* Sets it until leave_comma_locale; skips the test where it could not be made. */
static inline void enter_comma_locale(void) {
  setenv("LOCPATH", MP_TEST_LOCALES, 1);
  if (!setlocale(LC_ALL, "de_DE.UTF-8")) skip();
  assert_string_equal(localeconv()->decimal_point, ",");
}

static inline void leave_comma_locale(void) {
  setlocale(LC_ALL, "C");
  unsetenv("LOCPATH");
}

#endif
