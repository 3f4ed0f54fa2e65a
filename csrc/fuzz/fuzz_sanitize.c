/* The sanitizer on a schema with every kind of attribute, by both of its sources: an entry as JSON
 * text, and the same entry as a Lua value. The first byte chooses: the rest is JSON text as it
 * stands, or chooses step by step what an entry is made of; what is kept; how Lua holds it.
 *
 * What comes out of either is JSON, has no word that may not come out, and does not change when it
 * is sanitized again. Both say the same: the same keys, strings, lists and numbers, and the same
 * unknown keys are told of. It is not compared
 * - in which order keys stand, for Lua's tables have none;
 * - how a string is escaped, and with which digits a number is written, for Lua's values have
 *   neither: numbers are compared as 64-bit integers or as doubles, which is exact. -0 is 0;
 * - text that the reader refuses (no JSON, a key that is there twice, a lone surrogate, nested too
 *   deep): there is no Lua value of it;
 * - a number beyond a double (1e400): the text keeps its digits, in Lua it is infinite and refused
 *   where it would be sent. A zone refuses it even where it sends null instead. */
#include "fuzz/entry.h"
#include "fuzz/fuzz.h"
#include "fuzz/lua_json.h"
#include "payload/sanitize.h"
#include "payload/scan.h"

/* Which unknown keys were told of, in any order. */
typedef struct unknowns {
  size_t count;
  uint64_t sum;
} unknowns;

typedef struct run {
  mp_sanitize_options options;
  unknowns unknown;
  mp_buf out;
} run;

static mp_schema *schema;
static const mp_model *model;
static lua_State *L;

/* Of the present input. */
static bool made; /* entry.h made it: no word stands where it should not */
static bool keep_unknown, keep_users;
static fuzz_dialect dialect;

static bool hides(mp_span text) {
  const char *const hidden[] = {SEALED, keep_unknown ? SEALED : CANARY,
                                keep_users ? SEALED : INSIDER};
  for (int i = 0; i < 3; i++) {
    if (strlen(hidden[i]) == text.len && memcmp(hidden[i], text.data, text.len) == 0) return true;
  }
  return false;
}

static void note_unknown(void *arg, const mp_model *of, const char *key, size_t len) {
  unknowns *u = arg;
  u->count++;
  u->sum += (uint64_t)mp_hash(key, len) * mp_hash(of->uid, strlen(of->uid));
}

static void run_init(run *r) {
  *r = (run){.options = {.keep_unknown = keep_unknown,
                         .keep_users = keep_users,
                         .unknown_key = note_unknown,
                         .unknown_key_arg = &r->unknown}};
  mp_buf_init(&r->out, MP_BUF_NO_LIMIT);
}

static mp_code by_text(run *r, const char *text, size_t len) {
  run_init(r);
  return mp_sanitize_json(schema, model, &r->options, "fuzz", text, len, &r->out, NULL);
}

/* Of the value on the top. */
static mp_code by_lua(run *r) {
  mp_error err = {0};
  mp_code code;
  int top = lua_gettop(L);

  run_init(r);
  code = mp_lua_sanitize(L, top, schema, model, &r->options, "fuzz", &r->out, &err);
  must(lua_gettop(L) == top && (code == MP_OK) == (err.message[0] == '\0'));
  must(code == MP_OK || (code == MP_EINVAL && r->out.len == 0));
  return code;
}

static void push_marked(const mp_buf *text) {
  must(!fuzz_lua_push(L, text->data, text->len, FUZZ_MARKED, NULL));
}

static bool has(const mp_buf *out, const char *word) {
  return memmem(out->data, out->len, word, strlen(word)) != NULL;
}

static void check_words(const mp_buf *out) {
  must(!has(out, SEALED) && !has(out, ASTRAY));
  must(keep_unknown || !has(out, CANARY));
  must(keep_users || !has(out, INSIDER));
}

static void check_again(const mp_buf *out) {
  run again;

  must(by_text(&again, out->data, out->len) == MP_OK && again.unknown.count == 0);
  must(again.out.len == out->len && memcmp(again.out.data, out->data, out->len) == 0);
  mp_buf_free(&again.out);
}

/* The value on the top is what Lua made of an entry. */
static void check_again_by_lua(void) {
  int top = lua_gettop(L);
  run again;

  must(by_lua(&again) == MP_OK && again.unknown.count == 0);
  push_marked(&again.out);
  must(fuzz_lua_same(L, top, top + 1));
  mp_buf_free(&again.out);
}

static void check_same(const run *of_text, const run *of_lua) {
  int top = lua_gettop(L);

  push_marked(&of_text->out);
  push_marked(&of_lua->out);
  must(fuzz_lua_same(L, top + 1, top + 2));
  must(of_lua->unknown.count == of_text->unknown.count);
  must(of_lua->unknown.sum == of_text->unknown.sum);
}

static void compare(const char *text, size_t len, const run *of_text) {
  bool beyond = fuzz_lua_push(L, text, len, dialect, hides);
  run of_lua;
  mp_code code = by_lua(&of_lua);

  if (code == MP_OK) {
    if (made) check_words(&of_lua.out);
    check_again(&of_lua.out);
    check_same(of_text, &of_lua);
    check_again_by_lua();
  } else {
    must(beyond);
  }
  mp_buf_free(&of_lua.out);
  lua_settop(L, FUZZ_FLOOR);
  lua_gc(L, LUA_GCCOLLECT, 0); /* as much freed as allocated: else libFuzzer suspects a leak */
}

static void check(const char *text, size_t len) {
  run of_text;
  mp_code code = by_text(&of_text, text, len);

  if (code == MP_OK) {
    if (made) check_words(&of_text.out);
    check_again(&of_text.out);
    compare(text, len, &of_text);
  } else {
    must(!made && of_text.out.len == 0);
  }
  mp_buf_free(&of_text.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mp_buf entry;

  if (!schema) {
    schema = fixture_schema();
    must(schema != NULL);
    model = mp_schema_find(schema, THING, strlen(THING), NULL);
    L = fuzz_lua_open();
  }
  if (size == 0) return 0;
  made = !(data[0] & 1);
  keep_unknown = data[0] & 2;
  keep_users = data[0] & 4;
  dialect = (fuzz_dialect)(data[0] >> 3 & 3);
  if (!made) {
    if (dialect == FUZZ_HIDDEN) dialect = FUZZ_BARE; /* it may have the words anywhere */
    check((const char *)data + 1, size - 1);
    return 0;
  }
  entry = entry_make(schema, data + 1, size - 1);
  check(entry.data, entry.len);
  mp_buf_free(&entry);
  return 0;
}
