/* JSON in scripts: nothing of it is lost on the way in and out again. */

#include "comma_locale.h"
#include "sandbox_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The entry as the script leaves it. */
static const char *entry_after(const char *entry, const char *code) {
  static char body[1 << 15], result[1 << 16];
  mp_script_event of = event;
  char source[1024];
  mp_script *script;
  const char *text;

  snprintf(source, sizeof source,
           "return { transform = function(payload, event)\n"
           "if event.model ~= 'address' then return nil end local e = payload.entry %s "
           "return payload.entry end }",
           code);
  script = loaded(source);
  snprintf(body, sizeof body, "{\"event\":\"entry.create\",\"model\":\"address\",\"entry\":%s}",
           entry);
  of.body = body;
  of.body_len = strlen(body);
  text = transformed(script, &of);
  snprintf(result, sizeof result, "%s", text ? text : error.message);
  ops->free(script);
  return result;
}

static void assert_stays(const char *entry) {
  assert_string_equal(entry_after(entry, ""), entry); /* not looked into */
  assert_string_equal(
      entry_after(entry, "local _ = e.x for k, v in pairs(e) do rawset(e, k, v) end"), entry);
  assert_string_equal(entry_after(entry, "payload.entry = json.decode(json.encode(e))"), entry);
}

static void numbers_keep_their_digits(void **state) {
  static const char *const numbers[] = {"0",
                                        "1",
                                        "-1",
                                        "1.5",
                                        "0.1",
                                        "1e+21",
                                        "1e-7",
                                        "9007199254740991",
                                        "9007199254740992",
                                        "9007199254740993",
                                        "-9007199254740993",
                                        "9223372036854775807",
                                        "-9223372036854775808",
                                        "9223372036854775808",
                                        "18446744073709551615",
                                        "123456789012345678901234567890",
                                        "1e400",
                                        "-1e400",
                                        "1e-400",
                                        "0.1000000000000000055511151231257827",
                                        "3.141592653589793238462643",
                                        "1.7976931348623157e+308"};
  char entry[128];
  (void)state;
  for (size_t i = 0; i < COUNT(numbers); i++) {
    snprintf(entry, sizeof entry, "{\"n\":%s,\"list\":[%s]}", numbers[i], numbers[i]);
    assert_stays(entry);
  }
}

/* The same value, in the form that JSON.stringify gives it. */
static void numbers_that_became_luas_are_written_shortest(void **state) {
  static const char *const cases[][2] = {
      {"1.50", "1.5"}, {"100.0", "100"}, {"1e2", "100"},    {"1E+2", "100"},      {"-0", "0"},
      {"-0.0", "0"},   {"0.10e1", "1"},  {"1e21", "1e+21"}, {"5e-324", "5e-324"}, {"0e5", "0"}};
  char entry[64], expected[64];
  (void)state;
  for (size_t i = 0; i < COUNT(cases); i++) {
    snprintf(entry, sizeof entry, "{\"n\":%s}", cases[i][0]);
    snprintf(expected, sizeof expected, "{\"n\":%s}", cases[i][1]);
    assert_string_equal(entry_after(entry, "e.x = nil"), expected);
    assert_string_equal(entry_after(entry, ""), entry);
  }
}

/* A number that the Lua at hand has no number for: it prints and compares by its digits. */
static void exact_numbers_are_digits(void **state) {
  (void)state;
  assert_makes(
      "local n = json.decode('123456789012345678901234567890') return tostring(n) .. ' ' .. n",
      "123456789012345678901234567890 123456789012345678901234567890");
  assert_makes("local n = json.decode('123456789012345678901234567890') return ('%s'):format(n)",
               "123456789012345678901234567890");
  assert_makes("local a, b = json.decode('1e400'), json.decode('10e399') return tostring(a == b)",
               "true");
  assert_makes("local a, b = json.decode('1e400'), json.decode('1e401') return tostring(a == b)",
               "false");
  assert_makes("return tostring(tonumber(json.decode('123456789012345678901234567890')))",
               "1.2345678901235e+29");
  assert_makes("return table.concat({ json.decode('1e400'), 'x' }, ',')", "1e400,x");
  assert_fails("if event.model == 'address' then return json.decode('1e400') + 1 end",
               "attempt to perform arithmetic");
  assert_makes("return event.entry.id .. ''", "9007199254740993");
  assert_makes("return { id = event.entry.id }", "{\"id\":9007199254740993}");
}

static void shapes_stay(void **state) {
  (void)state;
  assert_stays("{}");
  assert_stays("[]");
  assert_stays("{\"a\":[],\"b\":{},\"c\":[[],{}],\"d\":{\"e\":[]}}");
  assert_stays("{\"z\":1,\"a\":{\"y\":null,\"b\":true,\"x\":false}}");
  assert_stays("[1,\"2\",null,true,{\"a\":[]}]");
  assert_stays("{\"\":1,\" \":2,\"1\":3,\"é\":\"\xF0\x9F\x98\x80\"}");
  assert_stays("{\"s\":\"a\\\"b\\\\c\\n\\u0001\"}");
  assert_string_equal(entry_after("{\"s\":\"\\u00e9\\/\\ud83d\\ude00\\u0000\"}", "e.x = nil"),
                      "{\"s\":\"\xC3\xA9/\xF0\x9F\x98\x80\\u0000\"}");
  assert_string_equal(entry_after("{ \"a\" : [ 1 , 2 ] , \"b\" : { \"c\" : 1 } }", "e.x = nil"),
                      "{\"a\":[1,2],\"b\":{ \"c\" : 1 }}");
}

static void keys_that_need_decoding_are_found(void **state) {
  (void)state;
  assert_string_equal(entry_after("{\"\\u0061\\\"\":1,\"b\":2}", "e['a\"'] = e['a\"'] + 1"),
                      "{\"a\\\"\":2,\"b\":2}");
}

static void changes_are_written(void **state) {
  (void)state;
  assert_string_equal(entry_after("{\"a\":1,\"b\":2}", "e.a = nil"), "{\"b\":2}");
  assert_string_equal(entry_after("{\"a\":1,\"b\":2}", "e.a = nil e.a = 3"), "{\"a\":3,\"b\":2}");
  assert_string_equal(entry_after("{\"a\":1,\"b\":2}", "e.a, e.b = nil, nil"), "{}");
  assert_string_equal(entry_after("{\"b\":1}", "e.c = 1 e.a = 2"), "{\"b\":1,\"a\":2,\"c\":1}");
  assert_string_equal(entry_after("{\"b\":1}", "e.b = json.null"), "{\"b\":null}");
  assert_string_equal(entry_after("{\"t\":[1,2]}", "table.insert(e.t, 3)"), "{\"t\":[1,2,3]}");
  assert_string_equal(entry_after("{\"t\":[1,2]}", "table.remove(e.t) table.remove(e.t)"),
                      "{\"t\":[]}");
  assert_string_equal(entry_after("{\"o\":{\"a\":1}}", "e.o.b = {}"), "{\"o\":{\"a\":1,\"b\":{}}}");
  assert_string_equal(entry_after("{\"o\":{\"a\":1}}", "rawset(e.o, 'b', json.array())"),
                      "{\"o\":{\"a\":1,\"b\":[]}}");
  assert_string_equal(entry_after("{\"o\":{\"a\":1}}", "e.copy = e.o e.o.a = 2"),
                      "{\"o\":{\"a\":2},\"copy\":{\"a\":2}}");
  assert_string_equal(entry_after("[1]", "payload.entry = { e[1], e }"), "[1,[1]]");
}

static void lists_with_holes_are_refused(void **state) {
  (void)state;
  assert_non_null(strstr(entry_after("{\"t\":[1,2,3]}", "e.t[2] = nil"),
                         "payload.t: a list with holes or with other keys is no JSON"));
  assert_non_null(strstr(entry_after("{\"t\":[1,2,3]}", "e.t.x = 1"),
                         "payload.t: a list with holes or with other keys is no JSON"));
}

/* The first look reads the text, the second the table: a script sees no difference. */
static void a_first_look_is_like_any_other(void **state) {
  static const char entry[] =
      "{\"o\":{\"x\":\"}\"},\"a\":1,\"\\u0062\":\"two\",\"n\":null,\"l\":[1],\"z\":false}";
  (void)state;
  assert_string_equal(entry_after(entry,
                                  "payload.entry = e.a .. e.b .. tostring(e.n) .. "
                                  "tostring(e.z) .. tostring(e.none)"),
                      "1twonullfalsenil text/plain; charset=utf-8");
  assert_string_equal(entry_after(entry, "payload.entry = e.b .. tostring(e.o == e.o) .. e.o.x"),
                      "twotrue} text/plain; charset=utf-8");
  assert_string_equal(entry_after(entry, "payload.entry = tostring(e.z) .. e.l[1]"),
                      "false1 text/plain; charset=utf-8");
  assert_string_equal(entry_after(entry, "local _ = e.a"), entry);
  assert_string_equal(entry_after("{\"a\":1,\"b\":2}", "local _ = e.a e.a = nil"), "{\"b\":2}");
  assert_string_equal(entry_after("{\"a\":1,\"b\":2}", "local _ = e.none e.none = e.b e.a = nil"),
                      "{\"b\":2,\"none\":2}");
  assert_string_equal(entry_after("{\"a\":1,\"b\":2}", "local _ = e.a rawset(e, 'a', 3)"),
                      "{\"a\":3,\"b\":2}");
}

/* All that reads a table raw sees what is in one that nobody looked into before. */
static void raw_access_sees_what_waits(void **state) {
  static const char *const codes[] = {
      "for k in pairs(e) do return k end",
      "return (next(e))",
      "return rawget(e, 'a') == 1 and 'a'",
      "rawset(e, 'b', 2) return e.a == 1 and 'a'",
      "return getmetatable(e) == nil and 'a'",
      "return setmetatable(e, { __index = { z = 1 } }).a == 1 and 'a'",
      "return setmetatable({}, { __index = e }).a == 1 and 'a'",
      "return (('a'):gsub('a', e)) == '1' and 'a'",
      "return tostring(e) == 'table' and 'a'",
      "return json.encode(e) == '{\"a\":1}' and 'a'",
      "return table.concat(json.array(e)) == '' and 'a'"};
  char code[512];
  (void)state;
  for (size_t i = 0; i < COUNT(codes); i++) {
    snprintf(code, sizeof code, "payload.entry = (function() %s end)()", codes[i]);
    assert_string_equal(entry_after("{\"a\":1}", code), "a text/plain; charset=utf-8");
  }
}

static void decode_tells_what_is_wrong(void **state) {
  (void)state;
  assert_makes("return select(2, json.decode('{\"a\":[1,}'))",
               "value.a[2]: not JSON: expected a value (byte 9)");
  assert_makes("return select(2, json.decode('1 2'))",
               "value: more text after the JSON value (byte 3)");
  assert_makes("return select(2, json.decode('{\"a\":1,\"a\":2}'))",
               "value.a: this key is there twice (byte 8)");
  assert_makes("return select(2, json.decode(''))",
               "value: the JSON text ends where a value is expected (byte 1)");
  assert_makes("return tostring(json.decode('null') == json.null)", "true");
  assert_fails("if event.model == 'address' then return json.encode(nil) end",
               "nil is no JSON: use json.null");
  assert_fails("if event.model == 'address' then return json.encode({ x = function() end }) end",
               "value.x: a function is no JSON");
}

static void the_hosts_locale_says_nothing(void **state) {
  (void)state;
  enter_comma_locale();
  assert_stays("{\"n\":1.5,\"m\":0.1000000000000000055511151231257827}");
  assert_makes("return ('%.2f %s'):format(1.5, tostring(2.5)) .. tonumber('3.5')", "1.50 2.53.5");
  leave_comma_locale();
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
  const struct CMUnitTest tests[] = {
      TEST(numbers_keep_their_digits),         TEST(numbers_that_became_luas_are_written_shortest),
      TEST(exact_numbers_are_digits),          TEST(shapes_stay),
      TEST(keys_that_need_decoding_are_found), TEST(changes_are_written),
      TEST(lists_with_holes_are_refused),      TEST(a_first_look_is_like_any_other),
      TEST(raw_access_sees_what_waits),        TEST(decode_tells_what_is_wrong),
      TEST(the_hosts_locale_says_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
