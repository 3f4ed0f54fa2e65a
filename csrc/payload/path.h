/* Steps of the paths that errors name a place by: entry.items[3]["a b"]. No state; any thread. */
#ifndef MP_PAYLOAD_PATH_H
#define MP_PAYLOAD_PATH_H

#include <stddef.h>

#define MP_PATH_STEP 72      /* bytes of a step, with its NUL */
#define MP_PATH_CUT  "[...]" /* for the steps that are too many to show */

/* ".key", or ["key"] when it is no identifier: shortened when long, a question mark for each byte
 * that is no printable UTF-8. Returns the length. */
size_t mp_path_key(char step[MP_PATH_STEP], const char *key, size_t len);

/* "[index]" */
size_t mp_path_index(char step[MP_PATH_STEP], size_t index);

#endif
