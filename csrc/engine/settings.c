/* Freeing settings. */
#include "engine/settings.h"

#include <stdlib.h>
#include <string.h>

void mp_settings_free(mp_settings *settings) {
  if (!settings) return;
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
  free(settings->fingerprint);
  free(settings->events);
  free(settings->endpoints);
  free(settings->retry_ms);
  free(settings->proxy);
  free(settings->user_agent);
  free(settings);
}
