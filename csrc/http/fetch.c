/* One request on a libcurl easy handle of its own. Any thread. */
#include "http/fetch.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/target.h"

static size_t on_body(char *bytes, size_t size, size_t n, void *arg) {
  mp_buf *body = arg;
  mp_buf_add(body, bytes, size * n);
  return body->failed == MP_OK ? size * n : 0; /* CURLE_WRITE_ERROR */
}

static struct curl_slist *lines_of(const mp_headers *headers, bool *ok) {
  struct curl_slist *lines = curl_slist_append(NULL, "Expect:");

  for (size_t i = 0; lines && headers && i < headers->count; i++)
    lines = mp_target_add_line(lines, headers->items[i].name, headers->items[i].value);
  *ok = lines != NULL;
  return lines;
}

static mp_code failure(CURLcode code, const char *text, const mp_buf *body, mp_error *err) {
  const char *message = text[0] ? text : curl_easy_strerror(code);

  switch (code) {
    case CURLE_OK:
      return MP_OK;
    case CURLE_OUT_OF_MEMORY:
      return mp_fail(err, MP_ENOMEM, "out of memory");
    case CURLE_OPERATION_TIMEDOUT:
      return mp_fail(err, MP_ETIMEDOUT, "%s", message);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return mp_fail(err, MP_EINVAL, "%s", message);
    default:
      if (body->failed == MP_E2BIG) return mp_fail(err, MP_E2BIG, "the answer is too large");
      return mp_fail(err, MP_EIO, "%s", message);
  }
}

static bool set_up(CURL *easy, const mp_fetch *r, mp_fetched *out, struct curl_slist *lines,
                   char *text) {
  bool ok = true;

#define SET(option, value) ok = ok && curl_easy_setopt(easy, option, value) == CURLE_OK
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_URL, r->url);
  SET(CURLOPT_CUSTOMREQUEST, r->method);
  SET(CURLOPT_PROXY, "");
#if LIBCURL_VERSION_NUM >= 0x075500
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  SET(CURLOPT_HTTPHEADER, lines);
  SET(CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
  SET(CURLOPT_WRITEFUNCTION, on_body);
  SET(CURLOPT_WRITEDATA, &out->body);
  SET(CURLOPT_ERRORBUFFER, text);
  if (strcmp(r->method, "HEAD") == 0) SET(CURLOPT_NOBODY, 1L);
  if (r->body) {
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
    SET(CURLOPT_POSTFIELDS, r->body);
  }
#undef SET
  return ok;
}

mp_code mp_fetch_run(const mp_fetch *request, mp_fetched *out, mp_error *err) {
  char text[CURL_ERROR_SIZE] = "";
  struct curl_slist *lines;
  const char *type = NULL;
  long status = 0;
  CURLcode result;
  mp_code code = mp_curl_start(err);
  CURL *easy;
  bool ok;

  if (code != MP_OK) return code;
  easy = curl_easy_init();
  lines = lines_of(request->headers, &ok);
  out->body.limit = request->max_answer;
  if (!easy || !ok || !set_up(easy, request, out, lines, text)) {
    curl_slist_free_all(lines);
    curl_easy_cleanup(easy);
    return mp_fail(err, MP_ENOMEM, "out of memory");
  }
  result = curl_easy_perform(easy);
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
  out->status = (int)status;
  if (type) mp_buf_add_str(&out->content_type, type);
  curl_slist_free_all(lines);
  curl_easy_cleanup(easy);
  return failure(result, text, &out->body, err);
}
