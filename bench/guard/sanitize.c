/* One entry as JSON text through the sanitizer: a model with every kind of attribute, private
 * fields at three depths, a user, unknown keys, a dynamic zone and a polymorphic list. */
#include "payload/sanitize.h"
#include "guard.h"
#include "test/sanitize_fixture.h"

static const char entry[] =
    "{\"id\":1,\"name\":\"A place with a longer name, \\u00e9 and "
    "\\\"quotes\\\"\",\"length\":12.25,"
    "\"secret\":\"never sent\",\"stray\":{\"a\":[1,2,3]},\"json\":{\"lat\":48.8566,\"lng\":2.3522},"
    "\"one\":{\"id\":2,\"name\":\"other\",\"secret\":\"x\",\"part\":{\"id\":3,\"label\":\"l\","
    "\"pin\":\"0000\"}},\"many\":[{\"id\":4,\"name\":\"a\"},{\"id\":5,\"name\":\"b\"},6],"
    "\"part\":{\"id\":7,\"label\":\"main\",\"pin\":\"1234\"},\"parts\":[{\"id\":8,\"label\":\"p\"},"
    "{\"id\":9,\"label\":\"q\",\"pin\":\"5678\"}],\"owner\":{\"id\":10,\"email\":\"a@b.example\","
    "\"password\":\"hash\"},\"zone\":[{\"__component\":\"d.part\",\"id\":11,\"label\":\"z\","
    "\"pin\":\"9\"}],\"morphs\":[{\"__contentType\":\"Thing\",\"id\":12,\"name\":\"m\","
    "\"secret\":\"s\"}]}";

typedef struct state {
  mp_schema *schema;
  const mp_model *model;
  mp_sanitize_options options;
  mp_buf out;
} state;

GUARDED(void *arg, long count) {
  state *s = arg;
  mp_error err;

  for (long i = 0; i < count; i++) {
    mp_buf_reset(&s->out);
    guard_check(mp_sanitize_json(s->schema, s->model, &s->options, "entry", entry, sizeof entry - 1,
                                 &s->out, &err),
                &err, "sanitize");
  }
}

int main(int argc, char **argv) {
  state s = {.schema = fixture_schema()};
  mp_error err;

  if (!s.schema) guard_check(MP_ENOMEM, NULL, "schema");
  s.model = mp_schema_find(s.schema, THING, strlen(THING), &err);
  if (!s.model) guard_check(err.code, &err, "model");
  mp_buf_init(&s.out, MP_BUF_NO_LIMIT);
  guarded(&s, guard_count(argc, argv));
  mp_buf_free(&s.out);
  mp_schema_free(s.schema);
  return 0;
}
