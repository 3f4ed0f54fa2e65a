/* Trying scripts: for the command line and for checks of a config. Host thread; the scripts are
 * loaded for the one call, and nothing is stored. */
#include "engine/script_try.h"

#include <string.h>

#include "engine/answer.h"
#include "engine/lane.h"
#include "engine/scripts.h"

mp_code mp_script_check(const mp_settings *settings, mp_buf *out, mp_error *err) {
  mp_scripts *scripts;
  mp_code code = mp_scripts_new(settings, &scripts, err);

  if (code != MP_OK) return code;
  mp_scripts_describe(scripts, out);
  mp_scripts_free(scripts);
  return out->failed == MP_OK ? MP_OK : mp_fail(err, out->failed, "out of memory");
}

/* ---- what came of it ------------------------------------------------------------------------ */

static void answer_raw(mp_buf *out, const char *name, const char *json, size_t len) {
  if (out->len == 0) return; /* out of memory */
  mp_buf_add_format(out, "%s\"%s\":", out->data[out->len - 1] == '{' ? "" : ",", name);
  mp_buf_add(out, json, len);
}

static void answer_phases(const mp_script_chain *chain, mp_buf *out) {
  static const char *const names[] = {"route", "filter", "transform"};
  bool first = true;

  mp_buf_add_str(out, ",\"phases\":{");
  for (int i = 0; i < MP_PHASES; i++) {
    mp_script_sum all = {0};
    for (size_t k = 0; k < chain->count; k++) {
      const mp_script_sum *sum = &chain->slots[k]->sums[i];
      all.calls += sum->calls;
      all.cpu_us += sum->cpu_us;
      all.instructions += sum->instructions;
      if (sum->memory > all.memory) all.memory = sum->memory;
    }
    if (all.calls == 0) continue;
    mp_buf_add_format(out, "%s\"%s\":{\"cpu_us\":%lld,\"instructions\":%lld,\"memory\":%zu}",
                      first ? "" : ",", names[i], (long long)all.cpu_us,
                      (long long)all.instructions, all.memory);
    first = false;
  }
  mp_buf_add_char(out, '}');
}

static void answer_delivery(const mp_delivery *d, mp_buf *out) {
  static const char *const verdicts[] = {
      [MP_VERDICT_SEND] = "send", [MP_VERDICT_FILTERED] = "filtered", [MP_VERDICT_HELD] = "held"};
  const mp_scripted *s = d->scripted;

  mp_answer_string(out, "verdict", s ? verdicts[s->verdict] : "send");
  if (s && s->verdict == MP_VERDICT_HELD) mp_answer_string(out, "error", d->attempt.error);
  if (s && s->version) mp_answer_string(out, "version", s->version);
  if (s && s->verdict != MP_VERDICT_SEND) return;
  if (s && s->changed)
    mp_answer_text(out, "body", s->body.data ? s->body.data : "", s->body.len);
  else
    mp_answer_text(out, "body", d->event->row.body, d->event->row.body_len);
  if (s && s->headers.len) answer_raw(out, "headers", s->headers.data, s->headers.len - 1);
  if (s && s->content_type.len) mp_answer_string(out, "content_type", s->content_type.data);
}

/* ---- the run -------------------------------------------------------------------------------- */

typedef struct trial {
  mp_scripts *scripts;
  mp_event *event;
  mp_webhook *webhook;
  mp_buf *out;
} trial;

static mp_delivery *run(trial *t, mp_lane *lane, bool apply, mp_error *err) {
  mp_delivery *d = mp_delivery_new(lane, t->webhook, t->event);

  if (d && (!apply || mp_scripts_run(t->scripts, d))) return d;
  mp_delivery_free(d);
  mp_fail(err, MP_ENOMEM, "out of memory");
  return NULL;
}

/* An engine holds the event, undelivered, when its routing fails. */
static mp_code route(trial *t, bool *failed, mp_error *err) {
  const mp_event_row *row = &t->event->row;
  mp_lane lane = {.webhook_id = MP_ROUTING, .webhook = t->webhook};
  mp_delivery *d;

  *failed = false;
  if (!mp_scripts_route(t->scripts, row->type, row->model)) return MP_OK;
  d = run(t, &lane, true, err);
  if (!d) return MP_ENOMEM;
  *failed = d->scripted->verdict == MP_VERDICT_HELD;
  if (*failed) {
    mp_answer_string(t->out, "verdict", "held");
    mp_answer_string(t->out, "error", d->attempt.error);
  } else if (d->scripted->names.len) {
    answer_raw(t->out, "route", d->scripted->names.data, d->scripted->names.len);
  }
  mp_delivery_free(d);
  return MP_OK;
}

static mp_code deliver(trial *t, mp_error *err) {
  const mp_event_row *row = &t->event->row;
  mp_lane lane = {.webhook_id = t->webhook->id, .webhook = t->webhook};
  mp_delivery *d =
      run(t, &lane, mp_scripts_apply(t->scripts, NULL, row->type, row->model, false), err);

  if (!d) return MP_ENOMEM;
  answer_delivery(d, t->out);
  mp_delivery_free(d);
  return MP_OK;
}

mp_code mp_script_try(const mp_settings *settings, const mp_event_row *event,
                      const mp_webhook_row *webhook, mp_buf *out, mp_error *err) {
  trial t = {.out = out};
  bool failed = false;
  mp_code code = mp_scripts_new(settings, &t.scripts, err);

  if (code == MP_OK) code = mp_webhook_new(settings, webhook, &t.webhook, err);
  if (code == MP_OK) {
    t.event = mp_event_new(event, -1);
    if (!t.event) code = mp_fail(err, MP_ENOMEM, "out of memory");
  }
  if (code != MP_OK) goto out;
  mp_buf_add_char(out, '{');
  code = route(&t, &failed, err);
  if (code == MP_OK && !failed) code = deliver(&t, err);
  answer_phases(mp_scripts_chain(t.scripts), out);
  mp_buf_add_char(out, '}');
  if (code == MP_OK && out->failed != MP_OK) {
    code = mp_fail(err, MP_ENOMEM, "out of memory");
  }
out:
  mp_event_unref(t.event);
  mp_webhook_unref(t.webhook);
  mp_scripts_free(t.scripts);
  return code;
}
