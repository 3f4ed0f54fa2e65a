/* engine/senders: how deliveries are dealt out to the delivery threads, and what becomes of them
 * when those end. */
#include "test/engine_fixture.h"
/* engine_fixture.h has cmocka.h and what it needs */
#include "engine/delivery_thread.h"

#define THREADS 3
#define SLOTS   48 /* THREADS shares of 16 */

static mp_engine engine;
static mp_lane *lane;

static mp_lane *add_lane(int64_t id, int port) {
  char definition[128];
  mp_webhook_row row = {.id = id, .name = "w", .definition = definition, .enabled = true};
  mp_lane *added = mp_lanes_add(&engine.lanes, id);
  mp_error err;

  snprintf(definition, sizeof definition,
           "{\"url\":\"http://127.0.0.1:%d/\",\"events\":[\"*\"],\"concurrency\":%d}", port, SLOTS);
  if (mp_webhook_new(engine.settings, &row, &added->webhook, &err) != MP_OK)
    fail_msg("%s", err.message);
  return added;
}

static void begin(int port) {
  engine = (mp_engine){.settings = common_settings("unused", "same")};
  engine.settings->timeout_ms = engine.settings->connect_timeout_ms = 60000;
  engine.settings->max_concurrency = 1000;
  engine.settings->delivery_threads = engine.lanes.delivery_threads = THREADS;
  pthread_mutex_init(&engine.lock, NULL);
  lane = add_lane(1, port);
}

static void end(void) {
  mp_senders_free(&engine);
  for (mp_node *n; (n = mp_list_pop(&engine.finished)) != NULL;)
    mp_delivery_free(MP_CONTAINER(n, mp_delivery, node));
  mp_lanes_free(&engine.lanes);
  mp_settings_free(engine.settings);
  pthread_mutex_destroy(&engine.lock);
}

static void start(void) {
  mp_error err;
  if (mp_senders_start(&engine, &err) != MP_OK) fail_msg("%s", err.message);
}

static void hand(int count) {
  mp_list list = {0};

  for (int i = 0; i < count; i++) {
    mp_event_row row = {.id = i + 1, .type = "entry.create", .body = "{}", .body_len = 2};
    mp_event *event = mp_event_new(&row, 0);
    mp_delivery *d = mp_delivery_new(lane, lane->webhook, event);
    assert_int_equal(d->share, -1);
    mp_event_unref(event);
    mp_list_push(&list, &d->node);
  }
  mp_senders_hand(&engine, &list);
  assert_null(list.head);
}

static size_t finished(void) {
  size_t count;
  pthread_mutex_lock(&engine.lock);
  count = engine.finished.count;
  pthread_mutex_unlock(&engine.lock);
  return count;
}

static void test_lanes_have_homes_in_turn(void **state) {
  (void)state;
  begin(1);
  for (int i = 0; i < 2 * THREADS; i++)
    assert_int_equal(mp_lanes_add(&engine.lanes, i + 1)->home, i % THREADS);
  end();
}

static void test_deals_to_the_share_that_has_the_fewest(void **state) {
  static const int before[THREADS] = {5, 0, 3};
  sink *receiver = start_sink(true);
  (void)state;

  begin(receiver->port);
  assert_int_equal(lane->webhook->shares, THREADS);
  start();
  memcpy(lane->handed, before, sizeof before);
  hand(10); /* 8 there already: 18 in three */
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(lane->handed[i], 6);
  end();
  stop_sink(receiver);
}

static void test_gives_back_what_is_under_way_and_frees_what_comes_too_late(void **state) {
  sink *receiver = start_sink(true);
  (void)state;

  begin(receiver->port);
  start();
  hand(SLOTS + 12);
  while (atomic_load(&receiver->requests) < SLOTS)
    usleep(1000);
  assert_int_equal(atomic_load(&engine.requests), SLOTS);
  mp_senders_stop(&engine, false);
  while (finished() < SLOTS + 12)
    usleep(1000);
  for (const mp_node *n = engine.finished.head; n; n = n->next)
    assert_false(MP_CONTAINER(n, const mp_delivery, node)->attempted);
  assert_int_equal(atomic_load(&engine.requests), 0);
  mp_senders_join(&engine);
  hand(4);
  end();
  assert_null(engine.senders);
  stop_sink(receiver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_lanes_have_homes_in_turn),
      cmocka_unit_test(test_deals_to_the_share_that_has_the_fewest),
      cmocka_unit_test(test_gives_back_what_is_under_way_and_frees_what_comes_too_late),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
