/* Targets: a webhook's URL and header lines in the form libcurl takes, so that a request costs no
 * parsing and no merging. Each is made and used by one delivery thread. */
#include "http/target.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/url.h"

static atomic_ullong numbers;

static mp_code copy_headers(mp_headers *to, const mp_headers *from, mp_error *err) {
  mp_code code = MP_OK;
  for (size_t i = 0; from && i < from->count && code == MP_OK; i++) {
    code = mp_headers_set(to, from->items[i].name, from->items[i].value, err);
  }
  return code;
}

static bool is_tls(CURLU *url) {
  char *scheme = NULL;
  bool tls = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
             strcmp(scheme, "https") == 0; /* libcurl answers it in lower case */

  curl_free(scheme);
  return tls;
}

static mp_code parse(mp_target *t, const char *url, mp_error *err) {
  CURLUcode rc = curl_url_set(t->url, CURLUPART_URL, url, 0);

  if (rc == CURLUE_OK) rc = curl_url_get(t->url, CURLUPART_URL, &t->url_text, 0);
  if (rc == CURLUE_OUT_OF_MEMORY) return mp_fail(err, MP_ENOMEM, "out of memory");
  if (rc != CURLUE_OK) return mp_fail(err, MP_EINVAL, "not a valid URL");
  t->tls = is_tls(t->url);
  return MP_OK;
}

/* What can be said of the URL is said once; what its name leads to is judged at each connection. */
static mp_code judge(mp_target *t, const char *url, mp_error *err) {
  char why[MP_NETGUARD_WHY];
  mp_code code = mp_url_place(url, &t->place, err);

  if (code == MP_OK && t->own_proxy) code = mp_url_place(t->proxy, &t->proxy_place, err);
  if (code != MP_OK) return code;
  if (mp_netguard_permits_place(t->guard, &t->place, why) &&
      (!t->own_proxy || mp_netguard_permits_place(t->guard, &t->proxy_place, why))) {
    return MP_OK;
  }
  t->refusal = strdup(why);
  return t->refusal ? MP_OK : mp_fail(err, MP_ENOMEM, "out of memory");
}

mp_code mp_target_new(const mp_target_options *options, mp_target **out, mp_error *err) {
  mp_target *t = calloc(1, sizeof *t);
  mp_code code = MP_ENOMEM;
  bool copied = true;

  *out = NULL;
  if (!t) return mp_fail(err, MP_ENOMEM, "out of memory");
  t->number = 1 + atomic_fetch_add(&numbers, 1);
  mp_headers_init(&t->defaults);
  mp_headers_init(&t->headers);
  t->timeout_ms = (long)options->timeout_ms;
  t->connect_timeout_ms = (long)options->connect_timeout_ms;
  t->guard = options->guard;
  t->own_proxy = options->proxy && options->own_proxy;
  if (options->tls) copied = mp_tls_copy(options->tls, &t->tls_options);
  t->proxy = strdup(options->proxy ? options->proxy : "");
  t->user_agent = strdup(options->user_agent);
  t->url = curl_url();
  for (int i = 0; i < MP_OWN_NAMES && options->own_names[i]; i++) {
    t->own_names[i] = strdup(options->own_names[i]);
    copied = copied && t->own_names[i];
  }
  if (!copied || !t->proxy || !t->user_agent || !t->url) {
    mp_fail(err, MP_ENOMEM, "out of memory");
    goto out;
  }
  code = copy_headers(&t->defaults, options->defaults, err);
  if (code != MP_OK) goto out;
  code = copy_headers(&t->headers, options->headers, err);
  if (code != MP_OK) goto out;
  code = parse(t, options->url, err);
  if (code != MP_OK) goto out;
  code = judge(t, options->url, err);
  if (code != MP_OK) goto out;
  *out = t;
  return MP_OK;
out:
  mp_target_free(t);
  return code;
}

void mp_target_free(mp_target *target) {
  if (!target) return;
  while (target->by_event) {
    mp_event_lines *next = target->by_event->next;
    curl_slist_free_all(target->by_event->lines);
    free(target->by_event);
    target->by_event = next;
  }
  mp_headers_free(&target->defaults);
  mp_headers_free(&target->headers);
  curl_url_cleanup(target->url);
  curl_free(target->url_text);
  mp_tls_free(&target->tls_options);
  free(target->refusal);
  free(target->proxy);
  free(target->user_agent);
  for (int i = 0; i < MP_OWN_NAMES; i++)
    free(target->own_names[i]);
  free(target);
}

const char *mp_target_refusal(const mp_target *target) {
  return target->refusal;
}

struct curl_slist *mp_target_add_line(struct curl_slist *list, const char *name,
                                      const char *value) {
  size_t size = strlen(name) + strlen(value) + 3;
  char *line = malloc(size);
  struct curl_slist *longer = NULL;

  if (line) {
    /* "Name:" would remove the header, "Name;" sends it empty (CURLOPT_HTTPHEADER(3)). */
    if (*value)
      snprintf(line, size, "%s: %s", name, value);
    else
      snprintf(line, size, "%s;", name);
    longer = curl_slist_append(list, line);
    free(line);
  }
  if (!longer) curl_slist_free_all(list);
  return longer;
}

static bool is_own(const mp_target *t, const char *name) {
  for (int i = 0; i < MP_OWN_NAMES && t->own_names[i]; i++) {
    if (strcasecmp(name, t->own_names[i]) == 0) return true;
  }
  return false;
}

/* The header fields of a request: with an event all that there are, else the target's own. */
static mp_code fields_of(const mp_target *t, const mp_headers *defaults, const char *event,
                         const char *content_type, mp_headers *out) {
  mp_code code = event ? mp_headers_merge(defaults, &t->headers, event, out, NULL)
                       : copy_headers(out, &t->headers, NULL);
  if (code != MP_OK || !content_type) return code;
  return mp_headers_set(out, "Content-Type", content_type, NULL);
}

static struct curl_slist *merge(const mp_target *t, const mp_headers *defaults, const char *event,
                                const char *content_type) {
  struct curl_slist *lines = NULL;
  mp_headers merged;

  mp_headers_init(&merged);
  if (fields_of(t, defaults, event, content_type, &merged) == MP_OK) {
    /* libcurl would wait for a 100 Continue before bodies over 1 MiB. */
    lines = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; lines && i < merged.count; i++) {
      if (is_own(t, merged.items[i].name)) continue;
      lines = mp_target_add_line(lines, merged.items[i].name, merged.items[i].value);
    }
    /* As CURLOPT_USERAGENT it would be copied and put together for each request. */
    if (lines && !mp_headers_get(&merged, "User-Agent")) {
      lines = mp_target_add_line(lines, "User-Agent", t->user_agent);
    }
  }
  mp_headers_free(&merged);
  return lines;
}

struct curl_slist *mp_target_lines(mp_target *target, const char *event) {
  mp_event_lines *entry;
  struct curl_slist *lines;

  for (entry = target->by_event; entry; entry = entry->next) {
    if (strcmp(entry->event, event) == 0) return entry->lines;
  }
  lines = merge(target, &target->defaults, event, NULL);
  entry = lines ? malloc(sizeof *entry + strlen(event) + 1) : NULL;
  if (!entry) {
    curl_slist_free_all(lines);
    return NULL;
  }
  strcpy(entry->event, event);
  entry->lines = lines;
  entry->next = target->by_event;
  target->by_event = entry;
  return lines;
}

struct curl_slist *mp_target_lines_with(const mp_target *target, const char *event,
                                        const mp_headers *headers, const char *content_type) {
  struct curl_slist *lines = NULL;
  mp_headers defaults;

  mp_headers_init(&defaults);
  if (copy_headers(&defaults, &target->defaults, NULL) == MP_OK &&
      copy_headers(&defaults, headers, NULL) == MP_OK) {
    lines = merge(target, &defaults, event, content_type);
  }
  mp_headers_free(&defaults);
  return lines;
}
