/* The engine with scripts: what they filter, hold, change and route; new versions; pausing. The
 * scripts are a language of this test's own, a line an order (see fake), behind the table of
 * functions that csrc/script implements for Lua. */
#include "engine_fixture.h"

#include "base/id.h"

/* ---- scripts -------------------------------------------------------------------------------- */

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

static void write_script(const char *name, const char *source) {
  int at = 0;
  pthread_mutex_lock(&files_lock);
  while (at < MAX_FILES - 1 && files[at].name[0] && strcmp(files[at].name, name) != 0)
    at++;
  snprintf(files[at].name, sizeof files[at].name, "%s", name);
  snprintf(files[at].source, sizeof files[at].source, "%s", source);
  pthread_mutex_unlock(&files_lock);
}

/* The rest of the line that begins so; false when there is none. */
static bool order(const mp_script *s, const char *name, char *out, size_t size) {
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

static bool has(const mp_script *s, const char *name) {
  char value[512];
  return order(s, name, value, sizeof value);
}

static mp_code fake_load(const mp_script_options *o, mp_script **out, mp_error *err) {
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

static void fake_free(mp_script *s) {
  if (!s) return;
  free(s->source);
  free(s);
}

static const char *fake_hash(const mp_script *s) {
  return s->hash;
}

static bool fake_routes(const mp_script *s, const char *type, const char *model) {
  (void)type;
  (void)model;
  return has(s, "route");
}
static bool fake_filters(const mp_script *s, const char *type, const char *model) {
  (void)type;
  (void)model;
  return has(s, "filter");
}
static bool fake_transforms(const mp_script *s, const char *type, const char *model) {
  (void)type;
  (void)model;
  return has(s, "transform") || has(s, "text") || has(s, "headers");
}

static mp_code fake_route(mp_script *s, const mp_script_event *e, mp_buf *names, mp_script_use *use,
                          mp_error *err) {
  char value[512];
  (void)e;
  (void)use;
  order(s, "route", value, sizeof value);
  if (strcmp(value, "error") == 0) return mp_fail(err, MP_EINVAL, "routing.lua:7: no way");
  if (strcmp(value, "nil") != 0) mp_buf_add_str(names, value);
  return MP_OK;
}

static mp_code fake_filter(mp_script *s, const mp_script_event *e, const mp_script_webhook *w,
                           bool *keep, mp_script_use *use, mp_error *err) {
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

static mp_code fake_transform(mp_script *s, const mp_script_event *e, const mp_script_webhook *w,
                              const char *payload, size_t len, bool *changed, mp_buf *body,
                              mp_buf *headers, mp_buf *content_type, mp_script_use *use,
                              mp_error *err) {
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

static bool fake_changed(const mp_script *s) {
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

/* ---- an engine with scripts ----------------------------------------------------------------- */

static mp_schema *schema(void) {
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

static mp_settings *scripted_settings(const char *global) {
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

static void add_hook(mp_engine *e, const char *name, int port, const char *more) {
  char definition[512];
  mp_buf out;
  mp_error err = {0};

  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  snprintf(definition, sizeof definition,
           "{\"url\":\"http://127.0.0.1:%d/%s\",\"events\":[\"entry.create\"]%s}", port, name,
           more);
  if (mp_engine_webhook_create(e, name, definition, true, &out, &err) != MP_OK) {
    fail_msg("%s", err.message);
  }
  mp_buf_free(&out);
}

static int64_t emit_article(mp_engine *e) {
  mp_event_row row = {.id = mp_engine_next_id(e),
                      .type = "entry.create",
                      .model = "article",
                      .created_ms = 1700000000000,
                      .body = "{\"event\":\"entry.create\"}",
                      .body_len = 24};
  mp_event *event = mp_event_new(&row, mp_engine_event_type(e, row.type, strlen(row.type)));
  mp_list list = {0};
  mp_error err = {0};

  mp_list_push(&list, &event->node);
  if (mp_engine_emit(e, &list, true, NULL, &err) != MP_OK) fail_msg("%s", err.message);
  return row.id;
}

static void settle(mp_engine *e) {
  mp_error err = {0};
  if (mp_engine_wait(e, 20000, &err) != MP_OK) fail_msg("%s", err.message);
}

/* What the engine answers about the delivery, or about everything; valid until the next call. */
static const char *shown(mp_engine *e, int64_t event, int64_t webhook) {
  static char text[4096];
  mp_error err = {0};
  mp_buf out;

  mp_buf_init(&out, sizeof text - 1);
  if (mp_engine_delivery(e, event, webhook, &out, &err) != MP_OK) fail_msg("%s", err.message);
  memcpy(text, out.data, out.len);
  text[out.len] = '\0';
  mp_buf_free(&out);
  return text;
}

static const char *scripts_of(mp_engine *e, bool reload) {
  static char text[4096];
  mp_error err = {0};
  mp_buf out;

  mp_buf_init(&out, sizeof text - 1);
  if (mp_engine_scripts(e, reload, &out, &err) != MP_OK) fail_msg("%s", err.message);
  memcpy(text, out.data, out.len);
  text[out.len] = '\0';
  mp_buf_free(&out);
  return text;
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

static const char *last_request(sink *s) {
  static char text[8192];
  pthread_mutex_lock(&s->lock);
  strcpy(text, s->last);
  pthread_mutex_unlock(&s->lock);
  return text;
}

/* The id that the n-th webhook of a fresh store has. */
#define FIRST  1
#define SECOND 2

/* ---- tests ---------------------------------------------------------------------------------- */

static void a_filter_ends_a_delivery_unsent(void **state) {
  sink *s = start_sink(false);
  mp_engine *e;
  int64_t id;
  (void)state;

  write_script("crm", "filter=no");
  e = open_with(scripted_settings(NULL));
  add_hook(e, "a", s->port, ",\"script\":\"crm\"");
  add_hook(e, "b", s->port, "");
  id = emit_article(e);
  settle(e);
  assert_has(shown(e, id, FIRST), "\"state\":\"filtered\"");
  assert_has(shown(e, id, FIRST), "\"scripts\":\"crm@");
  assert_has(shown(e, id, SECOND), "\"state\":\"delivered\"");
  assert_has_not(shown(e, id, SECOND), "\"scripts\"");
  assert_int_equal(atomic_load(&s->requests), 1);
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
}

static void what_passes_untouched_is_sent_byte_for_byte(void **state) {
  sink *s = start_sink(false);
  mp_engine *e;
  int64_t id;
  (void)state;

  write_script("crm", "filter=yes");
  e = open_with(scripted_settings(NULL));
  add_hook(e, "a", s->port, ",\"script\":\"crm\"");
  id = emit_article(e);
  settle(e);
  assert_has(shown(e, id, FIRST), "\"state\":\"delivered\"");
  assert_has(shown(e, id, FIRST), "\"scripts\":\"crm@");
  assert_has(last_request(s), "\r\n\r\n{\"event\":\"entry.create\"}");
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
}

static void a_transform_is_sanitized_again_and_adds_headers(void **state) {
  sink *s = start_sink(false);
  mp_engine *e;
  (void)state;

  write_script("crm",
               "transform={\"event\":\"x\",\"entry\":{\"title\":1,\"secret\":2}}\n"
               "headers=[[\"X-Region\",\"eu\"]]");
  e = open_with(scripted_settings(NULL));
  add_hook(e, "a", s->port, ",\"script\":\"crm\"");
  emit_article(e);
  settle(e);
  assert_has(last_request(s), "\r\n\r\n{\"event\":\"x\",\"entry\":{\"title\":1}}");
  assert_has(last_request(s), "X-Region: eu\r\n");
  assert_has(last_request(s), "Content-Type: application/json\r\n");
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
}

static void a_text_has_its_own_content_type(void **state) {
  sink *s = start_sink(false);
  mp_engine *e;
  (void)state;

  write_script("crm", "text=text/csv a;b");
  e = open_with(scripted_settings(NULL));
  add_hook(e, "a", s->port, ",\"script\":\"crm\"");
  emit_article(e);
  settle(e);
  assert_has(last_request(s), "\r\n\r\na;b");
  assert_has(last_request(s), "Content-Type: text/csv\r\n");
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
}

static void refuses(const char *source, const char *error) {
  sink *s = start_sink(false);
  mp_engine *e;
  int64_t id;

  write_script("crm", source);
  e = open_with(scripted_settings(NULL));
  add_hook(e, "a", s->port, ",\"script\":\"crm\"");
  id = emit_article(e);
  settle(e);
  assert_has(shown(e, id, FIRST), "\"state\":\"held\"");
  assert_has(shown(e, id, FIRST), error);
  assert_int_equal(atomic_load(&s->requests), 0);
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
}

static void moonposts_own_headers_stay_its_own(void **state) {
  (void)state;
  refuses("headers=[[\"Webhook-Signature\",\"v1,x\"]]", "is moonpost's own");
}
static void the_events_name_stays_its_own(void **state) {
  (void)state;
  refuses("headers=[[\"x-strapi-event\",\"y\"]]", "is moonpost's own");
}
static void a_header_cannot_be_split(void **state) {
  (void)state;
  refuses("headers=[[\"X-A\",\"b\\r\\nX-C: d\"]]", "X-A");
}
static void an_output_that_is_too_large_is_refused(void **state) {
  (void)state;
  refuses(
      "text=text/plain 0123456789012345678901234567890123456789012345678901234567890123456789"
      "0123456789012345678901234567890123456789",
      "over 100 bytes");
}
static void an_output_that_is_no_json_is_refused(void **state) {
  (void)state;
  refuses("transform={\"a\":", "payload");
}

static void what_a_script_fails_of_is_held_until_a_new_version(void **state) {
  sink *s = start_sink(false);
  mp_engine *e;
  int64_t id;
  (void)state;

  write_script("crm", "filter=error");
  e = open_with(scripted_settings(NULL));
  add_hook(e, "a", s->port, ",\"script\":\"crm\"");
  id = emit_article(e);
  settle(e);
  assert_has(shown(e, id, FIRST), "\"state\":\"held\"");
  assert_has(shown(e, id, FIRST), "\"class\":\"script\",\"error\":\"crm.lua:3: no city\"");
  write_script("crm", "broken");
  assert_has(scripts_of(e, true), "{\"script\":\"crm\",\"error\":\"crm.lua:1: broken\"}");
  settle(e);
  assert_has(shown(e, id, FIRST), "\"state\":\"held\"");
  write_script("crm", "filter=yes");
  assert_has(scripts_of(e, true), "\"loaded\":[\"crm\"]");
  for (int i = 0; i < 1000 && atomic_load(&s->requests) == 0; i++)
    usleep(10000);
  settle(e);
  assert_has(shown(e, id, FIRST), "\"state\":\"delivered\"");
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
}

static void a_broken_version_leaves_the_last_good_one(void **state) {
  sink *s = start_sink(false);
  mp_engine *e;
  int64_t id;
  (void)state;

  write_script("crm", "filter=yes");
  e = open_with(scripted_settings(NULL));
  add_hook(e, "a", s->port, ",\"script\":\"crm\"");
  emit_article(e);
  settle(e);
  write_script("crm", "broken");
  scripts_of(e, true);
  assert_has(scripts_of(e, false), "\"error\":\"crm.lua:1: broken\"");
  id = emit_article(e);
  settle(e);
  assert_has(shown(e, id, FIRST), "\"state\":\"delivered\"");
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
}

static void twenty_failures_in_a_row_pause_a_script(void **state) {
  sink *s = start_sink(false);
  mp_engine *e;
  mp_buf out;
  (void)state;

  write_script("crm", "filter=error");
  e = open_with(scripted_settings(NULL));
  add_hook(e, "a", s->port, ",\"script\":\"crm\"");
  atomic_store(&runs, 0);
  for (int i = 0; i < 25; i++)
    emit_article(e);
  settle(e);
  assert_int_equal(atomic_load(&runs), 20);
  assert_has(scripts_of(e, false), "\"paused\":true");
  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  assert_int_equal(mp_engine_reports(e, 0, &out, NULL), MP_OK);
  mp_buf_add_char(&out, '\0');
  assert_has(out.data, "\"event\":\"script.paused\"");
  assert_has(out.data, "\"script\":\"crm\"");
  assert_has(out.data, "\"last\":1,");
  mp_buf_free(&out);
  write_script("crm", "filter=yes");
  scripts_of(e, true);
  for (int i = 0; i < 1000 && atomic_load(&s->requests) < 25; i++)
    usleep(10000);
  settle(e);
  assert_int_equal(stat(e, "delivered"), 25);
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
}

static void a_global_script_routes(void **state) {
  sink *s = start_sink(false);
  mp_engine *e;
  (void)state;

  write_script("routing", "route=[\"b\",\"b\"]");
  e = open_with(scripted_settings("routing"));
  add_hook(e, "a", s->port, "");
  add_hook(e, "b", s->port, ",\"models\":[\"other\"]");
  emit_article(e);
  settle(e);
  assert_int_equal(atomic_load(&s->requests), 1);
  assert_has(last_request(s), "POST /b HTTP");
  write_script("routing", "route=[]");
  scripts_of(e, true);
  emit_article(e);
  settle(e);
  assert_int_equal(atomic_load(&s->requests), 1);
  write_script("routing", "route=nil");
  scripts_of(e, true);
  emit_article(e);
  settle(e);
  assert_int_equal(atomic_load(&s->requests), 2);
  assert_has(last_request(s), "POST /a HTTP");
  assert_int_equal(stat(e, "routing"), 0);
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
}

static void a_routing_that_fails_is_held(void **state) {
  static const char *const bad[] = {"route=error", "route=[\"nobody\"]"};
  sink *s = start_sink(false);
  mp_engine *e;
  (void)state;

  write_script("routing", bad[0]);
  e = open_with(scripted_settings("routing"));
  add_hook(e, "a", s->port, "");
  for (int i = 0; i < 2; i++) {
    write_script("routing", bad[i]);
    scripts_of(e, true);
    emit_article(e);
    settle(e);
  }
  assert_int_equal(atomic_load(&s->requests), 0);
  assert_int_equal(stat(e, "routing_held"), 2);
  write_script("routing", "route=[\"a\"]");
  scripts_of(e, true);
  for (int i = 0; i < 1000 && atomic_load(&s->requests) < 2; i++)
    usleep(10000);
  settle(e);
  assert_int_equal(stat(e, "routing_held"), 0);
  assert_int_equal(atomic_load(&s->requests), 2);
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
}

static void without_scripts_what_waits_goes_by_subscription(void **state) {
  sink *s = start_sink(false);
  mp_settings *plain;
  mp_engine *e;
  (void)state;

  write_script("routing", "route=error");
  e = open_with(scripted_settings("routing"));
  add_hook(e, "a", s->port, "");
  emit_article(e);
  settle(e);
  mp_engine_close(e, 5000, NULL);
  plain = settings("plain", 5000);
  e = open_with(plain);
  settle(e);
  assert_int_equal(atomic_load(&s->requests), 1);
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
}

static void a_retry_and_a_resend_send_the_stored_bytes(void **state) {
  sink *s = start_sink(false);
  mp_settings *conf = scripted_settings(NULL);
  mp_engine *e;
  mp_buf out;
  mp_error err = {0};
  int64_t id;
  (void)state;

  conf->retry_ms[0] = 1;
  atomic_store(&s->failures, 1);
  write_script("crm", "transform={\"version\":1}");
  e = open_with(conf);
  add_hook(e, "a", s->port, ",\"script\":\"crm\"");
  id = emit_article(e);
  for (int i = 0; i < 1000 && atomic_load(&s->requests) < 2; i++)
    usleep(10000);
  settle(e);
  assert_int_equal(atomic_load(&s->requests), 2);
  assert_has(last_request(s), "{\"version\":1}");
  write_script("crm", "transform={\"version\":2}");
  scripts_of(e, true);
  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  assert_int_equal(mp_engine_resend(e, id, FIRST, false, &out, &err), MP_OK);
  settle(e);
  assert_int_equal(atomic_load(&s->requests), 3);
  assert_has(last_request(s), "{\"version\":1}");
  assert_int_equal(mp_engine_resend(e, id, FIRST, true, &out, &err), MP_OK);
  settle(e);
  assert_int_equal(atomic_load(&s->requests), 4);
  assert_has(last_request(s), "{\"version\":2}");
  mp_buf_free(&out);
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
}

static void a_script_that_is_missing_at_start_is_an_error(void **state) {
  mp_engine *e = NULL;
  mp_error err = {0};
  (void)state;

  assert_int_equal(mp_engine_open(scripted_settings("nowhere"), &e, &err), MP_ENOENT);
  assert_string_equal(err.message, "nowhere.lua: no such file");
  assert_null(e);
}

static void a_webhooks_script_that_is_missing_holds(void **state) {
  sink *s = start_sink(false);
  mp_engine *e = open_with(scripted_settings(NULL));
  int64_t id;
  (void)state;

  add_hook(e, "a", s->port, ",\"script\":\"none\"");
  id = emit_article(e);
  settle(e);
  assert_has(shown(e, id, FIRST), "\"state\":\"held\"");
  assert_has(shown(e, id, FIRST), "none.lua: no such file");
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
}

static void global_scripts_come_first(void **state) {
  sink *s = start_sink(false);
  mp_engine *e;
  (void)state;

  write_script("redact", "filter=yes\ntransform={\"entry\":{\"title\":\"redacted\"}}");
  write_script("crm", "filter=yes");
  e = open_with(scripted_settings("redact"));
  add_hook(e, "a", s->port, ",\"script\":\"crm\"");
  emit_article(e);
  settle(e);
  assert_has(last_request(s), "{\"entry\":{\"title\":\"redacted\"}}");
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
}

static int fresh(void **state) {
  memset(files, 0, sizeof files);
  return make_folder(state);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, remove_folder)
  const struct CMUnitTest tests[] = {
      TEST(a_filter_ends_a_delivery_unsent),
      TEST(what_passes_untouched_is_sent_byte_for_byte),
      TEST(a_transform_is_sanitized_again_and_adds_headers),
      TEST(a_text_has_its_own_content_type),
      TEST(moonposts_own_headers_stay_its_own),
      TEST(the_events_name_stays_its_own),
      TEST(a_header_cannot_be_split),
      TEST(an_output_that_is_too_large_is_refused),
      TEST(an_output_that_is_no_json_is_refused),
      TEST(what_a_script_fails_of_is_held_until_a_new_version),
      TEST(a_broken_version_leaves_the_last_good_one),
      TEST(twenty_failures_in_a_row_pause_a_script),
      TEST(a_global_script_routes),
      TEST(a_routing_that_fails_is_held),
      TEST(without_scripts_what_waits_goes_by_subscription),
      TEST(a_retry_and_a_resend_send_the_stored_bytes),
      TEST(a_script_that_is_missing_at_start_is_an_error),
      TEST(a_webhooks_script_that_is_missing_holds),
      TEST(global_scripts_come_first),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
