/* Scripts: loading, what they see, what their phases may return. */
#include "sandbox_fixture.h"

/* ---- helpers -------------------------------------------------------------------------------- */

static void assert_load_fails(const char *text, const char *part) {
  mp_script *script;

  assert_int_equal(load_text(text, &script), MP_EINVAL);
  assert_null(script);
  if (!strstr(error.message, part)) fail_msg("%s\nhas no %s", error.message, part);
}

static bool kept(mp_script *script) {
  bool keep = false;
  if (ops->filter(script, &event, &hook, &keep, &use, &error) != MP_OK) {
    fail_msg("%s", error.message);
  }
  return keep;
}

static void assert_filter(const char *code, const char *expected) {
  char source[2048];
  bool keep = false;
  mp_script *script;
  mp_code got;

  snprintf(source, sizeof source, "return { filter = function(event, webhook) %s end }", code);
  script = loaded(source);
  got = ops->filter(script, &event, &hook, &keep, &use, &error);
  ops->free(script);
  if (strcmp(expected, "true") == 0 || strcmp(expected, "false") == 0) {
    if (got != MP_OK) fail_msg("%s\n%s", code, error.message);
    assert_string_equal(keep ? "true" : "false", expected);
  } else {
    assert_int_equal(got, MP_EINVAL);
    assert_string_equal(error.message, expected);
  }
}

static void assert_route(const char *code, const char *expected) {
  char source[2048], got[2048];
  mp_script *script;
  mp_buf names;

  snprintf(source, sizeof source, "return { route = function(event) %s end }", code);
  script = loaded(source);
  mp_buf_init(&names, sizeof got);
  if (ops->route(script, &event, &names, &use, &error) == MP_OK)
    snprintf(got, sizeof got, "%.*s", (int)names.len, names.data ? names.data : "");
  else
    snprintf(got, sizeof got, "%s", error.message);
  mp_buf_free(&names);
  ops->free(script);
  assert_string_equal(got, expected);
}

/* ---- what scripts see ----------------------------------------------------------------------- */

static void a_script_sees_event_and_webhook(void **state) {
  (void)state;
  assert_makes(
      "return event.event .. ' ' .. event.model .. ' ' .. event.created_at .. ' ' .. "
      "event.id .. ' ' .. event.entry.city",
      "entry.create address 2020-01-10T08:47:36.649Z evt_0000000000001 Paris");
  assert_makes("return webhook.id .. ' ' .. webhook.name .. ' ' .. webhook.events[1]",
               "7 crm entry.*");
  assert_makes(
      "local keys = {} for k in pairs(webhook) do keys[#keys + 1] = k end "
      "return table.concat(keys, ' ')",
      "events id name url");
  assert_makes(
      "local keys = {} for k in pairs(event) do keys[#keys + 1] = k end "
      "return table.concat(keys, ' ')",
      "event created_at model entry id");
}

static void a_script_sees_no_password_of_the_url(void **state) {
  (void)state;
  assert_makes("return webhook.url", "https://example.com/hook?a=b");
}

static void payload_and_event_are_apart(void **state) {
  (void)state;
  assert_makes("payload.entry.city = 'Rome' return event.entry.city", "Paris");
  assert_makes("event.entry.city = 'Rome' payload.entry.x = event.entry.city return payload.entry",
               "{\"id\":9007199254740993,\"city\":\"Paris\",\"price\":1.5,\"tags\":[],\"geo\":{"
               "\"lat\":48.85,\"lon\":2.35},\"rows\":[{\"b\":1,\"a\":2}],\"none\":null,\"x\":"
               "\"Rome\"}");
}

static void a_payload_comes_out_as_it_went_in(void **state) {
  (void)state;
  assert_makes("return payload", BODY);
  assert_makes("local _ = payload.event return payload", BODY);
  assert_makes("local x = payload.entry.geo.lat return payload.entry.geo",
               "{\"lat\":48.85,\"lon\":2.35}");
  assert_makes("return payload.entry.rows", "[{\"b\":1,\"a\":2}]");
  assert_makes("local _ = payload.entry.rows[1].a return payload.entry.rows",
               "[{\"b\":1,\"a\":2}]");
}

static void keys_keep_their_order(void **state) {
  (void)state;
  assert_makes(
      "payload.entry.rows[1].b = nil payload.entry.rows[1].z = 1 "
      "payload.entry.rows[1].c = 2 payload.entry.rows[1].b = 3 return payload.entry.rows",
      "[{\"b\":3,\"a\":2,\"c\":2,\"z\":1}]");
  assert_makes("return { b = 1, a = { 1, 2 }, c = {}, d = json.array() }",
               "{\"a\":[1,2],\"b\":1,\"c\":{},\"d\":[]}");
}

static void constants_are_the_configs(void **state) {
  (void)state;
  assert_makes("return constants.region", "eu");
  assert_makes("return constants", "{\"region\":\"eu\",\"list\":[1,2],\"big\":9007199254740993}");
  assert_makes("constants.region = 'us' return constants.region", "us");
}

/* ---- what phases return --------------------------------------------------------------------- */

static void a_filter_returns_true_or_false(void **state) {
  (void)state;
  assert_filter("return event.entry.city == 'Paris'", "true");
  assert_filter("return event.entry.city == 'Rome'", "false");
  assert_filter("return event.entry.nothing", "false");
  assert_filter("return event.model == 'address' and webhook.name == 'crm'", "true");
  assert_filter("if event.model == 'address' then return 1 end return true",
                "crm.lua: filter: expected true or false, got a number");
  assert_filter("if event.model ~= 'address' then return true end",
                "crm.lua: filter: expected true or false, got nothing: a return is missing");
  assert_filter("return event.entry.none",
                "crm.lua: filter: expected true or false, got a userdata");
}

static void a_route_returns_names(void **state) {
  (void)state;
  assert_route("return nil", "");
  assert_route("", "");
  assert_route("return {}", "[]");
  assert_route("return { 'crm', 'search' }", "[\"crm\",\"search\"]");
  assert_route("if event.model == 'address' then return 'crm' end",
               "crm.lua: route: expected nil or a list of webhooks' names, got a string");
  assert_route("if event.model == 'address' then return { 1 } end",
               "crm.lua: route: expected names of webhooks, got a number in the list");
  assert_route("if event.model == 'address' then return { crm = true } end",
               "crm.lua: route: expected nil or a list of webhooks' names, got a table with other "
               "keys");
}

static void a_transform_returns_what_is_sent(void **state) {
  (void)state;
  assert_makes("return nil", "unchanged");
  assert_makes("return", "unchanged");
  assert_makes("return { a = 1 }", "{\"a\":1}");
  assert_makes("return 'text', { content_type = 'text/csv' }", "text text/csv");
  assert_makes("return payload.entry.tags, { headers = { ['X-B'] = 'b', ['X-A'] = 'a' } }",
               "[] [[\"X-A\",\"a\"],[\"X-B\",\"b\"]]");
  assert_makes("return nil, { headers = { ['X-A'] = 'a' } }", "unchanged [[\"X-A\",\"a\"]]");
  assert_makes("return nil, { headers = {} }", "unchanged");
  assert_makes("return nil, {}", "unchanged");
}

static void what_a_transform_may_not_return_is_an_error(void **state) {
  static const char *const cases[][2] = {
      {"1", "transform: expected a table, a string or nil, got a number"},
      {"{}, 1", "expected a table with headers or content_type after the payload, got a number"},
      {"{}, { header = {} }", "expected headers or content_type after the payload, got 'header'"},
      {"{}, { headers = 1 }", "headers: expected a table, got a number"},
      {"{}, { headers = { ['X-A'] = 1 } }", "headers: 'X-A': expected a string, got a number"},
      {"{}, { headers = { 'X-A' } }", "headers: expected a table of names and values, got a list"},
      {"{}, { content_type = 'text/csv' }", "content_type is for a payload that is a string"},
      {"'', { content_type = 'csv' }", "content_type: expected a media type such as text/plain"},
      {"'', { content_type = 'text/csv\\r\\nX: y' }", "content_type: expected a media type"},
      {"{ x = { y = { 0 / 0 } } }", "payload.x.y[1]: NaN is no JSON"},
      {"{ x = 1 / 0 }", "payload.x: an infinite number is no JSON"},
      {"{ x = print }", "'print' is not among what scripts have: use log.info"},
      {"{ x = pairs }", "payload.x: a function is no JSON"},
      {"{ x = string }", "payload.x: a userdata is no JSON"},
      {"{ 1, 2, nil, 4, x = 1 }", "payload: a table with keys that are neither strings nor"},
      {"{ [true] = 1 }", "payload: a table with keys that are neither strings nor"},
      {"{ ['\\255'] = 1 }", "payload[\"?\"]: a key is not valid UTF-8"},
      {"{ a = 'x\\255' }", "payload.a: the string is not valid UTF-8"},
  };
  char code[512];
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    snprintf(code, sizeof code, "if event.model == 'address' then return %s end", cases[i][0]);
    assert_fails(code, cases[i][1]);
  }
  assert_fails("local t = {} t.t = t if event.model == 'address' then return t end",
               "a cycle, or nested more than 100 deep");
}

static void an_error_names_file_and_line(void **state) {
  (void)state;
  assert_fails("local x = event.entry.none2\n\nreturn x.y", "crm.lua:4:");
  assert_fails("if event.model == 'address' then\nerror('no city') end", "crm.lua:3: no city");
  assert_fails("if event.model == 'address' then error({}) end",
               "crm.lua: the error is a table, expected a text");
  assert_fails("if event.model == 'address' then error('a\\nb\\255') end", "a b\xEF\xBF\xBD");
}

/* ---- nothing stays -------------------------------------------------------------------------- */

static void no_call_leaves_anything_to_the_next(void **state) {
  mp_script *script = loaded(
      "local n = 0 count = 0\n"
      "return { transform = function() n = n + 1 count = count + 1\n"
      "  constants.n = (constants.n or 0) + 1\n"
      "  return { n, count, constants.n, math.random(1000000) } end }");
  static char first[1 << 16];
  const char *text = transformed(script, &event);
  (void)state;

  assert_non_null(text);
  snprintf(first, sizeof first, "%s", text);
  assert_memory_equal(first, "[1,1,1,", 7);
  for (int i = 0; i < 100; i++)
    assert_string_equal(transformed(script, &event), first);
  ops->free(script);
}

static void random_numbers_come_from_the_event(void **state) {
  mp_script *script =
      loaded("return { transform = function() return tostring(math.random()) end }");
  mp_script_event other = event;
  static char first[1 << 16];
  (void)state;

  snprintf(first, sizeof first, "%s", transformed(script, &event));
  other.id = "evt_0000000000002";
  assert_string_not_equal(transformed(script, &other), first);
  assert_string_equal(transformed(script, &event), first);
  ops->free(script);
}

/* ---- loading -------------------------------------------------------------------------------- */

static void a_script_that_is_none_is_not_loaded(void **state) {
  mp_script *script;
  (void)state;
  assert_int_equal(load_file("missing", &script), MP_ENOENT);
  assert_load_fails("return {", "crm.lua:1:");
  assert_load_fails("\n\nreturn { filter = function( }", "crm.lua:3:");
  assert_load_fails("", "crm.lua: expected it to return a table of route, filter and transform");
  assert_load_fails("return {}", "crm.lua: expected a route, filter or transform function");
  assert_load_fails("return { filter = 1 }", "crm.lua: filter: expected a function, got a number");
  assert_load_fails("return { fitler = function() end }",
                    "'fitler' is no key of a script: did you mean 'filter'?");
  assert_load_fails("return { events = 'x', filter = function() return true end }",
                    "crm.lua: events: expected a list of patterns such as \"entry.*\"");
  assert_load_fails("return { models = { 1 }, filter = function() return true end }",
                    "crm.lua: models[1]: expected a string, got a number");
  assert_load_fails("\x1bLua", "crm.lua:1: expected Lua source, got bytecode");
}

static void each_phase_is_tried_on_a_sample(void **state) {
  (void)state;
  assert_load_fails("return { filter = function(event) return\n strng.find(event.event, 'x') end }",
                    "crm.lua:2: 'strng' is not defined");
  assert_load_fails("return { filter = function(event) return string.fnid(event.event, 'x') end }",
                    "crm.lua:1: string.fnid is not among what scripts have");
  assert_load_fails("return { filter = function() return nil .. 'x' end }",
                    "crm.lua:1: attempt to");
  assert_load_fails("return { filter = function() return 'yes' end }",
                    "crm.lua: filter: expected true or false, got a string");
  assert_load_fails(
      "return { filter = function(event) local x = event.entry while true do end end }",
      "crm.lua:1: over its limit of 10000000 instructions");
  assert_load_fails("return { transform = function(p) return p, { headers = { X = 1 } } end }",
                    "headers: 'X': expected a string, got a number");
}

/* What the sample lacks is no fault of a script's. */
static void a_script_may_need_more_than_the_sample_has(void **state) {
  mp_script *script = loaded(
      "return { events = { 'media.*' }, filter = function(event)\n"
      "  return event.media.related.name:find('x') ~= nil end }");
  (void)state;
  ops->free(script);
}

static void patterns_say_which_events_come(void **state) {
  mp_script *script = loaded(
      "return { events = { 'entry.*', 'order.paid' }, models = { 'address' "
      "}, filter = function() return true end }");
  (void)state;
  assert_true(ops->filters(script, "entry.create", "address"));
  assert_true(ops->filters(script, "order.paid", "address"));
  assert_false(ops->filters(script, "order.paid.late", "address"));
  assert_false(ops->filters(script, "media.create", "address"));
  assert_false(ops->filters(script, "entry.create", "article"));
  assert_false(ops->filters(script, "entry.create", NULL));
  assert_false(ops->transforms(script, "entry.create", "address"));
  assert_false(ops->routes(script, "entry.create", "address"));
  ops->free(script);
}

static void files_of_the_folder_are_required(void **state) {
  static const char lib[] = "local M = {} function M.up(s) return s:upper() end return M";
  mp_script *script;
  (void)state;
  write_file("lib/text", lib, sizeof lib - 1);
  assert_load_fails("return { filter = function() return require 'lib.text' end }",
                    "require 'lib.text': it was not there when the script was loaded: require it "
                    "at the file's top");
  script = loaded(
      "local text = require 'lib.text'\nlocal again = require 'lib.text'\n"
      "return { transform = function(p, e) return text.up(e.entry.city) .. "
      "tostring(text == again) end }");
  assert_string_equal(transformed(script, &event), "PARIStrue text/plain; charset=utf-8");
  assert_false(ops->changed(script));
  write_file("lib/text", "return 1", 8);
  assert_true(ops->changed(script));
  ops->free(script);
}

static void what_is_no_file_of_the_folder_is_not_required(void **state) {
  (void)state;
  assert_load_fails("require '../x'", "'../x': expected words of letters");
  assert_load_fails("require '/etc/passwd'", "expected words of letters");
  assert_load_fails("require 'io'", "io.lua: no such file in the folder of scripts");
  assert_load_fails("require 'crm'", "require 'crm': it requires itself");
}

static void a_version_is_its_files(void **state) {
  static const char text[] =
      "local t = require 'lib.a' return { filter = function() return t end }";
  char first[MP_SCRIPT_HASH + 1];
  mp_script *script;
  (void)state;
  write_file("lib/a", "return true", 11);
  script = loaded(text);
  snprintf(first, sizeof first, "%s", ops->hash(script));
  assert_int_equal(strlen(first), MP_SCRIPT_HASH);
  assert_int_equal(strspn(first, "0123456789abcdef"), MP_SCRIPT_HASH);
  ops->free(script);
  script = loaded(text);
  assert_string_equal(ops->hash(script), first);
  write_file("lib/a", "return false", 12);
  assert_true(kept(script)); /* as it was loaded */
  ops->free(script);
  script = loaded(text);
  assert_string_not_equal(ops->hash(script), first);
  ops->free(script);
}

static void a_touched_file_has_not_changed(void **state) {
  static const char text[] = "return { filter = function() return true end }";
  mp_script *script = loaded(text);
  (void)state;
  write_file("crm", text, sizeof text - 1);
  assert_false(ops->changed(script));
  write_file("crm", "return 1", 8);
  assert_true(ops->changed(script));
  ops->free(script);
}

/* ---- log ------------------------------------------------------------------------------------ */

static void lines_are_logged_and_bounded(void **state) {
  mp_script *script = loaded(
      "return { filter = function(event) log.info('a', 1, nil, event.model) "
      "log.warn('x\\ny') log.error(('z'):rep(2000)) return true end }");
  (void)state;
  assert_string_equal(logged, ""); /* none of the try on the sample */
  assert_true(kept(script));
  assert_int_equal(strlen(logged), strlen("3 a 1 nil address\n2 x y\n1 \n") + 1024);
  assert_memory_equal(logged, "3 a 1 nil address\n2 x y\n1 z", 27);
  ops->free(script);
  logged[0] = '\0';
  script =
      loaded("return { filter = function() for i = 1, 1000 do log.info(i) end return true end }");
  assert_true(kept(script));
  assert_non_null(strstr(logged, "3 100\n"));
  assert_null(strstr(logged, "3 101\n"));
  ops->free(script);
  logged[0] = '\0';
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
  const struct CMUnitTest tests[] = {
      TEST(a_script_sees_event_and_webhook),
      TEST(a_script_sees_no_password_of_the_url),
      TEST(payload_and_event_are_apart),
      TEST(a_payload_comes_out_as_it_went_in),
      TEST(keys_keep_their_order),
      TEST(constants_are_the_configs),
      TEST(a_filter_returns_true_or_false),
      TEST(a_route_returns_names),
      TEST(a_transform_returns_what_is_sent),
      TEST(what_a_transform_may_not_return_is_an_error),
      TEST(an_error_names_file_and_line),
      TEST(no_call_leaves_anything_to_the_next),
      TEST(random_numbers_come_from_the_event),
      TEST(a_script_that_is_none_is_not_loaded),
      TEST(each_phase_is_tried_on_a_sample),
      TEST(a_script_may_need_more_than_the_sample_has),
      TEST(patterns_say_which_events_come),
      TEST(files_of_the_folder_are_required),
      TEST(what_is_no_file_of_the_folder_is_not_required),
      TEST(a_version_is_its_files),
      TEST(a_touched_file_has_not_changed),
      TEST(lines_are_logged_and_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
