/* Lanes and the deliveries in them. See lane.h for who owns what. */
#include "engine/lane.h"

#include <stdlib.h>
#include <string.h>

static size_t position(const mp_lanes *lanes, int64_t webhook_id) {
  size_t low = 0, high = lanes->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (lanes->items[middle]->webhook_id < webhook_id)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

mp_lane *mp_lanes_find(const mp_lanes *lanes, int64_t webhook_id) {
  size_t at = position(lanes, webhook_id);
  if (at == lanes->count || lanes->items[at]->webhook_id != webhook_id) return NULL;
  return lanes->items[at];
}

static mp_lane *new_lane(int shares) {
  size_t size = sizeof(mp_lane) + (size_t)shares * sizeof(mp_lane_share);
  mp_lane *lane = aligned_alloc(_Alignof(mp_lane), size); /* a multiple of it, as both are */

  if (!lane) return NULL;
  memset(lane, 0, size);
  for (int i = 0; i < shares; i++)
    lane->shares[i].lane = lane;
  return lane;
}

mp_lane *mp_lanes_add(mp_lanes *lanes, int64_t webhook_id) {
  size_t at = position(lanes, webhook_id);
  mp_lane *lane;

  if (at < lanes->count && lanes->items[at]->webhook_id == webhook_id) return lanes->items[at];
  if (lanes->count == lanes->cap) {
    size_t cap = lanes->cap ? lanes->cap * 2 : 16;
    mp_lane **items = realloc(lanes->items, cap * sizeof *items);
    if (!items) return NULL;
    lanes->items = items;
    lanes->cap = cap;
  }
  lane = new_lane(lanes->delivery_threads);
  if (!lane) return NULL;
  lane->webhook_id = webhook_id;
  lane->home = (int)(lanes->count % (size_t)lanes->delivery_threads);
  lane->next_due_ms = INT64_MAX;
  atomic_init(&lane->stopped, false);
  atomic_init(&lane->hold_ms, 0);
  memmove(lanes->items + at + 1, lanes->items + at, (lanes->count - at) * sizeof *lanes->items);
  lanes->items[at] = lane;
  lanes->count++;
  return lane;
}

void mp_lanes_free(mp_lanes *lanes) {
  for (size_t i = 0; i < lanes->count; i++) {
    mp_webhook_unref(lanes->items[i]->webhook);
    free(lanes->items[i]);
  }
  free(lanes->items);
  *lanes = (mp_lanes){0};
}

/* How many windows ago did the present one begin? */
static int64_t windows_since(const mp_lane *lane, int64_t now_ms) {
  return (now_ms - lane->window_ms) / MP_LANE_WINDOW_MS;
}

void mp_lane_ended(mp_lane *lane, int64_t now_ms) {
  int64_t passed = windows_since(lane, now_ms);

  if (passed != 0) {
    lane->window[1] = passed == 1 ? lane->window[0] : 0;
    lane->window[0] = 0;
    lane->window_ms = now_ms;
  }
  lane->window[0]++;
}

int mp_lane_slots(const mp_lane *lane) {
  if (!lane->webhook || !lane->webhook->enabled) return 0;
  return lane->circuit.open ? 1 : lane->webhook->concurrency; /* 1: a probe */
}

int mp_lane_ahead(const mp_lane *lane, int64_t now_ms) {
  int64_t passed = windows_since(lane, now_ms);

  if (mp_lane_slots(lane) == 0 || lane->circuit.open) return 0;
  if (lane->webhook->pace.interval_us > 0 || passed > 1) return 0;
  return passed == 0 && lane->window[1] > lane->window[0] ? lane->window[1] : lane->window[0];
}

mp_delivery *mp_delivery_new(mp_lane *lane, mp_webhook *webhook, mp_event *event) {
  mp_delivery *d = calloc(1, sizeof *d);
  if (!d) return NULL;
  d->lane = lane;
  d->share = -1;
  d->webhook = mp_webhook_ref(webhook);
  d->event = mp_event_ref(event);
  return d;
}

void mp_delivery_free(mp_delivery *delivery) {
  if (!delivery) return;
  mp_webhook_unref(delivery->webhook);
  mp_event_unref(delivery->event);
  mp_scripted_free(delivery->scripted);
  free(delivery->text);
  free(delivery);
}

void mp_delivery_record(mp_delivery *delivery, const mp_result *result) {
  size_t error = result->error[0] ? strlen(result->error) + 1 : 0;
  char *text = error + result->response_len ? malloc(error + result->response_len) : NULL;

  delivery->attempted = true;
  delivery->retry_after_ms = result->retry_after_s * 1000;
  delivery->attempt = (mp_attempt){.at_ms = result->at_ms,
                                   .duration_us = result->duration_us,
                                   .status = result->status,
                                   .error_class = result->error_class};
  free(delivery->text);
  delivery->text = text;
  if (!text) return;
  if (error) {
    memcpy(text, result->error, error);
    delivery->attempt.error = text;
  }
  if (result->response_len) {
    memcpy(text + error, result->response, result->response_len);
    delivery->attempt.response = text + error;
    delivery->attempt.response_len = result->response_len;
  }
}
