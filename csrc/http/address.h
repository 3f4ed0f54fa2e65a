/* Internet addresses: reading, the ranges that are not public, the IPv4 inside an IPv6 one. No
 * state, no I/O; any thread. */
#ifndef MP_HTTP_ADDRESS_H
#define MP_HTTP_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

struct sockaddr;

#define MP_ADDRESS_SIZE 46 /* room for one as text, with its NUL */

typedef struct mp_address {
  uint8_t bytes[16];
  int bits; /* 32 or 128 */
} mp_address;

/* A range that is no place for a webhook. */
typedef struct mp_range {
  mp_address first;
  int prefix;
  const char *cidr; /* as text */
  const char *what; /* "loopback": completes "127.0.0.1 is ..." */
} mp_range;

/* False: it is of another family. */
bool mp_address_of(const struct sockaddr *from, mp_address *out);

/* The usual spelling alone: four decimal numbers, or IPv6 without brackets and zone. */
bool mp_address_parse(const char *text, mp_address *out);

/* Is a URL's host an address, in any spelling that a resolver takes for one (127.1, 0x7f000001,
 * 0177.0.0.1, 2130706433)? Without brackets. */
bool mp_address_of_host(const char *host, mp_address *out);

const char *mp_address_format(const mp_address *address, char out[MP_ADDRESS_SIZE]);

bool mp_address_same(const mp_address *a, const mp_address *b);

/* Is it of the network that these first bits make? False for another family. */
bool mp_address_within(const mp_address *address, const mp_address *network, int prefix);

/* The IPv4 address to which a packet for this one comes in the end: of an IPv4-mapped one
 * (::ffff:0:0/96), NAT64 (64:ff9b::/96, RFC 6052) and 6to4 (2002::/16, RFC 3056). */
bool mp_address_inner(const mp_address *address, mp_address *v4);

/* Why it is not global unicast; NULL: it is. To be asked of the inner one, where there is one. */
const mp_range *mp_address_special(const mp_address *address);

/* The service of a cloud that hands out credentials or settings there, and to which no webhook goes
 * by a rule for a whole range: "the cloud's metadata service". NULL: none is known. */
const char *mp_address_service(const mp_address *address);

#endif
