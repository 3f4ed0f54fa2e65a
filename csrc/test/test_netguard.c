/* Addresses and the network guard's rules: every special range at its edges, every spelling of an
 * address in a URL, and what the allow and deny lists make of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "http/netguard.h"
#include "http/url.h"

static mp_address address(const char *text) {
  mp_address a;
  if (!mp_address_parse(text, &a)) fail_msg("not an address: %s", text);
  return a;
}

static mp_netguard *guard_of(const char *const *allow, const char *const *deny) {
  mp_netguard *g;
  mp_error err;

  assert_int_equal(mp_netguard_new(&g, &err), MP_OK);
  for (; allow && *allow; allow++) {
    if (mp_netguard_add(g, MP_NETGUARD_ALLOW, *allow, &err) != MP_OK) fail_msg("%s", err.message);
  }
  for (; deny && *deny; deny++) {
    if (mp_netguard_add(g, MP_NETGUARD_DENY, *deny, &err) != MP_OK) fail_msg("%s", err.message);
  }
  return g;
}

/* NULL: it may be dialled; else why not. */
static const char *refusal(const mp_netguard *guard, const char *host, const char *text) {
  static char why[MP_NETGUARD_WHY];
  mp_place place = {.port = 80};
  mp_address a = address(text);

  snprintf(place.host, sizeof place.host, "%s", host);
  return mp_netguard_permits(guard, &place, &a, why) ? NULL : why;
}

/* ---- ranges --------------------------------------------------------------------------------- */

/* Each range's first and last address, and the neighbours outside: public, or of the range named.
 */
static void test_ranges(void **state) {
  static const struct {
    const char *address;
    const char *range; /* NULL: public */
  } cases[] = {
      {"0.0.0.0", "this machine (0.0.0.0/32)"},
      {"0.0.0.1", "this network (0.0.0.0/8)"},
      {"0.255.255.255", "0.0.0.0/8"},
      {"1.0.0.0", NULL},
      {"9.255.255.255", NULL},
      {"10.0.0.0", "private (10.0.0.0/8)"},
      {"10.255.255.255", "10.0.0.0/8"},
      {"11.0.0.0", NULL},
      {"100.63.255.255", NULL},
      {"100.64.0.0", "100.64.0.0/10"},
      {"100.127.255.255", "100.64.0.0/10"},
      {"100.128.0.0", NULL},
      {"126.255.255.255", NULL},
      {"127.0.0.0", "loopback (127.0.0.0/8)"},
      {"127.0.0.1", "127.0.0.0/8"},
      {"127.255.255.255", "127.0.0.0/8"},
      {"128.0.0.0", NULL},
      {"169.253.255.255", NULL},
      {"169.254.0.0", "link-local (169.254.0.0/16)"},
      {"169.254.255.255", "169.254.0.0/16"},
      {"169.255.0.0", NULL},
      {"172.15.255.255", NULL},
      {"172.16.0.0", "172.16.0.0/12"},
      {"172.31.255.255", "172.16.0.0/12"},
      {"172.32.0.0", NULL},
      {"191.255.255.255", NULL},
      {"192.0.0.0", "192.0.0.0/24"},
      {"192.0.0.255", "192.0.0.0/24"},
      {"192.0.1.0", NULL},
      {"192.0.1.255", NULL},
      {"192.0.2.0", "192.0.2.0/24"},
      {"192.0.2.255", "192.0.2.0/24"},
      {"192.0.3.0", NULL},
      {"192.88.98.255", NULL},
      {"192.88.99.0", "192.88.99.0/24"},
      {"192.88.99.255", "192.88.99.0/24"},
      {"192.88.100.0", NULL},
      {"192.167.255.255", NULL},
      {"192.168.0.0", "192.168.0.0/16"},
      {"192.168.255.255", "192.168.0.0/16"},
      {"192.169.0.0", NULL},
      {"198.17.255.255", NULL},
      {"198.18.0.0", "198.18.0.0/15"},
      {"198.19.255.255", "198.18.0.0/15"},
      {"198.20.0.0", NULL},
      {"198.51.99.255", NULL},
      {"198.51.100.0", "198.51.100.0/24"},
      {"198.51.100.255", "198.51.100.0/24"},
      {"198.51.101.0", NULL},
      {"203.0.112.255", NULL},
      {"203.0.113.0", "203.0.113.0/24"},
      {"203.0.113.255", "203.0.113.0/24"},
      {"203.0.114.0", NULL},
      {"223.255.255.255", NULL},
      {"224.0.0.0", "multicast (224.0.0.0/4)"},
      {"239.255.255.255", "224.0.0.0/4"},
      {"240.0.0.0", "reserved (240.0.0.0/4)"},
      {"255.255.255.254", "240.0.0.0/4"},
      {"255.255.255.255", "broadcast"},
      {"168.63.129.15", NULL},
      {"168.63.129.16", "Azure's WireServer"},
      {"168.63.129.17", NULL},
      {"169.254.169.254", "metadata service"},
      {"169.254.170.2", "credentials service"},
      {"100.100.100.200", "metadata service"},
      {"192.0.0.192", "metadata service"},
      {"::", "this machine (::/128)"},
      {"::1", "loopback (::1/128)"},
      {"::2", "outside 2000::/3"},
      {"::127.0.0.1", "outside 2000::/3"},
      {"::ffff:0:127.0.0.1", "outside 2000::/3"},
      {"64:ff9b:1::", "local NAT64"},
      {"64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "local NAT64"},
      {"64:ff9b:2::", "outside 2000::/3"},
      {"64:ff9b::1:0:0", "outside 2000::/3"},
      {"100::", "100::/64"},
      {"100:0:0:1::", "outside 2000::/3"},
      {"1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "outside 2000::/3"},
      {"2000::", NULL},
      {"2001::", "Teredo (2001::/32)"},
      {"2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "2001::/32"},
      {"2001:1::", "2001::/23"},
      {"2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::/23"},
      {"2001:200::", NULL},
      {"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
      {"2001:db8::", "2001:db8::/32"},
      {"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::/32"},
      {"2001:db9::", NULL},
      {"2606:4700:4700::1111", NULL},
      {"3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
      {"3fff::", "3fff::/20"},
      {"3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff::/20"},
      {"3fff:1000::", NULL},
      {"3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
      {"4000::", "outside 2000::/3"},
      {"5f00::", "5f00::/16"},
      {"fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "outside 2000::/3"},
      {"fc00::", "private (fc00::/7)"},
      {"fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fc00::/7"},
      {"fd00:ec2::254", "metadata service"},
      {"fd00:ec2::23", "credentials service"},
      {"fd20:ce::254", "metadata service"},
      {"fe00::", "outside 2000::/3"},
      {"fe80::", "link-local (fe80::/10)"},
      {"febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::/10"},
      {"fec0::", "site-local (fec0::/10)"},
      {"feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fec0::/10"},
      {"ff00::", "multicast (ff00::/8)"},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ff00::/8"},
  };

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const char *why = refusal(NULL, "a.example", cases[i].address);
    if (!why != !cases[i].range) fail_msg("%s: %s", cases[i].address, why ? why : "permitted");
    if (why && !strstr(why, cases[i].range)) fail_msg("%s: %s", cases[i].address, why);
    if (why && !strstr(why, "webhooks.network.allow")) fail_msg("%s: %s", cases[i].address, why);
  }
}

/* Every IPv4 address is judged alike however an IPv6 one hides it. */
static void test_inner(void **state) {
  static const char *const forms[] = {"::ffff:%d.%d.%d.%d", "64:ff9b::%d.%d.%d.%d", NULL};
  char text[64];

  (void)state;
  for (unsigned n = 0; n < 65536; n++) { /* all first two bytes, two of the others */
    int a = (int)(n >> 8), b = (int)(n & 255), c = (int)(n * 7 & 255), d = (int)(n * 13 & 255);
    bool permitted;
    snprintf(text, sizeof text, "%d.%d.%d.%d", a, b, c, d);
    permitted = !refusal(NULL, text, text);
    for (int i = 0; forms[i]; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
      snprintf(text, sizeof text, forms[i], a, b, c, d);
#pragma GCC diagnostic pop
      if (!refusal(NULL, text, text) != permitted) fail_msg("%s", text);
    }
    snprintf(text, sizeof text, "2002:%x:%x::1", a << 8 | b, c << 8 | d);
    if (!refusal(NULL, text, text) != permitted) fail_msg("%s", text);
  }
}

static void test_sockets(void **state) {
  struct sockaddr_in v4 = {.sin_family = AF_INET};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_scope_id = 1};
  struct sockaddr_un path = {.sun_family = AF_UNIX};
  char text[MP_ADDRESS_SIZE];
  mp_address a;

  (void)state;
  inet_pton(AF_INET, "192.0.2.7", &v4.sin_addr);
  inet_pton(AF_INET6, "fe80::7", &v6.sin6_addr);
  assert_true(mp_address_of((struct sockaddr *)&v4, &a));
  assert_string_equal(mp_address_format(&a, text), "192.0.2.7");
  assert_true(mp_address_of((struct sockaddr *)&v6, &a));
  assert_string_equal(mp_address_format(&a, text), "fe80::7");
  assert_false(mp_address_of((struct sockaddr *)&path, &a));
}

/* ---- rules ---------------------------------------------------------------------------------- */

static void test_allow(void **state) {
  static const char *const rules[] = {
      "10.1.0.0/16",     "192.168.7.1",   "fd00:1::/32",    "::ffff:127.0.0.0/104",
      "Inside.Example.", "172.16.0.0/12", "169.254.0.0/16", NULL};
  static const struct {
    const char *host, *address;
    bool permitted;
  } cases[] = {
      {"a.example", "10.0.255.255", false},
      {"a.example", "10.1.0.0", true},
      {"a.example", "10.1.255.255", true},
      {"a.example", "10.2.0.0", false},
      {"a.example", "::ffff:10.1.0.0", true},
      {"a.example", "64:ff9b::10.1.0.0", true},
      {"a.example", "2002:a01::", true},
      {"a.example", "2002:a02::", false},
      {"a.example", "192.168.7.0", false},
      {"a.example", "192.168.7.1", true},
      {"a.example", "127.0.0.1", true},
      {"a.example", "128.0.0.1", true},
      {"a.example", "::1", false},
      {"a.example", "fd00:1::5", true},
      {"a.example", "fd00:2::5", false},
      {"inside.example", "10.2.0.0", true},
      {"inside.example", "fe80::1", true},
      {"x.inside.example", "10.2.0.0", false},
      {"inside.example.org", "10.2.0.0", false},
      /* no rule for a range, nor for a name, opens these */
      {"inside.example", "169.254.169.254", false},
      {"a.example", "169.254.169.254", false},
      {"a.example", "169.254.169.253", true},
      {"inside.example", "fd00:ec2::254", false},
      {"inside.example", "168.63.129.16", false},
  };
  static const char *const exact[] = {"169.254.169.254", "fd00:ec2::254/128", NULL};
  mp_netguard *g = guard_of(rules, NULL);

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const char *why = refusal(g, cases[i].host, cases[i].address);
    if (!why != cases[i].permitted) {
      fail_msg("%s at %s: %s", cases[i].host, cases[i].address, why ? why : "permitted");
    }
  }
  mp_netguard_free(g);
  g = guard_of(exact, NULL);
  assert_null(refusal(g, "a.example", "169.254.169.254"));
  assert_null(refusal(g, "a.example", "::ffff:169.254.169.254"));
  assert_null(refusal(g, "a.example", "fd00:ec2::254"));
  assert_non_null(refusal(g, "a.example", "169.254.170.2"));
  mp_netguard_free(g);
}

static void test_deny(void **state) {
  static const char *const allow[] = {"10.0.0.0/8", "inside.example", NULL};
  static const char *const deny[] = {"10.1.0.0/16", "8.8.0.0/16", "2606:4700::/32", "bad.example",
                                     NULL};
  mp_netguard *g = guard_of(allow, deny);
  static const char *const all[] = {"0.0.0.0/0", "::/0", NULL};

  (void)state;
  assert_null(refusal(g, "a.example", "10.2.0.1"));
  assert_string_equal(refusal(g, "a.example", "10.1.0.1"),
                      "a.example leads to 10.1.0.1, which is denied by webhooks.network.deny "
                      "(10.1.0.0/16)");
  assert_non_null(refusal(g, "inside.example", "10.1.0.1"));
  assert_non_null(refusal(g, "8.8.8.8", "8.8.8.8"));
  assert_non_null(refusal(g, "a.example", "::ffff:8.8.8.8"));
  assert_null(refusal(g, "a.example", "8.9.8.8"));
  assert_non_null(refusal(g, "a.example", "2606:4700::1"));
  assert_string_equal(refusal(g, "bad.example", "1.1.1.1"),
                      "bad.example is denied by webhooks.network.deny");
  mp_netguard_free(g);
  g = guard_of(NULL, all);
  assert_non_null(refusal(g, "a.example", "1.1.1.1"));
  assert_non_null(refusal(g, "a.example", "2606:4700::1"));
  mp_netguard_free(g);
}

static void test_bad_rules(void **state) {
  static const char *const rules[] = {"",
                                      "a b",
                                      "10.0.0.0/33",
                                      "::/129",
                                      "10.0.0.0/",
                                      "10.0.0.0/+8",
                                      "10.0.0/8",
                                      "256.1.1.1",
                                      "1.2.3",
                                      "0x7f.0.0.1",
                                      "[::1]",
                                      "fe80::1%eth0",
                                      "a/8",
                                      "-a.example",
                                      "a-.example",
                                      "a..example",
                                      "a.example..",
                                      ".a",
                                      "*.example",
                                      "b\xc3\xbc.example",
                                      "http://a/",
                                      "a.example:80",
                                      "10.0.0.0/0008",
                                      "0.0.0.0/0",
                                      "::/0",
                                      "0.0.0.0/1",
                                      "128.0.0.0/1",
                                      "8.0.0.0/7",
                                      "8000::/1",
                                      "f000::/4",
                                      "::ffff:0:0/96",
                                      "::ffff:0:0/103",
                                      NULL};
  mp_netguard *g = guard_of(NULL, NULL);
  mp_error err;

  (void)state;
  for (int i = 0; rules[i]; i++) {
    if (mp_netguard_add(g, MP_NETGUARD_ALLOW, rules[i], &err) != MP_EINVAL)
      fail_msg("accepted: '%s'", rules[i]);
  }
  assert_int_equal(mp_netguard_add_port(g, 0, &err), MP_EINVAL);
  assert_int_equal(mp_netguard_add_port(g, 65536, &err), MP_EINVAL);
  assert_int_equal(mp_netguard_add_port(g, 80.5, &err), MP_EINVAL);
  mp_netguard_free(g);
}

/* ---- URLs ----------------------------------------------------------------------------------- */

static void test_spellings(void **state) {
  static const char *const urls[] = {"http://127.0.0.1/",
                                     "http://127.0.0.1./",
                                     "http://127.1/",
                                     "http://127.0.1/",
                                     "http://2130706433/",
                                     "http://0x7f000001/",
                                     "http://0X7F.1/",
                                     "http://0177.0.0.1/",
                                     "http://0177.0x0.1/",
                                     "http://00000177.1/",
                                     "http://017700000001/",
                                     "http://127.0.0.01/",
                                     "http://0000000000000000000000000000000000000000"
                                     "000000000000000000000000000000000000000017700000001/",
                                     "http://%31%32%37.1/",
                                     "http://127%2e0%2e0%2e1/",
                                     "http://u:p@127.1:80/",
                                     "http://a.example@127.1/",
                                     "http://[::1]/",
                                     "http://[0:0:0:0:0:0:0:1]/",
                                     "http://[::0001]/",
                                     "http://[::ffff:127.0.0.1]/",
                                     "http://[::ffff:7f00:1]/",
                                     "http://[::127.0.0.1]/",
                                     "http://[64:ff9b::7f00:1]/",
                                     "http://[2002:7f00:1::]/",
                                     "http://[fe80::1%25lo]/",
                                     "http://[fe80::1%lo]/",
                                     "http://[::1%25lo]/",
                                     "http://[::]/",
                                     "http://0/",
                                     "http://0.0.0.0/",
                                     "http://0x0/",
                                     "http://00/",
                                     "http://localhost/",
                                     "http://LOCALHOST/",
                                     "http://localhost./",
                                     "http://a.localhost/",
                                     "http://%6cocalhost/",
                                     "https://127.0.0.1/",
                                     "http://169.254.169.254/latest/meta-data",
                                     "http://0xa9fea9fe/",
                                     "http://2852039166/",
                                     "http://0251.0376.0251.0376/",
                                     "http://[fd00:ec2::254]/",
                                     "http://[::ffff:169.254.169.254]/",
                                     "http://168.63.129.16/",
                                     "http://10.1/",
                                     "http://0x7f.0.0.1./",
                                     NULL};
  mp_error err;

  (void)state;
  for (int i = 0; urls[i]; i++) {
    if (mp_url_check(urls[i], &err) != MP_OK) fail_msg("%s", err.message);
    if (mp_url_guard(urls[i], NULL, &err) != MP_EINVAL) fail_msg("permitted: %s", urls[i]);
    if (!strstr(err.message, "webhooks.network.allow")) fail_msg("%s: %s", urls[i], err.message);
  }
}

static void test_places(void **state) {
  static const struct {
    const char *url, *host;
    int port;
  } cases[] = {
      {"http://a.example", "a.example", 80},
      {"https://A.Example./x", "a.example", 443},
      {"https://u:p@a.example:8443/x", "a.example", 8443},
      {"http://[2606:4700::1111]:81/", "2606:4700::1111", 81},
      {"http://0x7f.1/", "127.0.0.1", 80},
  };
  char url[400];
  mp_place place;
  mp_error err;

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    if (mp_url_place(cases[i].url, &place, &err) != MP_OK) fail_msg("%s", err.message);
    assert_string_equal(place.host, cases[i].host);
    assert_int_equal(place.port, cases[i].port);
    assert_true(mp_url_guard(cases[i].url, NULL, &err) == MP_OK || i == 4);
  }
  snprintf(url, sizeof url, "http://%0300d.example/", 0);
  assert_int_equal(mp_url_place(url, &place, &err), MP_EINVAL);
}

static void test_url_rules(void **state) {
  static const char *const allow[] = {"localhost", "127.0.0.2", NULL};
  static const char *const deny[] = {"bad.example", NULL};
  mp_netguard *g = guard_of(allow, deny);
  mp_error err;

  (void)state;
  assert_int_equal(mp_url_guard("http://localhost/", g, &err), MP_OK);
  assert_int_equal(mp_url_guard("http://127.0.0.2/", g, &err), MP_OK);
  assert_int_equal(mp_url_guard("http://a.localhost/", g, &err), MP_EINVAL);
  assert_int_equal(mp_url_guard("http://127.0.0.1/", g, &err), MP_EINVAL);
  assert_int_equal(mp_url_guard("http://bad.example/", g, &err), MP_EINVAL);
  assert_int_equal(mp_netguard_add_port(g, 443, &err), MP_OK);
  assert_int_equal(mp_url_guard("https://a.example/", g, &err), MP_OK);
  assert_int_equal(mp_url_guard("http://a.example/", g, &err), MP_EINVAL);
  assert_string_equal(err.message, "port 80 is not one of webhooks.network.ports");
  assert_int_equal(mp_url_guard("http://localhost/", g, &err), MP_EINVAL);
  mp_netguard_free(g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ranges),    cmocka_unit_test(test_inner),
      cmocka_unit_test(test_sockets),   cmocka_unit_test(test_allow),
      cmocka_unit_test(test_deny),      cmocka_unit_test(test_bad_rules),
      cmocka_unit_test(test_spellings), cmocka_unit_test(test_places),
      cmocka_unit_test(test_url_rules),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
