/* Making, writing and reading ids. */
#include "base/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_BITS 11
#define DIGITS     13

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

void mp_id_source_init(mp_id_source *s, unsigned slot, int64_t newest) {
  *s = (mp_id_source){.slot = slot % MP_ID_SLOTS, .last_ms = mp_event_id_ms(newest)};
  pthread_mutex_init(&s->lock, NULL);
  /* The newest id's own millisecond may be full of ids from this slot's last engine. */
  s->count = 1u << COUNT_BITS;
}

void mp_id_source_move(mp_id_source *s, unsigned slot, int64_t newest) {
  int64_t newest_ms = mp_event_id_ms(newest);

  pthread_mutex_lock(&s->lock);
  s->slot = slot % MP_ID_SLOTS;
  if (newest_ms > s->last_ms) s->last_ms = newest_ms;
  s->count = 1u << COUNT_BITS; /* the slot's former engine may have used up this millisecond */
  pthread_mutex_unlock(&s->lock);
}

void mp_id_source_free(mp_id_source *s) {
  pthread_mutex_destroy(&s->lock);
}

int64_t mp_id_next(mp_id_source *s, int64_t now_ms) {
  int64_t id;

  pthread_mutex_lock(&s->lock);
  if (now_ms > s->last_ms) {
    s->last_ms = now_ms;
    s->count = 0;
  } else if (s->count >= 1u << COUNT_BITS) {
    s->last_ms++; /* borrowed from the future: the clock catches up */
    s->count = 0;
  }
  id = s->last_ms << MP_ID_SHIFT | (int64_t)s->slot << COUNT_BITS | s->count++;
  pthread_mutex_unlock(&s->lock);
  return id;
}

int64_t mp_event_id_ms(int64_t id) {
  return id >> MP_ID_SHIFT;
}

int64_t mp_event_id_first(int64_t ms) {
  return ms << MP_ID_SHIFT;
}

static void format_digits(int64_t id, char *out) {
  uint64_t v = (uint64_t)id;
  for (int i = DIGITS - 1; i >= 0; i--) {
    out[i] = alphabet[v & 31];
    v >>= 5;
  }
}

static bool parse_digits(const char *text, int64_t *id) {
  uint64_t v = 0;
  for (int i = 0; i < DIGITS; i++) {
    const char *digit = text[i] ? strchr(alphabet, text[i]) : NULL;
    if (!digit || v >> 58 != 0) return false;
    v = v << 5 | (uint64_t)(digit - alphabet);
  }
  *id = (int64_t)v;
  return *id > 0;
}

void mp_event_id_format(int64_t id, char out[MP_EVENT_ID_SIZE]) {
  memcpy(out, "evt_", 4);
  format_digits(id, out + 4);
  out[MP_EVENT_ID_SIZE - 1] = '\0';
}

bool mp_event_id_parse(const char *text, int64_t *id) {
  return strncmp(text, "evt_", 4) == 0 && parse_digits(text + 4, id) && text[4 + DIGITS] == '\0';
}

void mp_delivery_id_format(int64_t event_id, int64_t webhook_id, char out[MP_DELIVERY_ID_SIZE]) {
  memcpy(out, "dlv_", 4);
  format_digits(event_id, out + 4);
  snprintf(out + 4 + DIGITS, MP_DELIVERY_ID_SIZE - 4 - DIGITS, "-%lld", (long long)webhook_id);
}

bool mp_delivery_id_parse(const char *text, int64_t *event_id, int64_t *webhook_id) {
  const char *number;
  char *end;

  if (strncmp(text, "dlv_", 4) != 0 || !parse_digits(text + 4, event_id)) return false;
  if (text[4 + DIGITS] != '-') return false;
  number = text + 4 + DIGITS + 1;
  if (*number < '1' || *number > '9' || strlen(number) > 18) return false;
  *webhook_id = strtoll(number, &end, 10);
  return *end == '\0';
}
