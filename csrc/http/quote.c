/* Quoting for error texts, so that a text never carries a line break, a NUL or broken UTF-8 to a
 * log or a terminal. No state; callable from any thread. */
#include "http/quote.h"

#include <stdio.h>
#include <string.h>

#define ESCAPE 4 /* \xNN */
#define DOTS   3

static size_t quoted_size(char c) {
  return c >= 0x20 && c < 0x7f ? 1 : ESCAPE;
}

const char *mp_quote(const char *bytes, size_t len, char *out, size_t size) {
  size_t room = size - 1;
  size_t whole = 0, used = 0;

  for (size_t i = 0; i < len && whole <= room; i++)
    whole += quoted_size(bytes[i]);
  if (whole > room) room -= DOTS;
  for (size_t i = 0; i < len && used + quoted_size(bytes[i]) <= room; i++) {
    if (quoted_size(bytes[i]) == 1)
      out[used] = bytes[i];
    else
      snprintf(out + used, ESCAPE + 1, "\\x%02x", (unsigned char)bytes[i]);
    used += quoted_size(bytes[i]);
  }
  strcpy(out + used, whole > size - 1 ? "..." : "");
  return out;
}
