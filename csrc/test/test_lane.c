/* Lanes: how many of a webhook's deliveries an engine may hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those before it */
#include <cmocka.h>

#include "engine/internal.h"

#define NOW INT64_C(6000000)

static mp_webhook webhook;
static mp_lane lane;
static mp_engine engine;

static int set_up(void **state) {
  (void)state;
  webhook = (mp_webhook){.enabled = true, .concurrency = 10};
  memset(&lane, 0, sizeof lane);
  memset(&engine, 0, sizeof engine);
  lane.webhook = &webhook;
  return 0;
}

static void ends(int count, int64_t now_ms) {
  for (int i = 0; i < count; i++)
    mp_lane_ended(&lane, now_ms);
}

static void holds(int own, int others) {
  lane.leased = own;
  engine.leased = own + others;
}

static void a_lane_that_rests_holds_its_slots(void **state) {
  (void)state;
  assert_int_equal(mp_lease_room(&engine, &lane, NOW), 10);
  holds(10, 0);
  assert_int_equal(mp_lease_room(&engine, &lane, NOW), 0);
}

static void ahead_is_what_ended_in_a_window(void **state) {
  (void)state;
  ends(300, NOW);
  assert_int_equal(mp_lane_ahead(&lane, NOW), 300);
  ends(20, NOW + MP_LANE_WINDOW_MS); /* the next window has begun: the one before still counts */
  assert_int_equal(mp_lane_ahead(&lane, NOW + MP_LANE_WINDOW_MS), 300);
  ends(1, NOW + 2 * MP_LANE_WINDOW_MS);
  assert_int_equal(mp_lane_ahead(&lane, NOW + 2 * MP_LANE_WINDOW_MS), 20);
  holds(25, 0);
  assert_int_equal(mp_lease_room(&engine, &lane, NOW + 2 * MP_LANE_WINDOW_MS), 5);
}

static void a_lane_that_hangs_holds_nothing_ahead(void **state) {
  (void)state;
  ends(300, NOW);
  assert_int_equal(mp_lane_ahead(&lane, NOW + 2 * MP_LANE_WINDOW_MS - 1), 300);
  assert_int_equal(mp_lane_ahead(&lane, NOW + 2 * MP_LANE_WINDOW_MS), 0);
  ends(1, NOW + 60000); /* a timeout, at last: what was long before does not count */
  assert_int_equal(mp_lane_ahead(&lane, NOW + 60000), 1);
}

static void some_lanes_hold_nothing_ahead(void **state) {
  (void)state;
  ends(300, NOW);
  webhook.pace.interval_us = 1000;
  assert_int_equal(mp_lease_room(&engine, &lane, NOW), 10);
  webhook.pace.interval_us = 0;
  lane.circuit.open = true;
  assert_int_equal(mp_lease_room(&engine, &lane, NOW), 1);
  holds(1, 0);
  assert_int_equal(mp_lease_room(&engine, &lane, NOW), 0);
  holds(0, 0);
  webhook.enabled = false;
  assert_int_equal(mp_lease_room(&engine, &lane, NOW), 0);
  lane.webhook = NULL;
  assert_int_equal(mp_lease_room(&engine, &lane, NOW), 0);
}

/* However fast they are, and whatever the order in which they take. */
static void lanes_leave_each_other_room(void **state) {
  int held = 0, least = 1 << 20;
  (void)state;
  ends(1000000, NOW);
  for (int i = 0; i < 6; i++) {
    int taken = 0, room;
    for (;;) {
      holds(taken, held);
      room = mp_lease_room(&engine, &lane, NOW);
      if (room == 0) break;
      taken += room > 7 ? 7 : room; /* by and by */
    }
    assert_true(taken > 10);
    if (taken < least) least = taken;
    held += taken;
  }
  assert_true(least < 1000); /* it was of the last that little was left */
  holds(0, held);
  assert_true(mp_lease_room(&engine, &lane, NOW) >= 10);
}

static void without_room_a_lane_without_any_gets_one(void **state) {
  (void)state;
  ends(1000, NOW);
  holds(0, 1 << 20);
  assert_int_equal(mp_lease_room(&engine, &lane, NOW), 1);
  holds(1, 1 << 20);
  assert_int_equal(mp_lease_room(&engine, &lane, NOW), 0);

  holds(0, 0);
  engine.leased_bytes = (size_t)1 << 30;
  assert_int_equal(mp_lease_room(&engine, &lane, NOW), 1);
  engine.leased_bytes = (size_t)40 << 20; /* bodies: over half of what they may take */
  assert_int_equal(mp_lease_room(&engine, &lane, NOW), 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup(f, set_up)
      TEST(a_lane_that_rests_holds_its_slots),     TEST(ahead_is_what_ended_in_a_window),
      TEST(a_lane_that_hangs_holds_nothing_ahead), TEST(some_lanes_hold_nothing_ahead),
      TEST(lanes_leave_each_other_room),           TEST(without_room_a_lane_without_any_gets_one),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
