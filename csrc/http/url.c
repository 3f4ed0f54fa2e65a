/* Webhook URLs, checked by libcurl's URL parser. No state; callable from any thread.
 *
 * What passes here is what libcurl will dial: no second parser can see another host in it. An error
 * text never holds what stands before the last "@", well-formed or not: it may be a password. */
#include "http/url.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "http/quote.h"

#define PROXY_PORT 1080
#define MAX_URL    2048
#define MAX_SCHEME 16 /* bytes of one that is shown in an error text */

/* Copies the URL for an error text, with "***" for all that stands between a plain scheme and the
 * last
 * "@". */
static const char *without_userinfo(const char *url, char *out, size_t size) {
  const char *at = strrchr(url, '@');
  size_t letters = strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
  size_t start = letters <= MAX_SCHEME && strncmp(url + letters, "://", 3) == 0 ? letters + 3 : 0;

  if (!at) return mp_quote(url, strlen(url), out, size);
  memcpy(out, url, start);
  memcpy(out + start, "***", 3);
  mp_quote(at, strlen(at), out + start + 3, size - start - 3);
  return out;
}

static mp_code refuse(const char *url, mp_error *err, const char *reason) {
  char quoted[MP_QUOTE_SIZE];
  return mp_fail(err, MP_EINVAL, "'%s': not a valid URL: %s",
                 without_userinfo(url, quoted, sizeof quoted), reason);
}

/* libcurl takes "http:/host" and "http:///host" too; a webhook's URL is written in full. */
static bool has_two_slashes(const char *url) {
  const char *colon = strchr(url, ':');
  return colon && colon[1] == '/' && colon[2] == '/' && colon[3] != '/';
}

#define WRITTEN_IN_FULL "expected http:// or https:// and a host"
#define WRONG_SCHEME    "only http and https are allowed"
#define NOT_ASCII       "its host is not ASCII (a name is written in its form of xn--)"

static bool is_ascii(const char *text) {
  for (; *text; text++) {
    if ((unsigned char)*text >= 0x80) return false;
  }
  return true;
}

/* What libcurl parsed but moonpost does not send to; NULL when nothing is wrong. A URL of these
 * schemes that libcurl parsed has a host. code: whether libcurl had the memory to say. */
static const char *wrong_part(CURLU *parts, CURLUcode *code) {
  const char *reason = NULL;
  char *scheme = NULL;
  char *host = NULL;
  char *port = NULL;

  *code = curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
  if (*code != CURLUE_OK || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)) {
    reason = WRONG_SCHEME;
  } else {
    *code = curl_url_get(parts, CURLUPART_PORT, &port, 0);
    if (*code == CURLUE_OK && strcmp(port, "0") == 0) {
      reason = "its port is 0 (1 to 65535 are allowed)";
    }
    /* What other letters and digits become depends on the process's locale, and on libcurl. */
    if (!reason) *code = curl_url_get(parts, CURLUPART_HOST, &host, 0);
    if (!reason && *code == CURLUE_OK) {
      /* No name has an empty label (RFC 1035 section 2.3.1); rules could not be held against it. */
      if (!is_ascii(host)) reason = NOT_ASCII;
      if (strstr(host, "..")) reason = "its host has two dots in a row";
    }
  }
  curl_free(scheme);
  curl_free(host);
  curl_free(port);
  return reason;
}

static const char *parse_error(CURLUcode code) {
  switch (code) {
    case CURLUE_UNSUPPORTED_SCHEME:
      return WRONG_SCHEME;
    case CURLUE_BAD_SCHEME:
    case CURLUE_BAD_SLASHES:
    case CURLUE_MALFORMED_INPUT:
      return WRITTEN_IN_FULL;
    case CURLUE_BAD_PORT_NUMBER:
      return "its port is not a number from 1 to 65535";
    case CURLUE_NO_HOST:
      return "it has no host";
    default:
      return curl_url_strerror(code);
  }
}

mp_code mp_url_check(const char *url, mp_error *err) {
  const char *reason;
  CURLU *parts;
  CURLUcode code;

  if (url[0] == '\0') return refuse(url, err, "it is empty");
  if (strlen(url) > MAX_URL) return refuse(url, err, "it is longer than 2048 bytes");
  for (const char *p = url; *p; p++) {
    unsigned char c = (unsigned char)*p;
    if (c <= 0x20 || c == 0x7f) return refuse(url, err, "it holds a space or a control character");
  }

  parts = curl_url();
  if (!parts) return mp_fail(err, MP_ENOMEM, "url: out of memory");
  code = curl_url_set(parts, CURLUPART_URL, url, 0);
  reason = code == CURLUE_OK ? wrong_part(parts, &code) : parse_error(code);
  curl_url_cleanup(parts);
  if (code == CURLUE_OUT_OF_MEMORY) return mp_fail(err, MP_ENOMEM, "url: out of memory");
  if (!reason && !has_two_slashes(url)) reason = WRITTEN_IN_FULL;
  return reason ? refuse(url, err, reason) : MP_OK;
}

/* ---- where it leads ------------------------------------------------------------------------- */

/* As it is resolved: libcurl has decoded it, and writes IPv4 addresses in the usual way. */
static bool copy_host(const char *host, mp_place *out) {
  size_t len = strlen(host);

  if (len > 1 && host[0] == '[') {
    host++;
    len -= 2;
  }
  if (len > 1 && host[len - 1] == '.') len--;
  if (len >= sizeof out->host) return false;
  for (size_t i = 0; i < len; i++)
    out->host[i] = (char)tolower((unsigned char)host[i]);
  out->host[len] = '\0';
  return true;
}

static CURLUcode find_place(CURLU *parts, const char *url, mp_place *out, bool *fits) {
  char *host = NULL, *port = NULL;
  CURLUcode code = curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);

  if (code == CURLUE_OK) code = curl_url_get(parts, CURLUPART_HOST, &host, 0);
  if (code == CURLUE_OK) code = curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
  if (code == CURLUE_NO_PORT) code = CURLUE_OK; /* of a scheme that only proxies have */
  if (code == CURLUE_OK) {
    *fits = copy_host(host, out);
    out->port = port ? atoi(port) : PROXY_PORT;
  }
  curl_free(host);
  curl_free(port);
  return code;
}

mp_code mp_url_place(const char *url, mp_place *out, mp_error *err) {
  CURLU *parts = curl_url();
  bool fits = false;
  CURLUcode code = parts ? find_place(parts, url, out, &fits) : CURLUE_OUT_OF_MEMORY;

  curl_url_cleanup(parts);
  if (code == CURLUE_OUT_OF_MEMORY) return mp_fail(err, MP_ENOMEM, "url: out of memory");
  if (code != CURLUE_OK) return refuse(url, err, parse_error(code));
  return fits ? MP_OK : refuse(url, err, "its host is longer than 255 bytes");
}

mp_code mp_url_guard(const char *url, const mp_netguard *guard, mp_error *err) {
  char why[MP_NETGUARD_WHY];
  mp_place place;
  mp_code code = mp_url_place(url, &place, err);

  if (code != MP_OK || mp_netguard_permits_place(guard, &place, why)) return code;
  return mp_fail(err, MP_EINVAL, "%s", why);
}
