/* How one webhook's receiver is verified, and who the sender is to it. */
#ifndef MP_HTTP_TLS_H
#define MP_HTTP_TLS_H

#include <stdbool.h>

/* All zero: the system's CAs, TLS 1.2 or newer, no client certificate. */
typedef struct mp_tls {
  char *ca;        /* a PEM file: these CAs and no others */
  char *cert;      /* a PEM file: the client's certificate */
  char *key;       /* its key; NULL: it is in the same file */
  char *pin;       /* "sha256//...", several with ";" between: the receiver's public key */
  bool only_1_3;   /* TLS 1.3 or newer */
  bool insecure;   /* whoever answers is taken for the receiver */
  bool configured; /* something of the above is set */
} mp_tls;

void mp_tls_free(mp_tls *tls);

/* A deep copy. False, with nothing to free: out of memory. */
bool mp_tls_copy(const mp_tls *from, mp_tls *to);

#endif
