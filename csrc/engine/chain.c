/* One delivery's way through its scripts: the global ones in their order, then the webhook's own.
 * Script thread.
 *
 * A script that fails stops the chain: the delivery is held, whatever the scripts before it said.
 * What a transform returns is sanitized by the event's model before the next script, or the
 * network, sees it. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/id.h"
#include "engine/internal.h"
#include "engine/scripts.h"
#include "payload/json_reader.h"

typedef struct walk {
  const mp_script_chain *chain;
  mp_delivery *delivery;
  mp_scripted *made;
  char id[MP_EVENT_ID_SIZE];
  mp_script_event event;
  mp_script_webhook webhook;
  mp_buf version;
  mp_buf next;       /* what a transform returned */
  mp_headers fields; /* that transforms added, so far */
  bool json;         /* the payload is the documented JSON still, no text of a script's own */
  mp_error err;
} walk;

mp_scripted *mp_scripted_new(void) {
  mp_scripted *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  mp_buf_init(&s->body, MP_BUF_NO_LIMIT);
  mp_buf_init(&s->headers, MP_HEADERS_MAX_BYTES * 8);
  mp_buf_init(&s->content_type, 256);
  mp_buf_init(&s->names, MP_BUF_NO_LIMIT);
  return s;
}

void mp_scripted_free(mp_scripted *scripted) {
  if (!scripted) return;
  mp_buf_free(&scripted->body);
  mp_buf_free(&scripted->headers);
  mp_buf_free(&scripted->content_type);
  mp_buf_free(&scripted->names);
  free(scripted->version);
  free(scripted->paused);
  free(scripted);
}

/* ---- what scripts see ----------------------------------------------------------------------- */

static void show(walk *w) {
  const mp_event_row *row = &w->delivery->event->row;
  const mp_webhook *webhook = w->delivery->webhook;

  mp_event_id_format(row->id, w->id);
  w->event = (mp_script_event){.id = w->id,
                               .type = row->type,
                               .model = row->model,
                               .created_ms = row->created_ms,
                               .body = row->body,
                               .body_len = row->body_len};
  w->webhook = (mp_script_webhook){.id = webhook->id,
                                   .name = webhook->name,
                                   .url = webhook->url,
                                   .events = (const char *const *)webhook->patterns,
                                   .event_count = webhook->pattern_count};
}

/* ---- what scripts return -------------------------------------------------------------------- */

static const mp_model *model_of(const mp_schema *schema, const mp_event_row *row, bool media) {
  static const char *const files[] = {"plugins::upload.file", "plugin::upload.file"};
  const mp_model *model = NULL;

  if (!media && row->model) return mp_schema_find(schema, row->model, strlen(row->model), NULL);
  for (size_t i = 0; i < 2 && media && !model; i++)
    model = mp_schema_find(schema, files[i], strlen(files[i]), NULL);
  return model;
}

static bool is(mp_span key, const char *name) {
  return key.len == strlen(name) && memcmp(key.data, name, key.len) == 0;
}

/* An object's entry and media are sanitized as those of an emit; all else is the script's own. */
static mp_code sanitize(walk *w, const char *text, size_t len, mp_buf *out) {
  const mp_script_settings *s = &w->chain->settings->scripts;
  const mp_event_row *row = &w->delivery->event->row;
  bool first = true;
  mp_span key, raw;
  mp_json j;

  mp_json_init(&j, text, len, "payload", &w->err);
  if (mp_json_type_of(&j) != MP_JSON_OBJECT) {
    if (mp_json_skip(&j, &raw)) mp_buf_add(out, raw.data, raw.len);
    goto out;
  }
  mp_buf_add_char(out, '{');
  mp_json_begin_object(&j);
  while (mp_json_next_key(&j, &key)) {
    const mp_json_frame *frame = &j.frames[j.depth - 1];
    bool media = is(key, "media"), entry = is(key, "entry");
    if (!first) mp_buf_add_char(out, ',');
    first = false;
    mp_buf_add(out, frame->key.data - 1, frame->key.len + 2);
    mp_buf_add_char(out, ':');
    if (entry || media)
      mp_sanitize_value(s->schema, model_of(s->schema, row, media), &s->sanitize, &j, out);
    else if (mp_json_skip(&j, &raw))
      mp_buf_add(out, raw.data, raw.len);
  }
  mp_buf_add_char(out, '}');
out:
  mp_json_end(&j);
  mp_json_free(&j);
  if (j.failed) return w->err.code ? w->err.code : MP_EINVAL;
  return out->failed == MP_OK ? MP_OK : mp_fail(&w->err, out->failed, "out of memory");
}

/* A script adds fields; moonpost's own names stay its own. */
static mp_code take_headers(walk *w, const char *script, mp_buf *json) {
  mp_headers given;
  mp_code code;
  size_t bytes = 0;

  if (json->len == 0) return MP_OK;
  mp_buf_add_char(json, '\0');
  if (json->failed != MP_OK) return mp_fail(&w->err, MP_ENOMEM, "out of memory");
  mp_headers_init(&given);
  code = mp_webhook_headers(json->data, &given, &w->err);
  for (size_t i = 0; i < given.count && code == MP_OK; i++) {
    const mp_header *h = &given.items[i];
    if (mp_header_reserved(h->name) || strcasecmp(h->name, "X-Strapi-Event") == 0) {
      code =
          mp_fail(&w->err, MP_EINVAL, "%s.lua: headers: '%s' is moonpost's own", script, h->name);
    } else if (strcasecmp(h->name, "Content-Type") == 0) {
      code =
          mp_fail(&w->err, MP_EINVAL,
                  "%s.lua: headers: 'Content-Type': return a string and its content_type", script);
    } else {
      code = mp_headers_set(&w->fields, h->name, h->value, &w->err);
    }
  }
  for (size_t i = 0; i < w->fields.count; i++)
    bytes += strlen(w->fields.items[i].name) + strlen(w->fields.items[i].value);
  if (code == MP_OK && bytes > MP_HEADERS_MAX_BYTES) {
    code =
        mp_fail(&w->err, MP_EINVAL, "%s.lua: headers: over %d bytes", script, MP_HEADERS_MAX_BYTES);
  }
  mp_headers_free(&given);
  return code;
}

static mp_code take_body(walk *w, const char *script, bool text) {
  mp_buf clean;
  mp_code code = MP_OK;

  if (w->next.len > w->chain->settings->scripts.max_output) {
    return mp_fail(&w->err, MP_EINVAL, "%s.lua: transform: the payload is over %zu bytes", script,
                   w->chain->settings->scripts.max_output);
  }
  mp_buf_init(&clean, MP_BUF_NO_LIMIT);
  if (text)
    mp_buf_add(&clean, w->next.data, w->next.len);
  else
    code = sanitize(w, w->next.data, w->next.len, &clean);
  if (code == MP_OK && clean.failed != MP_OK) code = mp_fail(&w->err, MP_ENOMEM, "out of memory");
  if (code == MP_OK) {
    mp_buf_free(&w->made->body);
    w->made->body = clean;
    w->made->changed = true;
  } else {
    mp_buf_free(&clean);
  }
  return code;
}

/* ---- one script ----------------------------------------------------------------------------- */

static void note(mp_script_slot *slot, mp_script_phase phase, const mp_script_use *use,
                 mp_code code) {
  mp_script_sum *sum = &slot->sums[phase];

  sum->calls++;
  sum->cpu_us += use->cpu_us;
  sum->instructions += use->instructions;
  if (use->memory > sum->memory) sum->memory = use->memory;
  if (code != MP_OK) sum->errors++;
}

static mp_code filter(walk *w, mp_script_slot *slot, bool *keep) {
  mp_script_use use = {0};
  mp_code code = w->chain->ops->filter(slot->script, &w->event, &w->webhook, keep, &use, &w->err);
  note(slot, MP_PHASE_FILTER, &use, code);
  return code;
}

static mp_code transform(walk *w, mp_script_slot *slot) {
  mp_scripted *m = w->made;
  const char *payload = m->changed ? m->body.data : w->event.body;
  size_t len = m->changed ? m->body.len : w->event.body_len;
  mp_script_use use = {0};
  mp_buf headers;
  bool changed = false;
  mp_code code;

  mp_buf_init(&headers, m->headers.limit);
  mp_buf_reset(&w->next);
  mp_buf_reset(&m->content_type);
  code = w->chain->ops->transform(slot->script, &w->event, &w->webhook, payload ? payload : "", len,
                                  &changed, &w->next, &headers, &m->content_type, &use, &w->err);
  if (code == MP_OK && changed) code = take_body(w, slot->name, m->content_type.len > 0);
  if (code == MP_OK) code = take_headers(w, slot->name, &headers);
  if (code == MP_OK) w->json = m->content_type.len == 0;
  note(slot, MP_PHASE_TRANSFORM, &use, code);
  mp_buf_free(&headers);
  return code;
}

static void add_version(walk *w, const mp_script_slot *slot) {
  if (w->version.len) mp_buf_add_char(&w->version, ' ');
  mp_buf_add_str(&w->version, slot->name);
  mp_buf_add_char(&w->version, '@');
  mp_buf_add_str(&w->version, w->chain->ops->hash(slot->script));
}

static mp_code usable(walk *w, const mp_script_slot *slot) {
  if (!slot->script) {
    return mp_fail(&w->err, MP_EINVAL, "%s", slot->error ? slot->error : "not loaded");
  }
  if (slot->paused) {
    return mp_fail(&w->err, MP_EINVAL,
                   "%s.lua: paused, for it failed %d times in a row; a new version starts it again",
                   slot->name, MP_SCRIPT_PAUSE);
  }
  return MP_OK;
}

/* 20 failures in a row pause a script. */
static void count_failure(walk *w, mp_script_slot *slot, mp_code code) {
  if (code == MP_OK) {
    slot->failures = 0;
    return;
  }
  free(slot->failure);
  slot->failure = strdup(w->err.message);
  if (slot->failures++ == 0) { /* the others in a row are in their deliveries */
    mp_log(w->chain->settings->log, MP_LOG_WARN, "script.failed", "script %s failed of %s: %s",
           slot->name, w->id, w->err.message);
  }
  if (slot->failures == MP_SCRIPT_PAUSE) {
    slot->paused = true;
    w->made->paused = strdup(slot->name);
  }
}

static mp_code run_slot(walk *w, mp_script_slot *slot, bool *keep) {
  const mp_script_ops *ops = w->chain->ops;
  const mp_script_event *e = &w->event;
  bool filters, transforms;
  mp_code code = usable(w, slot);

  if (code != MP_OK) return code;
  filters = ops->filters(slot->script, e->type, e->model);
  transforms = w->json && ops->transforms(slot->script, e->type, e->model);
  if (!filters && !transforms) return MP_OK;
  add_version(w, slot);
  if (filters) code = filter(w, slot, keep);
  if (code == MP_OK && *keep && transforms) code = transform(w, slot);
  count_failure(w, slot, code);
  return code;
}

/* ---- the chain ------------------------------------------------------------------------------ */

static void fail_delivery(walk *w) {
  mp_result failure = {.at_ms = mp_wall_ms(), .error_class = "script", .error = w->err.message};
  mp_delivery_record(w->delivery, &failure);
  w->made->verdict = MP_VERDICT_HELD;
}

/* Both are NUL-terminated. */
static mp_code write_headers(walk *w) {
  mp_buf *out = &w->made->headers, *type = &w->made->content_type;

  if (type->len) {
    mp_buf_add_char(type, '\0');
    if (type->failed != MP_OK) return mp_fail(&w->err, MP_ENOMEM, "out of memory");
  }
  if (w->fields.count == 0) return MP_OK;
  mp_webhook_headers_write(&w->fields, out); /* they came as JSON: they are UTF-8 */
  mp_buf_add_char(out, '\0');
  return out->failed == MP_OK ? MP_OK : mp_fail(&w->err, MP_ENOMEM, "out of memory");
}

static mp_code keep_version(walk *w) {
  if (w->version.len == 0) return MP_OK;
  mp_buf_add_char(&w->version, '\0');
  if (w->version.failed == MP_OK) w->made->version = mp_buf_take(&w->version, NULL);
  return w->version.failed == MP_OK ? MP_OK : mp_fail(&w->err, MP_ENOMEM, "out of memory");
}

/* Through all that apply. */
static mp_code deliver(walk *w, mp_scripts *scripts) {
  const char *own = w->delivery->webhook->script;
  mp_script_slot *last;
  bool keep = true;
  mp_code code = MP_OK;

  for (size_t i = 0; i < w->chain->global_count && keep && code == MP_OK; i++) {
    if (mp_report_is(w->event.type)) break;
    code = run_slot(w, w->chain->slots[i], &keep);
  }
  if (own && keep && code == MP_OK) {
    code = mp_scripts_need(scripts, own, &w->err);
    last = mp_scripts_find(scripts, own);
    if (code == MP_OK && last && !last->global) code = run_slot(w, last, &keep);
  }
  if (code == MP_OK) code = write_headers(w);
  if (code == MP_OK) w->made->verdict = keep ? MP_VERDICT_SEND : MP_VERDICT_FILTERED;
  return code;
}

/* The first that answers decides. */
static mp_code route(walk *w) {
  const mp_script_ops *ops = w->chain->ops;
  mp_code code = MP_OK;

  for (size_t i = 0; i < w->chain->global_count && code == MP_OK; i++) {
    mp_script_slot *slot = w->chain->slots[i];
    mp_script_use use = {0};
    if (!ops->routes(slot->script, w->event.type, w->event.model)) continue;
    code = usable(w, slot);
    if (code != MP_OK) break;
    code = ops->route(slot->script, &w->event, &w->made->names, &use, &w->err);
    note(slot, MP_PHASE_ROUTE, &use, code);
    count_failure(w, slot, code);
    if (code == MP_OK && w->made->names.len > 0) break;
  }
  w->made->verdict = MP_VERDICT_ROUTED;
  return code;
}

bool mp_scripts_run(mp_scripts *scripts, mp_delivery *delivery) {
  walk w = {.chain = mp_scripts_chain(scripts),
            .delivery = delivery,
            .made = mp_scripted_new(),
            .json = true};
  mp_code code;

  if (!w.made) return false;
  mp_buf_init(&w.version, MP_BUF_NO_LIMIT);
  mp_buf_init(&w.next, MP_BUF_NO_LIMIT);
  mp_headers_init(&w.fields);
  show(&w);
  code = delivery->lane->webhook_id == MP_ROUTING ? route(&w) : deliver(&w, scripts);
  if (code == MP_OK) code = keep_version(&w);
  if (code != MP_OK && code != MP_ENOMEM) fail_delivery(&w);
  mp_buf_free(&w.version);
  mp_buf_free(&w.next);
  mp_headers_free(&w.fields);
  if (code == MP_ENOMEM) {
    mp_scripted_free(w.made);
    return false;
  }
  mp_scripted_free(delivery->scripted);
  delivery->scripted = w.made;
  return true;
}
