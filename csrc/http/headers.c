/* HTTP header fields: checking, ordered lists and the merge that decides what a webhook sends. No
 * state; callable from any thread, one owner of a list at a time.
 *
 * A list holds a name once, in any case: Strapi merges case-sensitively and so sends "X-A" and
 * "x-a" as two lines, which receivers join with a comma; moonpost keeps its order of precedence
 * only. */
#include "http/headers.h"

#include <stdlib.h>
#include <string.h>

#include "http/quote.h"

static unsigned char lower(char c) {
  return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

int mp_header_name_compare(const char *a, size_t a_len, const char *b, size_t b_len) {
  for (size_t i = 0; i < a_len && i < b_len; i++) {
    int difference = lower(a[i]) - lower(b[i]);
    if (difference != 0) return difference;
  }
  return (a_len > b_len) - (a_len < b_len);
}

static bool same_name(const char *a, const char *b) {
  return mp_header_name_compare(a, strlen(a), b, strlen(b)) == 0;
}

void mp_headers_init(mp_headers *h) {
  *h = (mp_headers){0};
}

void mp_headers_free(mp_headers *h) {
  for (size_t i = 0; i < h->count; i++) {
    free(h->items[i].name);
    free(h->items[i].value);
  }
  free(h->items);
  mp_headers_init(h);
}

static mp_header *find(const mp_headers *h, const char *name) {
  for (size_t i = 0; i < h->count; i++) {
    if (same_name(h->items[i].name, name)) return &h->items[i];
  }
  return NULL;
}

const char *mp_headers_get(const mp_headers *h, const char *name) {
  const mp_header *item = find(h, name);
  return item ? item->value : NULL;
}

/* The slot of a name, or a new empty one at the end. NULL: out of memory. */
static mp_header *slot_of(mp_headers *h, const char *name) {
  mp_header *item = find(h, name);

  if (item) return item;
  if (h->count == h->cap) {
    size_t cap = h->cap ? h->cap * 2 : 8;
    mp_header *items = realloc(h->items, cap * sizeof *items);
    if (!items) return NULL;
    h->items = items;
    h->cap = cap;
  }
  item = &h->items[h->count++];
  *item = (mp_header){0};
  return item;
}

mp_code mp_headers_set(mp_headers *h, const char *name, const char *value, mp_error *err) {
  size_t len;
  char *new_name, *new_value;
  mp_header *item;

  value += strspn(value, " \t");
  len = strlen(value);
  while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
    len--;

  new_name = strdup(name);
  new_value = strndup(value, len);
  item = new_name && new_value ? slot_of(h, name) : NULL;
  if (!item) {
    free(new_name);
    free(new_value);
    return mp_fail(err, MP_ENOMEM, "headers: out of memory");
  }
  free(item->name);
  free(item->value);
  *item = (mp_header){.name = new_name, .value = new_value};
  return MP_OK;
}

/* RFC 9110 section 5.6.2. */
static bool is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

mp_code mp_header_check(const char *where, const char *name, size_t name_len, const char *value,
                        size_t value_len, mp_error *err) {
  char quoted[MP_QUOTE_SIZE];

  if (name_len == 0) return mp_fail(err, MP_EINVAL, "%s['']: a header name is empty", where);
  mp_quote(name, name_len, quoted, sizeof quoted);
  for (size_t i = 0; i < name_len; i++) {
    if (!is_token_char(name[i])) {
      return mp_fail(err, MP_EINVAL,
                     "%s['%s']: not a valid header name "
                     "(letters, digits and !#$%%&'*+-.^_`|~ are allowed)",
                     where, quoted);
    }
  }
  for (size_t i = 0; i < value_len; i++) {
    unsigned char c = (unsigned char)value[i];
    if ((c < 0x20 && c != '\t') || c == 0x7f) {
      return mp_fail(err, MP_EINVAL,
                     "%s['%s']: not a valid header value "
                     "(a control character, 0x%02x, at byte %zu)",
                     where, quoted, c, i + 1);
    }
  }
  return MP_OK;
}

static bool has_prefix(const char *name, const char *prefix) {
  size_t len = strlen(prefix);
  return strlen(name) >= len && mp_header_name_compare(name, len, prefix, len) == 0;
}

bool mp_header_reserved(const char *name) {
  /* What frames the message or holds for one connection only (RFC 9110 sections 7.6.1 and 10.1.1).
   */
  static const char *const names[] = {"Host",  "Content-Length",    "Connection", "Keep-Alive",
                                      "TE",    "Transfer-Encoding", "Trailer",    "Upgrade",
                                      "Expect"};

  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (same_name(name, names[i])) return true;
  }
  return has_prefix(name, "webhook-") || has_prefix(name, "Proxy-");
}

bool mp_header_is_own(const char *name) {
  return mp_header_reserved(name) || same_name(name, "X-Strapi-Event") ||
         same_name(name, "Content-Type");
}

static mp_code add_all(mp_headers *out, const mp_headers *from, mp_error *err) {
  for (size_t i = 0; from && i < from->count; i++) {
    const mp_header *item = &from->items[i];
    mp_code code = MP_OK;

    if (!mp_header_reserved(item->name)) code = mp_headers_set(out, item->name, item->value, err);
    if (code != MP_OK) return code;
  }
  return MP_OK;
}

static size_t total_bytes(const mp_headers *h) {
  size_t total = 0;
  for (size_t i = 0; i < h->count; i++) {
    total += strlen(h->items[i].name) + strlen(h->items[i].value);
  }
  return total;
}

mp_code mp_headers_merge(const mp_headers *defaults, const mp_headers *own, const char *event,
                         mp_headers *out, mp_error *err) {
  static const char event_name[] = "X-Strapi-Event";
  size_t total;
  mp_code code;

  code = mp_header_check("headers", event_name, strlen(event_name), event, strlen(event), err);
  if (code == MP_OK) code = add_all(out, defaults, err);
  if (code == MP_OK) code = add_all(out, own, err);
  if (code != MP_OK) return code;
  total = total_bytes(out);
  if (total > MP_HEADERS_MAX_BYTES) {
    return mp_fail(err, MP_E2BIG, "headers: %zu bytes of names and values, at most %d are allowed",
                   total, MP_HEADERS_MAX_BYTES);
  }
  code = mp_headers_set(out, event_name, event, err);
  if (code == MP_OK) code = mp_headers_set(out, "Content-Type", "application/json", err);
  return code;
}
