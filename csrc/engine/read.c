/* The values of a webhook's definition. Pure; any thread. */
#include "engine/read.h"

#include <stdlib.h>
#include <string.h>

#include "payload/number.h"

bool mp_read_is(mp_span key, const char *name) {
  return key.len == strlen(name) && memcmp(key.data, name, key.len) == 0;
}

bool mp_read_no_memory(mp_json *j) {
  mp_json_fail(j, "out of memory");
  j->err->code = MP_ENOMEM;
  return false;
}

mp_code mp_read_failure(const mp_error *why, mp_error *err) {
  return mp_fail(err, why->code == MP_ENOMEM ? MP_ENOMEM : MP_EINVAL, "%s", why->message);
}

bool mp_read_string(mp_json *j, char **out) {
  mp_buf text;
  bool ok;

  mp_buf_init(&text, MP_BUF_NO_LIMIT);
  ok = mp_json_string(j, &text);
  if (ok && text.len > 0 && memchr(text.data, '\0', text.len)) ok = mp_json_fail(j, "a NUL");
  mp_buf_add_char(&text, '\0');
  if (ok && text.failed != MP_OK) ok = mp_read_no_memory(j);
  if (ok) {
    free(*out);
    *out = mp_buf_take(&text, NULL);
  }
  mp_buf_free(&text);
  return ok;
}

bool mp_read_number(mp_json *j, double least, double most, double *out) {
  mp_span raw;
  char text[32];

  *out = 0;
  if (mp_json_type_of(j) != MP_JSON_NUMBER) return mp_json_fail(j, "expected a number");
  if (!mp_json_scalar(j, &raw)) return false;
  if (raw.len >= sizeof text) return mp_json_fail(j, "a number that is too long");
  memcpy(text, raw.data, raw.len);
  text[raw.len] = '\0';
  if (!mp_number_read(text, out)) return mp_json_fail(j, "expected a number");
  if (*out < least || *out > most) {
    return mp_json_fail(j, "expected a number between %g and %g", least, most);
  }
  return true;
}

bool mp_read_milliseconds(mp_json *j, int64_t *out) {
  double seconds;
  if (!mp_read_number(j, 0.001, MP_READ_MAX_SECONDS, &seconds)) return false;
  *out = (int64_t)(seconds * 1000 + 0.5);
  return true;
}

bool mp_read_list(mp_json *j) {
  if (mp_json_type_of(j) != MP_JSON_ARRAY) return mp_json_fail(j, "expected a list");
  return mp_json_begin_array(j);
}

bool mp_read_object(mp_json *j) {
  if (mp_json_type_of(j) != MP_JSON_OBJECT) return mp_json_fail(j, "expected an object");
  return mp_json_begin_object(j);
}

bool mp_read_strings(mp_json *j, char ***list, size_t *count) {
  if (!mp_read_list(j)) return false;
  while (mp_json_next_element(j)) {
    char **longer = realloc(*list, (*count + 1) * sizeof *longer);
    if (!longer) return mp_read_no_memory(j);
    *list = longer;
    longer[*count] = NULL;
    if (!mp_read_string(j, &longer[*count])) return false;
    ++*count;
  }
  return !j->failed;
}

bool mp_read_word(mp_json *j, const char *const *words, int *out) {
  char *text = NULL;
  bool ok = mp_json_type_of(j) == MP_JSON_STRING ? mp_read_string(j, &text)
                                                 : mp_json_fail(j, "expected a string");

  for (*out = 0; ok && words[*out] && strcmp(words[*out], text) != 0;)
    ++*out;
  if (ok && !words[*out]) ok = mp_json_fail(j, "expected another word than '%s'", text);
  free(text);
  return ok;
}
