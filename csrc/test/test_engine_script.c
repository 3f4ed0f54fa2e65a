/* The engine with scripts: what they filter, change and route, and what is sent then. (What they
 * fail of, and their versions: test_engine_script_held.c.) */
#include "engine_script.h"

static void a_filter_ends_a_delivery_unsent(void **state) {
  sink *s = start_sink(false);
  mp_engine *e = open_with_crm(s, "filter=no");
  int64_t id;
  (void)state;

  add_hook(e, "b", s->port, "");
  id = emit_article(e);
  settle(e);
  assert_has(shown(e, id, FIRST), "\"state\":\"filtered\"");
  assert_has(shown(e, id, FIRST), "\"scripts\":\"crm@");
  assert_has(shown(e, id, SECOND), "\"state\":\"delivered\"");
  assert_has_not(shown(e, id, SECOND), "\"scripts\"");
  assert_int_equal(atomic_load(&s->requests), 1);
  close_both(e, s);
}

static void what_passes_untouched_is_sent_byte_for_byte(void **state) {
  sink *s = start_sink(false);
  mp_engine *e = open_with_crm(s, "filter=yes");
  int64_t id;
  (void)state;

  id = emit_article(e);
  settle(e);
  assert_has(shown(e, id, FIRST), "\"state\":\"delivered\"");
  assert_has(shown(e, id, FIRST), "\"scripts\":\"crm@");
  assert_has(last_request(s), "\r\n\r\n{\"event\":\"entry.create\"}");
  assert_string_equal(payload_of(e, id, FIRST),
                      "{\"body\":\"{\\\"event\\\":\\\"entry.create\\\"}\"}");
  close_both(e, s);
}

static void a_transform_is_sanitized_again_and_adds_headers(void **state) {
  sink *s = start_sink(false);
  mp_engine *e = open_with_crm(s,
                               "transform={\"event\":\"x\",\"entry\":{\"title\":1,\"secret\":2}}\n"
                               "headers=[[\"X-Region\",\"eu\"]]");
  int64_t id;
  (void)state;

  id = emit_article(e);
  settle(e);
  assert_has(last_request(s), "\r\n\r\n{\"event\":\"x\",\"entry\":{\"title\":1}}");
  assert_has(last_request(s), "X-Region: eu\r\n");
  assert_has(last_request(s), "Content-Type: application/json\r\n");
  assert_string_equal(payload_of(e, id, FIRST),
                      "{\"body\":\"{\\\"event\\\":\\\"x\\\",\\\"entry\\\":{\\\"title\\\":1}}\","
                      "\"headers\":[[\"X-Region\",\"eu\"]]}");
  close_both(e, s);
}

static void a_text_has_its_own_content_type(void **state) {
  sink *s = start_sink(false);
  mp_engine *e = open_with_crm(s, "text=text/csv a;b");
  (void)state;

  emit_article(e);
  settle(e);
  assert_has(last_request(s), "\r\n\r\na;b");
  assert_has(last_request(s), "Content-Type: text/csv\r\n");
  close_both(e, s);
}

static void refuses(const char *source, const char *error) {
  sink *s = start_sink(false);
  mp_engine *e = open_with_crm(s, source);
  int64_t id;

  id = emit_article(e);
  settle(e);
  assert_has(shown(e, id, FIRST), "\"state\":\"held\"");
  assert_has(shown(e, id, FIRST), error);
  assert_int_equal(atomic_load(&s->requests), 0);
  close_both(e, s);
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
  close_both(e, s);
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
  wait_for_requests(s, 2);
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
  close_both(e, s);
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
  close_both(e, s);
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
      TEST(a_global_script_routes),
      TEST(a_retry_and_a_resend_send_the_stored_bytes),
      TEST(global_scripts_come_first),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
