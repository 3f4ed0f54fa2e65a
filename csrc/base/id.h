/* Event and delivery ids.
 *
 * An event id is a positive 63-bit integer that grows with time: 42 bits of milliseconds, 10 bits
 * of the engine's slot in its store, 11 bits of a counter. It is the row's key in the store, so
 * that new events are appended. Outside C it is a string (LuaJIT's numbers are doubles): "evt_" and
 * 13 digits of Crockford's base 32, which sort as the ids do. It holds no "." (Standard
 * Webhooks 1.0.0 forbids one in webhook-id). A delivery is named by its event and its webhook:
 * "dlv_<13 digits>-<webhook>". */
#ifndef MP_BASE_ID_H
#define MP_BASE_ID_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define MP_EVENT_ID_SIZE    18   /* with the NUL */
#define MP_DELIVERY_ID_SIZE 40   /* with the NUL */
#define MP_ID_SLOTS         1024 /* engines that can share one store */
#define MP_ID_SHIFT         21   /* bits below the milliseconds */

/* Makes ids; safe to use from many threads. */
typedef struct mp_id_source {
  pthread_mutex_t lock;
  int64_t last_ms; /* lock; never goes back */
  unsigned count;  /* lock */
  unsigned slot;   /* lock */
} mp_id_source;

/* newest is the largest id already in the store (0 for none): the ids made will be larger. */
void mp_id_source_init(mp_id_source *s, unsigned slot, int64_t newest);
void mp_id_source_free(mp_id_source *s);
/* The engine got another slot. */
void mp_id_source_move(mp_id_source *s, unsigned slot, int64_t newest);
int64_t mp_id_next(mp_id_source *s, int64_t now_ms); /* now_ms: on the store's clock */

/* When was the event's id made, on that clock? And the smallest id of a millisecond. */
int64_t mp_event_id_ms(int64_t id);
int64_t mp_event_id_first(int64_t ms);

void mp_event_id_format(int64_t id, char out[MP_EVENT_ID_SIZE]);
bool mp_event_id_parse(const char *text, int64_t *id);

void mp_delivery_id_format(int64_t event_id, int64_t webhook_id, char out[MP_DELIVERY_ID_SIZE]);
bool mp_delivery_id_parse(const char *text, int64_t *event_id, int64_t *webhook_id);

#endif
