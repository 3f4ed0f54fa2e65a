/* Reading a webhook's definition: one value each, checked, over the JSON reader. All are false,
 * with the reader failed, when the value is another. */
#ifndef MP_ENGINE_READ_H
#define MP_ENGINE_READ_H

#include "payload/json_reader.h"

#define MP_READ_MAX_SECONDS (30.0 * 24 * 60 * 60)

bool mp_read_is(mp_span key, const char *name);

/* A string without NULs, malloc'd; frees what was there before. */
bool mp_read_string(mp_json *j, char **out);
bool mp_read_number(mp_json *j, double least, double most, double *out);
bool mp_read_milliseconds(mp_json *j, int64_t *out); /* from seconds, up to the most */

/* Begins a list, or an object; their elements are the caller's to read. */
bool mp_read_list(mp_json *j);
bool mp_read_object(mp_json *j);

/* A list of strings, onto the end of *list, whose strings and array the caller frees. */
bool mp_read_strings(mp_json *j, char ***list, size_t *count);

/* The index of the string among the words (NULL ends them). */
bool mp_read_word(mp_json *j, const char *const *words, int *out);

bool mp_read_no_memory(mp_json *j); /* fails the reader; always false */

/* What a reader's failure means to who reads a definition: it is wrong (MP_EINVAL), or there was no
 * memory to read it. */
mp_code mp_read_failure(const mp_error *why, mp_error *err);

#endif
