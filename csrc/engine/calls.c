/* The hosts' calls: what all of them share, waiting, and scripts. Of each pair the upper function
 * runs on the store thread, the lower on the host's. */
#include <stdlib.h>

#include "engine/answer.h"
#include "engine/internal.h"

#define MAX_ANSWER ((size_t)64 << 20) /* bytes of one call's JSON */

/* ---- the frame ------------------------------------------------------------------------------ */

mp_call *mp_call_new(mp_code (*run)(mp_engine *, mp_call *, mp_error *), mp_error *err) {
  mp_call *call = calloc(1, sizeof *call);
  if (!call) {
    mp_fail(err, MP_ENOMEM, "out of memory");
    return NULL;
  }
  call->run = run;
  mp_buf_init(&call->out, MAX_ANSWER);
  return call;
}

/* What a thread's calls do instead of waiting; NULL: they wait. A key, and no _Thread_local: of
 * those in a module that is loaded at run time LeakSanitizer dies (GCC 12, glibc 2.36). */
static pthread_key_t asking_key;
static atomic_bool has_key;

static void make_key(void) {
  atomic_store(&has_key, pthread_key_create(&asking_key, NULL) == 0);
}

mp_code mp_engine_ask(mp_asking *asking, mp_error *err) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  pthread_once(&once, make_key);
  if (atomic_load(&has_key) && pthread_setspecific(asking_key, asking) == 0) return MP_OK;
  return mp_fail(err, MP_ENOMEM, "the process has no room for what its threads keep");
}

static mp_asking *this_threads_asking(void) {
  return atomic_load(&has_key) ? pthread_getspecific(asking_key) : NULL;
}

/* The call is the store thread's, or gone. */
static mp_code ask(mp_engine *engine, mp_asking *asking, mp_call *call, mp_error *err) {
  mp_code code = mp_mailbox_claim(asking->mailbox, &call->mail, err);
  int64_t ticket = 0;

  call->mailbox = asking->mailbox;
  if (code == MP_OK) {
    ticket = call->mail->ticket;
    code = mp_inbox_call(engine, call, 0, err);
  }
  if (code != MP_OK) {
    mp_call_free(call);
    return code;
  }
  asking->ticket = ticket;
  return MP_OK;
}

mp_code mp_call_make_within(mp_engine *engine, mp_call *call, int64_t timeout_ms, mp_buf *out,
                            mp_error *err) {
  mp_asking *asking = this_threads_asking();
  mp_error why = {0};
  mp_code code;

  if (asking) return ask(engine, asking, call, err);
  code = mp_inbox_call(engine, call, timeout_ms, &why);
  if (err) *err = why;
  if (code == MP_ETIMEDOUT) return code; /* the store thread frees it */
  if (code == MP_OK && out) {
    mp_buf_add(out, call->out.data, call->out.len);
    if (out->failed != MP_OK) code = mp_fail(err, out->failed, "the answer is too large");
  }
  mp_call_free(call);
  return code;
}

mp_code mp_call_make(mp_engine *engine, mp_call *call, mp_buf *out, mp_error *err) {
  return mp_call_make_within(engine, call, engine->settings->emit_timeout_ms, out, err);
}

void mp_call_next_element(mp_buf *out) {
  if (out->len > 0 && out->data[out->len - 1] == '}') mp_buf_add_char(out, ',');
}

/* ---- wait ----------------------------------------------------------------------------------- */

/* A host that asks again and again with a short timeout leaves a waiter behind each time. */
static void drop_abandoned(mp_engine *e) {
  mp_list kept = {0};

  for (mp_node *n; (n = mp_list_pop(&e->waiters)) != NULL;) {
    mp_call *call = MP_CONTAINER(n, mp_call, node);
    bool abandoned;
    pthread_mutex_lock(&e->lock);
    abandoned = call->ticket.abandoned;
    pthread_mutex_unlock(&e->lock);
    if (abandoned)
      mp_call_free(call);
    else
      mp_list_push(&kept, n);
  }
  e->waiters = kept;
}

static mp_code run_wait(mp_engine *e, mp_call *call, mp_error *err) {
  (void)err;
  drop_abandoned(e);
  call->deferred = true;
  mp_list_push(&e->waiters, &call->node);
  return MP_OK;
}

mp_code mp_engine_wait(mp_engine *engine, int64_t timeout_ms, mp_error *err) {
  mp_call *call = mp_call_new(run_wait, err);
  return call ? mp_call_make_within(engine, call, timeout_ms, NULL, err) : MP_ENOMEM;
}

/* ---- old history ---------------------------------------------------------------------------- */

static mp_code run_prune(mp_engine *e, mp_call *call, mp_error *err) {
  const mp_pruned *pruned = &e->upkeep.pruned;
  mp_code code = mp_upkeep_forget(e, err);

  if (code != MP_OK) return code;
  mp_buf_add_char(&call->out, '{');
  mp_answer_number(&call->out, "count", pruned->count);
  mp_answer_flag(&call->out, "more", pruned->count > 0 || pruned->after > 0);
  mp_buf_add_char(&call->out, '}');
  return MP_OK;
}

mp_code mp_engine_prune(mp_engine *engine, mp_buf *out, mp_error *err) {
  mp_call *call = mp_call_new(run_prune, err);
  return call ? mp_call_make(engine, call, out, err) : MP_ENOMEM;
}

/* ---- scripts -------------------------------------------------------------------------------- */

/* What webhooks name, as mp_scripts_keep takes it. */
static mp_code named_scripts(const mp_engine *e, char **out, mp_error *err) {
  mp_buf names;

  mp_buf_init(&names, MP_BUF_NO_LIMIT);
  for (size_t i = 0; i < e->lanes.count; i++) {
    const mp_webhook *w = e->lanes.items[i]->webhook;
    if (w && w->script) mp_buf_add(&names, w->script, strlen(w->script) + 1);
  }
  mp_buf_add_char(&names, '\0');
  if (names.failed == MP_OK) *out = mp_buf_take(&names, NULL);
  mp_buf_free(&names);
  return *out ? MP_OK : mp_fail(err, MP_ENOMEM, "out of memory");
}

static mp_code run_scripts(mp_engine *e, mp_call *call, mp_error *err) {
  if (e->scripting) {
    if (named_scripts(e, &call->text, err) != MP_OK) return MP_ENOMEM;
    call->deferred = true;
    call->hand_on = mp_script_call;
  } else {
    mp_buf_add_str(&call->out, call->flag ? "{\"loaded\":[],\"failed\":[]}" : "[]");
  }
  return MP_OK;
}

mp_code mp_engine_scripts(mp_engine *engine, bool reload, mp_buf *out, mp_error *err) {
  mp_call *call = mp_call_new(run_scripts, err);
  if (!call) return MP_ENOMEM;
  call->flag = reload;
  return mp_call_make(engine, call, out, err);
}
