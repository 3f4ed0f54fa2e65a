/* URLs and addresses: any text as a rule of the guard that allows, as a URL, as a rule that denies,
 * and a port. Whatever the C library's resolver takes for a numeric address that is not public is
 * refused before it is dialled, and so is what is inside it, unless a rule allows it; a host that
 * is denied by its name, and a port that is not named, are refused always. */
#include <arpa/inet.h>
#include <netdb.h>
#include <strings.h>

#include "fuzz/fuzz.h"
#include "http/netguard.h"
#include "http/url.h"

static bool is_special(const mp_address *a) {
  mp_address inner;
  return mp_address_special(mp_address_inner(a, &inner) ? &inner : a) != NULL;
}

/* What the resolver would dial without asking anybody. */
static bool resolves_alone(const char *host, mp_address *out) {
  struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM}, *found;
  bool ok;

  if (getaddrinfo(host, NULL, &hints, &found) != 0) return false;
  ok = mp_address_of(found->ai_addr, out);
  freeaddrinfo(found);
  return ok;
}

/* A guard with the rules of the input: which of them it took. */
typedef struct rules {
  mp_netguard *guard;
  bool allows, denies;
  const char *denied;
  unsigned port; /* 0: any */
} rules;

static bool add(mp_netguard *guard, mp_netguard_list list, const char *text) {
  mp_error err;
  mp_code code = mp_netguard_add(guard, list, text, &err);
  must(code == MP_OK || (code == MP_EINVAL && err.message[0] != '\0'));
  return code == MP_OK;
}

static void check_rules(const rules *r, const mp_place *place) {
  char why[MP_NETGUARD_WHY] = "";
  bool permitted = mp_netguard_permits_place(r->guard, place, why);

  must(permitted || why[0] != '\0');
  must(!permitted || !r->denies || strcasecmp(r->denied, place->host) != 0);
  must(!permitted || r->port == 0 || place->port == (int)r->port);
}

static void check_address(const rules *r, const mp_place *place, bool refused) {
  char why[MP_NETGUARD_WHY] = "", text[MP_ADDRESS_SIZE];
  mp_address address, again;

  if (!resolves_alone(place->host, &address)) return;
  must(!is_special(&address) || refused);
  must(mp_netguard_permits(NULL, place, &address, why) != refused);
  must(!is_special(&address) || strlen(why) > 0);
  must(!is_special(&address) || r->allows || !mp_netguard_permits(r->guard, place, &address, why));
  must(mp_address_parse(mp_address_format(&address, text), &again));
  must(mp_address_same(&address, &again));
}

static void check_place(const char *url, const mp_place *place, const rules *r) {
  char why[MP_NETGUARD_WHY] = "";
  mp_error err;
  bool refused = mp_url_guard(url, NULL, &err) != MP_OK;

  must(!refused || (err.code == MP_EINVAL && err.message[0] != '\0'));
  must(place->host[0] != '\0' && place->port > 0 && place->port < 65536);
  must(mp_netguard_permits_place(NULL, place, why) != refused);
  check_rules(r, place);
  check_address(r, place, refused);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_input in = {data, size};
  char *allowed = fuzz_text(&in), *url = fuzz_text(&in), *denied = fuzz_text(&in);
  rules r = {.denied = denied};
  mp_place place;
  mp_error err;

  must(mp_netguard_new(&r.guard, NULL) == MP_OK);
  r.allows = add(r.guard, MP_NETGUARD_ALLOW, allowed);
  r.denies = add(r.guard, MP_NETGUARD_DENY, denied);
  r.port = fuzz_choose(&in, 3) * 80 + fuzz_choose(&in, 2);
  must((mp_netguard_add_port(r.guard, r.port, &err) == MP_OK) == (r.port > 0));
  if (mp_url_check(url, &err) == MP_OK) {
    must(strlen(url) <= 2048 && !strpbrk(url, " \r\n\t"));
    if (mp_url_place(url, &place, &err) == MP_OK)
      check_place(url, &place, &r);
    else
      must(err.code == MP_EINVAL);
  } else {
    must(err.code == MP_EINVAL && err.message[0] != '\0');
  }
  mp_netguard_free(r.guard);
  free(allowed);
  free(url);
  free(denied);
  return 0;
}
