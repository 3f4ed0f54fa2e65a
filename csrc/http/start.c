/* libcurl's own start, which is not safe from several threads in its older versions. */
#include "http/start.h"

#include <pthread.h>
#include <stdbool.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool started; /* lock */
static const curl_version_info_data *built;

mp_code mp_curl_start(mp_error *err) {
  CURLcode code = CURLE_OK;

  pthread_mutex_lock(&lock);
  if (!started) {
    code = curl_global_init(CURL_GLOBAL_ALL);
    built = curl_version_info(CURLVERSION_NOW);
  }
  started = code == CURLE_OK;
  pthread_mutex_unlock(&lock);
  if (code == CURLE_OK) return MP_OK;
  return mp_fail(err, code == CURLE_OUT_OF_MEMORY ? MP_ENOMEM : MP_EIO, "libcurl did not start: %s",
                 curl_easy_strerror(code));
}

const curl_version_info_data *mp_curl_built(void) {
  return built;
}
