/* What the reader's two halves share: json_reader.c walks objects and arrays, json_scalar.c reads
 * what stands in them. For those two alone. */
#ifndef MP_PAYLOAD_JSON_TOKEN_H
#define MP_PAYLOAD_JSON_TOKEN_H

#include "payload/json_reader.h"

static inline void mp_json_skip_space(mp_json *j) {
  while (j->at < j->len) {
    char c = j->text[j->at];
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
    j->at++;
  }
}

/* Fails the reader. Always false. */
bool mp_json_no_memory(mp_json *j);

/* Is the value of that type? Else the reader fails. */
bool mp_json_at_type(mp_json *j, mp_json_type expected);

/* A string, from its quote on. Decodes onto out, when there is one; says whether it had escapes. */
bool mp_json_read_string(mp_json *j, mp_buf *out, bool *escaped);

#endif
