/* A small schema with every kind of attribute, for the sanitizer's tests and its fuzzer. */
#ifndef MP_TEST_SANITIZE_FIXTURE_H
#define MP_TEST_SANITIZE_FIXTURE_H

#include <string.h>

#include "payload/schema.h"

#define THING "a::thing.thing"
#define PART  "d.part"
#define USER  "p::users.user"

/* NULL when it could not be made. */
static inline mp_schema *fixture_schema(void) {
  static const mp_model models[] = {
      {.uid = THING, .name = "thing", .global_id = "Thing"},
      {.uid = PART, .name = "part", .global_id = "Part", .kind = MP_MODEL_COMPONENT},
      {.uid = USER, .name = "user", .global_id = "User", .user = true, .builtin = true},
  };
  static const struct {
    const char *model, *name, *target;
    mp_attribute_kind kind;
    bool list;
  } attributes[] = {
      {THING, "id", NULL, MP_ATTRIBUTE_KEEP, false},
      {THING, "name", NULL, MP_ATTRIBUTE_KEEP, false},
      {THING, "json", NULL, MP_ATTRIBUTE_KEEP, false},
      {THING, "length", NULL, MP_ATTRIBUTE_KEEP, false},
      {THING, "secret", NULL, MP_ATTRIBUTE_DROP, false},
      {THING, "one", THING, MP_ATTRIBUTE_ENTITY, false},
      {THING, "many", THING, MP_ATTRIBUTE_ENTITY, true},
      {THING, "part", PART, MP_ATTRIBUTE_ENTITY, false},
      {THING, "parts", PART, MP_ATTRIBUTE_ENTITY, true},
      {THING, "owner", USER, MP_ATTRIBUTE_ENTITY, false},
      {THING, "staff", USER, MP_ATTRIBUTE_ENTITY, true},
      {THING, "zone", NULL, MP_ATTRIBUTE_ZONE, true},
      {THING, "morph", NULL, MP_ATTRIBUTE_MORPH, false},
      {THING, "morphs", NULL, MP_ATTRIBUTE_MORPH, true},
      {PART, "id", NULL, MP_ATTRIBUTE_KEEP, false},
      {PART, "label", NULL, MP_ATTRIBUTE_KEEP, false},
      {PART, "pin", NULL, MP_ATTRIBUTE_DROP, false},
      {PART, "thing", THING, MP_ATTRIBUTE_ENTITY, false},
      {USER, "id", NULL, MP_ATTRIBUTE_KEEP, false},
      {USER, "email", NULL, MP_ATTRIBUTE_KEEP, false},
      {USER, "password", NULL, MP_ATTRIBUTE_DROP, false},
  };
  mp_schema *s = NULL;
  mp_code code = mp_schema_new(&s, NULL);

  for (size_t i = 0; i < sizeof models / sizeof models[0] && code == MP_OK; i++) {
    code = mp_schema_add_model(s, &models[i], NULL);
  }
  for (size_t i = 0; i < sizeof attributes / sizeof attributes[0] && code == MP_OK; i++) {
    code = mp_schema_add_attribute(s, attributes[i].model, attributes[i].name,
                                   strlen(attributes[i].name), attributes[i].kind,
                                   attributes[i].list, attributes[i].target, NULL);
  }
  if (code == MP_OK) code = mp_schema_finish(s, NULL);
  if (code == MP_OK) return s;
  mp_schema_free(s);
  return NULL;
}

#endif
