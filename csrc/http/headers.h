/* HTTP header fields: checking and merging (RFC 9110 sections 5.1, 5.5, 5.6.2). No state. */
#ifndef MP_HTTP_HEADERS_H
#define MP_HTTP_HEADERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define MP_HEADERS_MAX_BYTES 8192 /* all names and values of one webhook together */

typedef struct mp_header {
  char *name;
  char *value;
} mp_header;

/* An ordered list that holds a name once, whatever its case. Owns its strings. */
typedef struct mp_headers {
  mp_header *items;
  size_t count;
  size_t cap;
} mp_headers;

void mp_headers_init(mp_headers *h);
void mp_headers_free(mp_headers *h);

/* Orders two names by their ASCII lower-case form; 0 for names that HTTP takes for the same (RFC
 * 9110 section 5.1). Whatever the locale. */
int mp_header_name_compare(const char *a, size_t a_len, const char *b, size_t b_len);

/* Sets a header: a name that is there already (in any case) keeps its place and takes the new
 * spelling and value. Spaces and tabs around the value are left out (RFC 9110 section 5.5). The
 * header is not checked. MP_ENOMEM, with h unchanged. */
mp_code mp_headers_set(mp_headers *h, const char *name, const char *value, mp_error *err);

/* NULL when the name is not there. */
const char *mp_headers_get(const mp_headers *h, const char *name);

/* Is name a token, and value free of CR, LF, NUL and other control characters but tab? Bytes from
 * 0x80 on are allowed in values (obs-text). where names the place in the message
 * ("webhooks.defaultHeaders"): the message quotes the name. MP_EINVAL. */
mp_code mp_header_check(const char *where, const char *name, size_t name_len, const char *value,
                        size_t value_len, mp_error *err);

/* moonpost's own names, which a config or webhook may not set: Host, Content-Length, webhook-*, and
 * the hop-by-hop names (Connection, Keep-Alive, Proxy-*, TE, Trailer, Transfer-Encoding, Upgrade,
 * Expect). */
bool mp_header_reserved(const char *name);

/* The same, or one of those that are forced: X-Strapi-Event and Content-Type. */
bool mp_header_is_own(const char *name);

/* What goes out: defaults, overridden by own, then X-Strapi-Event and Content-Type, which are
 * forced whatever the spelling. Reserved names in either list are left out. defaults and own may be
 * NULL. out is empty, and the caller frees it, also after a failure. MP_EINVAL for an event that is
 * no header value; MP_E2BIG over MP_HEADERS_MAX_BYTES, the two forced headers not counted;
 * MP_ENOMEM. */
mp_code mp_headers_merge(const mp_headers *defaults, const mp_headers *own, const char *event,
                         mp_headers *out, mp_error *err);

#endif
