/* The delivery threads: each sends its shares of the lanes, so that sending takes several CPUs.
 * Nothing that one of them needs for a request is another's.
 *
 * delivery_thread.c is what such a thread does, senders.c what the store thread does with them. */
#ifndef MP_ENGINE_DELIVERY_THREAD_H
#define MP_ENGINE_DELIVERY_THREAD_H

#include "engine/internal.h"

/* One delivery thread and what it owns. */
struct mp_sender {
  mp_engine *engine;
  pthread_t thread;
  bool started; /* store thread */

  pthread_mutex_t lock;
  mp_list handed; /* lock; of mp_delivery */
  bool stop;      /* lock; end when nothing is left */
  bool abort;     /* lock; give everything back now */

  atomic_int starts_below; /* it has something to start once fewer requests than this are under way
                              in all threads; 0: nothing waits for that */

  /* its own */
  mp_client *client; /* made and freed by the store thread while the thread is not there */
  mp_list turns;     /* of mp_lane_share: those with something to start */
  mp_list outcomes;  /* of mp_delivery, to be put into the engine's finished */
  bool again;        /* some go on that had to wait */
};

void *mp_delivery_thread(void *sender);
/* The client's callback: a delivery's request ended. owner: the sender, arg: the delivery. */
void mp_delivery_done(void *owner, void *arg, const mp_result *result);

/* On the delivery's thread: an attempt ended; those in the list, of one webhook, go on before what
 * is queued. */
void mp_delivery_ended(mp_sender *sender, mp_delivery *delivery, const mp_result *result);
void mp_delivery_again(mp_sender *sender, mp_list *deliveries);

/* How the webhook's requests are sent. */
void mp_delivery_target(const mp_engine *engine, const mp_webhook *webhook, mp_target_options *out);

#endif
