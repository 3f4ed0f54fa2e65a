/* Freeing settings. */
#include "engine/settings.h"

#include <stdlib.h>
#include <string.h>

static void free_scripts(mp_script_settings *scripts) {
  for (size_t i = 0; i < scripts->global_count; i++)
    free(scripts->global[i]);
  free(scripts->global);
  free(scripts->folder);
  free(scripts->constants);
  mp_schema_free(scripts->schema);
}

void mp_settings_free(mp_settings *settings) {
  if (!settings) return;
  free_scripts(&settings->scripts);
  for (size_t i = 0; i < settings->event_count; i++)
    free(settings->events[i]);
  for (size_t i = 0; i < settings->endpoint_count; i++) {
    free(settings->endpoints[i].name);
    free(settings->endpoints[i].definition);
  }
  mp_headers_free(&settings->default_headers);
  if (settings->key) memset(settings->key, 0, strlen(settings->key));
  free(settings->key);
  free(settings->key_file);
  free(settings->store);
  free(settings->folder);
  free(settings->fingerprint);
  free(settings->events);
  free(settings->endpoints);
  free(settings->retry_ms);
  mp_netguard_free(settings->guard);
  free(settings->proxy);
  mp_logger_free(settings->log);
  free(settings->user_agent);
  free(settings);
}
