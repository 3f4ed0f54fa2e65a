/* Starting, feeding and ending the delivery threads. Store thread.
 *
 * A lane's deliveries are dealt out to its shares as they are handed over, to the one that has the
 * fewest: a thread that gets less of the CPU, or whose requests take longer, gets fewer. */
#include <stdlib.h>
#include <string.h>

#include "engine/delivery_thread.h"

static mp_code prepare(mp_sender *s, mp_engine *e, mp_error *err) {
  mp_client_options options = {.max_requests = e->settings->max_concurrency * 2,
                               .response_keep = MP_RESPONSE_KEEP,
                               .under_way = &e->requests,
                               .done = mp_delivery_done,
                               .owner = s};

  s->engine = e;
  pthread_mutex_init(&s->lock, NULL);
  return mp_client_new(&options, &s->client, err);
}

static mp_code start(mp_sender *s, mp_error *err) {
  int rc = pthread_create(&s->thread, NULL, mp_delivery_thread, s);

  s->started = rc == 0;
  return s->started ? MP_OK : mp_fail(err, MP_ENOMEM, "cannot start a thread: %s", strerror(rc));
}

mp_code mp_senders_start(mp_engine *engine, mp_error *err) {
  mp_engine *e = engine;
  mp_code code = MP_OK;

  e->senders = calloc((size_t)e->settings->delivery_threads, sizeof *e->senders);
  if (!e->senders) return mp_fail(err, MP_ENOMEM, "out of memory");
  while (code == MP_OK && e->sender_count < e->settings->delivery_threads)
    code = prepare(&e->senders[e->sender_count++], e, err);
  /* Not before all are there: a thread may wake any other. */
  for (int i = 0; code == MP_OK && i < e->sender_count; i++)
    code = start(&e->senders[i], err);
  return code;
}

void mp_senders_stop(mp_engine *engine, bool stop) {
  for (int i = 0; i < engine->sender_count; i++) {
    mp_sender *s = &engine->senders[i];
    if (!s->started) continue;
    pthread_mutex_lock(&s->lock);
    s->abort = true;
    s->stop = stop;
    pthread_mutex_unlock(&s->lock);
    mp_client_wake(s->client);
  }
}

void mp_senders_join(mp_engine *engine) {
  mp_senders_stop(engine, true);
  for (int i = 0; i < engine->sender_count; i++) {
    if (engine->senders[i].started) pthread_join(engine->senders[i].thread, NULL);
    engine->senders[i].started = false;
  }
}

void mp_senders_free(mp_engine *engine) {
  mp_senders_join(engine);
  for (int i = 0; i < engine->sender_count; i++) {
    mp_sender *s = &engine->senders[i];
    /* Their leases end with the engine's row. */
    for (mp_node *n; (n = mp_list_pop(&s->handed)) != NULL;)
      mp_delivery_free(MP_CONTAINER(n, mp_delivery, node));
    mp_client_free(s->client);
    pthread_mutex_destroy(&s->lock);
  }
  free(engine->senders);
  engine->senders = NULL;
  engine->sender_count = 0;
}

/* Answers the number of the thread that is to send it. */
static int deal(const mp_engine *e, mp_delivery *d) {
  mp_lane *lane = d->lane;
  int best = 0;

  for (int i = 1; i < d->webhook->shares && !d->trigger; i++) {
    if (lane->handed[i] < lane->handed[best]) best = i;
  }
  d->share = best;
  if (!d->trigger) lane->handed[best]++; /* until mp_lease_end */
  return (lane->home + best) % e->sender_count;
}

static void hand(mp_sender *s, mp_list *deliveries) {
  pthread_mutex_lock(&s->lock);
  mp_list_append(&s->handed, deliveries);
  pthread_mutex_unlock(&s->lock);
  mp_client_wake(s->client);
}

void mp_senders_hand(mp_engine *engine, mp_list *deliveries) {
  mp_list dealt[MP_DELIVERY_THREADS];
  int count = engine->sender_count;

  if (!deliveries->head) return;
  memset(dealt, 0, (size_t)count * sizeof *dealt);
  for (mp_node *n; (n = mp_list_pop(deliveries)) != NULL;)
    mp_list_push(&dealt[deal(engine, MP_CONTAINER(n, mp_delivery, node))], n);
  for (int i = 0; i < count; i++) {
    if (dealt[i].head) hand(&engine->senders[i], &dealt[i]);
  }
}
