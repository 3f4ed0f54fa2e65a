/* The text that emit_json takes: { "event": ..., "model": ..., "entry" | "media" | "entries": ...
 * }. */
#ifndef MP_PAYLOAD_ENVELOPE_H
#define MP_PAYLOAD_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>

#include "payload/json_reader.h"

#define MP_ENVELOPE_NAME 256 /* bytes of event and model, with the NUL */

typedef enum mp_slot { MP_SLOT_NONE, MP_SLOT_ENTRY, MP_SLOT_MEDIA, MP_SLOT_ENTRIES } mp_slot;

typedef struct mp_envelope {
  char event[MP_ENVELOPE_NAME];
  char model[MP_ENVELOPE_NAME]; /* "" without one */
  bool has_model;
  mp_slot slot;  /* MP_SLOT_NONE also for null */
  mp_span value; /* of the slot, in the text; checked */
} mp_envelope;

/* MP_EINVAL names the key that is wrong, missing or unknown, or the place that is no JSON. */
mp_code mp_envelope_parse(const char *text, size_t len, mp_envelope *out, mp_error *err);

/* The elements of MP_SLOT_ENTRIES. */
typedef struct mp_envelope_entries {
  mp_json reader;
} mp_envelope_entries;
void mp_envelope_entries_init(mp_envelope_entries *it, const mp_envelope *envelope);
bool mp_envelope_entries_next(mp_envelope_entries *it, mp_span *entry); /* false after the last */
void mp_envelope_entries_free(mp_envelope_entries *it);

#endif
