/* The sanitizer with failing allocations: what it writes is whole, or it says that there was no
 * memory. */
#include "fault_alloc.h"
#include "payload/sanitize.h"
#include "sanitize_fixture.h"

/* Keys and types with escapes, which are decoded into memory of their own. */
static const char text[] =
    "{\"id\":1,\"zone\":[{\"__c\\u006fmponent\":\"d.p\\u0061rt\",\"label\":\"x\",\"pin\":\"no\"}],"
    "\"morph\":{\"__contentTyp\\u0065\":\"Th\\u0069ng\",\"n\\u0061me\":\"y\",\"secret\":\"no\"}}";

static mp_code sanitize(const mp_schema *schema, mp_buf *out) {
  static const mp_sanitize_options options = {0};
  const mp_model *model = mp_schema_find(schema, THING, sizeof THING - 1, NULL);
  mp_buf_init(out, MP_BUF_NO_LIMIT);
  return mp_sanitize_json(schema, model, &options, "entry", text, sizeof text - 1, out, NULL);
}

static void nothing_is_left_out_for_want_of_memory(void **state) {
  mp_schema *schema = fixture_schema();
  mp_buf whole, out;
  bool failed = true;

  (void)state;
  assert_non_null(schema);
  assert_int_equal(sanitize(schema, &whole), MP_OK);
  assert_non_null(memmem(whole.data, whole.len, "\"label\":\"x\"", 11));
  for (long n = 0; failed; n++) {
    mp_code code;
    fault_arm(FAULT_OWN, ENOMEM, n, 1);
    code = sanitize(schema, &out);
    failed = atomic_load(&fault_hits) > 0;
    fault_end();
    if (code == MP_OK) {
      assert_int_equal(out.len, whole.len);
      assert_memory_equal(out.data, whole.data, whole.len);
    } else {
      assert_true(failed);
      assert_int_equal(code, MP_ENOMEM);
    }
    mp_buf_free(&out);
  }
  mp_buf_free(&whole);
  mp_schema_free(schema);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_is_left_out_for_want_of_memory),
  };
  if (!fault_sqlite_init()) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
