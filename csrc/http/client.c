/* Requests on a libcurl multi handle. Each client runs on one delivery thread. libcurl's callbacks
 * touch only their slot; nothing here calls Lua or takes a lock.
 *
 * A slot is an easy handle with what one request needs. Slots are pooled: a request sets the few
 * options that differ, and libcurl keeps the connection. */
#include "http/client.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "http/loop.h"
#include "http/response.h"
#include "http/target.h"
#include "http/tls_handle.h"

#define RETRY_MS          20 /* when there is no memory to go on */
#define MAX_RETRY_AFTER_S (366 * 24 * 60 * 60)

typedef struct slot {
  mp_node node; /* in client->idle, or none while under way */
  struct slot *prev_active, *next_active;
  mp_client *client;
  CURL *easy;
  const mp_target *target;
  unsigned long long set_for; /* the number of the target that the handle is set for; 0: none */
  void *arg;
  mp_done_fn done;
  int64_t at_ms;
  int64_t at_mono_us;
  struct curl_slist fields[MP_REQUEST_FIELDS]; /* first in the list; its tail is the target's */
  mp_buf field_text;                           /* theirs */
  struct curl_slist *own_lines; /* the tail of a request with headers of its own; NULL: none */
  mp_response response;
  bool own_tls;                  /* the handle is set to other than what is usual */
  bool dialled;                  /* an address that the guard had nothing against */
  char refusal[MP_NETGUARD_WHY]; /* what it had against the last one; "": none was refused */
  char error[CURL_ERROR_SIZE];
} slot;

struct mp_client {
  mp_client_options options;
  CURLM *multi;
  mp_loop *loop;
  mp_list idle;      /* of slots */
  slot *active_head; /* of slots under way */
  int active;
  bool http2;  /* where a receiver speaks it over TLS */
  bool remade; /* multi was: there is room again, which the next poll that waits tells by not
                  waiting */
};

static bool may_dial(slot *s, const struct sockaddr *to) {
  const mp_target *t = s->target;
  const mp_place *place = t->own_proxy ? &t->proxy_place : &t->place;
  mp_address address;

  if (t->proxy[0] && !t->own_proxy) return true;
  if (mp_address_of(to, &address))
    return mp_netguard_permits(t->guard, place, &address, s->refusal);
  snprintf(s->refusal, sizeof s->refusal, "%s leads to no internet address", place->host);
  return false;
}

/* libcurl is about to dial this address: the guard judges what is really dialled, on every new
 * connection, whatever a resolver said before. A connection that is used again was judged when it
 * was made, for the same host name by the same rules. The config's proxy is dialled wherever it is;
 * one that a webhook names is judged like a receiver. */
static curl_socket_t on_socket_needed(void *arg, curlsocktype purpose, struct curl_sockaddr *to) {
  slot *s = arg;

  (void)purpose;
  if (!may_dial(s, &to->addr)) return CURL_SOCKET_BAD;
  s->dialled = true;
  return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static void close_handle(slot *s) {
  curl_easy_cleanup(s->easy);
  s->easy = NULL;
}

static void free_slot(slot *s) {
  if (!s) return;
  close_handle(s);
  mp_buf_free(&s->field_text);
  mp_response_free(&s->response);
  free(s);
}

static const mp_tls usual_tls;

#define SET(option, value) ok = ok && curl_easy_setopt(s->easy, option, value) == CURLE_OK

/* Gives the slot an easy handle, if it has none. False: out of memory. */
static bool open_handle(slot *s) {
  bool ok = true;

  if (s->easy) return true;
  s->easy = curl_easy_init();
  if (!s->easy) return false;
  SET(CURLOPT_NOSIGNAL, 1L); /* other threads' signals are not ours */
  SET(CURLOPT_POST, 1L);
  SET(CURLOPT_FOLLOWLOCATION,
      0L); /* a redirect could lead anywhere, and a POST would become a GET */
#if LIBCURL_VERSION_NUM >= 0x075500
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  SET(CURLOPT_NOPROXY, ""); /* the environment's would have libcurl dial past the proxy */
  SET(CURLOPT_HTTP_VERSION,
      (long)(s->client->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  ok = ok && mp_tls_apply(&usual_tls, s->easy) && mp_response_watch(&s->response, s->easy);
  SET(CURLOPT_OPENSOCKETFUNCTION, on_socket_needed);
  SET(CURLOPT_OPENSOCKETDATA, s);
  SET(CURLOPT_ERRORBUFFER, s->error);
  SET(CURLOPT_PRIVATE, s);
  ok = ok && mp_loop_watch(s->client->loop, s->easy);
  if (!ok) close_handle(s);
  return ok;
}

static slot *new_slot(mp_client *client) {
  slot *s = calloc(1, sizeof *s);

  if (!s) return NULL;
  s->client = client;
  mp_buf_init(&s->field_text, MP_BUF_NO_LIMIT);
  if (mp_response_init(&s->response, client->options.response_keep)) return s;
  free_slot(s);
  return NULL;
}

/* From 7.88.0 to before 8.5.0 libcurl cannot do with an HTTP/2 answer that comes before the server
 * has read the body, which is lawful (RFC 9113 section 8.1) and what limits and proxies do: it
 * drops the answer, fails the request all the same, or spins until its timeout. */
static bool http2_is_unsafe(void) {
  unsigned version = mp_curl_built()->version_num;
  return version >= 0x075800 && version < 0x080500;
}

static bool make_multi(mp_client *c) {
  c->multi = curl_multi_init();
  if (!c->multi) return false;
  /* Without it the cache follows the number of handles at this moment, and drops connections. */
  curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)c->options.max_requests);
  mp_loop_drive(c->loop, c->multi);
  return true;
}

mp_code mp_client_new(const mp_client_options *options, mp_client **out, mp_error *err) {
  mp_client *c;
  mp_code code = mp_curl_start(err);

  *out = NULL;
  if (code != MP_OK) return code;
  c = calloc(1, sizeof *c);
  if (!c) return mp_fail(err, MP_ENOMEM, "out of memory");
  c->options = *options;
  c->http2 = !http2_is_unsafe();
  code = mp_loop_new(&c->loop, err);
  if (code == MP_OK && !make_multi(c)) code = mp_fail(err, MP_ENOMEM, "out of memory");
  if (code != MP_OK) {
    mp_client_free(c);
    return code;
  }
  *out = c;
  return MP_OK;
}

/* When nothing is under way. */
static void drop_handles(mp_client *client) {
  for (mp_node *n; (n = mp_list_pop(&client->idle)) != NULL;)
    free_slot(MP_CONTAINER(n, slot, node));
  curl_multi_cleanup(client->multi);
  client->multi = NULL;
}

void mp_client_free(mp_client *client) {
  if (!client) return;
  drop_handles(client);
  mp_loop_free(client->loop);
  free(client);
}

bool mp_client_room(const mp_client *client) {
  return client->multi && client->active < client->options.max_requests;
}

int mp_client_active(const mp_client *client) {
  return client->active;
}

static void drop_own_lines(slot *s) {
  curl_slist_free_all(s->own_lines);
  s->own_lines = NULL;
}

/* Puts the request's own fields before the lines. NULL when out of memory. */
static struct curl_slist *put_fields(slot *s, const mp_request *request, struct curl_slist *lines) {
  char *at;

  mp_buf_reset(&s->field_text);
  for (size_t i = 0; i < request->field_count; i++) {
    mp_buf_add_str(&s->field_text, request->fields[i].name);
    mp_buf_add_str(&s->field_text, ": ");
    mp_buf_add(&s->field_text, request->fields[i].value, strlen(request->fields[i].value) + 1);
  }
  if (s->field_text.failed != MP_OK) return NULL;
  at = s->field_text.data;
  for (size_t i = 0; i < request->field_count; i++) {
    s->fields[i].data = at;
    s->fields[i].next = i + 1 < request->field_count ? &s->fields[i + 1] : lines;
    at += strlen(at) + 1;
  }
  return request->field_count ? s->fields : lines;
}

/* Sets what all requests of the target have alike. */
static bool set_for(slot *s, const mp_target *t) {
  bool ok = true;

  if (s->set_for == t->number) return true;
  s->set_for = 0;
  SET(CURLOPT_URL, t->url_text); /* else libcurl writes it out of the parsed one */
  SET(CURLOPT_CURLU, t->url);
  SET(CURLOPT_PROXY, t->proxy); /* never NULL: libcurl would ask the environment */
  /* One connection may do for all, if its handshake says HTTP/2: worth waiting for. */
  SET(CURLOPT_PIPEWAIT, t->tls && s->client->http2 ? 1L : 0L);
  if (t->tls_options.configured || s->own_tls) {
    s->own_tls = true; /* also when it fails in the middle */
    ok = ok && mp_tls_apply(&t->tls_options, s->easy);
    s->own_tls = !ok || t->tls_options.configured;
  }
  SET(CURLOPT_TIMEOUT_MS, t->timeout_ms);
  SET(CURLOPT_CONNECTTIMEOUT_MS, t->connect_timeout_ms);
  if (ok) s->set_for = t->number;
  return ok;
}

static bool prepare(slot *s, const mp_request *request) {
  const mp_target *t = request->target;
  struct curl_slist *lines;
  bool ok;

  if (request->headers || request->content_type) {
    lines = s->own_lines =
        mp_target_lines_with(t, request->event, request->headers, request->content_type);
  } else {
    lines = mp_target_lines(request->target, request->event);
  }
  if (lines) lines = put_fields(s, request, lines);
  ok = lines != NULL && set_for(s, t);
  SET(CURLOPT_HTTPHEADER, lines);
  SET(CURLOPT_POSTFIELDS, request->body);
  SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
#undef SET
  return ok;
}

static void count(mp_client *client, int change) {
  client->active += change;
  if (client->options.under_way) atomic_fetch_add(client->options.under_way, change);
}

mp_code mp_client_start(mp_client *client, const mp_request *request, void *arg, mp_error *err) {
  mp_node *n;
  slot *s;

  if (!mp_client_room(client)) return mp_fail(err, MP_EAGAIN, "too many requests under way");
  if (request->target->refusal) return mp_fail(err, MP_EINVAL, "%s", request->target->refusal);
  n = mp_list_pop(&client->idle);
  s = n ? MP_CONTAINER(n, slot, node) : new_slot(client);
  if (!s) return mp_fail(err, MP_ENOMEM, "out of memory");
  s->arg = arg;
  s->done = request->done ? request->done : client->options.done;
  mp_response_begin(&s->response);
  s->dialled = false;
  s->error[0] = s->refusal[0] = '\0';
  s->target = request->target;
  s->at_ms = mp_wall_ms();
  s->at_mono_us = mp_mono_us();
  if (!open_handle(s) || !prepare(s, request) ||
      curl_multi_add_handle(client->multi, s->easy) != CURLM_OK) {
    drop_own_lines(s);
    mp_list_push(&client->idle, &s->node);
    return mp_fail(err, MP_ENOMEM, "out of memory");
  }
  s->prev_active = NULL;
  s->next_active = client->active_head;
  if (client->active_head) client->active_head->prev_active = s;
  client->active_head = s;
  count(client, 1);
  return MP_OK;
}

static const char *class_of(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return "dns";
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
    case CURLE_INTERFACE_FAILED:
      return "connect";
    case CURLE_OPERATION_TIMEDOUT:
      return "timeout";
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
      return "reset";
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
      return "internal";
    default:
      return "response"; /* what came is not an HTTP response, or only a part of one */
  }
}

/* Takes the slot out of the multi and reports it. */
static void end(slot *s, mp_result *result) {
  mp_client *c = s->client;

  curl_multi_remove_handle(c->multi, s->easy);
  if (s->prev_active)
    s->prev_active->next_active = s->next_active;
  else
    c->active_head = s->next_active;
  if (s->next_active) s->next_active->prev_active = s->prev_active;
  count(c, -1);
  result->at_ms = s->at_ms;
  result->duration_us = mp_mono_us() - s->at_mono_us;
  result->response = s->response.text;
  result->response_len = s->response.head_complete ? s->response.len : 0;
  drop_own_lines(s);
  s->done(c->options.owner, s->arg, result);
  mp_list_push(&c->idle, &s->node);
}

/* An HTTP/2 server may answer before it has read the whole request and then reset the stream; the
 * answer counts all the same (RFC 9113 section 8.1). */
static bool answered_early(const slot *s, CURLcode code) {
  return code == CURLE_HTTP2_STREAM && s->response.head_complete;
}

static void complete(slot *s, CURLcode code) {
  mp_result result = {.error = ""};
  char text[64], reason[MP_TLS_REASON];
  long status = 0;

  curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
  if (s->response.fault) {
    result.error_class = "response";
    result.error = s->response.fault;
  } else if (code != CURLE_OK && s->refusal[0] && !s->dialled) {
    result.error_class = "guard";
    result.error = s->refusal;
  } else if (code != CURLE_OK && !s->response.cut && !answered_early(s, code)) {
    result.error = mp_tls_reason(code, s->error, reason, sizeof reason);
    result.error_class = result.error ? "tls" : class_of(code);
    if (!result.error) result.error = s->error[0] ? s->error : curl_easy_strerror(code);
  } else if (!s->response.head_complete) {
    result.error_class = "response";
    result.error = "the response ended within its header fields";
  } else {
    result.status = (int)status;
    if (status < 200 || status > 299) {
      snprintf(text, sizeof text, "answered with status %ld", status);
      result.error_class = "http";
      result.error = text;
    }
  }
  if (result.error_class && (status == 429 || status == 503) && s->response.head_complete) {
    curl_off_t seconds = 0; /* libcurl reads both forms, seconds and HTTP-date */
    curl_easy_getinfo(s->easy, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds > MAX_RETRY_AFTER_S) seconds = MAX_RETRY_AFTER_S;
    result.retry_after_s = seconds > 0 ? seconds : 0; /* a date that is past */
  }
  /* A status that came before the failure is worth showing. */
  if (status >= 200) result.status = (int)status;
  end(s, &result);
}

static void end_all(mp_client *client, const char *error_class, const char *error) {
  while (client->active_head) {
    slot *s = client->active_head;
    mp_result result = {.error_class = error_class, .error = error};
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Without it, removing the handle waits for its resolver thread. */
    curl_easy_setopt(s->easy, CURLOPT_QUICK_EXIT, 1L);
#endif
    end(s, &result);
  }
}

/* libcurl lost track of its requests: they are made again, on a handle of its own. Without memory
 * for that the next poll tries again. */
static void start_over(mp_client *client) {
  end_all(client, "internal", "libcurl ran out of memory");
  drop_handles(client);
  client->remade = true;
}

static void take_ended(mp_client *client) {
  CURLMsg *message;
  int queued;

  while ((message = curl_multi_info_read(client->multi, &queued)) != NULL) {
    CURL *easy = message->easy_handle;
    CURLcode code = message->data.result; /* message is gone once the handle is removed */
    char *private = NULL;
    if (message->msg != CURLMSG_DONE) continue;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    complete((slot *)(void *)private, code);
  }
}

void mp_client_poll(mp_client *client, int timeout_ms) {
  bool ok;

  if (!client->multi && !make_multi(client)) {
    poll(NULL, 0, timeout_ms < RETRY_MS ? timeout_ms : RETRY_MS);
    return;
  }
  if (client->remade && timeout_ms > 0) {
    client->remade = false;
    timeout_ms = 0;
  }
  ok = mp_loop_run(client->loop, timeout_ms);
  take_ended(client);
  if (!ok) start_over(client);
}

void mp_client_wake(mp_client *client) {
  mp_loop_wake(client->loop);
}

void mp_client_abort(mp_client *client) {
  end_all(client, "aborted", "ended by close");
}
