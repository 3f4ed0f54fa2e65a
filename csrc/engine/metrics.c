/* Counting and reading out. Store thread. */
#include "engine/metrics.h"

#include <string.h>

#include "engine/answer.h"

/* 100 us, the cost of a commit on a fast disk, to ten minutes, the longest timeout. */
static const int64_t bounds_us[MP_BUCKETS] = {
    100,    250,    500,     1000,    2500,    5000,     10000,    25000,     50000,
    100000, 250000, 1000000, 2500000, 5000000, 10000000, 30000000, 120000000, 600000000};
static const int64_t bounds_rows[MP_BUCKETS] = {1,   2,   4,   8,    16,   32,   64,   128,  256,
                                                384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192};

static const char *const classes[MP_CLASSES] = {"http",    "dns",    "connect",  "tls",
                                                "timeout", "reset",  "response", "guard",
                                                "auth",    "script", "internal"};

static void note(mp_histogram *h, const int64_t *bounds, int64_t value) {
  int i = 0;
  while (i < MP_BUCKETS && value > bounds[i])
    i++;
  h->counts[i]++;
  h->sum += value;
}

void mp_histogram_us(mp_histogram *h, int64_t us) {
  note(h, bounds_us, us > 0 ? us : 0);
}

void mp_histogram_rows(mp_histogram *h, int64_t rows) {
  note(h, bounds_rows, rows);
}

int mp_class_index(const char *error_class) {
  for (int i = 0; i < MP_CLASSES - 1; i++) {
    if (strcmp(classes[i], error_class) == 0) return i;
  }
  return MP_CLASSES - 1;
}

void mp_lane_counts_add(mp_lane_counts *to, const mp_lane_counts *counts) {
  to->delivered += counts->delivered;
  to->dead += counts->dead;
  to->filtered += counts->filtered;
  to->held += counts->held;
  for (int i = 0; i < MP_CLASSES; i++)
    to->failed[i] += counts->failed[i];
}

/* ---- reading out ---------------------------------------------------------------------------- */

static void begin_member(mp_buf *out, const char *name, char open) {
  mp_buf_add_str(out, ",\"");
  mp_buf_add_str(out, name);
  mp_buf_add_str(out, "\":");
  mp_buf_add_char(out, open);
}

static void add_list(mp_buf *out, const char *name, const int64_t *numbers, int count) {
  begin_member(out, name, '[');
  for (int i = 0; i < count; i++) {
    mp_buf_add_format(out, i ? ",%lld" : "%lld", (long long)numbers[i]);
  }
  mp_buf_add_char(out, ']');
}

static void add_histogram(mp_buf *out, const char *name, const mp_histogram *h) {
  begin_member(out, name, '{');
  mp_answer_number(out, "sum", h->sum);
  add_list(out, "counts", h->counts, MP_BUCKETS + 1);
  mp_buf_add_char(out, '}');
}

void mp_metrics_write(const mp_metrics *metrics, mp_buf *out) {
  add_list(out, "bounds_us", bounds_us, MP_BUCKETS);
  add_list(out, "bounds_rows", bounds_rows, MP_BUCKETS);
  add_histogram(out, "accept", &metrics->accept);
  add_histogram(out, "wait", &metrics->wait);
  add_histogram(out, "send", &metrics->send);
  add_histogram(out, "commit", &metrics->commit);
  add_histogram(out, "batch", &metrics->batch);
}

void mp_lane_counts_write(const mp_lane_counts *counts, mp_buf *out) {
  mp_answer_number(out, "delivered", counts->delivered);
  mp_answer_number(out, "dead", counts->dead);
  mp_answer_number(out, "filtered", counts->filtered);
  mp_answer_number(out, "held", counts->held);
  begin_member(out, "failed", '{');
  for (int i = 0; i < MP_CLASSES; i++) {
    if (counts->failed[i]) mp_answer_number(out, classes[i], counts->failed[i]);
  }
  mp_buf_add_char(out, '}');
}
