/* URLs and addresses: any text as a URL, as a host, and as a rule of the guard. Whatever the C
 * library's resolver takes for a numeric address that is not public is refused before it is
 * dialled, and so is what is inside it. */
#include <arpa/inet.h>
#include <netdb.h>

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

static void check_place(const char *url, const mp_place *place, const mp_netguard *open) {
  char why[MP_NETGUARD_WHY] = "", text[MP_ADDRESS_SIZE];
  mp_error err;
  mp_address address, again;
  bool refused = mp_url_guard(url, NULL, &err) != MP_OK;

  must(!refused || (err.code == MP_EINVAL && err.message[0] != '\0'));
  must(place->host[0] != '\0' && place->port > 0 && place->port < 65536);
  must(mp_netguard_permits_place(NULL, place, why) != refused);
  if (!resolves_alone(place->host, &address)) return;
  must(!is_special(&address) || refused);
  must(mp_netguard_permits(NULL, place, &address, why) != refused);
  must(!is_special(&address) || strlen(why) > 0);
  mp_netguard_permits(open, place, &address, why);
  must(mp_address_parse(mp_address_format(&address, text), &again));
  must(mp_address_same(&address, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_input in = {data, size};
  char *rule = fuzz_text(&in), *url = fuzz_text(&in);
  mp_netguard *guard;
  mp_place place;
  mp_error err;

  must(mp_netguard_new(&guard, NULL) == MP_OK);
  if (mp_netguard_add(guard, MP_NETGUARD_ALLOW, rule, &err) != MP_OK)
    must(err.code == MP_EINVAL && err.message[0] != '\0');
  mp_netguard_add(guard, MP_NETGUARD_DENY, rule, &err);
  if (mp_url_check(url, &err) == MP_OK) {
    must(strlen(url) <= 2048 && !strpbrk(url, " \r\n\t"));
    if (mp_url_place(url, &place, &err) == MP_OK)
      check_place(url, &place, guard);
    else
      must(err.code == MP_EINVAL);
  } else {
    must(err.code == MP_EINVAL && err.message[0] != '\0');
  }
  mp_netguard_free(guard);
  free(rule);
  free(url);
  return 0;
}
