/* What scripts made of a delivery. Written by the script thread, or by the claim of one that went
 * through scripts before; read by the store and a delivery thread. */
#ifndef MP_ENGINE_SCRIPTED_H
#define MP_ENGINE_SCRIPTED_H

#include <stdbool.h>

#include "base/buf.h"

typedef enum mp_verdict {
  MP_VERDICT_NONE,     /* it was given back: the engine stops */
  MP_VERDICT_SEND,     /* as it is here */
  MP_VERDICT_FILTERED, /* to be ended */
  MP_VERDICT_HELD,     /* a script failed; the delivery's attempt says how */
  MP_VERDICT_ROUTED    /* names has the webhooks */
} mp_verdict;

typedef struct mp_scripted {
  mp_verdict verdict;
  bool stored;   /* what is here came from the store */
  char *version; /* of the scripts, "redact@0f… crm@9a…"; NULL: none had a say */
  bool changed;  /* body is sent in place of the event's own */
  mp_buf body;
  mp_buf headers;      /* JSON, as the event's, with a NUL; empty: none */
  mp_buf content_type; /* with a NUL; empty: JSON */
  mp_buf names;        /* of webhooks, JSON; empty: the subscriptions stay */
  char *paused;        /* the script that this failure pauses; NULL: it does not */
} mp_scripted;

mp_scripted *mp_scripted_new(void);           /* NULL when out of memory */
void mp_scripted_free(mp_scripted *scripted); /* NULL-safe */

#endif
