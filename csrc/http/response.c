/* What is read of a response.
 *
 * Header lines are shown twice (CURLOPT_HEADER): to on_text, as if they were the body's, before
 * libcurl stores them, and to on_line after it. From 7.83.0 to before 8.1.0 a handle that was used
 * before takes a first header line that begins with a space for the continuation of one that is
 * freed (curl pull request 11103): a receiver could reach into freed memory. on_text ends the
 * response before that. Such a line is no response's anyway (RFC 9112 section 2.2). */
#include "http/response.h"

#include <stdlib.h>
#include <string.h>

/* A response may be this long before the connection is cut; only its start is kept. Shorter bodies
 * are read to their end, so that the connection can be used again. */
#define BODY_MAX ((size_t)1024 * 1024)
#define HEAD_MAX ((size_t)64 * 1024)

#define REFUSE 0 /* CURLE_WRITE_ERROR */

bool mp_response_init(mp_response *response, size_t room) {
  *response = (mp_response){.room = room, .text = malloc(room + 1)};
  return response->text != NULL;
}

void mp_response_free(mp_response *response) {
  free(response->text);
}

void mp_response_begin(mp_response *response) {
  *response = (mp_response){.text = response->text, .room = response->room};
}

static size_t kept_of(const mp_response *r, size_t bytes) {
  return bytes < r->room ? bytes : r->room;
}

static size_t on_text(char *bytes, size_t size, size_t n, void *arg) {
  mp_response *r = arg;
  size_t len = size * n, keep;
  /* Long lines come in pieces. */
  bool continued = r->unsettled && bytes == r->unsettled + r->unsettled_len;

  if (!r->head_complete && !r->has_field && !continued && (*bytes == ' ' || *bytes == '\t')) {
    r->fault = "the response's header fields begin with a space";
    return REFUSE;
  }
  if (!continued) r->unsettled_len = 0;
  if (!continued) r->unsettled = bytes;
  r->unsettled_len += len;
  r->body_bytes += len;
  keep = kept_of(r, r->body_bytes) - r->len;
  memcpy(r->text + r->len, bytes, keep);
  r->len += keep;
  if (r->body_bytes <= BODY_MAX) return len;
  r->cut = true;
  return REFUSE;
}

/* False: it is a trailer, which comes here alone. */
static bool take_back(mp_response *r, const char *line) {
  if (line != r->unsettled) return false;
  r->body_bytes -= r->unsettled_len;
  r->len = kept_of(r, r->body_bytes);
  r->unsettled = NULL;
  r->unsettled_len = 0;
  return true;
}

static size_t on_line(char *bytes, size_t size, size_t n, void *arg) {
  mp_response *r = arg;
  size_t len = size * n;

  /* libcurl takes a head that ends with the connection for a whole one. What it takes for the first
   * and the last line of one is told here by their places: it stores neither. */
  if (take_back(r, bytes)) {
    bool last = r->in_head && (*bytes == '\r' || *bytes == '\n');
    r->has_field = r->has_field || (r->in_head && !last);
    r->head_complete = last;
    r->in_head = !last;
  }
  r->head_bytes += len;
  if (r->head_bytes <= HEAD_MAX) return len;
  r->fault = "the response's header fields are over 64 KiB";
  return REFUSE;
}

bool mp_response_watch(mp_response *response, CURL *easy) {
  return curl_easy_setopt(easy, CURLOPT_HEADER, 1L) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_text) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_WRITEDATA, response) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_line) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_HEADERDATA, response) == CURLE_OK;
}
