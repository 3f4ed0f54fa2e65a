/* The client's event loop: libcurl's sockets and its timer on one epoll descriptor.
 *
 * What a round costs goes by the sockets that are ready, not by the requests under way: thousands
 * that wait for an answer cost those that get one nothing. Owned by the client's thread; only
 * mp_loop_wake may be called from others. */
#ifndef MP_HTTP_LOOP_H
#define MP_HTTP_LOOP_H

#include <curl/curl.h>
#include <stdbool.h>

#include "base/error.h"

typedef struct mp_loop mp_loop;

/* MP_EIO: no descriptor is left; MP_ENOMEM. */
mp_code mp_loop_new(mp_loop **out, mp_error *err);
void mp_loop_free(mp_loop *loop); /* NULL-safe; after the multi handle that it drives */

/* Drives this one from now on. */
void mp_loop_drive(mp_loop *loop, CURLM *multi);

/* Every easy handle needs this once. False: out of memory. */
bool mp_loop_watch(mp_loop *loop, CURL *easy);

/* One round: waits up to timeout_ms for a socket, libcurl's timer or a wake (0: does not wait), and
 * lets libcurl go on. False: what some request waits for could not be noted, for memory or the
 * kernel failed; the multi handle is of no use any more. */
bool mp_loop_run(mp_loop *loop, int timeout_ms);

/* Ends the wait of the round under way, or of the next one that waits. */
void mp_loop_wake(mp_loop *loop);

#endif
