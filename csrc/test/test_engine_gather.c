/* Under load one commit does for many events: what nobody waits for is gathered for a moment. */
#include "engine_fixture.h"
#include "fast_disk.h" /* but for the gathering there would be many commits a burst */

#define EVENTS    8000
#define BURST     5
#define WINDOW_MS 3
#define FULL      256

/* A host that emits some at a time, and waits for the last alone. */
static void emit_in_bursts(mp_engine *e) {
  mp_error err = {0};

  for (int i = 1; i < EVENTS; i++) {
    while (emit(e, "entry.create", false, NULL, NULL, &err) == MP_EAGAIN)
      usleep(1000); /* the inbox is full */
    if (i % BURST == 0) usleep(200);
  }
  assert_int_equal(emit(e, "entry.create", true, NULL, NULL, &err), MP_OK);
}

static void a_commit_does_for_many(void **state) {
  sink *s = start_sink(true); /* requests are under way, and none ends */
  mp_engine *e = open_engine(60000);
  mp_error err = {0};
  int64_t before, most;
  long long commits;
  (void)state;

  add_webhook(e, s->port);
  for (int i = 0; i < 4; i++)
    assert_int_equal(emit(e, "entry.create", true, NULL, NULL, &err), MP_OK);
  commits = stat(e, "commits");
  before = mp_mono_ms();
  emit_in_bursts(e);
  assert_int_equal(stat(e, "accepted"), EVENTS + 4);
  commits = stat(e, "commits") - commits;
  /* Some in a window, while its load is not noticed, and one for each full batch; else there is one
   * for each burst, which takes a tenth of a window. */
  most = (mp_mono_ms() - before) / WINDOW_MS * 4 + EVENTS / FULL + 30;
  fprintf(stderr, "# %lld commits, at most %lld\n", commits, (long long)most);
  if (commits > most) fail_msg("%lld commits, expected %lld at most", commits, (long long)most);
  mp_engine_close(e, 0, &err);
  stop_sink(s);
}

/* Hosts that wait are answered in the middle of it; so are calls. */
static void who_waits_is_not_held_back(void **state) {
  sink *s = start_sink(false);
  mp_engine *e = open_engine(5000);
  long long commits;
  mp_error err = {0};
  (void)state;

  add_webhook(e, s->port);
  for (int turn = 0; turn < 20; turn++) {
    for (int i = 0; i < 50; i++)
      assert_int_equal(emit(e, "entry.create", false, NULL, NULL, &err), MP_OK);
    commits = stat(e, "commits");
    assert_int_equal(emit(e, "entry.create", true, NULL, NULL, &err), MP_OK);
    assert_true(stat(e, "commits") > commits);
  }
  if (mp_engine_wait(e, 60000, &err) != MP_OK) fail_msg("%s", err.message);
  assert_int_equal(atomic_load(&s->requests), 20 * 51);
  assert_int_equal(stat(e, "delivered"), 20 * 51);
  assert_int_equal(mp_engine_close(e, 1000, &err), MP_OK);
  stop_sink(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
      TEST(a_commit_does_for_many),
      TEST(who_waits_is_not_held_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
