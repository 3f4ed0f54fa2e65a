/* What engine_fixture.h and engine_run.h share. It may run in a process without a test of cmocka
 * around it: what cannot be aborts. */
#ifndef MP_TEST_ENGINE_COMMON_H
#define MP_TEST_ENGINE_COMMON_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

static inline void *sure(void *made) {
  if (!made) abort();
  return made;
}

static inline char *copy_text(const char *text) {
  return sure(strdup(text));
}

/* The settings of an engine on the store, without retries, time limits, concurrency and webhooks.
 */
static inline mp_settings *common_settings(const char *store, const char *fingerprint) {
  mp_settings *s = sure(calloc(1, sizeof *s));
  char key[256];

  s->store = copy_text(store);
  snprintf(key, sizeof key, "%s.key", store);
  s->key_file = copy_text(key);
  s->fingerprint = copy_text(fingerprint);
  s->events = sure(calloc(2, sizeof *s->events));
  s->events[s->event_count++] = copy_text("entry.create");
  s->events[s->event_count++] = copy_text("entry.update");
  mp_headers_init(&s->default_headers);
  if (mp_netguard_new(&s->guard, NULL) != MP_OK ||
      mp_netguard_add(s->guard, MP_NETGUARD_ALLOW, "127.0.0.0/8", NULL) != MP_OK) {
    abort();
  }
  s->user_agent = copy_text("test");
  s->inbox_count = 1000;
  s->inbox_bytes = 1 << 20;
  s->emit_timeout_ms = 30000;
  s->delivery_threads = 2;
  s->keep_delivered_ms = s->keep_dead_ms = (int64_t)7 * 24 * 60 * 60 * 1000;
  s->probe_ms = 30000;
  return s;
}

/* The number after "name": in what the engine answered as its stats. */
static inline long long number_in(const mp_buf *stats, const char *name) {
  char pattern[64];
  const char *at;

  snprintf(pattern, sizeof pattern, "\"%s\":", name);
  at = memmem(stats->data, stats->len, pattern, strlen(pattern));
  if (!at) {
    fprintf(stderr, "the stats have no %s\n", name);
    abort();
  }
  return strtoll(at + strlen(pattern), NULL, 10);
}

#endif
