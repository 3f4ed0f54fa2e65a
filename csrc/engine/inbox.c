/* The inbox: how host threads hand work to the store thread and hear what came of it.
 *
 * Everything here is under engine->lock and short. A host that stops waiting abandons its ticket:
 * the store thread then frees what the host left behind. */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/internal.h"

mp_code mp_engine_check(const mp_engine *engine, mp_error *err) {
  if (engine->pid == getpid()) return MP_OK;
  return mp_fail(err, MP_EFORK,
                 "opened in another process (pid %lld): open moonpost after the fork",
                 (long long)engine->pid);
}

/* With the lock held: waits until the ticket is done. False: time is up. */
static bool wait_done(mp_engine *e, const mp_ticket *ticket, int64_t timeout_ms) {
  int64_t at = mp_mono_ms() + timeout_ms;
  struct timespec t = {.tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000};

  while (!ticket->done) {
    if (pthread_cond_timedwait(&e->done, &e->lock, &t) != 0 && !ticket->done) return false;
  }
  return true;
}

/* A mail that was not posted is given back. */
static void free_emit(mp_emit *emit) {
  for (mp_node *n; (n = mp_list_pop(&emit->events)) != NULL;) {
    mp_event_unref(MP_CONTAINER(n, mp_event, node));
  }
  if (emit->mail) mp_mailbox_cancel(emit->mailbox, emit->mail);
  free(emit);
}

/* Frees emits that nobody waits for, after telling the hosts that want to hear of them: those of
 * one mailbox at once, so that it rings once. */
static void tell_and_free(mp_list *emits) {
  mp_list mails = {0};
  mp_mailbox *mailbox = NULL;

  for (mp_node *n; (n = mp_list_pop(emits)) != NULL;) {
    mp_emit *emit = MP_CONTAINER(n, mp_emit, node);
    if (emit->mail) {
      if (mails.head && emit->mailbox != mailbox) mp_mailbox_post(mailbox, &mails);
      mailbox = emit->mailbox;
      emit->mail->existing = emit->existing;
      emit->mail->error = emit->ticket.error;
      mp_list_push(&mails, &emit->mail->node);
      emit->mail = NULL;
    }
    free_emit(emit);
  }
  if (mails.head) mp_mailbox_post(mailbox, &mails);
}

void mp_emits_complete(mp_engine *engine, mp_list *emits, mp_code code, const mp_error *err) {
  mp_list abandoned = {0};

  if (!emits->head) return;
  pthread_mutex_lock(&engine->lock);
  for (mp_node *n; (n = mp_list_pop(emits)) != NULL;) {
    mp_emit *emit = MP_CONTAINER(n, mp_emit, node);
    engine->inbox_count -= emit->events.count;
    engine->inbox_bytes -= emit->bytes;
    if (code != MP_OK) emit->ticket.error = *err;
    emit->ticket.done = true;
    if (emit->ticket.abandoned) mp_list_push(&abandoned, n);
  }
  pthread_cond_broadcast(&engine->done);
  pthread_mutex_unlock(&engine->lock);
  tell_and_free(&abandoned);
}

/* With the lock held. One emit always fits into an empty inbox. */
static mp_code check_room(const mp_engine *e, const mp_emit *emit, mp_error *err) {
  const mp_settings *s = e->settings;

  if (e->phase != MP_RUNNING) return mp_fail(err, MP_ECLOSED, "closed");
  if (e->inbox_count == 0) return MP_OK;
  if (e->inbox_count + emit->events.count <= s->inbox_count &&
      e->inbox_bytes + emit->bytes <= s->inbox_bytes) {
    return MP_OK;
  }
  return mp_fail(err, MP_EAGAIN, "inbox full");
}

/* Takes the events. NULL: there is no memory. */
static mp_emit *new_emit(mp_list *events, mp_error *err) {
  mp_emit *emit = calloc(1, sizeof *emit);

  if (!emit) {
    for (mp_node *n; (n = mp_list_pop(events)) != NULL;) {
      mp_event_unref(MP_CONTAINER(n, mp_event, node));
    }
    mp_fail(err, MP_ENOMEM, "out of memory");
    return NULL;
  }
  mp_list_append(&emit->events, events);
  emit->handed_us = mp_mono_us();
  for (mp_node *n = emit->events.head; n; n = n->next) {
    emit->bytes += MP_CONTAINER(n, mp_event, node)->row.body_len;
  }
  return emit;
}

/* The emit is the store thread's afterwards when it is abandoned; it is gone when this fails. */
static mp_code hand_over(mp_engine *e, mp_emit *emit, mp_error *err) {
  mp_code code = mp_engine_check(e, err);
  bool wake;

  if (code != MP_OK) {
    free_emit(emit);
    return code;
  }
  pthread_mutex_lock(&e->lock);
  code = check_room(e, emit, err);
  if (code != MP_OK) {
    pthread_mutex_unlock(&e->lock);
    if (code == MP_EAGAIN) atomic_fetch_add(&e->rejected, 1);
    free_emit(emit);
    return code;
  }
  e->inbox_count += emit->events.count;
  e->inbox_bytes += emit->bytes;
  mp_list_push(&e->emits, &emit->node);
  if (!emit->no_wait) e->awaited = true;
  wake = mp_must_wake(e);
  pthread_mutex_unlock(&e->lock);
  if (wake) mp_watch_ring(e->watch);
  return MP_OK;
}

mp_code mp_engine_emit(mp_engine *engine, mp_list *events, bool wait, int64_t *existing,
                       mp_error *err) {
  mp_engine *e = engine;
  mp_emit *emit = new_emit(events, err);
  mp_code code;

  if (!emit) return MP_ENOMEM;
  emit->no_wait = !wait;
  emit->ticket.abandoned = !wait;
  code = hand_over(e, emit, err);
  if (code != MP_OK || !wait) return code;

  pthread_mutex_lock(&e->lock);
  if (!wait_done(e, &emit->ticket, e->settings->emit_timeout_ms)) {
    emit->ticket.abandoned = true;
    pthread_mutex_unlock(&e->lock);
    return mp_fail(err, MP_ETIMEDOUT,
                   "timeout: the store did not answer; the event may be stored yet");
  }
  pthread_mutex_unlock(&e->lock);
  if (existing) *existing = emit->existing;
  if (err) *err = emit->ticket.error;
  code = emit->ticket.error.code;
  free_emit(emit);
  return code;
}

mp_code mp_engine_emit_later(mp_engine *engine, mp_list *events, mp_mailbox *mailbox,
                             int64_t *ticket, mp_error *err) {
  mp_emit *emit = new_emit(events, err);
  mp_code code;

  if (!emit) return MP_ENOMEM;
  emit->ticket.abandoned = true;
  emit->mailbox = mailbox;
  code = mp_mailbox_claim(mailbox, &emit->mail, err);
  if (code != MP_OK) {
    if (code == MP_EAGAIN) atomic_fetch_add(&engine->rejected, 1);
    free_emit(emit);
    return code;
  }
  *ticket = emit->mail->ticket;
  return hand_over(engine, emit, err);
}

void mp_call_free(mp_call *call) {
  if (!call) return;
  free(call->name);
  free(call->text);
  if (call->mail) mp_mailbox_cancel(call->mailbox, call->mail);
  mp_buf_free(&call->out);
  free(call);
}

/* Nobody waits for the call. */
static void post(mp_call *call, mp_code code, const mp_error *err) {
  mp_mail *mail = call->mail;
  mp_list mails = {0};

  call->mail = NULL;
  if (code != MP_OK) {
    mail->error = *err;
  } else { /* the answer goes over */
    mail->answer = call->out;
    mp_buf_init(&call->out, 0);
  }
  mp_list_push(&mails, &mail->node);
  mp_mailbox_post(call->mailbox, &mails);
  mp_call_free(call);
}

void mp_call_complete(mp_engine *engine, mp_call *call, mp_code code, const mp_error *err) {
  bool abandoned;

  if (call->mail) {
    post(call, code, err);
    return;
  }
  pthread_mutex_lock(&engine->lock);
  if (code != MP_OK) call->ticket.error = *err;
  call->ticket.done = true;
  abandoned = call->ticket.abandoned;
  pthread_cond_broadcast(&engine->done);
  pthread_mutex_unlock(&engine->lock);
  if (abandoned) mp_call_free(call);
}

mp_code mp_inbox_call(mp_engine *engine, mp_call *call, int64_t timeout_ms, mp_error *err) {
  mp_code code = mp_engine_check(engine, err);
  bool waits = !call->mail, wake, done;

  if (code != MP_OK) return code;
  pthread_mutex_lock(&engine->lock);
  if (engine->phase != MP_RUNNING) {
    pthread_mutex_unlock(&engine->lock);
    return mp_fail(err, MP_ECLOSED, "closed");
  }
  mp_list_push(&engine->calls, &call->node);
  wake = mp_must_wake(engine);
  if (!waits) {
    pthread_mutex_unlock(&engine->lock);
    if (wake) mp_watch_ring(engine->watch);
    return MP_OK;
  }
  if (wake) mp_watch_ring(engine->watch);
  done = wait_done(engine, &call->ticket, timeout_ms);
  call->ticket.abandoned = !done;
  pthread_mutex_unlock(&engine->lock);
  if (!done) return mp_fail(err, MP_ETIMEDOUT, "timeout");
  if (err) *err = call->ticket.error;
  return call->ticket.error.code;
}
