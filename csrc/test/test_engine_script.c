/* The engine with scripts: what they filter, hold, change and route; new versions; pausing. */
#include "base/id.h"
#include "script_fixture.h"

/* ---- an engine with scripts ----------------------------------------------------------------- */

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

/* What is sent to the webhook, likewise. */
static const char *payload_of(mp_engine *e, int64_t event, int64_t webhook) {
  static char text[4096];
  mp_error err = {0};
  mp_buf out;

  mp_buf_init(&out, sizeof text - 1);
  if (mp_engine_payload(e, event, webhook, &out, &err) != MP_OK) fail_msg("%s", err.message);
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
  assert_string_equal(payload_of(e, id, FIRST),
                      "{\"body\":\"{\\\"event\\\":\\\"entry.create\\\"}\"}");
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
}

static void a_transform_is_sanitized_again_and_adds_headers(void **state) {
  sink *s = start_sink(false);
  mp_engine *e;
  int64_t id;
  (void)state;

  write_script("crm",
               "transform={\"event\":\"x\",\"entry\":{\"title\":1,\"secret\":2}}\n"
               "headers=[[\"X-Region\",\"eu\"]]");
  e = open_with(scripted_settings(NULL));
  add_hook(e, "a", s->port, ",\"script\":\"crm\"");
  id = emit_article(e);
  settle(e);
  assert_has(last_request(s), "\r\n\r\n{\"event\":\"x\",\"entry\":{\"title\":1}}");
  assert_has(last_request(s), "X-Region: eu\r\n");
  assert_has(last_request(s), "Content-Type: application/json\r\n");
  assert_string_equal(payload_of(e, id, FIRST),
                      "{\"body\":\"{\\\"event\\\":\\\"x\\\",\\\"entry\\\":{\\\"title\\\":1}}\","
                      "\"headers\":[[\"X-Region\",\"eu\"]]}");
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
  assert_has(scripts_of(e, false), "\"last_failure\":\"crm.lua:3: no city\"");
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

static int count_of(const char *text, const char *part) {
  int count = 0;
  for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
    count++;
  return count;
}

static void a_retry_and_a_resend_send_the_stored_bytes(void **state) {
  sink *s = start_sink(false);
  mp_settings *conf = scripted_settings(NULL);
  mp_engine *e;
  mp_buf out;
  mp_error err = {0};
  char first[32];
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
  snprintf(first, sizeof first, "%.24s", strstr(shown(e, id, FIRST), "\"scripts\":"));
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
  /* Each attempt names the version that made what it sent. */
  mp_buf_reset(&out);
  assert_int_equal(mp_engine_attempts(e, id, FIRST, &out, &err), MP_OK);
  mp_buf_add_char(&out, '\0');
  assert_int_equal(count_of(out.data, first), 3);
  assert_int_equal(count_of(out.data, "\"scripts\":\"crm@"), 4);
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

  write_script("none", "filter=yes");
  add_hook(e, "a", s->port, ",\"script\":\"none\"");
  forget_scripts();
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

static void scripts_are_those_that_something_names(void **state) {
  mp_engine *e;
  mp_error err = {0};
  mp_buf out;
  (void)state;

  write_script("redact", "filter=yes");
  write_script("crm", "filter=yes");
  e = open_with(scripted_settings("redact"));
  assert_has_not(scripts_of(e, false), "crm");
  add_hook(e, "a", 1, ",\"script\":\"crm\"");
  add_hook(e, "b", 1, ",\"script\":\"crm\"");
  assert_has(scripts_of(e, false), "\"name\":\"crm\",\"global\":false,\"version\":");
  assert_has(scripts_of(e, true), "{\"loaded\":[\"redact\",\"crm\"],\"failed\":[]}");
  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  assert_int_equal(mp_engine_webhook_delete(e, FIRST, &out, &err), MP_OK);
  assert_has(scripts_of(e, false), "crm");
  assert_int_equal(mp_engine_webhook_delete(e, SECOND, &out, &err), MP_OK);
  assert_has_not(scripts_of(e, false), "crm");
  mp_buf_free(&out);
  mp_engine_close(e, 5000, NULL);
}

static void a_webhook_names_a_script_that_is_there(void **state) {
  mp_engine *e = open_with(scripted_settings(NULL));
  const char *named = "{\"url\":\"http://127.0.0.1:1/\",\"events\":[\"*\"],\"script\":\"crm\"}";
  const char *other = "{\"url\":\"http://127.0.0.1:1/\",\"events\":[\"*\"],\"script\":\"none\"}";
  mp_error err = {0};
  mp_buf out;
  (void)state;

  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  assert_int_equal(mp_engine_webhook_create(e, "a", named, true, &out, &err), MP_EINVAL);
  assert_has(err.message, "webhook.script: expected a script, ");
  assert_has(err.message, "/crm.lua is not there");
  write_script("crm", "filter=no");
  assert_int_equal(mp_engine_webhook_create(e, "a", named, true, &out, &err), MP_OK);
  assert_int_equal(mp_engine_webhook_update(e, FIRST, "a", other, true, &out, &err), MP_EINVAL);
  assert_int_equal(unlink(path_of("crm")), 0); /* it may be disabled all the same */
  assert_int_equal(mp_engine_webhook_update(e, FIRST, "a", named, false, &out, &err), MP_OK);
  mp_buf_free(&out);
  mp_engine_close(e, 5000, NULL);
}

static void without_scripts_what_names_one_is_held(void **state) {
  sink *s = start_sink(false);
  mp_error err = {0};
  mp_engine *e;
  mp_buf out;
  int64_t id;
  (void)state;

  write_script("crm", "filter=yes");
  e = open_with(scripted_settings(NULL));
  add_hook(e, "a", s->port, ",\"script\":\"crm\"");
  mp_engine_close(e, 5000, NULL);
  e = open_with(settings("plain", 5000));
  id = emit_article(e);
  settle(e);
  assert_has(shown(e, id, FIRST), "\"state\":\"held\"");
  assert_has(shown(e, id, FIRST), "crm.lua: the config has no webhooks.scripts");
  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  assert_int_equal(mp_engine_webhook_create(e, "b",
                                            "{\"url\":\"http://127.0.0.1:1/\",\"events\":[\"*\"],"
                                            "\"script\":\"crm\"}",
                                            true, &out, &err),
                   MP_EINVAL);
  assert_has(err.message, "the config has no webhooks.scripts");
  mp_buf_free(&out);
  mp_engine_close(e, 5000, NULL);
  assert_int_equal(atomic_load(&s->requests), 0);
  e = open_with(scripted_settings(NULL)); /* there again: it goes on */
  settle(e);
  assert_has(shown(e, id, FIRST), "\"state\":\"delivered\"");
  mp_engine_close(e, 5000, NULL);
  stop_sink(s);
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
      TEST(scripts_are_those_that_something_names),
      TEST(a_webhook_names_a_script_that_is_there),
      TEST(without_scripts_what_names_one_is_held),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
