/* A host's mailbox: what came of the emits and calls that it does not wait for, and something to
 * wait on in an event loop of its own until there is any.
 *
 * Its host takes mails on the thread that made it. The store thread puts them in, and rings once
 * until they are taken: an eventfd becomes readable, or one byte count (8 bytes) comes on a unix
 * socket, for a host whose loop knows sockets only. It rings for new reports (engine/report.h) as
 * well. Mails stay here until they are taken; how many there can be is bounded, for each emit and
 * call claims its mail's place beforehand. */
#ifndef MP_ENGINE_MAILBOX_H
#define MP_ENGINE_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/list.h"

typedef struct mp_engine mp_engine;
typedef struct mp_mailbox mp_mailbox;

#define MP_MAILBOX_PATH 32 /* bytes of what mp_mailbox_listen answers, with the NUL */

/* What came of one emit, or of one call. */
typedef struct mp_mail {
  mp_node node;
  int64_t ticket;   /* as mp_engine_emit_later or mp_engine_ask gave it */
  int64_t existing; /* as of mp_engine_emit */
  mp_buf answer;    /* a call's */
  mp_error error;   /* code MP_OK: it is on disk, or answered */
} mp_mail;

void mp_mail_free(mp_mail *mail); /* NULL-safe */

/* For the engine's host. MP_ENOMEM. */
mp_code mp_mailbox_new(mp_engine *engine, mp_mailbox **out, mp_error *err);

/* The engine's reports ring no more: before the host closes the engine. */
void mp_mailbox_leave(mp_mailbox *mailbox, mp_engine *engine);

/* The host's part of it; mails that are still to come are freed as they come. NULL-safe. Does
 * nothing in a process that did not make it, as whose lock may be held for ever. */
void mp_mailbox_free(mp_mailbox *mailbox);

/* A descriptor that is readable while there is something to take. It belongs to the mailbox. Not
 * together with mp_mailbox_listen. */
mp_code mp_mailbox_fd(mp_mailbox *mailbox, int *fd, mp_error *err);

/* A path that only this process can connect to, as to a unix socket; after each connect the host
 * calls mp_mailbox_accept, and from then on that connection is rung. The path is good for as long
 * as the mailbox, and leaves no file behind. store: what is beside it is written to anyway. */
mp_code mp_mailbox_listen(mp_mailbox *mailbox, const char *store, char path[MP_MAILBOX_PATH],
                          mp_error *err);
mp_code mp_mailbox_accept(mp_mailbox *mailbox, mp_error *err);

/* Moves what has come to the list (of mp_mail, the host's from now on); the next one rings.
 */
void mp_mailbox_take(mp_mailbox *mailbox, mp_list *mails);

/* ---- for the engine ------------------------------------------------------------------------- */

/* A mail's place, and its ticket; MP_EAGAIN when too many were not taken. Must end in
 * mp_mailbox_post or mp_mailbox_cancel. */
mp_code mp_mailbox_claim(mp_mailbox *mailbox, mp_mail **out, mp_error *err);
void mp_mailbox_cancel(mp_mailbox *mailbox, mp_mail *mail);
void mp_mailbox_post(mp_mailbox *mailbox, mp_list *mails);
void mp_mailbox_ring(mp_mailbox *mailbox);

#endif
