/* payload/sanitize, sanitize_json: what stays of an entry, at every depth, and that nothing stays
 * of one that is refused. Lua values as the source: spec/unit/sanitize_spec.lua. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those before it */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "payload/sanitize.h"
#include "sanitize_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static mp_schema *schema;

static int set_up(void **state) {
  (void)state;
  schema = fixture_schema();
  return schema ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  mp_schema_free(schema);
  return 0;
}

static void note_unknown(void *arg, const mp_model *model, const char *key, size_t len) {
  mp_buf *seen = arg;
  mp_buf_add_format(seen, "%s: ", model->uid);
  mp_buf_add(seen, key, len);
  mp_buf_add_char(seen, ';');
}

static const mp_model *model_of(const char *uid) {
  mp_error err;
  const mp_model *m = mp_schema_find(schema, uid, strlen(uid), &err);
  assert_non_null(m);
  return m;
}

typedef struct example {
  const char *text, *expected;
} example;

static void expect_all(const char *uid, mp_sanitize_options options, const example *cases,
                       size_t count) {
  for (size_t i = 0; i < count; i++) {
    mp_error err = {0};
    mp_buf out;
    mp_buf_init(&out, MP_BUF_NO_LIMIT);
    if (mp_sanitize_json(schema, model_of(uid), &options, "entry", cases[i].text,
                         strlen(cases[i].text), &out, &err) != MP_OK) {
      fail_msg("%s: %s", cases[i].text, err.message);
    }
    mp_buf_add_char(&out, '\0');
    assert_string_equal(cases[i].expected, out.data);
    mp_buf_free(&out);
  }
}

#define EXPECT(uid, options, cases) expect_all(uid, options, cases, COUNT(cases))

static const mp_sanitize_options plain = {0};

/* ---- whole values --------------------------------------------------------------------------- */

static void test_top(void **state) {
  static const example cases[] = {
      {"null", "null"},
      {" 7 ", "7"},
      {"\"x\"", "\"x\""},
      {"false", "false"},
      {"{}", "{}"},
      {"[]", "[]"},
      {"[{\"id\":1,\"secret\":2},3,null,[{\"secret\":4,\"name\":\"n\"}]]",
       "[{\"id\":1},3,null,[{\"name\":\"n\"}]]"},
  };
  (void)state;
  EXPECT("thing", plain, cases);
}

static void test_tokens_as_written(void **state) {
  static const example cases[] = {
      {"{ \"id\" : 9223372036854775808123 , \"name\" : \"\\u00e9\\/\xC3\xA9\" }",
       "{\"id\":9223372036854775808123,\"name\":\"\\u00e9\\/\xC3\xA9\"}"},
      {"{\"json\":[ 0.10 , 1E400 , -0 ,{ \"secret\" : [ ] } ]}",
       "{\"json\":[0.10,1E400,-0,{\"secret\":[]}]}"},
      {"{\"na\\u006de\":1,\"\\u0069d\":2}", "{\"na\\u006de\":1,\"\\u0069d\":2}"},
  };
  (void)state;
  EXPECT("thing", plain, cases);
}

/* However it is written, and beside whatever stands. */
static void test_private(void **state) {
  static const example cases[] = {
      {"{\"secret\":1}", "{}"},
      {"{\"secret\":{\"id\":[{}]},\"id\":1}", "{\"id\":1}"},
      {"{\"id\":1,\"\\u0073ecre\\u0074\":1}", "{\"id\":1}"},
      {"{\"one\":{\"secret\":1,\"id\":2},\"many\":[{\"secret\":1},{\"one\":{\"many\":[{\"secret\":"
       "1}]}}]}",
       "{\"one\":{\"id\":2},\"many\":[{},{\"one\":{\"many\":[{}]}}]}"},
      {"{\"one\":5,\"many\":[1,\"2\",null]}", "{\"one\":5,\"many\":[1,\"2\",null]}"},
      {"{\"one\":null,\"many\":[]}", "{\"one\":null,\"many\":[]}"},
      {"{\"one\":[{\"secret\":1}],\"many\":{\"secret\":1}}", "{\"one\":[{}],\"many\":{}}"},
      {"{\"one\":{\"length\":3,\"id\":1}}", "{\"one\":{\"length\":3,\"id\":1}}"},
  };
  (void)state;
  EXPECT("thing", plain, cases);
}

static void test_unknown(void **state) {
  static const char text[] =
      "{\"new\":1,\"Secret\":{\"a\":1},\"__proto__\":{},\"constructor\":2,\"secret\\u0000\":3,"
      "\"one\":{\"x\":1},\"secret\":4}";
  static const example kept[] = {
      {"{\"new\":{\"secret\":1},\"__proto__\":{\"x\":1},\"secret\":2,\"one\":{\"x\":[1],\"secret\":"
       "3}}",
       "{\"new\":{\"secret\":1},\"__proto__\":{\"x\":1},\"one\":{\"x\":[1]}}"},
      {"{\"sec\\u0072et\":1,\"Secret\":2}", "{\"Secret\":2}"},
  };
  static const char seen_keys[] =
      "a::thing.thing: new;a::thing.thing: Secret;a::thing.thing: __proto__;a::thing.thing: "
      "constructor;"
      "a::thing.thing: secret\0;a::thing.thing: x;";
  mp_buf out, seen;
  mp_sanitize_options options = {.unknown_key = note_unknown, .unknown_key_arg = &seen};
  mp_error err;

  (void)state;
  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  mp_buf_init(&seen, MP_BUF_NO_LIMIT);
  assert_int_equal(MP_OK, mp_sanitize_json(schema, model_of("thing"), &options, "entry", text,
                                           sizeof text - 1, &out, &err));
  assert_int_equal(10, out.len);
  assert_memory_equal("{\"one\":{}}", out.data, out.len);
  assert_int_equal(sizeof seen_keys - 1, seen.len);
  assert_memory_equal(seen_keys, seen.data, seen.len);
  mp_buf_free(&out);
  mp_buf_free(&seen);
  EXPECT("thing", ((mp_sanitize_options){.keep_unknown = true}), kept);
}

/* ---- users ---------------------------------------------------------------------------------- */

static void test_users(void **state) {
  static const example by_id[] = {
      {"{\"owner\":{\"email\":\"e\",\"id\":7,\"password\":\"p\"}}", "{\"owner\":{\"id\":7}}"},
      {"{\"owner\":{\"email\":\"e\"}}", "{\"owner\":{}}"},
      {"{\"owner\":{\"\\u0069d\":\"x\",\"ID\":1}}", "{\"owner\":{\"\\u0069d\":\"x\"}}"},
      {"{\"owner\":{\"id\":{\"email\":\"e\"}}}", "{\"owner\":{}}"},
      {"{\"owner\":{\"id\":[\"e\"],\"email\":1}}", "{\"owner\":{}}"},
      {"{\"owner\":{\"id\":null}}", "{\"owner\":{\"id\":null}}"},
      {"{\"owner\":3,\"staff\":[1,{\"id\":2,\"email\":\"e\"},null]}",
       "{\"owner\":3,\"staff\":[1,{\"id\":2},null]}"},
      {"{\"many\":[{\"owner\":{\"id\":1,\"email\":2}}]}", "{\"many\":[{\"owner\":{\"id\":1}}]}"},
  };
  static const example whole[] = {
      {"{\"owner\":{\"email\":\"e\",\"id\":7,\"password\":\"p\",\"x\":1}}",
       "{\"owner\":{\"email\":\"e\",\"id\":7}}"},
  };
  static const example top[] = {{"{\"email\":\"e\",\"password\":1}", "{\"email\":\"e\"}"},
                                {"[{\"email\":\"e\",\"password\":1}]", "[{\"email\":\"e\"}]"}};
  (void)state;
  EXPECT("thing", plain, by_id);
  EXPECT("thing", ((mp_sanitize_options){.keep_unknown = true}), by_id);
  EXPECT("thing", ((mp_sanitize_options){.keep_users = true}), whole);
  EXPECT("user", plain, top);
}

/* ---- zones and morphs ----------------------------------------------------------------------- */

static void test_zones(void **state) {
  static const example cases[] = {
      {"{\"zone\":[{\"__component\":\"d.part\",\"label\":1,\"pin\":2}]}",
       "{\"zone\":[{\"__component\":\"d.part\",\"label\":1}]}"},
      {"{\"zone\":[{\"pin\":2,\"label\":1,\"__component\":\"d.part\"}]}",
       "{\"zone\":[{\"label\":1,\"__component\":\"d.part\"}]}"},
      {"{\"zone\":[{\"\\u005f_component\":\"d\\u002epart\",\"label\":1,\"pin\":2}]}",
       "{\"zone\":[{\"\\u005f_component\":\"d\\u002epart\",\"label\":1}]}"},
      {"{\"zone\":[{\"__component\":\"d.none\",\"label\":1},{\"label\":1},null,7,\"x\",true]}",
       "{\"zone\":[null,null,null,null,null,null]}"},
      {"{\"zone\":[{\"__component\":\"d.part\\u0000\"},{\"__component\":null},{\"__component\":["
       "\"d.part\"]}]}",
       "{\"zone\":[null,null,null]}"},
      {"{\"zone\":[{\"__component\":\"a::thing.thing\",\"id\":1}]}", "{\"zone\":[null]}"},
      {"{\"zone\":{\"pin\":1,\"__component\":\"d.part\"}}",
       "{\"zone\":{\"__component\":\"d.part\"}}"},
      {"{\"zone\":{}}", "{\"zone\":null}"},
      {"{\"zone\":null}", "{\"zone\":null}"},
      {"{\"zone\":\"x\"}", "{\"zone\":null}"},
      {"{\"zone\":[]}", "{\"zone\":[]}"},
      {"{\"zone\":[[{\"__component\":\"d.part\",\"pin\":1}]]}",
       "{\"zone\":[[{\"__component\":\"d.part\"}]]}"},
      {"{\"zone\":[{\"thing\":{\"secret\":1,\"__component\":\"x\"},\"__component\":\"d.part\"}]}",
       "{\"zone\":[{\"thing\":{},\"__component\":\"d.part\"}]}"},
      {"{\"one\":{\"__component\":\"d.part\",\"pin\":1}}", "{\"one\":{}}"},
  };
  (void)state;
  EXPECT("thing", plain, cases);
}

static void test_morphs(void **state) {
  static const example cases[] = {
      {"{\"morph\":{\"__contentType\":\"Thing\",\"id\":1,\"secret\":2}}",
       "{\"morph\":{\"__contentType\":\"Thing\",\"id\":1}}"},
      {"{\"morph\":{\"__contentType\":\"a::thing.thing\",\"secret\":2}}",
       "{\"morph\":{\"__contentType\":\"a::thing.thing\"}}"},
      {"{\"morph\":{\"secret\":2,\"__type\":\"a::thing.thing\",\"name\":1}}",
       "{\"morph\":{\"__type\":\"a::thing.thing\",\"name\":1}}"},
      {"{\"morphs\":[{\"__contentType\":\"None\",\"id\":1},{\"id\":2,\"name\":1},3,null,\"x\"]}",
       "{\"morphs\":[null,{\"id\":2},3,null,\"x\"]}"},
      {"{\"morph\":{\"__contentType\":5,\"id\":1,\"name\":2}}", "{\"morph\":{\"id\":1}}"},
      {"{\"morph\":{\"id\":{\"name\":1},\"name\":2}}", "{\"morph\":{}}"},
      {"{\"morph\":{\"__contentType\":\"User\",\"id\":1,\"email\":2}}", "{\"morph\":{\"id\":1}}"},
      {"{\"morph\":{\"__contentType\":\"Part\",\"label\":1,\"pin\":2}}",
       "{\"morph\":{\"__contentType\":\"Part\",\"label\":1}}"},
      /* __contentType before __type, whichever stands first; the other one is a key like any */
      {"{\"morph\":{\"__type\":\"d.part\",\"__contentType\":\"Thing\",\"label\":1,\"name\":2}}",
       "{\"morph\":{\"__contentType\":\"Thing\",\"name\":2}}"},
      {"{\"morph\":{\"__contentType\":\"Thing\",\"__type\":\"d.part\",\"label\":1,\"name\":2}}",
       "{\"morph\":{\"__contentType\":\"Thing\",\"name\":2}}"},
      {"{\"morph\":{\"__contentType\":null,\"__type\":\"d.part\",\"label\":1}}",
       "{\"morph\":{\"__type\":\"d.part\",\"label\":1}}"},
  };
  static const example users[] = {
      {"{\"morph\":{\"__contentType\":\"User\",\"id\":1,\"email\":2,\"password\":3}}",
       "{\"morph\":{\"__contentType\":\"User\",\"id\":1,\"email\":2}}"}};
  (void)state;
  EXPECT("thing", plain, cases);
  EXPECT("thing", ((mp_sanitize_options){.keep_users = true}), users);
}

/* ---- refusals ------------------------------------------------------------------------------- */

/* What is not sent is checked as well, and of what is refused nothing stays in the buffer. */
static void test_refused(void **state) {
  static const example cases[] = {
      {"{\"id\":1,\"secret\":[01]}",
       "entry.secret[1]: a JSON number has no leading zeros (byte 19)"},
      {"{\"id\":1,\"new\":\"\xFF\"}", "entry.new: a string is not valid UTF-8 (byte 16)"},
      {"{\"zone\":[{\"__component\":\"d.none\",\"x\":tru}]}",
       "entry.zone[1].x: not JSON: expected true (byte 38)"},
      {"{\"zone\":[{\"x\":1,\"x\":2,\"__component\":\"d.part\"}]}",
       "entry.zone[1].x: this key is there twice (byte 17)"},
      {"{\"zone\":[{\"__component\":\"d.part\",\"__component\":\"d.none\"}]}",
       "entry.zone[1].__component: this key is there twice (byte 34)"},
      {"{\"secret\":1,\"secre\\u0074\":2}", "entry.secret: this key is there twice (byte 13)"},
      {"{\"id\":1} {}", "entry: more text after the JSON value (byte 10)"},
      {"{\"many\":[{},{\"name\":\"x}]}",
       "entry.many[2].name: the JSON text ends within a string (byte 26)"},
      {"", "entry: the JSON text ends where a value is expected (byte 1)"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT(cases); i++) {
    mp_error err = {0};
    mp_buf out;
    mp_buf_init(&out, MP_BUF_NO_LIMIT);
    mp_buf_add(&out, "before", 6);
    assert_int_equal(MP_EINVAL, mp_sanitize_json(schema, model_of("thing"), &plain, "entry",
                                                 cases[i].text, strlen(cases[i].text), &out, &err));
    assert_string_equal(cases[i].expected, err.message);
    assert_int_equal(6, out.len);
    mp_buf_free(&out);
  }
}

static void test_too_large(void **state) {
  static const char text[] = "{\"name\":\"0123456789\"}";
  mp_error err;
  mp_buf out;

  (void)state;
  for (size_t limit = 0; limit < sizeof text; limit++) {
    mp_code code;
    mp_buf_init(&out, limit);
    code = mp_sanitize_json(schema, model_of("thing"), &plain, "entry", text, sizeof text - 1, &out,
                            &err);
    assert_int_equal(limit < sizeof text - 1 ? MP_E2BIG : MP_OK, code);
    if (code != MP_OK) assert_int_equal(0, out.len);
    mp_buf_free(&out);
  }
  assert_int_equal(MP_E2BIG, err.code);
  assert_string_equal("entry: over the limit of 20 bytes", err.message);
}

/* Nests value under key so many times. */
static mp_code sanitize_nested(int depth, const char *open, const char *close, mp_buf *out,
                               mp_error *err) {
  mp_buf text;
  mp_code code;

  mp_buf_init(&text, MP_BUF_NO_LIMIT);
  for (int i = 0; i < depth; i++)
    mp_buf_add_str(&text, open);
  mp_buf_add_str(&text, "null");
  for (int i = 0; i < depth; i++)
    mp_buf_add_str(&text, close);
  code =
      mp_sanitize_json(schema, model_of("thing"), &plain, "entry", text.data, text.len, out, err);
  mp_buf_free(&text);
  return code;
}

static void test_depth(void **state) {
  mp_error err;
  mp_buf out;

  (void)state;
  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  assert_int_equal(MP_OK, sanitize_nested(100, "{\"secret\":1,\"one\":", "}", &out, &err));
  assert_int_equal(100 * strlen("{\"one\":}") + 4, out.len);
  assert_int_equal(MP_EINVAL, sanitize_nested(101, "{\"secret\":1,\"one\":", "}", &out, &err));
  assert_non_null(strstr(err.message, "nested more than 100 deep"));
  /* each level looks ahead for its model, which stands last */
  mp_buf_reset(&out);
  assert_int_equal(MP_OK, sanitize_nested(99, "{\"secret\":1,\"morph\":",
                                          ",\"__type\":\"a::thing.thing\"}", &out, &err));
  mp_buf_free(&out);
}

static void test_without_model(void **state) {
  static const char text[] = " { \"secret\" : [ 1.0 , { } ] } ";
  mp_error err;
  mp_buf out;

  (void)state;
  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  assert_int_equal(
      MP_OK, mp_sanitize_json(schema, NULL, &plain, "entry", text, sizeof text - 1, &out, &err));
  assert_int_equal(19, out.len);
  assert_memory_equal("{\"secret\":[1.0,{}]}", out.data, 19);
  mp_buf_free(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_top),          cmocka_unit_test(test_tokens_as_written),
      cmocka_unit_test(test_private),      cmocka_unit_test(test_unknown),
      cmocka_unit_test(test_users),        cmocka_unit_test(test_zones),
      cmocka_unit_test(test_morphs),       cmocka_unit_test(test_refused),
      cmocka_unit_test(test_too_large),    cmocka_unit_test(test_depth),
      cmocka_unit_test(test_without_model)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
