/* Operational reports: written, made events, and kept for hosts. Store thread, but for
 * mp_engine_reports. */
#include "engine/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/answer.h"
#include "engine/internal.h"

#define MAX_KEPT 256 /* for hosts that ask */
#define MAX_TEXT 4096

const char *const mp_report_types[MP_REPORT_KINDS] = {
    [MP_REPORT_DISABLED] = "webhook.disabled",   [MP_REPORT_FAILING] = "webhook.failing",
    [MP_REPORT_RECOVERED] = "webhook.recovered", [MP_REPORT_DEAD] = "delivery.dead",
    [MP_REPORT_PAUSED] = "script.paused",
};

bool mp_report_is(const char *type) {
  for (int i = 0; i < MP_REPORT_KINDS; i++) {
    if (strcmp(mp_report_types[i], type) == 0) return true;
  }
  return false;
}

/* ---- the text ------------------------------------------------------------------------------- */

static void add_webhook(mp_buf *out, const mp_delivery *d) {
  if (d->lane->webhook_id == MP_ROUTING) return;
  mp_buf_add_str(out, ",\"webhook\":{");
  mp_answer_id(out, "id", d->lane->webhook_id);
  mp_answer_string(out, "name", d->webhook->name);
  mp_buf_add_char(out, '}');
}

/* attempts: with the one that the report is about. */
static void add_delivery(mp_buf *out, const mp_delivery *d, int attempts) {
  mp_buf_add_str(out, ",\"delivery\":{");
  mp_answer_delivery_id(out, "id", d->event->row.id, d->lane->webhook_id);
  mp_answer_event_id(out, "event_id", d->event->row.id);
  mp_answer_string(out, "event", d->event->row.type);
  mp_answer_string(out, "model", d->event->row.model);
  mp_answer_number(out, "attempts", attempts);
  mp_buf_add_char(out, '}');
}

static void add_failure(mp_buf *out, const mp_attempt *attempt) {
  mp_answer_string(out, "class", attempt->error_class);
  if (attempt->status) mp_answer_number(out, "status", attempt->status);
  mp_answer_string(out, "error", attempt->error);
}

static void add_text(mp_buf *out, mp_report_kind kind, const mp_delivery *d, const char *reason,
                     int64_t wall_ms) {
  mp_buf_add_char(out, '{');
  mp_answer_string(out, "event", mp_report_types[kind]);
  mp_answer_time(out, "created_at", wall_ms);
  if (kind == MP_REPORT_PAUSED) mp_answer_string(out, "script", d->scripted->paused);
  add_webhook(out, d);
  if (kind == MP_REPORT_DEAD) add_delivery(out, d, d->attempts + 1);
  mp_answer_string(out, "reason", reason);
  if (kind != MP_REPORT_RECOVERED) add_failure(out, &d->attempt);
  mp_buf_add_char(out, '}');
}

static mp_report *new_report(mp_report_kind kind, const mp_delivery *d, const char *reason,
                             int64_t wall_ms) {
  mp_report *report = NULL;
  mp_buf text;

  mp_buf_init(&text, MAX_TEXT);
  add_text(&text, kind, d, reason, wall_ms);
  if (text.failed == MP_OK) report = malloc(sizeof *report + text.len + 1);
  if (report) {
    *report = (mp_report){.kind = kind};
    memcpy(report->text, text.data, text.len);
    report->text[text.len] = '\0';
  }
  mp_buf_free(&text);
  return report;
}

/* ---- as an event ---------------------------------------------------------------------------- */

/* Its first subscriber brings the event into the store; without one it is not stored. */
static mp_code send(mp_engine *e, mp_batch *b, const mp_report *report, const mp_lane *about,
                    int64_t wall_ms, mp_error *err) {
  mp_event_row row = {.type = mp_report_types[report->kind],
                      .created_ms = wall_ms,
                      .body = report->text,
                      .body_len = strlen(report->text)};
  mp_event *event = NULL;
  mp_code code = MP_OK;

  for (size_t i = 0; i < e->lanes.count && code == MP_OK; i++) {
    mp_lane *lane = e->lanes.items[i];
    if (lane == about || !lane->webhook || !lane->webhook->wants_reports[report->kind]) continue;
    if (!event) {
      row.id = mp_engine_next_id(e);
      event = mp_event_new(&row, -1);
      if (!event) return mp_fail(err, MP_ENOMEM, "out of memory");
      code = mp_store_event_insert(e->store, &row, err);
    }
    if (code == MP_OK) code = mp_insert_delivery(e, b, lane, event, err);
  }
  mp_event_unref(event);
  return code;
}

mp_code mp_report_add(mp_engine *engine, mp_batch *batch, mp_report_kind kind,
                      const mp_delivery *delivery, const char *reason, mp_error *err) {
  int64_t wall_ms = mp_wall_ms();
  mp_report *report;

  if (kind == MP_REPORT_DEAD && mp_report_is(delivery->event->row.type)) return MP_OK;
  report = new_report(kind, delivery, reason, wall_ms);
  if (!report) return mp_fail(err, MP_ENOMEM, "out of memory");
  mp_list_push(&batch->reports, &report->node);
  return send(engine, batch, report, delivery->lane, wall_ms, err);
}

/* ---- in the log ----------------------------------------------------------------------------- */

static void log_report(const mp_engine *e, const mp_report *report) {
  mp_log_level level = report->kind == MP_REPORT_RECOVERED ? MP_LOG_INFO : MP_LOG_WARN;
  mp_log_object(e->settings->log, level, mp_report_types[report->kind], report->text,
                strlen(report->text));
}

typedef struct ending {
  mp_log_level level;
  const char *event;
} ending;

/* A dead one has a report that is logged, unless it is the delivery of one. */
static ending ending_of(const mp_delivery *d) {
  switch (d->state) {
    case MP_DELIVERED:
      return (ending){MP_LOG_DEBUG, "delivery.delivered"};
    case MP_FILTERED:
      return (ending){MP_LOG_DEBUG, "delivery.filtered"};
    case MP_HELD:
      return (ending){MP_LOG_INFO, "delivery.held"};
    case MP_WAITING:
      if (d->attempted) return (ending){MP_LOG_INFO, "delivery.failed"};
      break;
    case MP_DEAD:
      if (mp_report_is(d->event->row.type)) {
        return (ending){MP_LOG_WARN, mp_report_types[MP_REPORT_DEAD]};
      }
      break;
    default:
      break;
  }
  return (ending){MP_LOG_OFF, NULL};
}

void mp_report_log(const mp_engine *engine, const mp_delivery *delivery) {
  const mp_delivery *d = delivery;
  ending end = ending_of(d);
  mp_buf text;

  if (!end.event || !mp_log_wants(engine->settings->log, end.level)) return;
  mp_buf_init(&text, MAX_TEXT);
  mp_buf_add_char(&text, '{');
  mp_answer_string(&text, "event", end.event);
  add_webhook(&text, d);
  add_delivery(&text, d, d->attempts + d->attempted);
  add_failure(&text, &d->attempt);
  if (d->attempted) mp_answer_number(&text, "duration_us", d->attempt.duration_us);
  if (d->state == MP_WAITING) {
    mp_answer_time(&text, "due_at", mp_engine_to_wall(engine, d->due_ms));
  }
  mp_buf_add_char(&text, '}');
  if (text.failed == MP_OK) {
    mp_log_object(engine->settings->log, end.level, end.event, text.data, text.len);
  }
  mp_buf_free(&text);
}

/* ---- for hosts ------------------------------------------------------------------------------ */

void mp_reports_free(mp_list *reports) {
  for (mp_node *n; (n = mp_list_pop(reports)) != NULL;)
    free(MP_CONTAINER(n, mp_report, node));
}

void mp_reports_keep(mp_engine *engine, mp_list *reports) {
  mp_list old = {0};

  if (!reports->head) return;
  for (mp_node *n = reports->head; n; n = n->next)
    log_report(engine, MP_CONTAINER(n, mp_report, node));
  pthread_mutex_lock(&engine->lock);
  for (mp_node *n; (n = mp_list_pop(reports)) != NULL;) {
    MP_CONTAINER(n, mp_report, node)->number = ++engine->report_count;
    mp_list_push(&engine->reports, n);
  }
  while (engine->reports.count > MAX_KEPT)
    mp_list_push(&old, mp_list_pop(&engine->reports));
  mp_mailboxes_ring(engine);
  pthread_mutex_unlock(&engine->lock);
  mp_reports_free(&old);
}

mp_code mp_engine_reports(mp_engine *engine, int64_t after, mp_buf *out, mp_error *err) {
  mp_code code = mp_engine_check(engine, err);
  bool first = true;

  if (code != MP_OK) return code;
  pthread_mutex_lock(&engine->lock);
  mp_buf_add_char(out, '{');
  mp_answer_number(out, "last", engine->report_count);
  mp_answer_number(out, "kept", (int64_t)engine->reports.count);
  mp_buf_add_str(out, ",\"reports\":[");
  for (mp_node *n = engine->reports.head; n; n = n->next) {
    const mp_report *r = MP_CONTAINER(n, mp_report, node);
    if (r->number <= after) continue;
    if (!first) mp_buf_add_char(out, ',');
    first = false;
    mp_buf_add_str(out, r->text);
  }
  pthread_mutex_unlock(&engine->lock);
  mp_buf_add_str(out, "]}");
  return out->failed == MP_OK ? MP_OK : mp_fail(err, out->failed, "out of memory");
}
