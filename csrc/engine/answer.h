/* JSON answers: rows of the store as the hosts' calls see them. Pure; writes to a buffer. */
#ifndef MP_ENGINE_ANSWER_H
#define MP_ENGINE_ANSWER_H

#include "base/buf.h"
#include "engine/webhook.h"
#include "queue/store_read.h"

/* Members of an object: each puts a comma before itself when it is not the first. */
void mp_answer_text(mp_buf *out, const char *name, const char *text, size_t len);
void mp_answer_string(mp_buf *out, const char *name, const char *text); /* NULL: left out */
void mp_answer_flag(mp_buf *out, const char *name, bool flag);
void mp_answer_number(mp_buf *out, const char *name, int64_t number);
void mp_answer_time(mp_buf *out, const char *name, int64_t wall_ms); /* 0: left out */

void mp_answer_id(mp_buf *out, const char *name, int64_t id); /* as a string */
void mp_answer_event_id(mp_buf *out, const char *name, int64_t id);
void mp_answer_delivery_id(mp_buf *out, const char *name, int64_t of_event, int64_t of_webhook);

/* Objects; times are on the wall clock, and 0 is left out. hold_ms: nothing is sent to it before.
 * failing_ms: its attempts have failed since. due_ms: when the delivery is due. */
void mp_answer_webhook(mp_buf *out, const mp_webhook *webhook, int64_t hold_ms, int64_t failing_ms);
void mp_answer_delivery(mp_buf *out, const mp_delivery_row *row, int64_t due_ms);
void mp_answer_attempt(mp_buf *out, int number, const mp_attempt *attempt);
void mp_answer_event(mp_buf *out, const mp_event_row *row);

#endif
