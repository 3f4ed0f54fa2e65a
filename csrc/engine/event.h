/* An accepted event in memory: immutable, shared by its deliveries, freed with the last of them. */
#ifndef MP_ENGINE_EVENT_H
#define MP_ENGINE_EVENT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "queue/store.h"

typedef struct mp_event {
  mp_node node; /* in its emit's list */
  atomic_int refs;
  int type_index;   /* in the engine's event types; -1 when the store has one that the config no
                       longer has */
  mp_event_row row; /* strings and body live behind this struct, in the same allocation */
} mp_event;

/* Copies the row's strings and body. NULL when out of memory. One reference is the caller's. */
mp_event *mp_event_new(const mp_event_row *row, int type_index);
mp_event *mp_event_ref(mp_event *event);
void mp_event_unref(mp_event *event); /* NULL-safe */

#endif
