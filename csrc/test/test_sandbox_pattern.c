/* Patterns: the bounded matcher against the string library of a real Lua, on random patterns. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "payload/json_writer.h"
#include "sandbox_fixture.h"

#define ROUNDS 100
#define CASES  200 /* a round */

/* Runs in the real Lua and in the sandbox. LuaJIT's gsub and gmatch are Lua 5.1's, which differ
 * where a match is empty, as its find does from behind the subject on: they are left out there. */
static const char code[] =
    "local function show(...)\n"
    "  local t = {}\n"
    "  for i = 1, select('#', ...) do t[i] = tostring((select(i, ...))) end\n"
    "  return table.concat(t, ',')\n"
    "end\n"
    "local function result(ok, ...) return ok and show(...) or 'error' end\n"
    "local function each(s, p)\n"
    "  local t = {}\n"
    "  for a, b, c in string.gmatch(s, p) do t[#t + 1] = show(a, b, c) end\n"
    "  return table.concat(t, ';')\n"
    "end\n"
    "local function run(cases, all)\n"
    "  local out = {}\n"
    "  for _, c in ipairs(cases) do\n"
    "    local s, p, r, i = c[1], c[2], c[3], tonumber(c[4])\n"
    "    if not all and i > #s + 1 then i = 1 end\n"
    "    local t = { s, p, r, c[4], result(pcall(string.find, s, p)),\n"
    "      result(pcall(string.find, s, p, i)), result(pcall(string.match, s, p, i)),\n"
    "      result(pcall(string.find, s, p, i, true)) }\n"
    "    if all then\n"
    "      t[#t + 1] = result(pcall(string.gsub, s, p, r))\n"
    "      t[#t + 1] = result(pcall(string.gsub, s, p, r, 2))\n"
    "      t[#t + 1] = result(pcall(string.gsub, s, p, function(...) return '<' .. show(...) .. "
    "'>' end))\n"
    "      t[#t + 1] = result(pcall(string.gsub, s, p, { a = 'A', ab = false, b = 1 }))\n"
    "      t[#t + 1] = result(pcall(each, s, p))\n"
    "    end\n"
    "    out[#out + 1] = table.concat(t, ' | ')\n"
    "  end\n"
    "  return table.concat(out, '\\n')\n"
    "end\n";
#if LUA_VERSION_NUM >= 504
#define ALL "true"
#else
#define ALL "false"
#endif

static uint64_t seed = 20200110;

static unsigned below(unsigned n) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(seed >> 33) % n;
}

/* Some of the tokens, one after the other. */
static void random_text(char *out, const char *const *tokens, unsigned count, unsigned most) {
  out[0] = '\0';
  for (unsigned n = below(most + 1); n > 0; n--)
    strcat(out, tokens[below(count)]);
}

#define COUNT(array) (unsigned)(sizeof(array) / sizeof *(array))

static void random_case(char subject[64], char pattern[64], char replacement[64], char init[8]) {
  static const char *const subjects[] = {"a", "b", "c", "ab", "(", ")", " ", "1", "%", "A", "aaa"};
  static const char *const patterns_of[] = {
      "a",      "b",     "c",    "a",     ".",  "%a", "%d", "%s",  "%w",   "%%",     "[ab]",
      "[^a]",   "[a-c]", "%b()", "%f[a]", "(",  ")",  "()", "(a)", "(.-)", "*",      "+",
      "-",      "?",     "^",    "$",     "%1", "%",  "[",  "]",   "[]]",  "[^]]",   "[%a-]",
      "%f[%W]", "*",     "-",    "?",     "+",  "%2", "%g", "%u",  "%x",   "[%d%s]", "%f"};
  static const char *const replacements[] = {"x", "%0", "%1", "%2", "%%", "%", "", "<", "%a"};

  random_text(subject, subjects, COUNT(subjects), 7);
  random_text(pattern, patterns_of, COUNT(patterns_of), 7);
  random_text(replacement, replacements, COUNT(replacements), 3);
  snprintf(init, 8, "%d", (int)below(14) - 5);
}

static const char *real(lua_State *L, mp_buf *json) {
  char texts[4][64];

  mp_buf_add_str(json, "{\"model\":\"address\",\"entry\":{\"cases\":[");
  lua_getglobal(L, "run");
  lua_newtable(L);
  for (int i = 1; i <= CASES; i++) {
    random_case(texts[0], texts[1], texts[2], texts[3]);
    mp_buf_add_str(json, i > 1 ? ",[" : "[");
    lua_newtable(L);
    for (int k = 0; k < 4; k++) {
      if (k > 0) mp_buf_add_char(json, ',');
      mp_json_add_string(json, texts[k], strlen(texts[k]));
      lua_pushstring(L, texts[k]);
      lua_rawseti(L, -2, k + 1);
    }
    mp_buf_add_char(json, ']');
    lua_rawseti(L, -2, i);
  }
  mp_buf_add_str(json, "]}}");
  if (lua_pcall(L, 1, 1, 0) != 0) fail_msg("%s", lua_tostring(L, -1));
  return lua_tostring(L, -1);
}

static void assert_same_lines(const char *got, const char *expected) {
  while (*got && *expected) {
    size_t len = strcspn(got, "\n"), wanted = strcspn(expected, "\n");
    if (len != wanted || memcmp(got, expected, len) != 0) {
      fail_msg("subject | pattern | replacement | init | find | ...\ngot  %.*s\nreal %.*s",
               (int)len, got, (int)wanted, expected);
    }
    got += len + (got[len] == '\n');
    expected += wanted + (expected[wanted] == '\n');
  }
  assert_int_equal(*expected, '\0');
}

static void patterns_match_as_luas_own(void **state) {
  static char source[1 << 14], got[1 << 20];
  lua_State *L = luaL_newstate();
  mp_script *script;
  (void)state;

  luaL_openlibs(L);
  snprintf(source, sizeof source, "%slocal f = run _G.run = function(c) return f(c, " ALL ") end",
           code);
  if (luaL_dostring(L, source) != 0) fail_msg("%s", lua_tostring(L, -1));
  snprintf(source, sizeof source,
           "%sreturn { transform = function(payload) return run(payload.entry.cases or {}, " ALL
           ") end }",
           code);
  limits.instructions = 1000000000;
  script = loaded(source);
  for (int i = 0; i < ROUNDS; i++) {
    mp_script_event of = event;
    const char *expected;
    mp_buf json, out, headers, type;
    bool changed;
    mp_buf_init(&json, MP_BUF_NO_LIMIT);
    mp_buf_init(&out, sizeof got - 1);
    mp_buf_init(&headers, 100);
    mp_buf_init(&type, 100);
    expected = real(L, &json);
    of.body = json.data;
    of.body_len = json.len;
    if (ops->transform(script, &of, &hook, of.body, of.body_len, &changed, &out, &headers, &type,
                       &use, &error) != MP_OK) {
      fail_msg("%s", error.message);
    }
    memcpy(got, out.data, out.len);
    got[out.len] = '\0';
    assert_same_lines(got, expected);
    lua_settop(L, 0);
    mp_buf_free(&json);
    mp_buf_free(&out);
    mp_buf_free(&headers);
    mp_buf_free(&type);
  }
  ops->free(script);
  lua_close(L);
}

/* On both Luas what Lua 5.4 does. */
static void empty_matches_are_those_of_lua_54(void **state) {
  (void)state;
  assert_makes("return (('abc'):gsub('%w*', 'x'))", "x");
  assert_makes("return (('hello world'):gsub('o*', 'x'))", "xhxexlxlx xwxrxlxdx");
  assert_makes(
      "local t = {} for k in ('hello'):gmatch('l*') do t[#t + 1] = '[' .. k .. ']' end "
      "return table.concat(t)",
      "[][][ll][]");
  assert_makes("return (('abc'):gsub('', '-'))", "-a-b-c-");
  assert_makes(
      "local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t + 1] = k .. v "
      "end return table.concat(t, ';')",
      "a1;b2");
  assert_makes("return (('abc'):gsub('^a', 'x'))", "xbc");
  assert_makes(
      "local t = {} for k in ('abc'):gmatch('%w', 2) do t[#t + 1] = k end "
      "return table.concat(t)",
      "bc");
}

static void what_is_wrong_with_a_pattern_is_told(void **state) {
  static const char *const cases[][2] = {
      {"('x'):find('%')", "malformed pattern (ends with '%')"},
      {"('x'):find('[a')", "malformed pattern (missing ']')"},
      {"('x'):find('(x')", "unfinished capture"},
      {"('x'):match(')')", "invalid pattern capture"},
      {"('x'):find('%1')", "invalid capture index %1"},
      {"('x'):find('%b')", "missing arguments to '%b'"},
      {"('x'):find('%f')", "missing '[' after '%f' in pattern"},
      {"('x'):find(('()'):rep(33))", "too many captures"},
      {"('x'):gsub('x', '%2')", "invalid capture index %2"},
      {"('x'):gsub('x', '%y')", "invalid use of '%' in replacement string"},
      {"('x'):gsub('x', function() return {} end)", "invalid replacement value (a table)"},
      {"('x'):gsub('x', true)", "string/function/table expected, got boolean"},
      {"('x'):rep(300):find(('x?'):rep(300))", "pattern too complex"},
  };
  char source[256];
  (void)state;
  for (size_t i = 0; i < COUNT(cases); i++) {
    snprintf(source, sizeof source, "if event.model == 'address' then return tostring(%s) end",
             cases[i][0]);
    assert_fails(source, cases[i][1]);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
  const struct CMUnitTest tests[] = {
      TEST(patterns_match_as_luas_own),
      TEST(empty_matches_are_those_of_lua_54),
      TEST(what_is_wrong_with_a_pattern_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
