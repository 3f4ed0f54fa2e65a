/* The engine with scripts that fail, are missing or are not there any more: what they hold, and
 * what a new version does. */
#include "engine_script.h"

static void what_a_script_fails_of_is_held_until_a_new_version(void **state) {
  sink *s = start_sink(false);
  mp_engine *e = open_with_crm(s, "filter=error");
  int64_t id;
  (void)state;

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
  wait_for_requests(s, 1);
  settle(e);
  assert_has(shown(e, id, FIRST), "\"state\":\"delivered\"");
  close_both(e, s);
}

static void a_broken_version_leaves_the_last_good_one(void **state) {
  sink *s = start_sink(false);
  mp_engine *e = open_with_crm(s, "filter=yes");
  int64_t id;
  (void)state;

  emit_article(e);
  settle(e);
  write_script("crm", "broken");
  scripts_of(e, true);
  assert_has(scripts_of(e, false), "\"error\":\"crm.lua:1: broken\"");
  id = emit_article(e);
  settle(e);
  assert_has(shown(e, id, FIRST), "\"state\":\"delivered\"");
  close_both(e, s);
}

static void twenty_failures_in_a_row_pause_a_script(void **state) {
  sink *s = start_sink(false);
  mp_engine *e = open_with_crm(s, "filter=error");
  mp_buf out;
  (void)state;

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
  wait_for_requests(s, 25);
  settle(e);
  assert_int_equal(stat(e, "delivered"), 25);
  close_both(e, s);
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
  wait_for_requests(s, 2);
  settle(e);
  assert_int_equal(stat(e, "routing_held"), 0);
  assert_int_equal(atomic_load(&s->requests), 2);
  close_both(e, s);
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
  close_both(e, s);
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
  close_both(e, s);
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
  assert_int_equal(mp_engine_webhook_update(e, FIRST, "a", other, true, 0, &out, &err), MP_EINVAL);
  assert_int_equal(unlink(path_of("crm")), 0); /* it may be disabled all the same */
  assert_int_equal(mp_engine_webhook_update(e, FIRST, "a", named, false, 0, &out, &err), MP_OK);
  mp_buf_free(&out);
  mp_engine_close(e, 5000, NULL);
}

static void without_scripts_what_names_one_is_held(void **state) {
  sink *s = start_sink(false);
  mp_error err = {0};
  mp_engine *e = open_with_crm(s, "filter=yes");
  mp_buf out;
  int64_t id;
  (void)state;

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
  close_both(e, s);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, remove_folder)
  const struct CMUnitTest tests[] = {
      TEST(what_a_script_fails_of_is_held_until_a_new_version),
      TEST(a_broken_version_leaves_the_last_good_one),
      TEST(twenty_failures_in_a_row_pause_a_script),
      TEST(a_routing_that_fails_is_held),
      TEST(without_scripts_what_waits_goes_by_subscription),
      TEST(a_script_that_is_missing_at_start_is_an_error),
      TEST(a_webhooks_script_that_is_missing_holds),
      TEST(scripts_are_those_that_something_names),
      TEST(a_webhook_names_a_script_that_is_there),
      TEST(without_scripts_what_names_one_is_held),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
