/* Header fields: names and values, each ended by a NUL, go into the defaults or the webhook's own,
 * as far as the check lets them, and are merged. What comes out has each name once, no reserved
 * one, nothing that ends a line, and the two forced fields. */
#include "fuzz/fuzz.h"
#include "http/headers.h"

#define MOST 40

static bool is_clean(const char *text) {
  return strpbrk(text, "\r\n") == NULL;
}

static void fill(fuzz_input *in, mp_headers *lists) {
  for (int i = 0; i < MOST && in->size > 0; i++) {
    unsigned which = fuzz_choose(in, 2);
    char *name = fuzz_text(in), *value = fuzz_text(in);
    mp_error err;
    if (mp_header_check("fuzz", name, strlen(name), value, strlen(value), &err) == MP_OK) {
      must(name[0] != '\0' && is_clean(name) && is_clean(value) && !strpbrk(name, ": \t"));
      must(mp_headers_set(&lists[which], name, value, &err) == MP_OK);
    } else {
      must(err.code == MP_EINVAL && err.message[0] != '\0' && is_clean(err.message));
    }
    free(name);
    free(value);
  }
}

static void check_merged(const mp_headers *merged, const char *event) {
  for (size_t i = 0; i < merged->count; i++) {
    const mp_header *h = &merged->items[i];
    must(is_clean(h->name) && is_clean(h->value) && !mp_header_reserved(h->name));
    must(h->value[0] != ' ' && h->value[0] != '\t');
    for (size_t k = 0; k < i; k++) {
      const char *other = merged->items[k].name;
      must(mp_header_name_compare(h->name, strlen(h->name), other, strlen(other)) != 0);
    }
  }
  event += strspn(event, " \t"); /* white space around a value is no part of it */
  must(strncmp(mp_headers_get(merged, "x-strapi-EVENT"), event, strcspn(event, " \t")) == 0);
  must(strcmp(mp_headers_get(merged, "CONTENT-type"), "application/json") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_input in = {data, size};
  mp_headers lists[2], merged;
  mp_error err;
  char *event;
  mp_code code;

  mp_headers_init(&lists[0]);
  mp_headers_init(&lists[1]);
  mp_headers_init(&merged);
  event = fuzz_text(&in);
  fill(&in, lists);
  code = mp_headers_merge(&lists[0], &lists[1], event, &merged, &err);
  if (code == MP_OK)
    check_merged(&merged, event);
  else
    must(code == MP_E2BIG || (code == MP_EINVAL && err.message[0] != '\0'));
  free(event);
  mp_headers_free(&lists[0]);
  mp_headers_free(&lists[1]);
  mp_headers_free(&merged);
  return 0;
}
