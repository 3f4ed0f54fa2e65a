/* Showing bytes that came from outside in an error text. */
#ifndef MP_HTTP_QUOTE_H
#define MP_HTTP_QUOTE_H

#include <stddef.h>

#define MP_QUOTE_SIZE 200 /* room for what is worth reading of a name or a URL */

/* Copies bytes to out (size bytes, NUL-terminated) and returns out: printable ASCII as it is,
 * anything else as \xNN, and "..." at the end of what did not fit. size is at least 8. */
const char *mp_quote(const char *bytes, size_t len, char *out, size_t size);

#endif
