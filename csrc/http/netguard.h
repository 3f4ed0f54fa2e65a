/* The network guard: which addresses may be dialled. No I/O.
 *
 * Public addresses may. What is not public is opened by a rule of the allow list, a network or a
 * URL's host name; a rule of the deny list closes again, whatever allows. A name that is allowed
 * may lead to any address but those of cloud services (mp_address_service), which only a rule for
 * that very address opens. Immutable once it is built; then any thread. */
#ifndef MP_HTTP_NETGUARD_H
#define MP_HTTP_NETGUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "http/address.h"

#define MP_NETGUARD_WHY 640 /* room for a reason */

typedef struct mp_netguard mp_netguard;

typedef enum mp_netguard_list { MP_NETGUARD_ALLOW, MP_NETGUARD_DENY } mp_netguard_list;

/* Where a URL leads. */
typedef struct mp_place {
  char host[256]; /* lower case, in ASCII, without brackets and final dot */
  int port;
} mp_place;

mp_code mp_netguard_new(mp_netguard **out, mp_error *err);
void mp_netguard_free(mp_netguard *guard); /* NULL-safe */

/* A rule: an address, a CIDR or a host name. MP_EINVAL says what is wrong with it: an allowed
 * network may not be so wide that it opens all ranges at once. MP_ENOMEM. */
mp_code mp_netguard_add(mp_netguard *guard, mp_netguard_list list, const char *rule, mp_error *err);

/* Once there is one, no other ports are dialled. MP_EINVAL: not 1 to 65535. */
mp_code mp_netguard_add_port(mp_netguard *guard, double port, mp_error *err);

/* May this place be dialled at this address? why (MP_NETGUARD_WHY bytes) says why not. guard NULL:
 * there are no rules, and public addresses may. */
bool mp_netguard_permits(const mp_netguard *guard, const mp_place *place, const mp_address *address,
                         char *why);

/* As much of that as can be said without a resolver: its host is an address or denied, or the port
 * is. */
bool mp_netguard_permits_place(const mp_netguard *guard, const mp_place *place, char *why);

#endif
