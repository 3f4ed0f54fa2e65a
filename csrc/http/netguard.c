/* The network guard's rules. Pure functions but for the memory of the rules. */
#include "http/netguard.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/quote.h"

/* An allowed network has at least so many bits: 10.0.0.0/8 and fc00::/7 are the widest that anybody
 * has at home. */
#define MIN_V4_BITS 8
#define MIN_V6_BITS 7

#define MAX_RULES 1000

typedef struct rule {
  char *text; /* as it was given; the host, in lower case, of one that names a host */
  bool is_host;
  mp_address network;
  int prefix;
} rule;

typedef struct rules {
  rule *items;
  size_t count;
} rules;

struct mp_netguard {
  rules lists[2]; /* by mp_netguard_list */
  int *ports;
  size_t port_count;
};

/* ---- building ------------------------------------------------------------------------------- */

mp_code mp_netguard_new(mp_netguard **out, mp_error *err) {
  *out = calloc(1, sizeof **out);
  return *out ? MP_OK : mp_fail(err, MP_ENOMEM, "out of memory");
}

void mp_netguard_free(mp_netguard *guard) {
  if (!guard) return;
  for (int list = 0; list < 2; list++) {
    for (size_t i = 0; i < guard->lists[list].count; i++)
      free(guard->lists[list].items[i].text);
    free(guard->lists[list].items);
  }
  free(guard->ports);
  free(guard);
}

static bool is_label(const char *label, size_t len) {
  if (len == 0 || len > 63 || label[len - 1] == '-' || label[0] == '-') return false;
  for (size_t i = 0; i < len; i++) {
    if (!isalnum((unsigned char)label[i]) && label[i] != '-' && label[i] != '_') return false;
  }
  return true;
}

/* A name of RFC 1123, with underscores, in ASCII. One that ends in a number would be an address. */
static bool is_host(const char *text, size_t len) {
  size_t at = 0, end = 0;
  mp_address address;

  if (len == 0 || len > 253 || mp_address_of_host(text, &address)) return false;
  for (; end < len; at = end + 1) {
    const char *dot = memchr(text + at, '.', len - at);
    end = dot ? (size_t)(dot - text) : len;
    if (!is_label(text + at, end - at)) return false;
    if (end == len) return strspn(text + at, "0123456789") < len - at;
  }
  return false; /* a dot at the end */
}

/* The number after the "/"; -1: it is none. */
static int read_prefix(const char *digits, int most) {
  size_t len = strspn(digits, "0123456789");
  int prefix;

  if (len == 0 || len > 3 || digits[len] != '\0') return -1;
  prefix = atoi(digits);
  return prefix <= most ? prefix : -1;
}

/* An IPv4-mapped network is that of the IPv4 addresses. */
static void unmap(rule *r) {
  mp_address v4;

  if (r->network.bits != 128 || r->prefix < 96 || r->network.bytes[10] != 0xff) return;
  if (!mp_address_inner(&r->network, &v4)) return;
  r->network = v4;
  r->prefix -= 96;
}

static bool read_network(const char *text, rule *r) {
  const char *slash = strchr(text, '/');
  size_t len = slash ? (size_t)(slash - text) : strlen(text);
  char address[MP_ADDRESS_SIZE];

  if (len >= sizeof address) return false;
  memcpy(address, text, len);
  address[len] = '\0';
  if (!mp_address_parse(address, &r->network)) return false;
  r->prefix = slash ? read_prefix(slash + 1, r->network.bits) : r->network.bits;
  if (r->prefix < 0) return false;
  unmap(r);
  return true;
}

static mp_code read_rule(mp_netguard_list list, const char *text, rule *r, mp_error *err) {
  size_t len = strlen(text);
  char quoted[MP_QUOTE_SIZE];
  int least;

  if (read_network(text, r)) {
    least = r->network.bits == 32 ? MIN_V4_BITS : MIN_V6_BITS;
    if (list == MP_NETGUARD_DENY || r->prefix >= least) return MP_OK;
    return mp_fail(
        err, MP_EINVAL,
        "'%s' would turn the guard off; expected the networks that are meant, of at least "
        "/%d (public addresses need no rule)",
        text, least);
  }
  if (len > 1 && text[len - 1] == '.') len--;
  r->is_host = is_host(text, len);
  if (r->is_host) return MP_OK;
  return mp_fail(err, MP_EINVAL,
                 "expected an address, a CIDR such as 10.1.0.0/16 or a host name, got '%s'",
                 mp_quote(text, strlen(text), quoted, sizeof quoted));
}

/* The text of a rule, of a host as hosts are compared. */
static char *copy_text(const rule *r, const char *text) {
  char *copy = strdup(text);
  size_t len = strlen(text);

  if (!copy || !r->is_host) return copy;
  for (char *c = copy; *c; c++)
    *c = (char)tolower((unsigned char)*c);
  if (copy[len - 1] == '.') copy[len - 1] = '\0';
  return copy;
}

mp_code mp_netguard_add(mp_netguard *guard, mp_netguard_list list, const char *text,
                        mp_error *err) {
  rules *to = &guard->lists[list];
  rule added = {0};
  rule *items;
  mp_code code = read_rule(list, text, &added, err);

  if (code != MP_OK) return code;
  if (to->count == MAX_RULES)
    return mp_fail(err, MP_EINVAL, "expected at most %d rules", MAX_RULES);
  items = realloc(to->items, (to->count + 1) * sizeof *items);
  if (!items) return mp_fail(err, MP_ENOMEM, "out of memory");
  to->items = items;
  added.text = copy_text(&added, text);
  if (!added.text) return mp_fail(err, MP_ENOMEM, "out of memory");
  to->items[to->count++] = added;
  return MP_OK;
}

mp_code mp_netguard_add_port(mp_netguard *guard, double port, mp_error *err) {
  int *ports;

  if (!(port >= 1 && port <= 65535) || port != (int)port)
    return mp_fail(err, MP_EINVAL, "expected a port between 1 and 65535");
  if (guard->port_count == MAX_RULES)
    return mp_fail(err, MP_EINVAL, "expected at most %d ports", MAX_RULES);
  ports = realloc(guard->ports, (guard->port_count + 1) * sizeof *ports);
  if (!ports) return mp_fail(err, MP_ENOMEM, "out of memory");
  guard->ports = ports;
  guard->ports[guard->port_count++] = (int)port;
  return MP_OK;
}

/* ---- judging -------------------------------------------------------------------------------- */

static const rule *rule_for_host(const mp_netguard *guard, mp_netguard_list list,
                                 const char *host) {
  for (size_t i = 0; guard && i < guard->lists[list].count; i++) {
    const rule *r = &guard->lists[list].items[i];
    if (r->is_host && strcmp(r->text, host) == 0) return r;
  }
  return NULL;
}

/* exact: only rules for a single address count. */
static const rule *rule_for_address(const mp_netguard *guard, mp_netguard_list list,
                                    const mp_address *address, bool exact) {
  for (size_t i = 0; guard && i < guard->lists[list].count; i++) {
    const rule *r = &guard->lists[list].items[i];
    if (r->is_host || (exact && r->prefix < r->network.bits)) continue;
    if (mp_address_within(address, &r->network, r->prefix)) return r;
  }
  return NULL;
}

static bool permits_port(const mp_netguard *guard, int port, char *why) {
  if (!guard || guard->port_count == 0) return true;
  for (size_t i = 0; i < guard->port_count; i++) {
    if (guard->ports[i] == port) return true;
  }
  snprintf(why, MP_NETGUARD_WHY, "port %d is not one of webhooks.network.ports", port);
  return false;
}

/* Its port, and its host by name. */
static bool permits_name(const mp_netguard *guard, const mp_place *place, char *why) {
  const rule *denied = rule_for_host(guard, MP_NETGUARD_DENY, place->host);

  if (!permits_port(guard, place->port, why)) return false;
  if (!denied) return true;
  snprintf(why, MP_NETGUARD_WHY, "%s is denied by webhooks.network.deny", denied->text);
  return false;
}

/* "10.0.0.1", "a.example leads to 10.0.0.1, which", "64:ff9b::a00:1 stands for 10.0.0.1, which" */
static void name_address(const mp_place *place, const mp_address *outer, const mp_address *inner,
                         char *out, size_t size) {
  char quoted[MP_QUOTE_SIZE], text[MP_ADDRESS_SIZE], inner_text[MP_ADDRESS_SIZE];
  mp_address literal;
  bool named = !mp_address_of_host(place->host, &literal);
  bool stands = inner != outer;

  mp_quote(place->host, strlen(place->host), quoted, sizeof quoted);
  mp_address_format(outer, text);
  mp_address_format(inner, inner_text);
  snprintf(out, size, "%s%s%s%s%s%s", named ? quoted : "", named ? " leads to " : "", text,
           stands ? (named ? ", which stands for " : " stands for ") : "", stands ? inner_text : "",
           named || stands ? ", which" : "");
}

/* May the address be dialled, which is not public? */
static bool opened(const mp_netguard *guard, const mp_place *place, const mp_address *address,
                   const char *name, char *why) {
  const char *service = mp_address_service(address);
  const mp_range *special = mp_address_special(address);

  if (!service && !special) return true;
  if (rule_for_address(guard, MP_NETGUARD_ALLOW, address, service != NULL)) return true;
  if (service) {
    snprintf(why, MP_NETGUARD_WHY,
             "%s is %s; only a rule for this very address in webhooks.network.allow opens it", name,
             service);
    return false;
  }
  if (rule_for_host(guard, MP_NETGUARD_ALLOW, place->host)) return true;
  snprintf(why, MP_NETGUARD_WHY, "%s is %s (%s); webhooks.network.allow opens it", name,
           special->what, special->cidr);
  return false;
}

bool mp_netguard_permits(const mp_netguard *guard, const mp_place *place, const mp_address *address,
                         char *why) {
  mp_address v4;
  const mp_address *inner = mp_address_inner(address, &v4) ? &v4 : address;
  char name[MP_QUOTE_SIZE + 3 * MP_ADDRESS_SIZE];
  const rule *denied;

  if (!permits_name(guard, place, why)) return false;
  name_address(place, address, inner, name, sizeof name);
  denied = rule_for_address(guard, MP_NETGUARD_DENY, inner, false);
  if (!denied) denied = rule_for_address(guard, MP_NETGUARD_DENY, address, false);
  if (!denied) return opened(guard, place, inner, name, why);
  snprintf(why, MP_NETGUARD_WHY, "%s is denied by webhooks.network.deny (%s)", name, denied->text);
  return false;
}

/* RFC 6761 section 6.3: these never leave the machine, and a resolver is not asked for them. */
static bool is_localhost(const char *host) {
  static const char name[] = "localhost";
  size_t len = strlen(host), n = sizeof name - 1;

  if (len < n || strcmp(host + len - n, name) != 0) return false;
  return len == n || host[len - n - 1] == '.';
}

bool mp_netguard_permits_place(const mp_netguard *guard, const mp_place *place, char *why) {
  static const mp_address loopback = {{127, 0, 0, 1}, 32};
  static const mp_address loopback_v6 = {{[15] = 1}, 128};
  mp_address address;

  if (mp_address_of_host(place->host, &address))
    return mp_netguard_permits(guard, place, &address, why);
  if (is_localhost(place->host)) {
    return mp_netguard_permits(guard, place, &loopback_v6, why) ||
           mp_netguard_permits(guard, place, &loopback, why);
  }
  return permits_name(guard, place, why);
}
