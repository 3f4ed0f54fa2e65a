/* The guard where it counts: what the HTTP client dials when names lead anywhere. The resolver is
 * this file's own: a name's answer is set by the test and may be another each time it is asked.
 * connect is its own too: it notes every address that is dialled, and lets nothing leave the
 * machine should the guard fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/client.h"

#define VISIBLE __attribute__((visibility("default")))

/* ---- the resolver --------------------------------------------------------------------------- */

#define MAX_ANSWERS 2

/* The answers that the name gets, one after the other; the last one stays. Each is a list of
 * addresses with "," between. Set while no request is under way. */
static const char *answers[MAX_ANSWERS];
static atomic_int asked;

static struct addrinfo *node_of(const char *text, const char *service) {
  struct addrinfo *n = calloc(1, sizeof *n + sizeof(struct sockaddr_in6));
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)(n + 1);
  struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)(n + 1);
  in_port_t port = htons((uint16_t)(service ? atoi(service) : 0));

  if (!n) abort();
  n->ai_socktype = SOCK_STREAM;
  n->ai_addr = (struct sockaddr *)(void *)(n + 1);
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    n->ai_family = v4->sin_family = AF_INET;
    n->ai_addrlen = sizeof *v4;
    v4->sin_port = port;
  } else {
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1) abort();
    n->ai_family = v6->sin6_family = AF_INET6;
    n->ai_addrlen = sizeof *v6;
    v6->sin6_port = port;
  }
  return n;
}

VISIBLE int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                        struct addrinfo **out) {
  int n = atomic_fetch_add(&asked, 1);
  struct addrinfo **end = out;
  char list[256], *rest = list;

  (void)name;
  (void)hints;
  *out = NULL;
  while (n > 0 && (n >= MAX_ANSWERS || !answers[n]))
    n--;
  snprintf(list, sizeof list, "%s", answers[n]);
  for (char *text; (text = strsep(&rest, ",")) != NULL; end = &(*end)->ai_next)
    *end = node_of(text, service);
  return 0;
}

VISIBLE void freeaddrinfo(struct addrinfo *list) {
  while (list) {
    struct addrinfo *next = list->ai_next;
    free(list);
    list = next;
  }
}

/* ---- what is dialled ------------------------------------------------------------------------ */

static char dialled[512]; /* addresses, a space after each; by the client's thread alone */

VISIBLE int connect(int fd, const struct sockaddr *to, socklen_t len) {
  static int (*real)(int, const struct sockaddr *, socklen_t);
  char text[MP_ADDRESS_SIZE];
  mp_address address;

  if (!real) *(void **)&real = dlsym(RTLD_NEXT, "connect");
  if (!mp_address_of(to, &address)) return real(fd, to, len);
  mp_address_format(&address, text);
  if (strlen(dialled) + strlen(text) + 2 < sizeof dialled) {
    strcat(dialled, text);
    strcat(dialled, " ");
  }
  if (strncmp(text, "127.", 4) == 0 || strcmp(text, "::1") == 0) return real(fd, to, len);
  errno = ENETUNREACH;
  return -1;
}

/* ---- receivers: one at 127.0.0.1, which nothing allows, and one at 127.0.0.2 ------------------
 */

typedef struct receiver {
  int fd;
  int port;
  atomic_int connections;
  pthread_t thread;
} receiver;

static receiver inner, allowed;
static atomic_bool stopping;

static void *serve(void *arg) {
  static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  receiver *r = arg;
  struct pollfd wait = {.fd = r->fd, .events = POLLIN};
  char request[4096];

  while (!atomic_load(&stopping)) {
    int fd;
    if (poll(&wait, 1, 20) <= 0) continue;
    fd = accept(r->fd, NULL, NULL);
    if (fd < 0) continue;
    atomic_fetch_add(&r->connections, 1);
    if (read(fd, request, sizeof request) > 0 && write(fd, answer, sizeof answer - 1) > 0) {
      shutdown(fd, SHUT_WR);
      while (read(fd, request, sizeof request) > 0)
        continue;
    }
    close(fd);
  }
  return NULL;
}

/* Both on one port, so that a name may lead to either. */
static bool listen_at(receiver *r, const char *address, int port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  socklen_t len = sizeof at;
  int on = 1;

  inet_pton(AF_INET, address, &at.sin_addr);
  r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(r->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(r->fd, (struct sockaddr *)&at, len) != 0 || listen(r->fd, 16) != 0) {
    close(r->fd);
    return false;
  }
  getsockname(r->fd, (struct sockaddr *)&at, &len);
  r->port = ntohs(at.sin_port);
  return true;
}

static int start_receivers(void **state) {
  bool ok = false;

  (void)state;
  for (int i = 0; i < 100 && !ok; i++) {
    if (!listen_at(&inner, "127.0.0.1", 0)) return -1;
    ok = listen_at(&allowed, "127.0.0.2", inner.port);
    if (!ok) close(inner.fd);
  }
  if (!ok || pthread_create(&inner.thread, NULL, serve, &inner) != 0) return -1;
  return pthread_create(&allowed.thread, NULL, serve, &allowed);
}

static int stop_receivers(void **state) {
  (void)state;
  atomic_store(&stopping, true);
  pthread_join(inner.thread, NULL);
  pthread_join(allowed.thread, NULL);
  close(inner.fd);
  close(allowed.fd);
  return 0;
}

/* ---- a request ------------------------------------------------------------------------------ */

typedef struct outcome {
  bool done;
  int status;
  char class[16];
  char error[MP_NETGUARD_WHY];
} outcome;

static void on_done(void *owner, void *arg, const mp_result *result) {
  outcome *o = arg;

  (void)owner;
  o->done = true;
  o->status = result->status;
  snprintf(o->class, sizeof o->class, "%s", result->error_class ? result->error_class : "");
  snprintf(o->error, sizeof o->error, "%s", result->error);
}

typedef struct sender {
  mp_client *client;
  mp_netguard *guard;
} sender;

/* 127.0.0.2 is allowed, and the name inside.test. */
static sender start_sender(void) {
  mp_client_options options = {.max_requests = 4, .response_keep = 100, .done = on_done};
  sender s;
  mp_error err;

  assert_int_equal(mp_client_new(&options, &s.client, &err), MP_OK);
  assert_int_equal(mp_netguard_new(&s.guard, &err), MP_OK);
  assert_int_equal(mp_netguard_add(s.guard, MP_NETGUARD_ALLOW, "127.0.0.2", &err), MP_OK);
  assert_int_equal(mp_netguard_add(s.guard, MP_NETGUARD_ALLOW, "inside.test", &err), MP_OK);
  return s;
}

static void stop_sender(sender *s) {
  mp_client_free(s->client);
  mp_netguard_free(s->guard);
}

static outcome send_by(sender *s, const mp_target_options *more, const char *url) {
  mp_target_options options = *more;
  mp_headers none;
  mp_target *target;
  outcome o = {0};
  mp_error err;

  mp_headers_init(&none);
  options.url = url;
  options.defaults = options.headers = &none;
  options.timeout_ms = options.connect_timeout_ms = 30000;
  options.user_agent = "test";
  options.guard = s->guard;
  dialled[0] = '\0';
  if (mp_target_new(&options, &target, &err) != MP_OK) fail_msg("%s", err.message);
  if (mp_target_refusal(target)) {
    snprintf(o.class, sizeof o.class, "refused");
    snprintf(o.error, sizeof o.error, "%s", mp_target_refusal(target));
  } else {
    mp_request request = {.target = target, .event = "entry.create", .body = "{}", .body_len = 2};
    if (mp_client_start(s->client, &request, &o, &err) != MP_OK) fail_msg("%s", err.message);
    while (!o.done)
      mp_client_poll(s->client, 1000);
  }
  mp_target_free(target);
  return o;
}

/* To a name that leads to these addresses. */
static outcome send_to(sender *s, const char *host, const char *list) {
  static const mp_target_options direct;
  static int n;
  char url[128];

  answers[0] = list;
  answers[1] = NULL;
  atomic_store(&asked, 0);
  /* A name of its own: libcurl remembers what a name led to for a minute. */
  if (host)
    snprintf(url, sizeof url, "http://%s:%d/", host, inner.port);
  else
    snprintf(url, sizeof url, "http://n%d.test:%d/", n++, inner.port);
  return send_by(s, &direct, url);
}

/* ---- the tests ------------------------------------------------------------------------------ */

/* Every range, at its first address and somewhere within, alone and hidden in IPv6 and after one
 * more of its kind: 200 names and more that lead inside. Not one is dialled. */
static void test_names_that_lead_inside(void **state) {
  static const char *const v4[] = {
      "0.0.0.0",        "0.0.0.1",         "10.0.0.0",        "10.20.30.40",     "100.64.0.0",
      "100.100.1.2",    "127.0.0.1",       "127.1.2.3",       "127.255.255.255", "169.254.0.1",
      "169.254.1.2",    "169.254.169.254", "169.254.170.2",   "168.63.129.16",   "172.16.0.0",
      "172.31.255.1",   "192.0.0.1",       "192.0.0.192",     "192.0.2.3",       "192.88.99.1",
      "192.168.0.0",    "192.168.1.254",   "198.18.0.1",      "198.19.255.254",  "198.51.100.7",
      "203.0.113.9",    "224.0.0.1",       "239.255.255.250", "240.0.0.1",       "255.255.255.255",
      "100.100.100.200"};
  static const char *const v6[] = {
      "::",           "::1",         "::2",           "::7f00:1",     "::ffff:0:7f00:1",
      "64:ff9b:1::1", "100::1",      "1::1",          "2001::1",      "2001:0:4136:e378::1",
      "2001:1::1",    "2001:db8::1", "3fff::1",       "4000::1",      "5f00::1",
      "8000::1",      "fc00::1",     "fd00:ec2::254", "fd12:3456::1", "fe80::1",
      "fec0::1",      "ff02::1",     "fd20:ce::254",  "fe00::1"};
  static const char *const forms[] = {"%s",           "::ffff:%s", "64:ff9b::%s",
                                      "%s,127.0.0.1", "::1,%s",    "::ffff:127.0.0.1,%s"};
  sender s = start_sender();
  int count = 0;
  char list[128];

  (void)state;
  for (size_t i = 0; i < sizeof v4 / sizeof v4[0]; i++) {
    for (size_t form = 0; form < sizeof forms / sizeof forms[0]; form++, count++) {
      outcome o;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
      snprintf(list, sizeof list, forms[form], v4[i]);
#pragma GCC diagnostic pop
      o = send_to(&s, NULL, list);
      if (strcmp(o.class, "guard") != 0) fail_msg("%s: %s: %s", list, o.class, o.error);
      assert_string_equal(dialled, "");
    }
  }
  for (size_t i = 0; i < sizeof v6 / sizeof v6[0]; i++) {
    for (int with = 0; with < 2; with++, count++) {
      outcome o;
      snprintf(list, sizeof list, "%s%s", v6[i], with ? ",127.0.0.1" : "");
      o = send_to(&s, NULL, list);
      if (strcmp(o.class, "guard") != 0) fail_msg("%s: %s: %s", list, o.class, o.error);
      assert_string_equal(dialled, "");
    }
  }
  assert_true(count >= 200);
  assert_int_equal(atomic_load(&inner.connections), 0);
  stop_sender(&s);
}

/* What it led to when somebody looked counts for nothing: what is dialled does. */
static void test_a_name_that_changes_its_answer(void **state) {
  static const mp_target_options direct;
  sender first = start_sender(), second = start_sender();
  char url[64];
  outcome o;

  (void)state;
  snprintf(url, sizeof url, "http://rebind.test:%d/", inner.port);
  answers[0] = "127.0.0.2";
  answers[1] = "127.0.0.1";
  atomic_store(&asked, 0);
  o = send_by(&first, &direct, url);
  assert_int_equal(o.status, 200);
  assert_string_equal(dialled, "127.0.0.2 ");
  o = send_by(&second, &direct, url); /* has not asked before */
  assert_int_equal(atomic_load(&asked), 2);
  assert_string_equal(o.class, "guard");
  assert_string_equal(o.error,
                      "rebind.test leads to 127.0.0.1, which is loopback (127.0.0.0/8); "
                      "webhooks.network.allow opens it");
  assert_string_equal(dialled, "");
  /* libcurl remembers for a minute what it led to, and that was judged. */
  o = send_by(&first, &direct, url);
  assert_int_equal(o.status, 200);
  assert_string_equal(dialled, "127.0.0.2 ");
  assert_int_equal(atomic_load(&inner.connections), 0);
  stop_sender(&first);
  stop_sender(&second);
}

static void test_mixed_answers(void **state) {
  sender s = start_sender();
  outcome o = send_to(&s, NULL, "127.0.0.1,127.0.0.2");

  (void)state;
  assert_int_equal(o.status, 200);
  assert_string_equal(dialled, "127.0.0.2 ");
  o = send_to(&s, NULL, "::1,127.0.0.2");
  assert_int_equal(o.status, 200);
  assert_string_equal(dialled, "127.0.0.2 ");
  o = send_to(&s, NULL, "127.0.0.2,::ffff:127.0.0.1,10.0.0.1");
  assert_int_equal(o.status, 200);
  assert_string_equal(dialled, "127.0.0.2 ");
  /* A public address that does not answer is no reason to try an inner one. */
  o = send_to(&s, NULL, "2606:4700::1,127.0.0.1");
  assert_string_equal(o.class, "connect");
  assert_string_equal(dialled, "2606:4700::1 ");
  o = send_to(&s, NULL, "1.1.1.1,::1,127.0.0.1");
  assert_string_equal(o.class, "connect");
  assert_string_equal(dialled, "1.1.1.1 ");
  assert_int_equal(atomic_load(&inner.connections), 0);
  stop_sender(&s);
}

static void test_an_allowed_name(void **state) {
  sender s = start_sender();
  int before = atomic_load(&inner.connections);
  outcome o = send_to(&s, "inside.test", "127.0.0.1");

  (void)state;
  assert_int_equal(o.status, 200);
  assert_int_equal(atomic_load(&inner.connections), before + 1);
  o = send_to(&s, "x.inside.test", "127.0.0.1");
  assert_string_equal(o.class, "guard");
  stop_sender(&s);
  s = start_sender();
  o = send_to(&s, "inside.test", "169.254.169.254");
  assert_string_equal(o.class, "guard");
  assert_string_equal(dialled, "");
  assert_int_equal(atomic_load(&inner.connections), before + 1);
  stop_sender(&s);
}

static void test_proxies(void **state) {
  mp_target_options options = {0};
  sender s = start_sender();
  int before = atomic_load(&inner.connections);
  char proxy[64];
  outcome o;

  (void)state;
  answers[0] = "127.0.0.1";
  answers[1] = NULL;
  options.proxy = proxy;
  /* The config's is dialled where it is, and literal targets are judged all the same. */
  snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", inner.port);
  o = send_by(&s, &options, "http://a.test/");
  assert_int_equal(o.status, 200);
  assert_int_equal(atomic_load(&inner.connections), before + 1);
  o = send_by(&s, &options, "http://0x7f.1/");
  assert_string_equal(o.class, "refused");
  o = send_by(&s, &options, "http://localhost/");
  assert_string_equal(o.class, "refused");
  /* Nor does the environment have it passed over, which would dial the name unjudged. */
  setenv("no_proxy", "*", 1);
  setenv("NO_PROXY", "*", 1);
  o = send_by(&s, &options, "http://d.test:1/");
  unsetenv("no_proxy");
  unsetenv("NO_PROXY");
  assert_int_equal(o.status, 200);
  before++;
  assert_int_equal(atomic_load(&inner.connections), before + 1);
  /* A webhook's own is judged. */
  options.own_proxy = true;
  o = send_by(&s, &options, "http://a.test/");
  assert_string_equal(o.class, "refused");
  snprintf(proxy, sizeof proxy, "http://proxy.test:%d", inner.port);
  o = send_by(&s, &options, "http://b.test/");
  assert_string_equal(o.class, "guard");
  assert_non_null(strstr(o.error, "proxy.test leads to 127.0.0.1"));
  snprintf(proxy, sizeof proxy, "socks5h://proxy2.test:%d", inner.port);
  o = send_by(&s, &options, "http://b.test/");
  assert_string_equal(o.class, "guard");
  assert_string_equal(dialled, "");
  snprintf(proxy, sizeof proxy, "http://inside.test:%d", inner.port);
  o = send_by(&s, &options, "http://c.test/");
  assert_int_equal(o.status, 200);
  assert_int_equal(atomic_load(&inner.connections), before + 2);
  stop_sender(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names_that_lead_inside),
      cmocka_unit_test(test_a_name_that_changes_its_answer),
      cmocka_unit_test(test_mixed_answers),
      cmocka_unit_test(test_an_allowed_name),
      cmocka_unit_test(test_proxies),
  };
  return cmocka_run_group_tests(tests, start_receivers, stop_receivers);
}
