/* Content types, compiled for the sanitizer: for each model, what becomes of each of its keys.
 * Built once by the host's thread, immutable after mp_schema_finish: then any thread may read
 * it. */
#ifndef MP_PAYLOAD_SCHEMA_H
#define MP_PAYLOAD_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define MP_SCHEMA_NAME 128 /* bytes of a name that an error text shows, with the NUL */

typedef struct mp_schema mp_schema;
typedef struct mp_model mp_model;

typedef enum mp_model_kind { MP_MODEL_CONTENT_TYPE, MP_MODEL_COMPONENT } mp_model_kind;

/* What is done with an attribute's value. */
typedef enum mp_attribute_kind {
  MP_ATTRIBUTE_DROP,   /* private or a password: key and value are left out */
  MP_ATTRIBUTE_KEEP,   /* a scalar or JSON: kept whole, whatever it holds */
  MP_ATTRIBUTE_ENTITY, /* a relation, a component or media: an entity, a list of them, or ids */
  MP_ATTRIBUTE_ZONE,   /* a dynamic zone: a list of components, each naming its own (__component) */
  MP_ATTRIBUTE_MORPH,  /* a polymorphic relation: each element names its model, in __contentType
                          (v3, the global id) or __type (v4, the uid) */
} mp_attribute_kind;

typedef struct mp_attribute {
  mp_attribute_kind kind;
  bool list;             /* the schema says list: an empty Lua table is [] */
  const mp_model *model; /* MP_ATTRIBUTE_ENTITY only */
} mp_attribute;

struct mp_model {
  const char *uid;       /* "application::address.address", "default.contact" */
  const char *name;      /* "address": what the payload's "model" says */
  const char *global_id; /* "Address": the name a morph element uses; "" where there is none */
  mp_model_kind kind;
  bool user;              /* a users-permissions or admin user: emits nothing, embedded by id */
  bool draft_and_publish; /* entry.publish and entry.unpublish are allowed */
  bool builtin;           /* came with moonpost, not from the deployment: yields its bare name */
};

mp_code mp_schema_new(mp_schema **out, mp_error *err);
/* Another owner of it, and one less: the last one frees it. Any thread. */
mp_schema *mp_schema_ref(mp_schema *schema);
void mp_schema_free(mp_schema *schema); /* NULL-safe */

/* Copies the strings. MP_EINVAL when the uid is taken. */
mp_code mp_schema_add_model(mp_schema *schema, const mp_model *model, mp_error *err);

/* Adds an attribute to a model added before. target is the uid that MP_ATTRIBUTE_ENTITY refers to
 * (NULL for the others); it may be added later. MP_EINVAL on a second attribute of one name. */
mp_code mp_schema_add_attribute(mp_schema *schema, const char *model_uid, const char *name,
                                size_t name_len, mp_attribute_kind kind, bool list,
                                const char *target, mp_error *err);

/* Resolves targets and freezes the schema. MP_EINVAL names a target that does not exist. */
mp_code mp_schema_finish(mp_schema *schema, mp_error *err);

/* The searches below answer after mp_schema_finish. */

/* The model of a uid, or of a content type's bare name where that is unambiguous (a deployment's
 * own model before a built-in one, save for users, which are never shadowed). NULL, with the reason
 * in err: a near miss is suggested, or all models of an ambiguous name are named. */
const mp_model *mp_schema_find(const mp_schema *schema, const char *name, size_t len,
                               mp_error *err);

/* Exact look-ups for the sanitizer; NULL when there is none. A morph type is a uid or a global id;
 * the deployment's own models come before built-in ones. */
const mp_model *mp_schema_component(const mp_schema *schema, const char *uid, size_t len);
const mp_model *mp_schema_morph(const mp_schema *schema, const char *type, size_t len);
const mp_attribute *mp_model_attribute(const mp_model *model, const char *name, size_t len);

#endif
