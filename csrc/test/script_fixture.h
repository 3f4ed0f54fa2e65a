/* Scripts in a language of the tests' own, a line an order, behind the table of functions that
 * csrc/script implements for Lua. */
#ifndef MP_TEST_SCRIPT_FIXTURE_H
#define MP_TEST_SCRIPT_FIXTURE_H

#include <fcntl.h>
#include <unistd.h>

#include "engine_fixture.h"

/* Lines: "filter=yes|no|error", "transform=JSON", "text=TYPE BODY", "headers=JSON",
 * "route=JSON|nil|error". "broken" cannot be loaded. */
struct mp_script {
  char *source;
  char hash[MP_SCRIPT_HASH + 1];
};

#define MAX_FILES 4
static pthread_mutex_t files_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  char name[16];
  char source[512];
} files[MAX_FILES];
static atomic_int runs;

static inline const char *path_of(const char *name) {
  static char path[128];
  snprintf(path, sizeof path, "%s/%s.lua", folder, name);
  return path;
}

static inline void write_script(const char *name, const char *source) {
  int at = 0;

  pthread_mutex_lock(&files_lock);
  while (at < MAX_FILES - 1 && files[at].name[0] && strcmp(files[at].name, name) != 0)
    at++;
  snprintf(files[at].name, sizeof files[at].name, "%s", name);
  snprintf(files[at].source, sizeof files[at].source, "%s", source);
  pthread_mutex_unlock(&files_lock);
  /* A webhook's is looked for there. */
  close(open(path_of(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static inline void forget_scripts(void) {
  pthread_mutex_lock(&files_lock);
  memset(files, 0, sizeof files);
  pthread_mutex_unlock(&files_lock);
}

static inline int fresh(void **state) {
  memset(files, 0, sizeof files);
  return make_folder(state);
}

/* The rest of the line that begins so; false when there is none. */
static inline bool order(const mp_script *s, const char *name, char *out, size_t size) {
  size_t len = strlen(name);
  for (const char *line = s->source; line && *line; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (strncmp(line, name, len) == 0 && line[len] == '=') {
      snprintf(out, size, "%.*s", (int)strcspn(line + len + 1, "\n"), line + len + 1);
      return true;
    }
  }
  return false;
}

static inline bool has(const mp_script *s, const char *name) {
  char value[512];
  return order(s, name, value, sizeof value);
}

static inline mp_code fake_load(const mp_script_options *o, mp_script **out, mp_error *err) {
  mp_code code = mp_fail(err, MP_ENOENT, "%s.lua: no such file", o->name);

  pthread_mutex_lock(&files_lock);
  for (int i = 0; i < MAX_FILES; i++) {
    if (strcmp(files[i].name, o->name) != 0) continue;
    if (strcmp(files[i].source, "broken") == 0) {
      code = mp_fail(err, MP_EINVAL, "%s.lua:1: broken", o->name);
      continue;
    }
    unsigned hash = 2166136261u;
    mp_script *s = calloc(1, sizeof *s);
    s->source = strdup(files[i].source);
    for (const char *p = s->source; *p; p++)
      hash = (hash ^ (unsigned char)*p) * 16777619u;
    snprintf(s->hash, sizeof s->hash, "%08x", hash);
    *out = s;
    code = MP_OK;
  }
  pthread_mutex_unlock(&files_lock);
  return code;
}

static inline void fake_free(mp_script *s) {
  if (!s) return;
  free(s->source);
  free(s);
}

static const char *fake_hash(const mp_script *s) {
  return s->hash;
}

static inline bool fake_routes(const mp_script *s, const char *type, const char *model) {
  (void)type;
  (void)model;
  return has(s, "route");
}
static inline bool fake_filters(const mp_script *s, const char *type, const char *model) {
  (void)type;
  (void)model;
  return has(s, "filter");
}
static inline bool fake_transforms(const mp_script *s, const char *type, const char *model) {
  (void)type;
  (void)model;
  return has(s, "transform") || has(s, "text") || has(s, "headers");
}

static inline mp_code fake_route(mp_script *s, const mp_script_event *e, mp_buf *names,
                                 mp_script_use *use, mp_error *err) {
  char value[512];
  (void)e;
  (void)use;
  order(s, "route", value, sizeof value);
  if (strcmp(value, "error") == 0) return mp_fail(err, MP_EINVAL, "routing.lua:7: no way");
  if (strcmp(value, "nil") != 0) mp_buf_add_str(names, value);
  return MP_OK;
}

static inline mp_code fake_filter(mp_script *s, const mp_script_event *e,
                                  const mp_script_webhook *w, bool *keep, mp_script_use *use,
                                  mp_error *err) {
  char value[512];
  (void)e;
  (void)w;
  atomic_fetch_add(&runs, 1);
  order(s, "filter", value, sizeof value);
  use->cpu_us = 5;
  if (strcmp(value, "error") == 0) return mp_fail(err, MP_EINVAL, "crm.lua:3: no city");
  *keep = strcmp(value, "yes") == 0;
  return MP_OK;
}

static inline mp_code fake_transform(mp_script *s, const mp_script_event *e,
                                     const mp_script_webhook *w, const char *payload, size_t len,
                                     bool *changed, mp_buf *body, mp_buf *headers,
                                     mp_buf *content_type, mp_script_use *use, mp_error *err) {
  char value[512];
  (void)e;
  (void)w;
  (void)payload;
  (void)len;
  (void)use;
  (void)err;
  if (order(s, "transform", value, sizeof value)) {
    *changed = true;
    mp_buf_add_str(body, value);
  }
  if (order(s, "text", value, sizeof value)) {
    char *space = strchr(value, ' ');
    *changed = true;
    mp_buf_add(content_type, value, (size_t)(space - value));
    mp_buf_add_str(body, space + 1);
  }
  if (order(s, "headers", value, sizeof value)) mp_buf_add_str(headers, value);
  return MP_OK;
}

static inline bool fake_changed(const mp_script *s) {
  (void)s;
  return false;
}

static const mp_script_ops fake = {.load = fake_load,
                                   .free = fake_free,
                                   .hash = fake_hash,
                                   .routes = fake_routes,
                                   .filters = fake_filters,
                                   .transforms = fake_transforms,
                                   .route = fake_route,
                                   .filter = fake_filter,
                                   .transform = fake_transform,
                                   .changed = fake_changed};

static inline mp_schema *schema(void) {
  const mp_model article = {.uid = "article", .name = "article", .global_id = "Article"};
  mp_error err = {0};
  mp_schema *s = NULL;

  assert_int_equal(mp_schema_new(&s, &err), MP_OK);
  assert_int_equal(mp_schema_add_model(s, &article, &err), MP_OK);
  assert_int_equal(
      mp_schema_add_attribute(s, "article", "title", 5, MP_ATTRIBUTE_KEEP, false, NULL, &err),
      MP_OK);
  assert_int_equal(
      mp_schema_add_attribute(s, "article", "secret", 6, MP_ATTRIBUTE_DROP, false, NULL, &err),
      MP_OK);
  assert_int_equal(mp_schema_finish(s, &err), MP_OK);
  return s;
}

static inline mp_settings *scripted_settings(const char *global) {
  mp_settings *s = settings("scripts", 5000);

  s->scripts.ops = &fake;
  s->scripts.folder = strdup(folder);
  s->scripts.constants = strdup("{}");
  s->scripts.max_output = 100;
  s->scripts.schema = schema();
  s->scripts.global = calloc(2, sizeof *s->scripts.global);
  if (global) s->scripts.global[s->scripts.global_count++] = strdup(global);
  return s;
}

#define assert_has(text, part)                                        \
  do {                                                                \
    const char *text_ = (text);                                       \
    if (!strstr(text_, part)) fail_msg("%s\nhas no %s", text_, part); \
  } while (0)
#define assert_has_not(text, part)                                \
  do {                                                            \
    const char *text_ = (text);                                   \
    if (strstr(text_, part)) fail_msg("%s\nhas %s", text_, part); \
  } while (0)

#endif
