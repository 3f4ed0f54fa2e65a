/* One event through one script, as an engine would run it, without an engine or a store. */
#ifndef MP_ENGINE_SCRIPT_TRY_H
#define MP_ENGINE_SCRIPT_TRY_H

#include "engine/settings.h"
#include "engine/webhook.h"
#include "queue/store.h"

/* Loads the settings' global scripts, and appends what they are to out: as mp_scripts_describe. */
mp_code mp_script_check(const mp_settings *settings, mp_buf *out, mp_error *err);

/* Runs the event through the settings' global scripts: their routing, then a delivery to the
 * webhook. Appends to out
 *   { "version": "crm@...", "phases": { "filter": { "cpu_us", "instructions", "memory" }, ... },
 *     "route": [names]?, "verdict": "send" | "filtered" | "held", "error": text?, "body": text?,
 *     "headers": [[name, value], ...]?, "content_type": text? }
 * with a phase and a route only where there was one. MP_EINVAL, MP_ENOENT (it cannot be loaded),
 * MP_ENOMEM. */
mp_code mp_script_try(const mp_settings *settings, const mp_event_row *event,
                      const mp_webhook_row *webhook, mp_buf *out, mp_error *err);

#endif
