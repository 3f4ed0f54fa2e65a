/* An engine with scripts in the language of script_fixture.h. */
#ifndef MP_TEST_ENGINE_SCRIPT_H
#define MP_TEST_ENGINE_SCRIPT_H

#include "base/id.h"
#include "script_fixture.h"

static inline void add_hook(mp_engine *e, const char *name, int port, const char *more) {
  char definition[512];
  mp_buf out;
  mp_error err = {0};

  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  snprintf(definition, sizeof definition,
           "{\"url\":\"http://127.0.0.1:%d/%s\",\"events\":[\"entry.create\"]%s}", port, name,
           more);
  if (mp_engine_webhook_create(e, name, definition, true, &out, &err) != MP_OK) {
    fail_msg("%s", err.message);
  }
  mp_buf_free(&out);
}

/* An engine whose webhook "a" has the script crm. */
static inline mp_engine *open_with_crm(const sink *s, const char *source) {
  mp_engine *e;

  write_script("crm", source);
  e = open_with(scripted_settings(NULL));
  add_hook(e, "a", s->port, ",\"script\":\"crm\"");
  return e;
}

static inline void close_both(mp_engine *e, sink *s) {
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
}

static inline int64_t emit_article(mp_engine *e) {
  mp_event_row row = {.id = mp_engine_next_id(e),
                      .type = "entry.create",
                      .model = "article",
                      .created_ms = 1700000000000,
                      .body = "{\"event\":\"entry.create\"}",
                      .body_len = 24};
  mp_event *event = mp_event_new(&row, mp_engine_event_type(e, row.type, strlen(row.type)));
  mp_list list = {0};
  mp_error err = {0};

  mp_list_push(&list, &event->node);
  if (mp_engine_emit(e, &list, true, NULL, &err) != MP_OK) fail_msg("%s", err.message);
  return row.id;
}

static inline void settle(mp_engine *e) {
  mp_error err = {0};
  if (mp_engine_wait(e, 20000, &err) != MP_OK) fail_msg("%s", err.message);
}

/* The limit is generous: what is waited for comes. */
static inline void wait_for_requests(sink *s, int count) {
  for (int i = 0; i < 1000 && atomic_load(&s->requests) < count; i++)
    usleep(10000);
}

#define ANSWER_SIZE 4096

static inline const char *keep_answer(char text[ANSWER_SIZE], mp_code code, mp_buf *answer,
                                      const mp_error *err) {
  if (code != MP_OK) fail_msg("%s", err->message);
  memcpy(text, answer->data, answer->len);
  text[answer->len] = '\0';
  mp_buf_free(answer);
  return text;
}

/* What the engine answers about the delivery; valid until the next call. */
static inline const char *shown(mp_engine *e, int64_t event, int64_t webhook) {
  static char text[ANSWER_SIZE];
  mp_error err = {0};
  mp_buf out;

  mp_buf_init(&out, ANSWER_SIZE - 1);
  return keep_answer(text, mp_engine_delivery(e, event, webhook, &out, &err), &out, &err);
}

/* What is sent to the webhook, likewise. */
static inline const char *payload_of(mp_engine *e, int64_t event, int64_t webhook) {
  static char text[ANSWER_SIZE];
  mp_error err = {0};
  mp_buf out;

  mp_buf_init(&out, ANSWER_SIZE - 1);
  return keep_answer(text, mp_engine_payload(e, event, webhook, &out, &err), &out, &err);
}

static inline const char *scripts_of(mp_engine *e, bool reload) {
  static char text[ANSWER_SIZE];
  mp_error err = {0};
  mp_buf out;

  mp_buf_init(&out, ANSWER_SIZE - 1);
  return keep_answer(text, mp_engine_scripts(e, reload, &out, &err), &out, &err);
}

static inline const char *last_request(sink *s) {
  static char text[8192];
  pthread_mutex_lock(&s->lock);
  strcpy(text, s->last);
  pthread_mutex_unlock(&s->lock);
  return text;
}

/* The id that the n-th webhook of a fresh store has. */
#define FIRST  1
#define SECOND 2

#endif
