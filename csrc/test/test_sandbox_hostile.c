/* Scripts that mean harm: each is stopped within twice its limit, its memory returns, and the next
 * call goes on. What a call used is what it is measured by, no clock on the wall. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "sandbox_fixture.h"

/* The sample that loading tries is spared, so that the code meets the event. */
#define HARMLESS "if event.model ~= 'address' then return true end\n"

static const mp_script_limits tight = {
    .time_us = 30000000, .instructions = 300000, .memory = 4 << 20};

static mp_script *hostile(const char *code) {
  static char source[4096];
  snprintf(source, sizeof source,
           "return { filter = function(event, webhook)\n" HARMLESS "%s\nend }", code);
  return loaded(source);
}

static mp_code run(mp_script *script, const mp_script_event *of) {
  bool keep;
  return ops->filter(script, of, &hook, &keep, &use, &error);
}

/* The state is there for the next call, and holds no more than a new one does. */
static void assert_goes_on(mp_script *script, const char *code) {
  mp_script_event other = event;
  bool keep = false;

  other.body = "{\"event\":\"entry.create\",\"model\":\"other\"}";
  other.body_len = strlen(other.body);
  if (ops->filter(script, &other, &hook, &keep, &use, &error) != MP_OK || !keep) {
    fail_msg("%s\nthen: %s", code, error.message);
  }
  if (use.memory > 1 << 20) fail_msg("%s\nleft %zu bytes", code, use.memory);
}

static void assert_within(const char *code) {
  if (use.instructions > 2 * limits.instructions || use.memory > 2 * limits.memory ||
      use.cpu_us > 2 * limits.time_us) {
    fail_msg("%s\nused %lld instructions, %zu bytes, %lld us", code, (long long)use.instructions,
             use.memory, (long long)use.cpu_us);
  }
}

static void assert_stopped(const char *code, const char *why) {
  mp_script *script;

  limits = tight;
  script = hostile(code);
  for (int i = 0; i < 2; i++) {
    mp_code got = run(script, &event);
    if (got != MP_EINVAL) fail_msg("was not stopped, but %s: %s", mp_code_name(got), code);
    if (!strstr(error.message, why)) fail_msg("%s\n%s\nhas no %s", code, error.message, why);
    assert_within(code);
    assert_goes_on(script, code);
  }
  ops->free(script);
}

/* It ends by itself, whatever it comes to. */
static void assert_ends(const char *code) {
  char source[2048];
  mp_script *script;

  limits = tight;
  snprintf(source, sizeof source, "do %s end return true", code);
  script = hostile(source);
  if (run(script, &event) != MP_OK) fail_msg("%s\n%s", code, error.message);
  assert_within(code);
  assert_goes_on(script, code);
  ops->free(script);
}

#define INSTRUCTIONS "over its limit of 300000 instructions"
#define MEMORY       "over its limit of 4194304 bytes of memory"
#define LIMIT        "over its limit of"

/* ---- instructions --------------------------------------------------------------------------- */

static void loops_are_stopped(void **state) {
  (void)state;
  assert_stopped("while true do end", INSTRUCTIONS);
  assert_stopped("for i = 1, math.huge do end", INSTRUCTIONS);
  assert_stopped("local function f() return f() end return f()", INSTRUCTIONS);
  assert_stopped("local t = { 1 } while next(t) do end", INSTRUCTIONS);
  assert_stopped("while true do tostring(1) end", INSTRUCTIONS);
  assert_stopped("local s = '' while true do s:find('x') end", INSTRUCTIONS);
  assert_stopped("while true do local _ = event.entry end", INSTRUCTIONS);
  assert_stopped("for _ in function() return 1 end do end", INSTRUCTIONS);
}

static void no_pcall_goes_on_after_a_limit(void **state) {
  (void)state;
  assert_stopped("while true do pcall(function() while true do end end) end", INSTRUCTIONS);
  assert_stopped("local function f() pcall(f) while true do end end f()", LIMIT);
  assert_stopped("local function f() while true do pcall(f) end end f()", LIMIT);
  assert_stopped("local ok = pcall(function() while true do end end) return true", INSTRUCTIONS);
  assert_stopped("local ok = pcall(pcall, pcall, function() while true do end end) return true",
                 INSTRUCTIONS);
  assert_stopped("pcall(string.gsub, 'x', '.', function() while true do end end) return true",
                 INSTRUCTIONS);
}

static void no_error_handler_goes_on_after_a_limit(void **state) {
  (void)state;
  assert_stopped(
      "xpcall(function() while true do end end, function() while true do end end) "
      "return true",
      INSTRUCTIONS);
  assert_stopped("xpcall(function() error('x') end, function() while true do end end) return true",
                 INSTRUCTIONS);
  assert_stopped("while true do xpcall(function() error('x') end, function(e) error(e) end) end",
                 INSTRUCTIONS);
  assert_stopped(
      "local function h(e) return xpcall(error, h, e) end xpcall(error, h, 'x') "
      "while true do end",
      LIMIT);
}

static void metamethods_are_counted(void **state) {
  (void)state;
  assert_stopped("return setmetatable({}, { __index = function() while true do end end }).x",
                 INSTRUCTIONS);
  assert_stopped(
      "local t = setmetatable({}, { __lt = function() while true do end end }) "
      "table.sort({ t, t, t })",
      INSTRUCTIONS);
  assert_stopped(
      "return tostring(setmetatable({}, { __tostring = function() while true do end "
      "end }))",
      INSTRUCTIONS);
  assert_stopped(
      "return ('x'):gsub('.', setmetatable({}, { __index = function() while true do end "
      "end }))",
      INSTRUCTIONS);
  assert_stopped(
      "local t = setmetatable({}, { __concat = function() while true do end end }) "
      "return t .. 'x'",
      INSTRUCTIONS);
}

static void there_are_no_coroutines(void **state) {
  (void)state;
  assert_stopped("coroutine.wrap(function() while true do end end)()",
                 "'coroutine' is not among what scripts have");
}

/* ---- patterns ------------------------------------------------------------------------------- */

static void pattern_bombs_are_stopped(void **state) {
  (void)state;
  assert_stopped("return ('a'):rep(30):find(('a?'):rep(30) .. ('a'):rep(30)) ~= nil", INSTRUCTIONS);
  assert_stopped("return ('a'):rep(5000):find('.-.-.-.-b') ~= nil", INSTRUCTIONS);
  assert_stopped("return ('a'):rep(5000):match('(.*)(.*)(.*)b') ~= nil", INSTRUCTIONS);
  assert_stopped("for _ in ('a'):rep(5000):gmatch('a*a*a*b') do end", INSTRUCTIONS);
  assert_stopped("return ('a'):rep(5000):gsub('a*a*a*b', '') == ''", INSTRUCTIONS);
  assert_stopped("return pcall(string.find, ('a'):rep(5000), '.-.-.-.-b')", INSTRUCTIONS);
  assert_stopped("return ('('):rep(200000):find('%b()') ~= nil", INSTRUCTIONS);
  assert_stopped("return ('a'):rep(100000):find('[' .. ('b'):rep(100000) .. ']') ~= nil",
                 INSTRUCTIONS);
}

/* ---- memory --------------------------------------------------------------------------------- */

static void memory_bombs_are_stopped(void **state) {
  (void)state;
  assert_stopped("return ('x'):rep(1e9) == ''", LIMIT);
  assert_stopped("return ('x'):rep(1e6, ('y'):rep(1e4)) == ''", LIMIT);
  assert_stopped("local s = 'x' while true do s = s .. s end", MEMORY);
  assert_stopped("local t = {} while true do t[#t + 1] = {} end", LIMIT);
  assert_stopped("local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(50000) .. i end", MEMORY);
  assert_stopped("local s = ('x'):rep(4000) while true do s = s:gsub('.', '%0%0%0%0') end", LIMIT);
  assert_stopped("local t = {} for i = 1, 200 do t[i] = ('x'):rep(50000) end", LIMIT);
  assert_stopped(
      "local s = ('x'):rep(50000) local t = {} for i = 1, 2000 do t[i] = s end "
      "return table.concat(t) == ''",
      LIMIT);
  assert_stopped(
      "local t = {} for i = 1, 2000 do t[i] = ('x'):rep(2500) end "
      "return table.concat(t) == ''",
      LIMIT);
  assert_stopped("local function f(...) return f(1, ...) end f()", "");
}

static void no_pcall_goes_on_after_memory_is_refused(void **state) {
  (void)state;
  assert_stopped("pcall(function() local s = 'x' while true do s = s .. s end end) return true",
                 MEMORY);
  assert_stopped(
      "local function bomb() local s = 'x' while true do s = s .. s end end "
      "while true do pcall(bomb) end",
      MEMORY);
  assert_stopped(
      "xpcall(function() local s = 'x' while true do s = s .. s end end, function() "
      "local s = 'x' while true do s = s .. s end end) return true",
      MEMORY);
}

static void huge_values_are_stopped(void **state) {
  (void)state;
  assert_stopped("local t = {} for i = 1, 40 do t = { t, t } end return json.encode(t) == ''",
                 LIMIT);
  assert_stopped("return json.decode(('['):rep(1000000)) == nil", LIMIT);
  assert_stopped("return #json.decode('[' .. ('1,'):rep(400000) .. '1]')", LIMIT);
  assert_stopped("return select('#', ('x'):rep(2000000):byte(1, -1))", LIMIT);
  assert_stopped("return select('#', table.unpack({}, 1, 900000))",
                 ""); /* LuaJIT's stack is less */
  assert_stopped("return table.unpack({}, 1, 1e8)", "too many results to unpack");
  assert_stopped("return string.format(('%99.99f'):rep(40000), 1)", "no value");
  assert_stopped(
      "local f = {} for i = 1, 200 do f[i] = 1e300 end while true do "
      "string.format(('%99.99f'):rep(200), table.unpack(f)) end",
      LIMIT);
  assert_stopped("local t = {} for i = 1, 900000 do t[i] = i end return true", LIMIT);
}

static void comparing_long_texts_is_stopped_in_time(void **state) {
  mp_script *script;
  (void)state;
  limits = tight;
  limits.time_us = 100000;
  limits.instructions = INT64_MAX / 4;
  script = hostile(
      "local a, b = ('x'):rep(400000), ('x'):rep(400000) .. 'y' "
      "while true do local _ = a < b end");
  assert_int_equal(run(script, &event), MP_EINVAL);
  assert_non_null(strstr(error.message, "over its limit of 0.1 seconds"));
  assert_within("");
  assert_goes_on(script, "");
  ops->free(script);
  script = hostile("local a = ('x'):rep(1000000) while true do local _ = a .. 'y' end");
  assert_int_equal(run(script, &event), MP_EINVAL);
  assert_non_null(strstr(error.message, "over its limit of 0.1 seconds"));
  assert_within("");
  assert_goes_on(script, "");
  ops->free(script);
}

/* ---- recursion ------------------------------------------------------------------------------ */

static void recursion_ends(void **state) {
  (void)state;
  assert_stopped("local function f() return 1 + f() end return f()", "");
  assert_stopped("local function f() ('x'):gsub('.', f) end f() error('through')", "over 100 deep");
  assert_stopped("local function f() table.sort({ 1, 2 }, f) end f()", "over 100 deep");
  assert_stopped(
      "local t t = setmetatable({}, { __tostring = function() return tostring(t) end }) "
      "return tostring(t)",
      "over 100 deep");
  assert_stopped(
      "local t t = setmetatable({}, { __index = function(_, k) return ('x'):gsub('.', t) "
      "end }) return ('x'):gsub('.', t)",
      "over 100 deep");
  assert_stopped(
      "local t t = setmetatable({}, { __lt = function() table.sort({ t, t }) end }) "
      "table.sort({ t, t })",
      "over 100 deep");
  assert_stopped("local function f() local ok, e = pcall(f) if not ok then error(e, 0) end end f()",
                 "");
  assert_ends("return pcall(json.decode, ('['):rep(101) .. (']'):rep(101)) == true");
  assert_stopped(
      "local t = {} local u = t for i = 1, 101 do u[1] = {} u = u[1] end "
      "return json.encode(t)",
      "nested more than 100 deep");
  assert_stopped(
      "local a, b = {}, {} setmetatable(a, { __index = b }) setmetatable(b, { __index = "
      "a }) return a.x",
      "");
}

/* ---- what is not there ---------------------------------------------------------------------- */

static void nothing_leads_out(void **state) {
  static const char *const names[] = {
      "load",    "loadstring", "loadfile", "dofile", "io",  "debug",     "package",
      "getfenv", "setfenv",    "newproxy", "ffi",    "jit", "print",     "collectgarbage",
      "module",  "arg",        "bit",      "bit32",  "ngx", "coroutine", "_VERSION"};
  static const char *const fields[] = {
      "string.dump",     "os.exit",      "os.getenv",  "os.execute",   "os.remove",
      "os.clock",        "os.rename",    "os.tmpname", "os.setlocale", "table.foreach",
      "math.randomseed", "string.gfind", "('').dump"};
  char code[128];
  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    snprintf(code, sizeof code, "return %s ~= nil", names[i]);
    assert_stopped(code, names[i]);
    snprintf(code, sizeof code, "return rawget(_G, '%s') == nil", names[i]);
    assert_ends(code);
  }
  for (size_t i = 0; i + 1 < sizeof fields / sizeof fields[0]; i++) {
    snprintf(code, sizeof code, "return %s ~= nil", fields[i]);
    assert_stopped(code, "is not among what scripts have");
  }
  assert_ends("assert(('').dump == nil)");
}

static void libraries_are_not_written_to(void **state) {
  (void)state;
  assert_stopped("string.rep = nil", "string is read-only");
  assert_stopped("function table.trim() end", "table is read-only");
  assert_stopped("rawset(string, 'x', 1)", "table expected");
  assert_stopped("table.insert(string, 1)", "table expected");
  assert_stopped("setmetatable(string, {})", "table expected");
  assert_stopped("json.null.x = 1", "");
  assert_ends("assert(getmetatable(string) == nil)");
  assert_ends("assert(getmetatable('') == nil)");
  assert_ends("assert(getmetatable(json.null) == nil)");
  assert_ends("assert(getmetatable(_G) == false)");
  assert_stopped("setmetatable(_G, {})", "cannot change a protected metatable");
  assert_stopped("for k in pairs(string) do end", "table expected");
}

static void finalizers_and_weak_tables_are_refused(void **state) {
  (void)state;
  assert_stopped("setmetatable({}, { __gc = function() while true do end end })", "'__gc'");
  assert_stopped("setmetatable({}, { __gc = true })", "'__gc'");
  assert_stopped("setmetatable({}, { __mode = 'k' })", "'__mode'");
  assert_stopped("setmetatable({}, { __close = function() end })", "'__close'");
  assert_ends(
      "local mt = {} for i = 1, 1000 do setmetatable({}, mt) end "
      "mt.__gc = function() while true do end end");
}

#if LUA_VERSION_NUM >= 504
static void closing_goes_on_no_longer_than_the_limit(void **state) {
  (void)state;
  assert_stopped(
      "local mt = {} local t = setmetatable({}, mt) "
      "mt.__close = function() while true do end end local x <close> = t",
      INSTRUCTIONS);
  assert_stopped(
      "local mt = {} local t = setmetatable({}, mt) mt.__close = function() while true "
      "do end end local function f() local x <close> = t f() end pcall(f) return true",
      LIMIT);
}
#endif

static void error_objects_are_asked_for_nothing(void **state) {
  (void)state;
  assert_stopped("error(setmetatable({}, { __tostring = function() while true do end end }))",
                 "the error is a table");
  assert_stopped("error()", "the error is a nil");
  assert_stopped("error(print == nil)", "'print'");
  assert_stopped("error(('x'):rep(100000))", "xxx");
  assert_stopped(
      "error(setmetatable({}, { __index = function() while true do end end, __metatable "
      "= 1 }))",
      "the error is a table");
  assert_stopped("error('\\0\\1\\255')", "");
}

static void environments_are_the_calls_own(void **state) {
  (void)state;
  assert_ends("_G.tostring = nil x = 1 _G.pairs = error");
  assert_ends("assert(tostring(1) == '1') assert(rawget(_G, 'x') == nil)");
  assert_ends("_G._G = nil for k in pairs(event) do end");
#if LUA_VERSION_NUM >= 502
  assert_ends("local string = string local _ENV = { event = event } x = 1 return true");
  assert_ends("_ENV = {} return true");
  assert_ends("assert(tostring(1) == '1')");
#endif
}

/* ---- what is returned ----------------------------------------------------------------------- */

static void returned_tables_are_read_raw(void **state) {
  (void)state;
  assert_makes(
      "local trap = function() error('trapped') end "
      "return setmetatable({ a = 1 }, { __index = trap, __newindex = trap, __pairs = trap, "
      "__len = trap, __tostring = trap, __eq = trap, __call = trap })",
      "{\"a\":1}");
  assert_makes(
      "local trap = function() error('trapped') end return nil, setmetatable({ headers = "
      "setmetatable({ X = 'y' }, { __pairs = trap, __index = trap }) }, { __index = trap })",
      "unchanged [[\"X\",\"y\"]]");
  assert_makes(
      "setmetatable(payload, { __index = function() error('trapped') end }) "
      "payload.event = nil payload.created_at = nil payload.entry = nil return payload",
      "{\"model\":\"address\"}");
}

static void huge_returns_are_stopped(void **state) {
  mp_script *script;
  (void)state;
  limits = tight;
  script = loaded(
      "return { transform = function(payload, event)\n"
      "if event.model ~= 'address' then return end\n"
      "local t = {} for i = 1, 40 do t = { t, t } end return t end }");
  assert_null(transformed(script, &event));
  assert_non_null(strstr(error.message, LIMIT));
  assert_within("t = { t, t }");
  ops->free(script);
  script = loaded(
      "return { transform = function(payload, event)\n"
      "if event.model ~= 'address' then return end\n"
      "return table.unpack({}, 1, 900000) end }");
  assert_null(transformed(script, &event));
  assert_within("unpack");
  ops->free(script);
}

/* What a for loop calls a script can call by itself, with anything. */
static void iterators_are_called_with_anything(void **state) {
  (void)state;
  assert_ends(
      "local step = ipairs({})\n"
      "for _, value in ipairs { 'text', 7, true, json.null, string, step } do\n"
      "  assert(not pcall(step, value, 0), tostring(value)) end\n"
      "assert(not pcall(step) and not pcall(step, {}) and not pcall(step, {}, 'x'))\n"
      "for _, at in ipairs { -1, -9, 2147483646, 2147483647, 2 ^ 53, 0.5 } do\n"
      "  pcall(step, { 1 }, at) end\n"
      "assert(select(2, step({ 'a', 'b' }, 1)) == 'b' and step({ 'a' }, 1) == nil)");
  assert_ends(
      "local code = utf8.codes('')\n"
      "for _, at in ipairs { -1, 1, 2, 99, 2 ^ 53, -2 ^ 53 } do\n"
      "  pcall(code, '\\xE2\\x82\\xAC', at) pcall(code, {}, at) end");
}

static void stepping_through_long_texts_is_stopped_in_time(void **state) {
  (void)state;
  assert_stopped(
      "local code, text = utf8.codes(''), ('\\x80'):rep(1000000)\n"
      "for i = 1, 1000 do code(text, 1) end",
      INSTRUCTIONS);
}

static void the_files_own_code_is_limited_too(void **state) {
  mp_script *script;
  (void)state;
  limits = tight;
  assert_int_equal(load_text("while true do end", &script), MP_EINVAL);
  assert_non_null(strstr(error.message, "crm.lua:1: " INSTRUCTIONS));
  assert_int_equal(load_text("local s = 'x' while true do s = s .. s end", &script), MP_EINVAL);
  assert_non_null(strstr(error.message, MEMORY));
  limits.memory = 1000;
  assert_int_equal(load_text("return { filter = function() return true end }", &script), MP_EINVAL);
  assert_non_null(strstr(error.message, "over its limit of 1000 bytes of memory"));
}

/* ---- the host ------------------------------------------------------------------------------- */

static const char *const host_check =
    "assert(getmetatable('').__index == string and string.rep('x', 3) == 'xxx')\n"
    "assert(('x').harm == nil and debug.gethook() == nil)\n"
    "if jit then assert(jit.status()) end\n"
    "local n = 0 for i = 1, 1000000 do n = n + i end assert(n == 500000500000)";

static void the_host_is_as_it_was(void **state) {
  lua_State *L = luaL_newstate();
  (void)state;
  luaL_openlibs(L);
  assert_int_equal(luaL_dostring(L, host_check), 0);
  assert_stopped("while true do end", INSTRUCTIONS);
  assert_stopped("local s = 'x' while true do s = s .. s end", MEMORY);
  assert_ends("_G.string = { harm = 1 }");
  assert_int_equal(luaL_dostring(L, host_check), 0);
  lua_close(L);
}

static int loosen(void **state) {
  limits = (mp_script_limits){.time_us = 30000000, .instructions = 10000000, .memory = 16 << 20};
  return make_folder(state);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, loosen, remove_folder)
  const struct CMUnitTest tests[] = {
    TEST(loops_are_stopped),
    TEST(no_pcall_goes_on_after_a_limit),
    TEST(no_error_handler_goes_on_after_a_limit),
    TEST(metamethods_are_counted),
    TEST(there_are_no_coroutines),
    TEST(pattern_bombs_are_stopped),
    TEST(memory_bombs_are_stopped),
    TEST(no_pcall_goes_on_after_memory_is_refused),
    TEST(huge_values_are_stopped),
    TEST(comparing_long_texts_is_stopped_in_time),
    TEST(recursion_ends),
    TEST(nothing_leads_out),
    TEST(libraries_are_not_written_to),
    TEST(finalizers_and_weak_tables_are_refused),
#if LUA_VERSION_NUM >= 504
    TEST(closing_goes_on_no_longer_than_the_limit),
#endif
    TEST(error_objects_are_asked_for_nothing),
    TEST(environments_are_the_calls_own),
    TEST(returned_tables_are_read_raw),
    TEST(huge_returns_are_stopped),
    TEST(iterators_are_called_with_anything),
    TEST(stepping_through_long_texts_is_stopped_in_time),
    TEST(the_files_own_code_is_limited_too),
    TEST(the_host_is_as_it_was),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
