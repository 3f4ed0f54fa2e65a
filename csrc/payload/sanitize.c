/* The sanitizer's rules. Pure: no memory, no state. */
#include "payload/sanitize.h"

#include <string.h>

#define COMPONENT_KEY "__component"

mp_rule mp_rule_of_entry(const mp_model *model) {
  if (!model) return (mp_rule){.kind = MP_RULE_KEEP};
  return (mp_rule){.kind = MP_RULE_ENTITY, .entry = true, .model = model};
}

mp_type_keys mp_rule_type_keys(const mp_rule *rule) {
  if (rule->kind == MP_RULE_ZONE) return (mp_type_keys){{COMPONENT_KEY, NULL}};
  if (rule->kind == MP_RULE_MORPH) return (mp_type_keys){{"__contentType", "__type"}};
  return (mp_type_keys){{NULL, NULL}};
}

mp_rule mp_rule_of_object(const mp_sanitizer *s, const mp_rule *rule, const char *type_key,
                          const char *type, size_t type_len) {
  const mp_model *model = rule->model;

  switch (rule->kind) {
    case MP_RULE_ZONE:
      model = type_key ? mp_schema_component(s->schema, type, type_len) : NULL;
      if (!model) return (mp_rule){.kind = MP_RULE_NULL};
      break;
    case MP_RULE_MORPH:
      if (!type_key) return (mp_rule){.kind = MP_RULE_ID};
      model = mp_schema_morph(s->schema, type, type_len);
      if (!model) return (mp_rule){.kind = MP_RULE_NULL};
      break;
    case MP_RULE_ENTITY:
      type_key = NULL;
      break;
    default:
      return (mp_rule){.kind = MP_RULE_KEEP};
  }
  if (model->user && !rule->entry && !s->options->keep_users) {
    return (mp_rule){.kind = MP_RULE_ID};
  }
  return (mp_rule){.kind = MP_RULE_FIELDS, .model = model, .type_key = type_key};
}

static bool is(const char *key, size_t len, const char *name) {
  return strlen(name) == len && memcmp(key, name, len) == 0;
}

static mp_rule of_unknown(const mp_sanitizer *s, const mp_model *model, const char *key,
                          size_t len) {
  const mp_sanitize_options *o = s->options;
  if (o->keep_unknown) return (mp_rule){.kind = MP_RULE_KEEP};
  if (o->unknown_key) o->unknown_key(o->unknown_key_arg, model, key, len);
  return (mp_rule){.kind = MP_RULE_DROP};
}

mp_rule mp_rule_of_key(const mp_sanitizer *s, const mp_rule *object, const char *key, size_t len) {
  static const mp_rule_kind kinds[] = {
      [MP_ATTRIBUTE_DROP] = MP_RULE_DROP,     [MP_ATTRIBUTE_KEEP] = MP_RULE_KEEP,
      [MP_ATTRIBUTE_ENTITY] = MP_RULE_ENTITY, [MP_ATTRIBUTE_ZONE] = MP_RULE_ZONE,
      [MP_ATTRIBUTE_MORPH] = MP_RULE_MORPH,
  };
  const mp_attribute *a;

  if (object->kind == MP_RULE_KEEP) return *object;
  if (object->kind == MP_RULE_ID) {
    return (mp_rule){.kind = is(key, len, "id") ? MP_RULE_SCALAR : MP_RULE_DROP};
  }
  a = mp_model_attribute(object->model, key, len);
  if (a) {
    bool list = a->list || a->kind == MP_ATTRIBUTE_ZONE;
    return (mp_rule){.kind = kinds[a->kind], .list = list, .model = a->model};
  }
  if (object->type_key && is(key, len, object->type_key)) return (mp_rule){.kind = MP_RULE_KEEP};
  return of_unknown(s, object->model, key, len);
}

bool mp_rule_drops(const mp_rule *rule, bool compound) {
  return rule->kind == MP_RULE_DROP || (rule->kind == MP_RULE_SCALAR && compound);
}

bool mp_rule_keeps_scalars(const mp_rule *rule) {
  return rule->kind != MP_RULE_ZONE;
}
