/* The sanitizer: one streaming pass that removes private attributes, passwords, unknown keys and
 * users from an entry, at every depth, while it is written as JSON.
 *
 * The rules stand here once, as what becomes of the value at hand. Two sources walk their values by
 * them and write what stays: JSON text (sanitize_json.c) and Lua values (lua/value.c). Neither
 * builds a tree. No memory but the caller's buffer; no I/O; any thread.
 *
 * Rules: Strapi 3.6's sanitizeEntity with the differences of docs/strapi.md. */
#ifndef MP_PAYLOAD_SANITIZE_H
#define MP_PAYLOAD_SANITIZE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "payload/json_reader.h"
#include "payload/schema.h"

/* Called for each key that is dropped because the model does not have it. */
typedef void (*mp_unknown_key_fn)(void *arg, const mp_model *model, const char *key, size_t len);

typedef struct mp_sanitize_options {
  bool keep_unknown;             /* sanitize.unknownAttributes = "keep" */
  bool keep_users;               /* sanitize.embeddedUsers = "keep" */
  mp_unknown_key_fn unknown_key; /* may be NULL */
  void *unknown_key_arg;
} mp_sanitize_options;

typedef struct mp_sanitizer {
  const mp_schema *schema;
  const mp_sanitize_options *options;
} mp_sanitizer;

typedef enum mp_rule_kind {
  /* of a value */
  MP_RULE_DROP,   /* it is left out, with its key */
  MP_RULE_KEEP,   /* it is sent whole */
  MP_RULE_SCALAR, /* it is sent when it is no object and no list, else left out with its key */
  MP_RULE_ENTITY, /* an object of a model, a list of them, or ids */
  MP_RULE_ZONE,   /* a list of components that name their own model */
  MP_RULE_MORPH,  /* an object or a list of objects that name their own model */
  /* of an object only */
  MP_RULE_NULL,   /* null is sent in its place */
  MP_RULE_FIELDS, /* its keys by its model */
  MP_RULE_ID,     /* its id alone */
} mp_rule_kind;

typedef struct mp_rule {
  mp_rule_kind kind;
  bool list;             /* the schema says list: an empty Lua table is [] */
  bool entry;            /* MP_RULE_ENTITY: of a whole entry: a user's fields are walked as well */
  const char *type_key;  /* MP_RULE_FIELDS: the key that named the model: is kept; NULL: none did */
  const mp_model *model; /* MP_RULE_ENTITY, MP_RULE_FIELDS */
} mp_rule;

/* The rule of a whole entry (or a list of them). model NULL: kept whole. A user is walked by its
 * fields here: that users emit nothing is decided before. */
mp_rule mp_rule_of_entry(const mp_model *model);

/* The keys that may name an object's model under a rule: up to two, the first one first; NULL for
 * none. The object's model is what the first of them that is there as a string says, wherever it
 * stands. */
typedef struct mp_type_keys {
  const char *names[2];
} mp_type_keys;
mp_type_keys mp_rule_type_keys(const mp_rule *rule);

/* The rule of an object under a value's rule. type: which of the type keys it has (NULL: none of
 * them as a string), and that key's value. */
mp_rule mp_rule_of_object(const mp_sanitizer *s, const mp_rule *rule, const char *type_key,
                          const char *type, size_t type_len);

/* The rule of the value of an object's key. object is what mp_rule_of_object answered. */
mp_rule mp_rule_of_key(const mp_sanitizer *s, const mp_rule *object, const char *key, size_t len);

/* Is a value left out with its key? compound: it is an object or a list. */
bool mp_rule_drops(const mp_rule *rule, bool compound);

/* Is a scalar that is not null sent under a value's rule? (An array's elements have its rule.) */
bool mp_rule_keeps_scalars(const mp_rule *rule);

/* Sanitizes one JSON text and appends it to out, compact; nothing of it when it fails. model NULL:
 * the value is checked and kept whole. Numbers keep their digits, strings their escapes, objects
 * their order. The whole text is checked as json_reader.h says, also what is not sent: MP_EINVAL
 * names the place. MP_E2BIG when out's limit is passed, MP_ENOMEM. */
mp_code mp_sanitize_json(const mp_schema *schema, const mp_model *model,
                         const mp_sanitize_options *options, const char *root, const char *text,
                         size_t len, mp_buf *out, mp_error *err);

/* The same for the value that a reader stands before, which is read. False when the reader failed:
 * what was written is of no use. Room is out's own affair. */
bool mp_sanitize_value(const mp_schema *schema, const mp_model *model,
                       const mp_sanitize_options *options, mp_json *reader, mp_buf *out);

#endif
