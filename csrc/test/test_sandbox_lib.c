/* The functions that scripts have: the same answers on both Luas. */
#include "sandbox_fixture.h"

typedef struct example {
  const char *expression;
  const char *text; /* what tostring makes of its values, with spaces between them */
} example;

/* All in one script, for loading one costs more than an expression. */
static void assert_examples(const example *examples, size_t count) {
  static char code[1 << 14];
  size_t at = 0;

  at += (size_t)snprintf(code, sizeof code,
                         "local function show(...) local t = {} for i = 1, select('#', ...) do "
                         "t[i] = tostring((select(i, ...))) end return table.concat(t, ' ') end "
                         "local out = {}\n");
  for (size_t i = 0; i < count; i++)
    at += (size_t)snprintf(code + at, sizeof code - at, "out[%zu] = show(%s)\n", i + 1,
                           examples[i].expression);
  snprintf(code + at, sizeof code - at, "return table.concat(out, '\\n')");
  assert_true(at < sizeof code - 64);
  for (const char *got = made(code); count > 0; examples++, count--) {
    size_t len = strcspn(got, "\n");
    if (count == 1) len = strlen(got) - strlen(" text/plain; charset=utf-8");
    if (len != strlen(examples->text) || memcmp(got, examples->text, len) != 0) {
      fail_msg("%s\nis       %.*s\nexpected %s", examples->expression, (int)len, got,
               examples->text);
    }
    got += len + 1;
  }
}

#define EXAMPLES(...)                                    \
  do {                                                   \
    static const example list[] = {__VA_ARGS__};         \
    assert_examples(list, sizeof list / sizeof list[0]); \
  } while (0)

static void base_functions(void **state) {
  (void)state;
  EXAMPLES(
      {"type(nil), type(1), type('x'), type({}), type(pairs), type(json.null)",
       "nil number string table function userdata"},
      {"tostring(nil), tostring(true), tostring({}), tostring(pairs), tostring(json.null)",
       "nil true table function null"},
      {"1, 1.0, 2.5, -0.5, 1e15, 2^53, 1e100, 10 / 2",
       "1 1 2.5 -0.5 1e+15 9.007199254741e+15 1e+100 5"},
      {"1/0, -1/0, 0/0 ~= 0/0", "inf -inf true"},
      {"tonumber('10'), tonumber(' 0x1F '), tonumber('1e2'), tonumber('5.'), tonumber('.5')",
       "10 31 100 5 0.5"},
      {"tonumber(''), tonumber('x'), tonumber('1 2'), tonumber('0x'), tonumber('1e')",
       "nil nil nil nil nil"},
      {"tonumber('-7'), tonumber('+7'), tonumber('inf'), tonumber('nan'), tonumber(nil)",
       "-7 7 nil nil nil"},
      {"tonumber('ff', 16), tonumber('zz', 36), tonumber('8', 8), tonumber('-101', 2)",
       "255 1295 nil -5"},
      {"tonumber('1\\0')", "nil"},
      {"select('#'), select('#', nil, nil), select(2, 'a', 'b', 'c')", "0 2 b c"},
      {"select(-1, 'a', 'b')", "b"}, {"pcall(error, 'x', 0)", "false x"},
      {"pcall(error)", "false nil"},
      {"pcall(function(...) return ... end, 1, nil, 3)", "true 1 nil 3"},
      {"xpcall(function(x) error(x, 0) end, function(e) return e .. '!' end, 'a')", "false a!"},
      {"xpcall(function(...) return ... end, error, 1, 2)", "true 1 2"},
      {"rawequal('a', 'a'), rawequal({}, {}), rawlen({ 1, 2 }), rawlen('abc')", "true false 2 3"},
      {"rawget(setmetatable({}, { __index = { x = 1 } }), 'x')", "nil"},
      {"setmetatable({}, { __index = { x = 1 } }).x", "1"},
      {"getmetatable(setmetatable({}, { __metatable = 'mine' }))", "mine"},
      {"pcall(setmetatable, setmetatable({}, { __metatable = 1 }), {})",
       "false cannot change a protected metatable"},
      {"tostring(setmetatable({}, { __tostring = function() return 'me' end }))", "me"},
      {"next({}), next({ 5 })", "nil 1 5"},
      {"next({ b = 1, a = 2, 7 }), select(2, next({ a = 2 }))", "1 2"},
      {"next({ b = 1, a = 2 }, 'a')", "b 1"}, {"next({ b = 1, a = 2 }, 'b')", "nil"},
      {"unpack({ 1, 2, 3 }, 2)", "2 3"}, {"assert(1, 'x'), #{ assert(1, 2, 3) }", "1 3"},
      {"select(2, pcall(assert, false, 'why')), select(2, pcall(assert, nil))",
       "why assertion failed!"});
}

static void pairs_goes_in_an_order(void **state) {
  (void)state;
  assert_makes(
      "local t = { 'x', 'y', zebra = 1, apple = 2, [10] = 3, [-1] = 4, [2.5] = 5 } "
      "local out = {} for k, v in pairs(t) do out[#out + 1] = tostring(k) .. v end "
      "return table.concat(out, ' ')",
      "-14 1x 2y 2.55 103 apple2 zebra1");
  assert_makes(
      "local out = {} for k in pairs(payload.entry) do out[#out + 1] = k end "
      "return table.concat(out, ' ')",
      "id city price tags geo rows none");
  assert_makes(
      "payload.entry.b, payload.entry.a = 1, 2 payload.entry.id = nil local out = {} "
      "for k in pairs(payload.entry) do out[#out + 1] = k end return table.concat(out, ' ')",
      "city price tags geo rows none a b");
  assert_makes(
      "local t, out = { a = 1, b = 2, c = 3 }, {} for k in pairs(t) do t.b = nil t[k .. k] "
      "= 1 out[#out + 1] = k end return table.concat(out, ' ')",
      "a c");
  assert_makes(
      "local t, out, k, v = { a = 1, b = 2, c = 3 }, {} repeat k, v = next(t, k) "
      "out[#out + 1] = tostring(k) until k == nil return table.concat(out, ' ')",
      "a b c nil");
  assert_makes(
      "local t, out = { 1, 2, nil, 4 }, {} for i in ipairs(t) do out[#out + 1] = i end "
      "return table.concat(out, ' ')",
      "1 2");
}

static void string_functions(void **state) {
  (void)state;
  EXAMPLES(
      {"('abc'):len(), #'abc', ('abc'):upper(), ('ABC'):lower(), ('abc'):reverse()",
       "3 3 ABC abc cba"},
      {"('\\196'):upper() == '\\196'", "true"},
      {"('abcdef'):sub(2, 3), ('abcdef'):sub(-2), ('abcdef'):sub(5, 2) == '', ('abc'):sub(0)",
       "bc ef true abc"},
      {"('abc'):sub(-100, 2), ('abc'):sub(2, 100), ('abc'):sub(4) == '', ('abc'):sub(1, -4) == ''",
       "ab bc true true"},
      {"('abc'):byte(), ('abc'):byte(-1), ('abc'):byte(1, -1)", "97 99 97 98 99"},
      {"select('#', ('abc'):byte(10)), select('#', (''):byte())", "0 0"},
      {"string.char(), string.char(72, 105)", " Hi"},
      {"('ab'):rep(3), ('ab'):rep(2, ','), ('x'):rep(0) == '', ('x'):rep(-1) == ''",
       "ababab ab,ab true true"},
      {"('%d|%5d|%-5d|%05d|%+d'):format(3, 42, 42, 42, 42)", "3|   42|42   |00042|+42"},
      {"('%d'):format(3.0), ('%d'):format('10'), ('%x %X %o %i'):format(255, 255, 8, 7)",
       "3 10 ff FF 10 7"},
      {"pcall(string.format, '%d', 1.5)",
       "false bad argument #2 to '?' (number has no integer representation)"},
      {"('%.3f|%8.2f|%e|%g|%g'):format(1/3, 2.5, 12345.678, 0.1, 1e20)",
       "0.333|    2.50|1.234568e+04|0.1|1e+20"},
      {"('%s|%10s|%-10s|%.2s|%5.1s'):format('abc', 'abc', 'abc', 'abc', 'abc')",
       "abc|       abc|abc       |ab|    a"},
      {"('%s %s %s %s'):format(nil, true, 1.0, json.null)", "nil true 1 null"},
      {"('%s'):format(setmetatable({}, { __tostring = function() return 'me' end }))", "me"},
      {"('%c%c'):format(72, 105), ('%%'):format(), ('%5%'):len()", "Hi % 3"},
      {"pcall(string.format, '%q', 'x')", "false invalid option '%q' to 'format'"},
      {"pcall(string.format, '%p', {})", "false invalid option '%p' to 'format'"},
      {"pcall(string.format, '%s')", "false bad argument #2 to '?' (no value)"},
      {"pcall(string.format, '%100d', 1)", "false invalid format (width or precision too long)"},
      {"('hello'):find('l'), ('hello'):find('xyz'), ('a.b'):find('.', 1, true)", "3 nil 2 2"},
      {"('key = value'):match('^(%w+)%s*=%s*(%w+)$')", "key value"},
      {"('abc'):gsub('%w', '%0%0')", "aabbcc 3"},
      {"('$name is $age'):gsub('%$(%w+)', { name = 'Ann', age = 7 })", "Ann is 7 2"});
}

static void table_functions(void **state) {
  (void)state;
  EXAMPLES(
      {"table.concat({ 1, 2.5, 'x' }, ', '), table.concat({}), table.concat({ 1, 2, 3 }, '', 2, 3)",
       "1, 2.5, x  23"},
      {"pcall(table.concat, { 1, {} })", "false table.concat: item 2 is a table"},
      {"table.unpack({ 1, 2, 3 }), select('#', table.unpack({}, 1, 3))", "1 3"},
      {"table.pack(1, nil, 3).n, #table.pack()", "3 0"},
      {"table.concat(table.move({ 1, 2, 3 }, 2, 3, 1), ',')", "2,3,3"},
      {"table.concat(table.move({ 1, 2, 3 }, 1, 3, 2), ',')", "1,1,2,3"},
      {"table.concat(table.move({ 1, 2 }, 1, 2, 1, {}), ',')", "1,2"},
      {"table.remove({}), table.remove({ 1, 2 }), table.remove({ 1, 2 }, 1)", "nil 2 1"},
      {"pcall(table.insert, { 1 }, 5, 2)", "false bad argument #2 to '?' (position out of bounds)"},
      {"pcall(table.remove, { 1 }, 5)", "false bad argument #2 to '?' (position out of bounds)"});
  assert_makes(
      "local t = { 1, 2, 3 } table.insert(t, 4) table.insert(t, 1, 0) table.remove(t, 3) "
      "return table.concat(t, ',')",
      "0,1,3,4");
}

static void sorting_is_stable(void **state) {
  (void)state;
  assert_makes("local t = { 3, 1, 2 } table.sort(t) return table.concat(t, ',')", "1,2,3");
  assert_makes(
      "local t = { 'b', 'a', 'c' } table.sort(t, function(a, b) return a > b end) "
      "return table.concat(t, ',')",
      "c,b,a");
  assert_makes(
      "local t = {} for i = 1, 1000 do t[i] = { (i * 7919) % 10, i } end "
      "table.sort(t, function(a, b) return a[1] < b[1] end) "
      "for i = 2, 1000 do local a, b = t[i - 1], t[i] "
      "if a[1] > b[1] or (a[1] == b[1] and a[2] > b[2]) then return 'unstable' end end "
      "return 'stable'",
      "stable");
  assert_makes(
      "local t = { 1, 2, 3, 4, 5 } table.sort(t, function() return true end) "
      "return tostring(#t)",
      "5");
  assert_makes("return tostring(select('#', table.sort({})))", "0");
  assert_fails("if event.model == 'address' then table.sort({ 1, 'x' }) end", "attempt to compare");
}

static void math_functions(void **state) {
  (void)state;
  EXAMPLES(
      {"math.floor(2.7), math.floor(-2.7), math.ceil(2.1), math.floor(5), math.abs(-3)",
       "2 -3 3 5 3"},
      {"math.max(1, 3, 2), math.min(3, 1, 2), math.max(1.5, 1), math.huge, -math.huge",
       "3 1 1.5 inf -inf"},
      {"math.fmod(7, 3), math.fmod(-7, 3), math.fmod(7.5, 2), math.modf(3.7)", "1 -1 1.5 3 0.7"},
      {"math.sqrt(16), math.exp(0), math.log(1), math.log(8, 2), math.log(100, 10)", "4 1 0 3 2"},
      {"math.sin(0), math.cos(0), math.tan(0), math.asin(0), math.acos(1), math.atan(0)",
       "0 1 0 0 0 0"},
      {"math.deg(math.pi), math.rad(180) == math.pi, math.atan(1, 1) == math.pi / 4",
       "180 true true"},
      {"math.tointeger(3.0), math.tointeger(3.5), math.tointeger('3'), math.tointeger(3)",
       "3 nil nil 3"});
  assert_makes(
      "for i = 1, 1000 do local r, d, x = math.random(), math.random(6), math.random(-2, 2) "
      "assert(r >= 0 and r < 1) assert(d >= 1 and d <= 6 and d % 1 == 0) "
      "assert(x >= -2 and x <= 2 and x % 1 == 0) end return 'in range'",
      "in range");
  /* The same on both Luas, for they may share a store. */
  assert_makes("return math.random(1000000) .. ' ' .. math.random(10) .. ' ' .. math.random(-5, 5)",
               "88667 4 -5");
}

static void utf8_functions(void **state) {
  (void)state;
  EXAMPLES(
      {"utf8.len('h\\195\\169llo'), utf8.len(''), utf8.len('abc', 2), utf8.len('abc', -1)",
       "5 0 2 1"},
      {"utf8.len('a\\255')", "nil 2"},
      {"utf8.char(72, 233, 8364, 128512), utf8.char()", "H\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80 "},
      {"utf8.codepoint('\\226\\130\\172'), utf8.codepoint('abc', 1, -1)", "8364 97 98 99"},
      {"utf8.offset('a\\195\\169b', 3), utf8.offset('a\\195\\169b', -1), utf8.offset('abc', 5)",
       "4 4 nil"},
      {"utf8.offset('a\\195\\169b', 0, 3), utf8.offset('abc', 4)", "2 4"},
      {"pcall(utf8.char, 0xD800)", "false bad argument #1 to '?' (value out of range)"},
      {"pcall(utf8.codepoint, '\\255')", "false invalid UTF-8 code"},
      {"select(2, ('h\\195\\169'):gsub(utf8.charpattern, ''))", "2"});
  assert_makes(
      "local t = {} for p, c in utf8.codes('a\\195\\169\\226\\130\\172') do t[#t + 1] = p .. "
      "':' .. c end return table.concat(t, ' ')",
      "1:97 2:233 4:8364");
}

static void time_is_the_events(void **state) {
  (void)state;
  EXAMPLES(
      {"os.time()", "1578646056"},
      {"os.date('%Y-%m-%d %H:%M:%S'), os.date('!%Y-%m-%dT%H:%M:%SZ', 0)",
       "2020-01-10 08:47:36 1970-01-01T00:00:00Z"},
      {"os.time({ year = 2020, month = 1, day = 10, hour = 8, min = 47, sec = 36 })", "1578646056"},
      {"os.time({ year = 2020, month = 14, day = -1 })", "1612008000"},
      {"os.date('*t').year, os.date('!*t', 0).hour, os.date('*t').wday, os.date('*t').isdst",
       "2020 0 6 false"},
      {"os.difftime(os.time(), 0), os.date('%Z %A %b %%')", "1578646056 UTC Friday Jan %"},
      {"pcall(os.date, '%Ez')", "false os.date: invalid conversion specifier '%E'"},
      {"pcall(os.time, {})", "false field 'year' missing in date table"});
}

static void crypto_and_base64(void **state) {
  (void)state;
  EXAMPLES(
      {"crypto.sha256('abc')", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"crypto.hmac_sha256('Jefe', 'what do ya want for nothing?')",
       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {"crypto.sha256('abc', 'base64'), #crypto.sha256('abc', 'raw')",
       "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0= 32"},
      {"base64.encode('foobar'), base64.encode(''), base64.decode('Zm9v'), base64.decode('Z')",
       "Zm9vYmFy  foo nil not base64"},
      {"base64.decode(base64.encode(crypto.sha256('', 'raw'))) == crypto.sha256('', 'raw')",
       "true"},
      {"pcall(crypto.sha256, 'abc', 'rot13')",
       "false bad argument #2 to '?' (invalid option 'rot13')"});
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
  const struct CMUnitTest tests[] = {
      TEST(base_functions),  TEST(pairs_goes_in_an_order), TEST(string_functions),
      TEST(table_functions), TEST(sorting_is_stable),      TEST(math_functions),
      TEST(utf8_functions),  TEST(time_is_the_events),     TEST(crypto_and_base64),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
