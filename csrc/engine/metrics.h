/* What an engine counts for its operators: durations, batches, and what came of each webhook's
 * attempts. Of this engine since it was opened; the store's own totals are in the store.
 *
 * Everything here belongs to the store thread, which reads it out between two transactions. */
#ifndef MP_ENGINE_METRICS_H
#define MP_ENGINE_METRICS_H

#include <stdint.h>

#include "base/buf.h"

#define MP_BUCKETS 18

typedef struct mp_histogram {
  int64_t counts[MP_BUCKETS + 1]; /* of values up to the bound of that index; the last: above all */
  int64_t sum;
} mp_histogram;

typedef struct mp_metrics {
  mp_histogram accept; /* us, from an emit's hand-over to its commit */
  mp_histogram wait;   /* us, from an event's acceptance to the start of its first attempt */
  mp_histogram send;   /* us, from a request's start to its outcome */
  mp_histogram commit; /* us, of one transaction's commit */
  mp_histogram batch;  /* events and outcomes of one transaction */
} mp_metrics;

/* The classes of failed attempts (mp_attempt's error_class), "internal" for any other. */
#define MP_CLASSES 11

/* Of one webhook. */
typedef struct mp_lane_counts {
  int64_t delivered, dead, filtered, held;
  int64_t failed[MP_CLASSES]; /* attempts */
} mp_lane_counts;

void mp_histogram_us(mp_histogram *h, int64_t us);
void mp_histogram_rows(mp_histogram *h, int64_t rows);

int mp_class_index(const char *error_class);

void mp_lane_counts_add(mp_lane_counts *to, const mp_lane_counts *counts);

/* The object's members "bounds_us", "bounds_rows", and each histogram as {"counts":[...],"sum":n},
 * a bucket's count without those below it. */
void mp_metrics_write(const mp_metrics *metrics, mp_buf *out);

/* "delivered", "dead", "filtered", "held", and "failed": {class: n}, without those that are 0. */
void mp_lane_counts_write(const mp_lane_counts *counts, mp_buf *out);

#endif
