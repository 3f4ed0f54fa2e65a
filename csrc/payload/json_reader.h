/* Reading JSON (RFC 8259) from a text in memory, value by value, without building a tree.
 *
 * A reader stands before a value. mp_json_type_of says which; then exactly one of the functions
 * below reads it. The first error is kept: everything after it answers false, and err has the
 * place, as a path from root and a byte of the text, counted from 1. Refused besides what the
 * grammar refuses: duplicate keys, lone surrogates, invalid UTF-8, nesting over MP_JSON_MAX_DEPTH.
 * One reader, one thread. */
#ifndef MP_PAYLOAD_JSON_READER_H
#define MP_PAYLOAD_JSON_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define MP_JSON_MAX_DEPTH 100

typedef struct mp_span {
  const char *data;
  size_t len;
} mp_span;

typedef enum mp_json_type {
  MP_JSON_NONE, /* an error, or nothing is there */
  MP_JSON_NULL,
  MP_JSON_TRUE,
  MP_JSON_FALSE,
  MP_JSON_NUMBER,
  MP_JSON_STRING,
  MP_JSON_ARRAY,
  MP_JSON_OBJECT
} mp_json_type;

typedef struct mp_json_key {
  uint32_t hash;
  bool decoded; /* it had escapes: it is in the names buffer, not in the text */
  size_t name;  /* where it begins in one or the other */
  size_t len;
  size_t at; /* where it stands in the text, for the error */
} mp_json_key;

typedef struct mp_json_frame {
  bool object;
  bool first;   /* no element was read yet */
  mp_span key;  /* object: the present key as written, for the path; data NULL: none yet */
  size_t index; /* array: the present element, from 1 */
  size_t keys;  /* where its keys begin */
  size_t names; /* where its decoded keys begin */
} mp_json_frame;

typedef struct mp_json {
  const char *text;
  size_t len;
  size_t at;
  const char *root;
  mp_error *err;
  bool failed;
  bool peeking; /* duplicate keys are left to another reader */
  int depth;
  mp_json_frame frames[MP_JSON_MAX_DEPTH];
  mp_json_key *keys; /* of all open objects, to find duplicates */
  size_t key_count;
  size_t key_cap;
  mp_buf names; /* decoded keys that had escapes */
} mp_json;

void mp_json_init(mp_json *j, const char *text, size_t len, const char *root, mp_error *err);
void mp_json_free(mp_json *j);

/* A second reader of the value that another one stands before, to look ahead. It reports no errors
 * and does not look for duplicate keys: the other one will. Has its own mp_json_free. */
void mp_json_peek(const mp_json *from, mp_json *peek);

mp_json_type mp_json_type_of(mp_json *j);

/* "a string", "null", for error texts. */
const char *mp_json_type_name(mp_json_type type);

/* Objects: begin, then next_key until it answers false, reading or skipping a value after each
 * true. The key is decoded, and valid until the next key of any object is read. */
bool mp_json_begin_object(mp_json *j);
bool mp_json_next_key(mp_json *j, mp_span *key);

bool mp_json_begin_array(mp_json *j);
bool mp_json_next_element(mp_json *j);

/* A scalar as it is written (a string with its quotes and escapes), checked. */
bool mp_json_scalar(mp_json *j, mp_span *raw);

/* A string, decoded onto out. MP_E2BIG when out's limit is passed. */
bool mp_json_string(mp_json *j, mp_buf *out);

/* A string, decoded: a part of the text when it has no escapes, else of scratch, whose content is
 * lost. */
bool mp_json_string_span(mp_json *j, mp_buf *scratch, mp_span *out);

/* Any value, checked and passed over; raw may be NULL. */
bool mp_json_skip(mp_json *j, mp_span *raw);

/* Nothing but space may follow. */
bool mp_json_end(mp_json *j);

/* Fails the reader here. Always false. */
bool mp_json_fail(mp_json *j, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
