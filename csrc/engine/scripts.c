/* Loading scripts and keeping their versions. */
#include "engine/scripts.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/answer.h"
#include "engine/log.h"

struct mp_scripts {
  mp_script_chain chain;
  size_t cap;
  pthread_mutex_t lock; /* slots, and the script of each: other threads read them */
};

/* ---- slots ---------------------------------------------------------------------------------- */

mp_script_slot *mp_scripts_find(const mp_scripts *scripts, const char *name) {
  for (size_t i = 0; i < scripts->chain.count; i++) {
    if (strcmp(scripts->chain.slots[i]->name, name) == 0) return scripts->chain.slots[i];
  }
  return NULL;
}

const mp_script_chain *mp_scripts_chain(const mp_scripts *scripts) {
  return &scripts->chain;
}

static void free_slot(const mp_script_ops *ops, mp_script_slot *slot) {
  if (!slot) return;
  ops->free(slot->script);
  free(slot->name);
  free(slot->error);
  free(slot->failure);
  free(slot);
}

static mp_script_slot *add_slot(mp_scripts *s, const char *name, bool global, mp_error *err) {
  mp_script_slot *slot = calloc(1, sizeof *slot);

  if (slot) slot->name = strdup(name);
  pthread_mutex_lock(&s->lock);
  if (slot && slot->name && s->chain.count == s->cap) {
    size_t cap = s->cap ? s->cap * 2 : 8;
    mp_script_slot **slots = realloc(s->chain.slots, cap * sizeof *slots);
    if (slots) {
      s->chain.slots = slots;
      s->cap = cap;
    }
  }
  if (!slot || !slot->name || s->chain.count == s->cap) {
    pthread_mutex_unlock(&s->lock);
    free_slot(s->chain.ops, slot);
    mp_fail(err, MP_ENOMEM, "out of memory");
    return NULL;
  }
  slot->global = global;
  s->chain.slots[s->chain.count++] = slot;
  if (global) s->chain.global_count++;
  pthread_mutex_unlock(&s->lock);
  return slot;
}

/* ---- loading -------------------------------------------------------------------------------- */

static void on_log(void *arg, int level, const char *script, const char *line) {
  const mp_settings *settings = arg;
  mp_log(settings->log, (mp_log_level)level, "script.log", "script %s: %s", script, line);
}

static void keep_error(mp_script_slot *slot, const mp_error *why) {
  free(slot->error);
  slot->error = why ? strdup(why->message) : NULL;
}

/* A version that cannot be loaded leaves the last good one in place. */
static mp_code load(mp_scripts *s, mp_script_slot *slot, mp_error *err) {
  const mp_settings *settings = s->chain.settings;
  const mp_script_settings *of = &settings->scripts;
  mp_script_options options = {.folder = of->folder,
                               .name = slot->name,
                               .constants = of->constants,
                               .limits = of->limits,
                               .log = on_log,
                               .log_arg = (void *)(uintptr_t)settings};
  mp_script *script = NULL, *old;
  mp_error why = {0};
  mp_code code = s->chain.ops->load(&options, &script, &why);

  if (code != MP_OK) {
    keep_error(slot, &why);
    return mp_fail(err, code, "%s", why.message);
  }
  keep_error(slot, NULL);
  pthread_mutex_lock(&s->lock);
  old = slot->script;
  slot->script = script;
  pthread_mutex_unlock(&s->lock);
  s->chain.ops->free(old);
  free(slot->failure);
  slot->failure = NULL;
  slot->failures = 0;
  slot->paused = false;
  return MP_OK;
}

mp_code mp_scripts_need(mp_scripts *scripts, const char *name, mp_error *err) {
  mp_script_slot *slot = mp_scripts_find(scripts, name);

  if (slot && slot->script) return MP_OK;
  if (slot && slot->error) return mp_fail(err, MP_EINVAL, "%s", slot->error);
  if (!slot) slot = add_slot(scripts, name, false, err);
  return slot ? load(scripts, slot, err) : MP_ENOMEM;
}

static bool is_named(const char *names, const char *name) {
  for (const char *n = names; *n; n += strlen(n) + 1)
    if (strcmp(n, name) == 0) return true;
  return false;
}

void mp_scripts_keep(mp_scripts *scripts, const char *names) {
  mp_script_chain *c = &scripts->chain;
  size_t kept = c->global_count;
  mp_error err; /* is kept with its script */

  pthread_mutex_lock(&scripts->lock);
  for (size_t i = kept; i < c->count; i++) {
    if (is_named(names, c->slots[i]->name))
      c->slots[kept++] = c->slots[i];
    else
      free_slot(c->ops, c->slots[i]);
  }
  c->count = kept;
  pthread_mutex_unlock(&scripts->lock);
  for (const char *n = names; *n; n += strlen(n) + 1)
    mp_scripts_need(scripts, n, &err);
}

mp_code mp_scripts_new(const mp_settings *settings, mp_scripts **out, mp_error *err) {
  mp_scripts *s = calloc(1, sizeof *s);
  mp_code code = MP_OK;

  *out = NULL;
  if (!s) return mp_fail(err, MP_ENOMEM, "out of memory");
  pthread_mutex_init(&s->lock, NULL);
  s->chain.settings = settings;
  s->chain.ops = settings->scripts.ops;
  for (size_t i = 0; i < settings->scripts.global_count && code == MP_OK; i++) {
    mp_script_slot *slot = add_slot(s, settings->scripts.global[i], true, err);
    code = slot ? load(s, slot, err) : MP_ENOMEM;
  }
  if (code != MP_OK) {
    mp_scripts_free(s);
    return code;
  }
  *out = s;
  return MP_OK;
}

void mp_scripts_free(mp_scripts *scripts) {
  if (!scripts) return;
  for (size_t i = 0; i < scripts->chain.count; i++)
    free_slot(scripts->chain.ops, scripts->chain.slots[i]);
  free(scripts->chain.slots);
  pthread_mutex_destroy(&scripts->lock);
  free(scripts);
}

/* ---- what has to go through scripts --------------------------------------------------------- */

bool mp_scripts_route(mp_scripts *scripts, const char *type, const char *model) {
  const mp_script_chain *c = &scripts->chain;
  bool routes = false;

  pthread_mutex_lock(&scripts->lock);
  for (size_t i = 0; i < c->global_count && !routes; i++)
    routes = c->ops->routes(c->slots[i]->script, type, model);
  pthread_mutex_unlock(&scripts->lock);
  return routes;
}

static bool has_a_say(const mp_script_chain *c, const mp_script_slot *slot, const char *type,
                      const char *model) {
  return c->ops->filters(slot->script, type, model) ||
         c->ops->transforms(slot->script, type, model);
}

bool mp_scripts_apply(mp_scripts *scripts, const char *own, const char *type, const char *model,
                      bool report) {
  const mp_script_chain *c = &scripts->chain;
  bool apply = false;

  pthread_mutex_lock(&scripts->lock);
  for (size_t i = 0; i < c->global_count && !apply && !report; i++)
    apply = has_a_say(c, c->slots[i], type, model);
  if (own && !apply) {
    const mp_script_slot *slot = mp_scripts_find(scripts, own);
    apply = !slot || !slot->script || has_a_say(c, slot, type, model);
  }
  pthread_mutex_unlock(&scripts->lock);
  return apply;
}

/* ---- loading anew --------------------------------------------------------------------------- */

static void tell(mp_list *news, const mp_script_slot *slot) {
  size_t size = strlen(slot->name) + 1;
  mp_script_news *n = malloc(sizeof *n + size);

  if (!n) return; /* what it held waits for the next version */
  n->global = slot->global;
  memcpy(n->name, slot->name, size);
  mp_list_push(news, &n->node);
}

void mp_script_news_free(mp_list *news) {
  for (mp_node *n; (n = mp_list_pop(news)) != NULL;)
    free(MP_CONTAINER(n, mp_script_news, node));
}

static void add_failed(mp_buf *failed, const mp_script_slot *slot) {
  if (failed->len) mp_buf_add_char(failed, ',');
  mp_buf_add_char(failed, '{');
  mp_answer_string(failed, "script", slot->name);
  mp_answer_string(failed, "error", slot->error);
  mp_buf_add_char(failed, '}');
}

static void add_loaded(mp_buf *loaded, const mp_script_slot *slot) {
  if (loaded->len) mp_buf_add_char(loaded, ',');
  mp_buf_add_char(loaded, '"');
  mp_buf_add_str(loaded, slot->name); /* letters, digits, _ and - */
  mp_buf_add_char(loaded, '"');
}

void mp_scripts_reload(mp_scripts *scripts, bool all, mp_list *news, mp_buf *out) {
  const mp_script_chain *c = &scripts->chain;
  mp_buf loaded, failed;

  mp_buf_init(&loaded, MP_BUF_NO_LIMIT);
  mp_buf_init(&failed, MP_BUF_NO_LIMIT);
  for (size_t i = 0; i < c->count; i++) {
    mp_script_slot *slot = c->slots[i];
    mp_error err;
    if (!all && slot->script && !slot->error && !c->ops->changed(slot->script)) continue;
    if (load(scripts, slot, &err) == MP_OK) {
      tell(news, slot);
      add_loaded(&loaded, slot);
    } else {
      add_failed(&failed, slot);
      mp_log(c->settings->log, MP_LOG_ERROR, "script.not_loaded", "script %s is not loaded: %s%s",
             slot->name, err.message, slot->script ? "; its last good version stays" : "");
    }
  }
  if (out) {
    mp_buf_add_str(out, "{\"loaded\":[");
    mp_buf_add(out, loaded.data, loaded.len);
    mp_buf_add_str(out, "],\"failed\":[");
    mp_buf_add(out, failed.data, failed.len);
    mp_buf_add_str(out, "]}");
    if (loaded.failed != MP_OK || failed.failed != MP_OK) out->failed = MP_ENOMEM;
  }
  mp_buf_free(&loaded);
  mp_buf_free(&failed);
}

static mp_script_sum sum_of(const mp_script_slot *slot) {
  mp_script_sum all = {0};

  for (int i = 0; i < MP_PHASES; i++) {
    const mp_script_sum *one = &slot->sums[i];
    all.calls += one->calls;
    all.errors += one->errors;
    all.cpu_us += one->cpu_us;
    all.instructions += one->instructions;
    if (one->memory > all.memory) all.memory = one->memory;
  }
  return all;
}

void mp_scripts_describe(mp_scripts *scripts, mp_buf *out) {
  const mp_script_chain *c = &scripts->chain;

  mp_buf_add_char(out, '[');
  for (size_t i = 0; i < c->count; i++) {
    const mp_script_slot *slot = c->slots[i];
    mp_script_sum sum = sum_of(slot);
    if (i) mp_buf_add_char(out, ',');
    mp_buf_add_char(out, '{');
    mp_answer_string(out, "name", slot->name);
    mp_answer_flag(out, "global", slot->global);
    if (slot->script) mp_answer_string(out, "version", c->ops->hash(slot->script));
    mp_answer_flag(out, "paused", slot->paused);
    mp_answer_string(out, "error", slot->error);
    mp_answer_string(out, "last_failure", slot->failure);
    mp_answer_number(out, "calls", sum.calls);
    mp_answer_number(out, "errors", sum.errors);
    mp_answer_number(out, "cpu_ms", sum.cpu_us / 1000);
    mp_answer_number(out, "instructions", sum.instructions);
    mp_answer_number(out, "memory", (int64_t)sum.memory);
    mp_buf_add_char(out, '}');
  }
  mp_buf_add_char(out, ']');
}
