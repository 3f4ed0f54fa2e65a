/* Operational reports: what became of a webhook, or of a delivery, that its operator should hear
 * of.
 *
 * A report is an event like any other, for the webhooks that subscribe to it by name ("webhook.*"
 * is one; "*" is not), and is kept for hosts of this process that ask (mp_engine_reports). It is
 * never about the delivery of a report, and never sent to the webhook that it is about. */
#ifndef MP_ENGINE_REPORT_H
#define MP_ENGINE_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

typedef enum mp_report_kind {
  MP_REPORT_DISABLED,  /* the engine disabled a webhook */
  MP_REPORT_FAILING,   /* a circuit opened */
  MP_REPORT_RECOVERED, /* it closed */
  MP_REPORT_DEAD,      /* a delivery used up its attempts */
  MP_REPORT_PAUSED,    /* a script failed so often that it is not run any more */
  MP_REPORT_KINDS
} mp_report_kind;

/* The event types: "webhook.disabled", "webhook.failing", "webhook.recovered", "delivery.dead",
 * "script.paused". */
extern const char *const mp_report_types[MP_REPORT_KINDS];
bool mp_report_is(const char *type); /* is it one of them? */

typedef struct mp_report {
  mp_node node;
  mp_report_kind kind;
  int64_t number; /* of this engine's reports, from 1 */
  char text[];    /* the event's body */
} mp_report;

#endif
