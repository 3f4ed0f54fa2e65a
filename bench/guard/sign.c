/* One attempt's signature with one secret: v1 of Standard Webhooks. */
#include <string.h>
#include <time.h>

#include "crypto/sign.h"
#include "guard.h"

#define BODY_BYTES 689

typedef struct state {
  mp_signer *signer;
  char body[BODY_BYTES];
} state;

GUARDED(void *arg, long count) {
  state *s = arg;
  mp_message message = {.id = "evt_0000000000000",
                        .at_ms = 1614265330000,
                        .body = s->body,
                        .body_len = sizeof s->body};
  mp_error err;

  for (long i = 0; i < count; i++) {
    char out[MP_SIGNATURES_SIZE];
    guard_check(mp_signer_sign(s->signer, &message, out, &err), &err, "sign");
  }
}

int main(int argc, char **argv) {
  static state s;
  struct timespec from, to;
  long count = guard_count(argc, argv);
  mp_error err;

  memset(s.body, 'x', sizeof s.body);
  guard_check(mp_signer_new(&s.signer, &err), &err, "signer");
  guard_check(mp_signer_add_secret(s.signer, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 0, &err),
              &err, "secret");
  clock_gettime(CLOCK_MONOTONIC, &from);
  guarded(&s, count);
  clock_gettime(CLOCK_MONOTONIC, &to);
  fprintf(stderr, "%.0f ns\n",
          ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) /
              (double)count);
  mp_signer_free(s.signer);
  return 0;
}
