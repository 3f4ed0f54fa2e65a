/* Edit distance (optimal string alignment) over short names. */
#include "base/text.h"

#include <string.h>

#define MAX_NAME 64 /* longer names are not compared */

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

size_t mp_edit_distance(const char *a, const char *b, size_t limit) {
  size_t rows[3][MAX_NAME + 1];
  size_t len_a = strlen(a), len_b = strlen(b);
  size_t *before = rows[0], *last = rows[1], *row = rows[2];

  if (len_a > MAX_NAME || len_b > MAX_NAME) return limit + 1;
  for (size_t j = 0; j <= len_b; j++)
    last[j] = j;
  for (size_t i = 1; i <= len_a; i++) {
    size_t *spare = before;
    row[0] = i;
    for (size_t j = 1; j <= len_b; j++) {
      size_t d = last[j - 1] + (a[i - 1] != b[j - 1]);
      d = least(d, least(last[j], row[j - 1]) + 1);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d = least(d, before[j - 2] + 1);
      }
      row[j] = d;
    }
    before = last;
    last = row;
    row = spare;
  }
  return least(last[len_b], limit + 1);
}

const char *mp_nearest(const char *name, const char *const *candidates, size_t count) {
  size_t limit = strlen(name) / 3, best = limit + 1;
  const char *nearest = NULL;

  if (limit > 3) limit = 3;
  for (size_t i = 0; i < count; i++) {
    size_t d = mp_edit_distance(name, candidates[i], limit);
    if (d <= limit && d < best) {
      best = d;
      nearest = candidates[i];
    }
  }
  return nearest;
}
