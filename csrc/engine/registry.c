/* Webhooks and their lanes: what the store and the config say, as the store thread sees it. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/internal.h"

#define ROUTING_CONCURRENCY 64 /* events that are routed ahead of a commit, at least */

static const mp_endpoint *endpoint_of(const mp_settings *s, const char *name) {
  for (size_t i = 0; i < s->endpoint_count; i++) {
    if (strcmp(s->endpoints[i].name, name) == 0) return &s->endpoints[i];
  }
  return NULL;
}

/* ---- giving the config's endpoints their rows ----------------------------------------------- */

typedef struct known {
  const mp_settings *settings;
  int64_t *ids;  /* of each endpoint's row; 0: none yet */
  bool *enabled; /* as the row says */
} known;

static mp_code note_row(void *arg, const mp_webhook_row *row, mp_error *err) {
  known *k = arg;
  const mp_endpoint *endpoint = row->from_config ? endpoint_of(k->settings, row->name) : NULL;
  (void)err;
  if (endpoint) {
    k->ids[endpoint - k->settings->endpoints] = row->id;
    k->enabled[endpoint - k->settings->endpoints] = row->enabled;
  }
  return MP_OK;
}

/* The row with its definition sealed, until the engine's next secret. */
static mp_code hide(mp_engine *e, mp_webhook_row *row, mp_error *err) {
  mp_code code;

  if (!row->definition) return MP_OK;
  code = mp_secret_hide_webhook(e->sealer, row->name, row->definition, &e->secret, err);
  row->definition = e->secret.data;
  return code;
}

mp_code mp_registry_insert(mp_engine *engine, mp_webhook_row *row, mp_error *err) {
  mp_webhook_row hidden = *row;
  mp_code code = hide(engine, &hidden, err);

  if (code == MP_OK) code = mp_store_webhook_insert(engine->store, &hidden, err);
  row->id = hidden.id;
  return code;
}

mp_code mp_registry_update(mp_engine *engine, const mp_webhook_row *row, int64_t now_ms,
                           mp_error *err) {
  mp_webhook_row hidden = *row;
  mp_code code = hide(engine, &hidden, err);
  return code == MP_OK ? mp_store_webhook_update(engine->store, &hidden, now_ms, err) : code;
}

mp_code mp_registry_write(mp_engine *engine, const mp_webhook *webhook, const mp_webhook_row *row,
                          bool was_enabled, mp_error *err) {
  int64_t now_ms = mp_engine_now(engine);
  mp_code code = MP_OK;

  if (row->enabled && !was_enabled && webhook->discard) {
    code = mp_store_webhook_discard(engine->store, row->id, err);
  }
  if (code == MP_OK) code = mp_registry_update(engine, row, now_ms, err);
  if (code == MP_OK && webhook->order == MP_ORDER_NONE) {
    code = mp_store_webhook_unorder(engine->store, row->id, now_ms, err);
  }
  return code;
}

/* The row of an endpoint whose enabled, or whose order, may have been changed in the config. */
static mp_code sync_known(mp_engine *e, const mp_endpoint *endpoint, const mp_webhook_row *row,
                          bool was_enabled, mp_error *err) {
  mp_webhook_row own = *row;
  mp_webhook *webhook = NULL;
  mp_code code;

  own.definition = endpoint->definition;
  code = mp_webhook_new(e->settings, &own, &webhook, err);
  if (code != MP_OK) return code;
  if (was_enabled != endpoint->enabled)
    code = mp_registry_write(e, webhook, row, was_enabled, err);
  else if (webhook->order == MP_ORDER_NONE)
    code = mp_store_webhook_unorder(e->store, row->id, mp_engine_now(e), err);
  mp_webhook_unref(webhook);
  return code;
}

/* Inside a transaction. A row whose endpoint left the config stays, with its deliveries: they go on
 * when it comes back. */
static mp_code sync_rows(mp_engine *e, known *k, mp_error *err) {
  mp_code code = mp_store_webhooks(e->store, note_row, k, err);

  for (size_t i = 0; code == MP_OK && i < k->settings->endpoint_count; i++) {
    const mp_endpoint *endpoint = &k->settings->endpoints[i];
    int64_t now = mp_wall_ms();
    mp_webhook_row row = {.id = k->ids[i],
                          .from_config = true,
                          .name = endpoint->name,
                          .enabled = endpoint->enabled,
                          .created_ms = now,
                          .updated_ms = now};
    if (row.id)
      code = sync_known(e, endpoint, &row, k->enabled[i], err);
    else
      code = mp_registry_insert(e, &row, err);
  }
  return code;
}

mp_code mp_registry_sync(mp_engine *engine, mp_error *err) {
  size_t n = engine->settings->endpoint_count + 1;
  known k = {.settings = engine->settings,
             .ids = calloc(n, sizeof *k.ids),
             .enabled = calloc(n, sizeof *k.enabled)};
  mp_code code = k.ids && k.enabled ? MP_OK : mp_fail(err, MP_ENOMEM, "out of memory");

  if (code == MP_OK) code = sync_rows(engine, &k, err);
  free(k.ids);
  free(k.enabled);
  return code;
}

/* ---- lanes ---------------------------------------------------------------------------------- */

static bool same(const mp_webhook *w, const mp_webhook_row *row) {
  return w && w->updated_ms == row->updated_ms && w->enabled == row->enabled &&
         strcmp(w->definition, row->definition) == 0;
}

/* The row's definition, from the config or unsealed; NULL when it is another process's. MP_EKEY. */
static mp_code find_definition(mp_engine *e, const mp_webhook_row *row, const char **out,
                               mp_error *err) {
  mp_code code = MP_OK;

  if (row->from_config) {
    const mp_endpoint *endpoint = endpoint_of(e->settings, row->name);
    *out = endpoint ? endpoint->definition : NULL;
  } else {
    code = mp_secret_show_webhook(e->sealer, row->name, row->definition, &e->secret, err);
    *out = e->secret.data;
  }
  return code;
}

static mp_code use_row(mp_engine *e, mp_lane *lane, const mp_webhook_row *stored, mp_error *err) {
  mp_webhook_row row = *stored;
  mp_webhook *webhook;
  mp_code code = find_definition(e, stored, &row.definition, err);

  if (code != MP_OK || !row.definition) return code;
  lane->seen = true;
  if (same(lane->webhook, &row)) return MP_OK;
  code = mp_webhook_new(e->settings, &row, &webhook, err);
  if (code != MP_OK) return code;
  if (webhook->tls.insecure && (!lane->webhook || !lane->webhook->tls.insecure)) {
    mp_log(e->settings->log, MP_LOG_WARN, "webhook.insecure",
           "webhook %lld ('%s') sends to whoever answers: its tls.insecure switches verification "
           "off",
           (long long)row.id, row.name);
  }
  mp_webhook_unref(lane->webhook);
  lane->webhook = webhook;
  lane->circuit = (mp_circuit){0}; /* what kept failing may have been mended */
  lane->stale = true;
  atomic_store(&lane->stopped, !webhook->enabled);
  return MP_OK;
}

static mp_code load_row(void *arg, const mp_webhook_row *row, mp_error *err) {
  mp_engine *e = arg;
  mp_lane *lane = mp_lanes_add(&e->lanes, row->id);
  mp_error why;
  mp_code code;

  if (!lane) return mp_fail(err, MP_ENOMEM, "out of memory");
  lane->disabling = false;
  lane->failing_ms = row->failing_ms;
  lane->failed_ms = row->failed_ms;
  atomic_store(&lane->hold_ms, row->hold_ms);
  code = use_row(e, lane, row, &why);
  if (code == MP_ENOMEM) return mp_fail(err, code, "%s", why.message); /* the row is not at fault */
  if (code != MP_OK) {
    mp_log(e->settings->log, MP_LOG_ERROR, "webhook.not_used", "webhook %lld is not used: %s",
           (long long)row->id, why.message);
    lane->seen = false;
  }
  return MP_OK;
}

/* A lane whose webhook is gone; or when is a lane's next delivery due? Of a lane whose webhook did
 * not change that is known, unless another process wrote. */
static mp_code settle_lane(mp_engine *e, mp_lane *lane, mp_error *err) {
  mp_code code;

  if (!lane->seen) {
    mp_webhook_unref(lane->webhook);
    lane->webhook = NULL;
    lane->next_due_ms = INT64_MAX;
    atomic_store(&lane->stopped, true);
    return MP_OK;
  }
  if (!lane->stale && e->reload != MP_RELOAD_ALL) return MP_OK;
  code = mp_store_next_due(e->store, lane->webhook_id, &lane->webhook->pace, mp_engine_now(e),
                           &lane->next_due_ms, err);
  if (code == MP_OK) lane->stale = false;
  return code;
}

/* Events that scripts have yet to route have a lane too, with a webhook that is none. */
static mp_code load_routing(mp_engine *e, mp_error *err) {
  static const mp_webhook_row row = {
      .id = MP_ROUTING,
      .name = "",
      .definition = "{\"url\":\"http://routing.invalid\",\"events\":[]}"};
  mp_lane *lane = mp_lanes_add(&e->lanes, MP_ROUTING);
  mp_code code = MP_OK;

  if (!lane) return mp_fail(err, MP_ENOMEM, "out of memory");
  if (!lane->webhook) {
    code = mp_webhook_new(e->settings, &row, &lane->webhook, err);
    if (code != MP_OK) return code;
    lane->webhook->enabled = true;
    lane->webhook->concurrency = ROUTING_CONCURRENCY;
    lane->stale = true;
  }
  lane->seen = true;
  return code;
}

static void count_webhooks(mp_engine *e) {
  int count = 0;

  for (size_t i = 0; i < e->lanes.count; i++)
    count += mp_lane_is_webhook(e->lanes.items[i]);
  atomic_store(&e->webhook_count, count);
}

mp_code mp_registry_reload(mp_engine *engine, mp_error *err) {
  mp_lanes *lanes = &engine->lanes;
  mp_code code;

  if (engine->reload == MP_RELOAD_NONE) return MP_OK;
  for (size_t i = 0; i < lanes->count; i++)
    lanes->items[i]->seen = false;
  code = mp_store_webhooks(engine->store, load_row, engine, err);
  if (code == MP_OK) code = load_routing(engine, err);
  for (size_t i = 0; code == MP_OK && i < lanes->count; i++)
    code = settle_lane(engine, lanes->items[i], err);
  if (code != MP_OK) return code;
  engine->reload = MP_RELOAD_NONE;
  count_webhooks(engine);
  return MP_OK;
}

void mp_registry_changed(mp_engine *engine, mp_reload reload) {
  if (engine->reload < reload) engine->reload = reload;
}
