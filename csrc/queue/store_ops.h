/* What a database implements to be a store: one function for each call of store.h, with the same
 * meaning. The list stands here once; store.c makes from it the table of functions and the calls
 * that go through it, and an implementation makes from it its prototypes and its table. */
#ifndef MP_QUEUE_STORE_OPS_H
#define MP_QUEUE_STORE_OPS_H

#include "queue/store_read.h"

/* clang-format off */
/* CALL(name, parameters, arguments): each returns an mp_code. */
#define MP_STORE_CALLS(CALL) \
  CALL(begin, (mp_store *store, mp_error *err), (store, err)) \
  CALL(commit, (mp_store *store, mp_error *err), (store, err)) \
  CALL(changed, (mp_store *store, bool *changed, mp_error *err), (store, changed, err)) \
  CALL(engine_join, (mp_store *store, const mp_engine_identity *who, int64_t now_ms, int64_t *id, \
                     unsigned *slot, int64_t *newest_event, mp_error *err), \
       (store, who, now_ms, id, slot, newest_event, err)) \
  CALL(engine_beat, (mp_store *store, int64_t id, int64_t now_ms, mp_error *err), \
       (store, id, now_ms, err)) \
  CALL(engines, (mp_store *store, mp_engine_fn fn, void *arg, mp_error *err), \
       (store, fn, arg, err)) \
  CALL(clock, (mp_store *store, const char *boot, int64_t boot_ms, int64_t wall_ms, \
               int64_t *now_ms, mp_error *err), (store, boot, boot_ms, wall_ms, now_ms, err)) \
  CALL(seal, (mp_store *store, mp_buf *out, mp_error *err), (store, out, err)) \
  CALL(set_seal, (mp_store *store, const char *text, mp_error *err), (store, text, err)) \
  CALL(reseal, (mp_store *store, mp_reseal_fn fn, void *arg, mp_error *err), \
       (store, fn, arg, err)) \
  CALL(engine_leave, (mp_store *store, int64_t id, mp_error *err), (store, id, err)) \
  CALL(engine_reap, (mp_store *store, int64_t self, const char *host, int64_t now_ms, \
                     int64_t stale_ms, int64_t *released, mp_error *err), \
       (store, self, host, now_ms, stale_ms, released, err)) \
  CALL(webhooks, (mp_store *store, mp_webhook_fn fn, void *arg, mp_error *err), \
       (store, fn, arg, err)) \
  CALL(webhook_insert, (mp_store *store, mp_webhook_row *row, mp_error *err), (store, row, err)) \
  CALL(webhook_update, (mp_store *store, const mp_webhook_row *row, int64_t now_ms, \
                        mp_error *err), (store, row, now_ms, err)) \
  CALL(webhook_discard, (mp_store *store, int64_t id, mp_error *err), (store, id, err)) \
  CALL(webhook_unorder, (mp_store *store, int64_t id, int64_t now_ms, mp_error *err), \
       (store, id, now_ms, err)) \
  CALL(webhook_delete, (mp_store *store, int64_t id, mp_error *err), (store, id, err)) \
  CALL(webhook_hold, (mp_store *store, int64_t id, int64_t until_ms, mp_error *err), \
       (store, id, until_ms, err)) \
  CALL(webhook_failing, (mp_store *store, int64_t id, int64_t since_ms, int64_t last_ms, \
                         mp_error *err), (store, id, since_ms, last_ms, err)) \
  CALL(event_insert, (mp_store *store, const mp_event_row *event, mp_error *err), \
       (store, event, err)) \
  CALL(events_insert, (mp_store *store, const mp_event_row *const *events, size_t count, \
                       mp_error *err), (store, events, count, err)) \
  CALL(idempotent, (mp_store *store, const char *key, int64_t since_ms, int64_t *event_id, \
                    mp_error *err), (store, key, since_ms, event_id, err)) \
  CALL(delivery_insert, (mp_store *store, mp_new_delivery *delivery, mp_error *err), \
       (store, delivery, err)) \
  CALL(deliveries_insert, (mp_store *store, mp_new_delivery *deliveries, size_t count, \
                           mp_error *err), (store, deliveries, count, err)) \
  CALL(claim, (mp_store *store, const mp_claim_order *order, mp_claim_fn fn, void *arg, \
               int *claimed, mp_error *err), (store, order, fn, arg, claimed, err)) \
  CALL(next_due, (mp_store *store, int64_t webhook_id, const mp_pace *pace, int64_t now_ms, \
                  int64_t *due_ms, mp_error *err), \
       (store, webhook_id, pace, now_ms, due_ms, err)) \
  CALL(finish, (mp_store *store, const mp_finish *finish, bool *applied, mp_error *err), \
       (store, finish, applied, err)) \
  CALL(release, (mp_store *store, int64_t webhook_id, int64_t now_ms, mp_error *err), \
       (store, webhook_id, now_ms, err)) \
  CALL(routed, (mp_store *store, int64_t event_id, int64_t lease, bool *applied, mp_error *err), \
       (store, event_id, lease, applied, err)) \
  CALL(resend, (mp_store *store, int64_t event_id, int64_t webhook_id, bool anew, \
                int64_t due_ms, mp_error *err), (store, event_id, webhook_id, anew, due_ms, err)) \
  CALL(output_put, (mp_store *store, int64_t event_id, int64_t webhook_id, int64_t lease, \
                    const mp_output_row *output, bool *applied, mp_error *err), \
       (store, event_id, webhook_id, lease, output, applied, err)) \
  CALL(output, (mp_store *store, int64_t event_id, int64_t webhook_id, mp_output_fn fn, \
                void *arg, mp_error *err), (store, event_id, webhook_id, fn, arg, err)) \
  CALL(replay, (mp_store *store, const mp_replay_range *range, mp_replay_fn fn, void *arg, \
                int64_t *next, mp_error *err), (store, range, fn, arg, next, err)) \
  CALL(prune, (mp_store *store, const mp_prune_before *before, int64_t now_ms, int64_t after, \
               mp_pruned *out, mp_error *err), (store, before, now_ms, after, out, err)) \
  CALL(size, (mp_store *store, int64_t *used, int64_t *spare, mp_error *err), \
       (store, used, spare, err)) \
  CALL(shrink, (mp_store *store, mp_error *err), (store, err)) \
  CALL(deliveries, (mp_store *store, const mp_delivery_filter *filter, mp_delivery_fn fn, \
                    void *arg, mp_error *err), (store, filter, fn, arg, err)) \
  CALL(delivery, (mp_store *store, int64_t event_id, int64_t webhook_id, mp_delivery_fn fn, \
                  void *arg, mp_error *err), (store, event_id, webhook_id, fn, arg, err)) \
  CALL(attempts, (mp_store *store, int64_t event_id, int64_t webhook_id, mp_attempt_fn fn, \
                  void *arg, mp_error *err), (store, event_id, webhook_id, fn, arg, err)) \
  CALL(event, (mp_store *store, int64_t id, mp_event_fn fn, void *arg, mp_error *err), \
       (store, id, fn, arg, err)) \
  CALL(events, (mp_store *store, const mp_event_filter *filter, mp_event_fn fn, void *arg, \
                mp_error *err), (store, filter, fn, arg, err)) \
  CALL(count, (mp_store *store, mp_store_counts *out, mp_error *err), (store, out, err)) \
  CALL(read_totals, (mp_store *store, mp_store_totals *out, mp_error *err), (store, out, err)) \
  CALL(backlog, (mp_store *store, int64_t webhook_id, int limit, mp_backlog *out, \
                mp_error *err), (store, webhook_id, limit, out, err))

typedef struct mp_store_ops {
  void (*close)(mp_store *store);
  void (*rollback)(mp_store *store);
  void (*relieve)(mp_store *store);
  bool (*has_room)(mp_store *store);
  const char *(*signal_file)(mp_store *store);
#define MP_FIELD(name, parameters, arguments) mp_code (*name) parameters;
  MP_STORE_CALLS(MP_FIELD)
#undef MP_FIELD
} mp_store_ops;
/* clang-format on */

/* The first member of an implementation's own struct. */
struct mp_store {
  const mp_store_ops *ops;
};

mp_code mp_sqlite_open(const char *location, mp_store **out, mp_error *err);

#endif
