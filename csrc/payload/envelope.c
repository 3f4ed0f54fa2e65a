/* Taking an emit_json text apart, without copying its values. Host thread. */
#include "payload/envelope.h"

#include <string.h>

static bool is(mp_span key, const char *name) {
  return key.len == strlen(name) && memcmp(key.data, name, key.len) == 0;
}

static bool read_name(mp_json *j, char out[MP_ENVELOPE_NAME]) {
  mp_buf name;
  bool ok;

  mp_buf_init(&name, MP_BUF_NO_LIMIT);
  ok = mp_json_string(j, &name);
  if (ok && (name.len == 0 || name.len >= MP_ENVELOPE_NAME || memchr(name.data, '\0', name.len))) {
    ok = mp_json_fail(j, "expected 1 to %d bytes without NUL, got %zu bytes", MP_ENVELOPE_NAME - 1,
                      name.len);
  }
  if (ok) {
    memcpy(out, name.data, name.len);
    out[name.len] = '\0';
  }
  mp_buf_free(&name);
  return ok;
}

static bool read_slot(mp_json *j, mp_envelope *e, mp_slot slot) {
  mp_json_type type = mp_json_type_of(j);

  if (slot == MP_SLOT_ENTRIES && type != MP_JSON_ARRAY) {
    return mp_json_fail(j, "expected an array, got %s", mp_json_type_name(type));
  }
  if (type == MP_JSON_NULL) return mp_json_skip(j, NULL);
  if (e->slot != MP_SLOT_NONE) {
    return mp_json_fail(j, "expected one of entry, entries and media, got several");
  }
  e->slot = slot;
  return mp_json_skip(j, &e->value);
}

static bool read_key(mp_json *j, mp_envelope *e, mp_span key) {
  if (is(key, "event")) return read_name(j, e->event);
  if (is(key, "model")) {
    e->has_model = true;
    return read_name(j, e->model);
  }
  if (is(key, "entry")) return read_slot(j, e, MP_SLOT_ENTRY);
  if (is(key, "media")) return read_slot(j, e, MP_SLOT_MEDIA);
  if (is(key, "entries")) return read_slot(j, e, MP_SLOT_ENTRIES);
  return mp_json_fail(j, "unknown key (expected event, model, entry, entries or media)");
}

mp_code mp_envelope_parse(const char *text, size_t len, mp_envelope *out, mp_error *err) {
  mp_error why = {0};
  mp_json j;
  mp_span key;

  *out = (mp_envelope){.slot = MP_SLOT_NONE};
  mp_json_init(&j, text, len, "text", &why);
  if (mp_json_begin_object(&j)) {
    while (mp_json_next_key(&j, &key) && read_key(&j, out, key))
      continue;
    mp_json_end(&j);
  }
  if (!j.failed && !out->event[0]) mp_json_fail(&j, "expected the key \"event\", got none");
  mp_json_free(&j);
  return j.failed ? mp_fail(err, why.code, "%s", why.message) : MP_OK;
}

void mp_envelope_entries_init(mp_envelope_entries *it, const mp_envelope *envelope) {
  mp_json_init(&it->reader, envelope->value.data, envelope->value.len, "entries", NULL);
  mp_json_begin_array(&it->reader);
}

bool mp_envelope_entries_next(mp_envelope_entries *it, mp_span *entry) {
  return mp_json_next_element(&it->reader) && mp_json_skip(&it->reader, entry);
}

void mp_envelope_entries_free(mp_envelope_entries *it) {
  mp_json_free(&it->reader);
}
