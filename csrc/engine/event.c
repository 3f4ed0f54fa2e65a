/* Events in memory: one allocation each. */
#include "engine/event.h"

#include <stdlib.h>
#include <string.h>

static size_t size_of(const char *s) {
  return s ? strlen(s) + 1 : 0;
}

static const char *put(char **at, const char *s, size_t size) {
  char *start = *at;
  if (!s) return NULL;
  memcpy(start, s, size);
  *at += size;
  return start;
}

mp_event *mp_event_new(const mp_event_row *row, int type_index) {
  size_t type = size_of(row->type), model = size_of(row->model), key = size_of(row->order_key);
  size_t idempotency = size_of(row->idempotency_key), headers = size_of(row->headers);
  mp_event *e = malloc(sizeof *e + type + model + key + idempotency + headers + row->body_len);
  char *at;

  if (!e) return NULL;
  at = (char *)(e + 1);
  *e = (mp_event){.type_index = type_index, .row = *row};
  atomic_init(&e->refs, 1);
  e->row.type = put(&at, row->type, type);
  e->row.model = put(&at, row->model, model);
  e->row.order_key = put(&at, row->order_key, key);
  e->row.idempotency_key = put(&at, row->idempotency_key, idempotency);
  e->row.headers = put(&at, row->headers, headers);
  e->row.body = put(&at, row->body ? row->body : "", row->body_len);
  return e;
}

mp_event *mp_event_ref(mp_event *event) {
  atomic_fetch_add_explicit(&event->refs, 1, memory_order_relaxed);
  return event;
}

void mp_event_unref(mp_event *event) {
  if (event && atomic_fetch_sub_explicit(&event->refs, 1, memory_order_acq_rel) == 1) free(event);
}
