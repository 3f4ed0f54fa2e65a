/* What the tests of the store share: a folder of their own with a store in it, and short forms of
 * the calls that must succeed. */
#ifndef MP_TEST_STORE_FIXTURE_H
#define MP_TEST_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* cmocka.h needs those above it. */
#include <cmocka.h>

#include "base/id.h"
#include "queue/store_read.h"

typedef struct fixture {
  char folder[256];
  char path[300];
  mp_store *store;
  mp_error err;
} fixture;

#define must(f, call)                                                 \
  do {                                                                \
    if ((call) != MP_OK) fail_msg("%s: %s", #call, (f)->err.message); \
  } while (0)

#define must_fail(f, expected, call)                                                 \
  do {                                                                               \
    mp_code got_ = (call);                                                           \
    if (got_ != (expected))                                                          \
      fail_msg("%s: %s, not %s", #call, mp_code_name(got_), mp_code_name(expected)); \
    assert_int_equal((f)->err.code, (expected));                                     \
  } while (0)

static inline int fixture_folder(void **state) {
  const char *base = getenv("TMPDIR");
  fixture *f = calloc(1, sizeof *f);

  snprintf(f->folder, sizeof f->folder, "%s/mp-store-XXXXXX", base ? base : "/tmp");
  if (!mkdtemp(f->folder)) return -1;
  snprintf(f->path, sizeof f->path, "%s/moonpost.db", f->folder);
  *state = f;
  return 0;
}

static inline int fixture_setup(void **state) {
  fixture *f;
  if (fixture_folder(state) != 0) return -1;
  f = *state;
  return mp_store_open(f->path, &f->store, &f->err) == MP_OK ? 0 : -1;
}

static inline int fixture_teardown(void **state) {
  fixture *f = *state;
  char command[300];

  mp_store_close(f->store);
  snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
  if (system(command) != 0) return -1;
  free(f);
  return 0;
}

static inline void begin(fixture *f) {
  must(f, mp_store_begin(f->store, &f->err));
}
static inline void commit(fixture *f) {
  must(f, mp_store_commit(f->store, &f->err));
}

static inline int64_t add_webhook(fixture *f, bool enabled) {
  mp_webhook_row row = {.name = "hook", .definition = "{}", .enabled = enabled};
  must(f, mp_store_webhook_insert(f->store, &row, &f->err));
  return row.id;
}

static inline void enable(fixture *f, int64_t webhook, bool enabled, int64_t now_ms) {
  mp_webhook_row row = {
      .id = webhook, .name = "hook", .definition = "{}", .enabled = enabled, .updated_ms = now_ms};
  must(f, mp_store_webhook_update(f->store, &row, now_ms, &f->err));
}

/* The id of an event that was accepted then, on the store's clock. */
static inline int64_t accepted_at(int64_t ms) {
  return mp_event_id_first(ms);
}

static inline void add_event(fixture *f, int64_t id) {
  mp_event_row row = {.id = id,
                      .type = "entry.create",
                      .model = "article",
                      .created_ms = 1000 + id,
                      .body = "{}",
                      .body_len = 2};
  must(f, mp_store_event_insert(f->store, &row, &f->err));
}

static inline void add_delivery(fixture *f, int64_t event, int64_t webhook, mp_delivery_state state,
                                int64_t due_ms, int64_t lease) {
  mp_new_delivery d = {
      .event_id = event, .webhook_id = webhook, .state = state, .due_ms = due_ms, .lease = lease};
  must(f, mp_store_delivery_insert(f->store, &d, &f->err));
}

/* ---- reading one delivery ------------------------------------------------------------------- */

typedef struct seen {
  mp_delivery_row row; /* without its pointers */
  char error_class[64];
  char error[64];
  char type[64];
} seen;

static inline mp_code see(void *arg, const mp_delivery_row *row, mp_error *err) {
  seen *s = arg;
  (void)err;
  s->row = *row;
  snprintf(s->error_class, sizeof s->error_class, "%s",
           row->last_error_class ? row->last_error_class : "");
  snprintf(s->error, sizeof s->error, "%s", row->last_error ? row->last_error : "");
  snprintf(s->type, sizeof s->type, "%s", row->event_type);
  return MP_OK;
}

static inline seen look(fixture *f, int64_t event, int64_t webhook) {
  seen s = {0};
  must(f, mp_store_delivery(f->store, event, webhook, see, &s, &f->err));
  return s;
}

static inline mp_delivery_state state_of(fixture *f, int64_t event, int64_t webhook) {
  return look(f, event, webhook).row.state;
}

static inline int64_t next_due(fixture *f, int64_t webhook, int64_t now_ms) {
  mp_pace unlimited = {0};
  int64_t due;
  must(f, mp_store_next_due(f->store, webhook, &unlimited, now_ms, &due, &f->err));
  return due;
}

/* ---- claiming and finishing ----------------------------------------------------------------- */

typedef struct claims {
  mp_claim items[64];
  char bodies[64][16];
  int count;
} claims;

static inline mp_code keep_claim(void *arg, const mp_claim *claim, mp_error *err) {
  claims *c = arg;
  (void)err;
  c->items[c->count] = *claim;
  snprintf(c->bodies[c->count], sizeof c->bodies[0], "%.*s", (int)claim->event.body_len,
           claim->event.body);
  c->count++;
  return MP_OK;
}

static inline claims claim(fixture *f, int64_t webhook, int64_t now_ms, int limit, int64_t lease) {
  claims c = {0};
  mp_claim_order order = {.webhook_id = webhook, .now_ms = now_ms, .limit = limit, .lease = lease};
  int claimed = -1;
  must(f, mp_store_claim(f->store, &order, keep_claim, &c, &claimed, &f->err));
  assert_int_equal(claimed, c.count);
  return c;
}

static inline bool finish(fixture *f, int64_t event, int64_t webhook, int64_t lease,
                          mp_delivery_state state, int64_t due_ms, const mp_attempt *attempt) {
  mp_finish end = {.event_id = event,
                   .webhook_id = webhook,
                   .lease = lease,
                   .state = state,
                   .due_ms = due_ms,
                   .attempt = attempt};
  bool applied = false;
  must(f, mp_store_finish(f->store, &end, &applied, &f->err));
  return applied;
}

#endif
