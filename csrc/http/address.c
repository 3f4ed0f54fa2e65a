/* Internet addresses. Pure functions.
 *
 * The ranges are those of IANA's special-purpose registries (RFC 6890 and its updates). IPv6 has
 * global unicast in 2000::/3 alone (RFC 4291 section 2.4): whatever is outside is refused, known or
 * not. */
#include "http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The narrower of two comes first. */
static const mp_range v4_ranges[] = {
    {{{0, 0, 0, 0}, 32}, 32, "0.0.0.0/32", "this machine"},
    {{{0}, 32}, 8, "0.0.0.0/8", "this network"},
    {{{10}, 32}, 8, "10.0.0.0/8", "private"},
    {{{100, 64}, 32}, 10, "100.64.0.0/10", "shared by a carrier"},
    {{{127}, 32}, 8, "127.0.0.0/8", "loopback"},
    {{{169, 254}, 32}, 16, "169.254.0.0/16", "link-local"},
    {{{172, 16}, 32}, 12, "172.16.0.0/12", "private"},
    {{{192, 0, 0}, 32}, 24, "192.0.0.0/24", "of protocols"},
    {{{192, 0, 2}, 32}, 24, "192.0.2.0/24", "of documentation"},
    {{{192, 88, 99}, 32}, 24, "192.88.99.0/24", "of 6to4 relays"},
    {{{192, 168}, 32}, 16, "192.168.0.0/16", "private"},
    {{{198, 18}, 32}, 15, "198.18.0.0/15", "of benchmarks"},
    {{{198, 51, 100}, 32}, 24, "198.51.100.0/24", "of documentation"},
    {{{203, 0, 113}, 32}, 24, "203.0.113.0/24", "of documentation"},
    {{{224}, 32}, 4, "224.0.0.0/4", "multicast"},
    {{{255, 255, 255, 255}, 32}, 32, "255.255.255.255/32", "broadcast"},
    {{{240}, 32}, 4, "240.0.0.0/4", "reserved"},
};

static const mp_range v6_ranges[] = {
    {{{0}, 128}, 128, "::/128", "this machine"},
    {{{[15] = 1}, 128}, 128, "::1/128", "loopback"},
    {{{0, 0x64, 0xff, 0x9b, 0, 1}, 128}, 48, "64:ff9b:1::/48", "local NAT64"},
    {{{1}, 128}, 64, "100::/64", "discarded"},
    {{{0x5f}, 128}, 16, "5f00::/16", "of segment routing"},
    {{{0xfc}, 128}, 7, "fc00::/7", "private"},
    {{{0xfe, 0x80}, 128}, 10, "fe80::/10", "link-local"},
    {{{0xfe, 0xc0}, 128}, 10, "fec0::/10", "site-local"},
    {{{0xff}, 128}, 8, "ff00::/8", "multicast"},
    {{{0x20, 0x01}, 128}, 32, "2001::/32", "Teredo"},
    {{{0x20, 0x01}, 128}, 23, "2001::/23", "of protocols"},
    {{{0x20, 0x01, 0x0d, 0xb8}, 128}, 32, "2001:db8::/32", "of documentation"},
    {{{0x3f, 0xff}, 128}, 20, "3fff::/20", "of documentation"},
};

static const mp_range global_v6 = {{{0x20}, 128}, 3, "2000::/3", "global unicast"};
static const mp_range not_global_v6 = {
    {{0}, 128}, 0, "outside 2000::/3", "no global unicast address"};

static const struct {
  mp_address address;
  const char *what;
} services[] = {
    {{{169, 254, 169, 254}, 32}, "the cloud's metadata service"},
    {{{169, 254, 169, 123}, 32}, "the cloud's time service"},
    {{{169, 254, 170, 2}, 32}, "the cloud's credentials service"},
    {{{169, 254, 170, 23}, 32}, "the cloud's credentials service"},
    {{{168, 63, 129, 16}, 32}, "Azure's WireServer"},
    {{{100, 100, 100, 200}, 32}, "the cloud's metadata service"},
    {{{192, 0, 0, 192}, 32}, "the cloud's metadata service"},
    {{{0xfd, 0, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}, 128}, "the cloud's metadata service"},
    {{{0xfd, 0, 0x0e, 0xc2, [15] = 0x23}, 128}, "the cloud's credentials service"},
    {{{0xfd, 0x20, 0, 0xce, [14] = 0x02, [15] = 0x54}, 128}, "the cloud's metadata service"},
};

/* ---- reading -------------------------------------------------------------------------------- */

static mp_address v4_of(const void *bytes) {
  mp_address a = {.bits = 32};
  memcpy(a.bytes, bytes, 4);
  return a;
}

static mp_address v6_of(const void *bytes) {
  mp_address a = {.bits = 128};
  memcpy(a.bytes, bytes, 16);
  return a;
}

bool mp_address_of(const struct sockaddr *from, mp_address *out) {
  if (from->sa_family == AF_INET) {
    struct sockaddr_in in; /* copied: the caller's may be aligned for less */
    memcpy(&in, from, sizeof in);
    *out = v4_of(&in.sin_addr);
    return true;
  }
  if (from->sa_family == AF_INET6) {
    struct sockaddr_in6 in;
    memcpy(&in, from, sizeof in);
    *out = v6_of(&in.sin6_addr);
    return true;
  }
  return false;
}

bool mp_address_parse(const char *text, mp_address *out) {
  uint8_t bytes[16];

  if (inet_pton(AF_INET, text, bytes) == 1) {
    *out = v4_of(bytes);
    return true;
  }
  if (inet_pton(AF_INET6, text, bytes) == 1) {
    *out = v6_of(bytes);
    return true;
  }
  return false;
}

bool mp_address_of_host(const char *host, mp_address *out) {
  char plain[256];                 /* an octal number may have any number of zeros before it */
  size_t len = strcspn(host, "%"); /* fe80::1%eth0 */
  struct in_addr v4;

  if (host[len] == '\0' && len > 1 && host[len - 1] == '.') len--;
  if (len >= sizeof plain) return false;
  memcpy(plain, host, len);
  plain[len] = '\0';
  if (mp_address_parse(plain, out)) return true;
  /* It passes over what stands after a space. A host has none. */
  if (plain[0] == '\0' || !inet_aton(plain, &v4)) return false;
  *out = v4_of(&v4);
  return true;
}

const char *mp_address_format(const mp_address *address, char out[MP_ADDRESS_SIZE]) {
  return inet_ntop(address->bits == 32 ? AF_INET : AF_INET6, address->bytes, out, MP_ADDRESS_SIZE);
}

/* ---- judging -------------------------------------------------------------------------------- */

bool mp_address_within(const mp_address *address, const mp_address *network, int prefix) {
  int whole = prefix / 8, rest = prefix % 8;

  if (address->bits != network->bits) return false;
  if (memcmp(address->bytes, network->bytes, (size_t)whole) != 0) return false;
  return rest == 0 || (address->bytes[whole] ^ network->bytes[whole]) >> (8 - rest) == 0;
}

bool mp_address_same(const mp_address *a, const mp_address *b) {
  return mp_address_within(a, b, b->bits);
}

bool mp_address_inner(const mp_address *address, mp_address *v4) {
  static const mp_address mapped = {{[10] = 0xff, [11] = 0xff}, 128};
  static const mp_address nat64 = {{0, 0x64, 0xff, 0x9b}, 128};
  static const mp_address six_to_four = {{0x20, 0x02}, 128};

  if (mp_address_within(address, &mapped, 96) || mp_address_within(address, &nat64, 96))
    *v4 = v4_of(address->bytes + 12);
  else if (mp_address_within(address, &six_to_four, 16))
    *v4 = v4_of(address->bytes + 2);
  else
    return false;
  return true;
}

const mp_range *mp_address_special(const mp_address *address) {
  const mp_range *ranges = address->bits == 32 ? v4_ranges : v6_ranges;
  size_t count = address->bits == 32 ? COUNT(v4_ranges) : COUNT(v6_ranges);

  for (size_t i = 0; i < count; i++) {
    if (mp_address_within(address, &ranges[i].first, ranges[i].prefix)) return &ranges[i];
  }
  if (address->bits == 128 && !mp_address_within(address, &global_v6.first, global_v6.prefix))
    return &not_global_v6;
  return NULL;
}

const char *mp_address_service(const mp_address *address) {
  for (size_t i = 0; i < COUNT(services); i++) {
    if (mp_address_same(address, &services[i].address)) return services[i].what;
  }
  return NULL;
}
