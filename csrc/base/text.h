/* Near misses: what was probably meant by a name that is not known. No state; any thread. */
#ifndef MP_BASE_TEXT_H
#define MP_BASE_TEXT_H

#include <stddef.h>

/* The candidate that differs least from name, when it differs by a typing error or two: at most a
 * third of the name's bytes inserted, deleted, replaced or exchanged. NULL when none is near. */
const char *mp_nearest(const char *name, const char *const *candidates, size_t count);

/* The number of such edits, at most limit + 1. */
size_t mp_edit_distance(const char *a, const char *b, size_t limit);

#endif
