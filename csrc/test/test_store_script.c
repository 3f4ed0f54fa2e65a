/* What the store keeps for scripts: deliveries held because one failed, what they made of an event,
 * and events that they have yet to route. */
#include "store_fixture.h"

static const mp_attempt script_failed = {
    .at_ms = 7, .error_class = "script", .error = "crm.lua:3: no city"};
static const mp_attempt ok = {.at_ms = 9, .duration_us = 44, .status = 200};

static int64_t leased(fixture *f, bool enabled, int64_t lease) {
  int64_t hook = add_webhook(f, enabled);
  add_event(f, 1);
  add_delivery(f, 1, hook, MP_LEASED, 5, lease);
  return hook;
}

static bool end(fixture *f, int64_t hook, int64_t lease, mp_delivery_state state,
                const char *script, const mp_attempt *attempt) {
  mp_finish finish = {.event_id = 1,
                      .webhook_id = hook,
                      .lease = lease,
                      .state = state,
                      .due_ms = 50,
                      .now_ms = 50,
                      .script = script,
                      .attempt = attempt};
  bool applied;
  must(f, mp_store_finish(f->store, &finish, &applied, &f->err));
  return applied;
}

static mp_store_counts counts_of(fixture *f) {
  mp_store_counts counts;
  must(f, mp_store_count(f->store, &counts, &f->err));
  return counts;
}

static mp_code add_one(void *arg, const mp_delivery_row *row, mp_error *err) {
  (void)row;
  (void)err;
  ++*(int *)arg;
  return MP_OK;
}

static int listed(fixture *f, int state) {
  mp_delivery_filter filter = {.state = state, .limit = 100};
  int count = 0;
  must(f, mp_store_deliveries(f->store, &filter, add_one, &count, &f->err));
  return count;
}

static void held_until_released(void **state) {
  fixture *f = *state;
  int64_t hook, lease = MP_LEASE(3, 1);

  begin(f);
  hook = leased(f, true, lease);
  assert_true(end(f, hook, lease, MP_HELD, NULL, &script_failed));
  assert_int_equal(claim(f, hook, INT64_MAX - 2, 10, lease + 1).count, 0);
  commit(f);
  assert_int_equal(state_of(f, 1, hook), MP_HELD);
  assert_string_equal(look(f, 1, hook).error_class, "script");
  assert_string_equal(look(f, 1, hook).error, "crm.lua:3: no city");
  assert_int_equal(look(f, 1, hook).row.due_ms, 0);
  assert_int_equal(next_due(f, hook, 100), INT64_MAX);
  assert_int_equal(counts_of(f).deliveries[MP_HELD], 1);
  assert_int_equal(counts_of(f).deliveries[MP_WAITING], 0);
  assert_int_equal(listed(f, MP_HELD), 1);
  assert_int_equal(listed(f, MP_WAITING), 0);
  begin(f);
  must(f, mp_store_release(f->store, hook, 60, &f->err));
  commit(f);
  assert_int_equal(state_of(f, 1, hook), MP_WAITING);
  assert_int_equal(next_due(f, hook, 1), 60);
  assert_int_equal(listed(f, MP_WAITING), 1);
}

/* It is no step of the schedule, and still the history's first entry. */
static void a_failed_script_uses_no_attempt(void **state) {
  fixture *f = *state;
  int64_t hook, lease = MP_LEASE(3, 1);
  claims c;

  begin(f);
  hook = leased(f, true, lease);
  end(f, hook, lease, MP_HELD, NULL, &script_failed);
  must(f, mp_store_release(f->store, hook, 60, &f->err));
  c = claim(f, hook, 60, 10, lease + 1);
  assert_int_equal(c.count, 1);
  assert_int_equal(c.items[0].attempts, 0);
  assert_true(end(f, hook, lease + 1, MP_DELIVERED, "crm@1", &ok));
  commit(f);
  assert_int_equal(look(f, 1, hook).row.attempts_total, 2);
  assert_int_equal(look(f, 1, hook).row.attempts, 1);
}

static void enabling_a_webhook_releases_what_a_script_held(void **state) {
  fixture *f = *state;
  int64_t hook, lease = MP_LEASE(3, 1);

  begin(f);
  hook = leased(f, true, lease);
  end(f, hook, lease, MP_HELD, NULL, &script_failed);
  enable(f, hook, false, 10);
  assert_int_equal(counts_of(f).deliveries[MP_HELD], 1);
  enable(f, hook, true, 20);
  commit(f);
  assert_int_equal(state_of(f, 1, hook), MP_WAITING);
  assert_int_equal(next_due(f, hook, 1), 20);
}

typedef struct kept {
  int count;
  char text[128];
} kept;

static mp_code keep_output(void *arg, const mp_output_row *o, mp_error *err) {
  kept *k = arg;
  (void)err;
  k->count++;
  snprintf(k->text, sizeof k->text, "%s %s %s %.*s", o->script,
           o->content_type ? o->content_type : "-", o->headers ? o->headers : "-",
           o->body ? (int)o->body_len : 4, o->body ? o->body : "NULL");
  return MP_OK;
}

static kept output_of(fixture *f, int64_t hook) {
  kept k = {0};
  must(f, mp_store_output(f->store, 1, hook, keep_output, &k, &f->err));
  return k;
}

static bool put(fixture *f, int64_t hook, int64_t lease, const mp_output_row *output) {
  bool applied;
  must(f, mp_store_output_put(f->store, 1, hook, lease, output, &applied, &f->err));
  return applied;
}

static void an_output_belongs_to_the_lease(void **state) {
  fixture *f = *state;
  mp_output_row first = {.script = "crm@1", .body = "hello", .body_len = 5, .content_type = "text"};
  mp_output_row second = {.script = "crm@2", .headers = "[]"};
  mp_output_row empty = {.script = "crm@3", .body = "", .body_len = 0};
  int64_t hook, lease = MP_LEASE(3, 1);

  begin(f);
  hook = leased(f, true, lease);
  assert_int_equal(output_of(f, hook).count, 0);
  assert_false(put(f, hook, lease + 1, &first));
  assert_int_equal(output_of(f, hook).count, 0);
  assert_true(put(f, hook, lease, &first));
  assert_string_equal(output_of(f, hook).text, "crm@1 text - hello");
  assert_true(put(f, hook, lease, &second));
  assert_string_equal(output_of(f, hook).text, "crm@2 - [] NULL");
  assert_true(put(f, hook, lease, &empty));
  assert_string_equal(output_of(f, hook).text, "crm@3 - - ");
  commit(f);
}

static void a_resend_keeps_the_output_unless_it_is_made_anew(void **state) {
  fixture *f = *state;
  mp_output_row output = {.script = "crm@1", .body = "hello", .body_len = 5};
  int64_t hook, lease = MP_LEASE(3, 1);
  claims c;

  begin(f);
  hook = leased(f, true, lease);
  put(f, hook, lease, &output);
  end(f, hook, lease, MP_DELIVERED, "crm@1", &ok);
  must(f, mp_store_resend(f->store, 1, hook, false, 60, &f->err));
  assert_int_equal(output_of(f, hook).count, 1);
  c = claim(f, hook, 60, 1, lease + 1);
  assert_non_null(c.items[0].script);
  end(f, hook, lease + 1, MP_DELIVERED, NULL, &ok);
  must(f, mp_store_resend(f->store, 1, hook, true, 60, &f->err));
  assert_int_equal(output_of(f, hook).count, 0);
  c = claim(f, hook, 60, 1, lease + 2);
  assert_null(c.items[0].script);
  commit(f);
}

static void a_routing_is_claimed_but_neither_listed_nor_counted(void **state) {
  fixture *f = *state;
  int64_t lease = MP_LEASE(3, 1);
  mp_store_counts counts;
  bool applied;

  begin(f);
  add_event(f, 1);
  add_delivery(f, 1, MP_ROUTING, MP_WAITING, 5, 0);
  assert_int_equal(next_due(f, MP_ROUTING, 1), 5);
  counts = counts_of(f);
  assert_int_equal(counts.routing, 1);
  assert_int_equal(counts.accepted, 0);
  assert_int_equal(counts.deliveries[MP_WAITING], 0);
  assert_int_equal(claim(f, MP_ROUTING, 5, 10, lease).count, 1);
  counts = counts_of(f);
  assert_int_equal(counts.routing, 1);
  assert_int_equal(counts.deliveries[MP_LEASED], 0);
  assert_int_equal(listed(f, -1), 0);
  assert_int_equal(listed(f, MP_LEASED), 0);
  must(f, mp_store_routed(f->store, 1, lease + 1, &applied, &f->err));
  assert_false(applied);
  must(f, mp_store_routed(f->store, 1, lease, &applied, &f->err));
  assert_true(applied);
  assert_int_equal(counts_of(f).routing, 0);
  assert_int_equal(claim(f, MP_ROUTING, 100, 10, lease + 2).count, 0);
  commit(f);
}

static mp_code add_routing(void *arg, const mp_event_row *row, mp_error *err) {
  static const char *const names[] = {"routed", "due", "held"};
  char *text = arg;
  (void)err;
  sprintf(text + strlen(text), "%d %s %s;", (int)row->id, names[row->routing],
          row->routing_error ? row->routing_error : "-");
  return MP_OK;
}

static const char *routings(fixture *f, mp_event_filter filter) {
  static char text[512];
  text[0] = '\0';
  filter.limit = 10;
  must(f, mp_store_events(f->store, &filter, add_routing, text, &f->err));
  return text;
}

static void events_say_how_their_routing_is(void **state) {
  const mp_event_filter all = {0}, held = {.routing_held = true};
  fixture *f = *state;
  int64_t lease = MP_LEASE(3, 1);
  char one[64] = "";
  bool applied;

  begin(f);
  for (int64_t id = 1; id <= 4; id++)
    add_event(f, id);
  add_delivery(f, 1, MP_ROUTING, MP_LEASED, 5, lease);
  add_delivery(f, 2, MP_ROUTING, MP_WAITING, 5, 0);
  add_delivery(f, 3, MP_ROUTING, MP_LEASED, 5, lease + 1);
  assert_true(finish(f, 1, MP_ROUTING, lease, MP_HELD, 0, &script_failed));
  assert_true(finish(f, 3, MP_ROUTING, lease + 1, MP_HELD, 0, &script_failed));
  assert_string_equal(routings(f, all),
                      "4 routed -;3 held crm.lua:3: no city;2 due -;1 held crm.lua:3: no city;");
  assert_string_equal(routings(f, held), "3 held crm.lua:3: no city;1 held crm.lua:3: no city;");
  assert_string_equal(routings(f, (mp_event_filter){.routing_held = true, .before = 3}),
                      "1 held crm.lua:3: no city;");
  assert_string_equal(routings(f, (mp_event_filter){.routing_held = true, .type = "none"}), "");
  must(f, mp_store_event(f->store, 1, add_routing, one, &f->err));
  assert_string_equal(one, "1 held crm.lua:3: no city;");
  /* They are tried again, and go through. */
  must(f, mp_store_release(f->store, MP_ROUTING, 50, &f->err));
  assert_string_equal(routings(f, held), "3 held crm.lua:3: no city;1 held crm.lua:3: no city;");
  assert_int_equal(claim(f, MP_ROUTING, 100, 10, lease + 2).count, 3);
  must(f, mp_store_routed(f->store, 1, lease + 2, &applied, &f->err));
  assert_true(applied);
  assert_string_equal(routings(f, held), "3 held crm.lua:3: no city;");
  assert_string_equal(routings(f, (mp_event_filter){.before = 2}), "1 routed -;");
  commit(f);
}

static void a_dead_engines_routings_are_taken_over(void **state) {
  fixture *f = *state;
  mp_engine_identity who = {.host = "h", .pid = getpid(), .start = 1};
  int64_t id, newest;
  unsigned slot;

  begin(f);
  must(f, mp_store_engine_join(f->store, &who, 10, &id, &slot, &newest, &f->err));
  add_event(f, 1);
  add_delivery(f, 1, MP_ROUTING, MP_LEASED, 5, MP_LEASE(id, 1));
  must(f, mp_store_engine_leave(f->store, id, &f->err));
  assert_int_equal(claim(f, MP_ROUTING, 5, 10, MP_LEASE(9, 1)).count, 1);
  commit(f);
}

static void what_is_routed_yet_is_not_forgotten(void **state) {
  fixture *f = *state;
  mp_prune_before all = {.ended_ms = 1000, .dead_ms = 1000, .held_ms = 500};
  int64_t waiting = accepted_at(100), held = accepted_at(101), lease = MP_LEASE(3, 1);
  mp_pruned pruned;

  begin(f);
  add_event(f, waiting);
  add_delivery(f, waiting, MP_ROUTING, MP_WAITING, 5, 0);
  add_event(f, held);
  add_delivery(f, held, MP_ROUTING, MP_LEASED, 5, lease);
  assert_true(finish(f, held, MP_ROUTING, lease, MP_HELD, 0, &script_failed));
  assert_int_equal(counts_of(f).routing_held, 1);
  all.held_ms = 100;
  must(f, mp_store_prune(f->store, &all, 2000, 0, &pruned, &f->err));
  assert_int_equal(pruned.count, 0);
  all.held_ms = 500;
  must(f, mp_store_prune(f->store, &all, 2000, 0, &pruned, &f->err));
  assert_int_equal(pruned.count, 1);
  assert_int_equal(counts_of(f).deliveries[MP_DEAD], 0);
  assert_int_equal(counts_of(f).routing, 1);
  commit(f);
}

static void outputs_go_with_their_event(void **state) {
  fixture *f = *state;
  mp_prune_before all = {.ended_ms = 1000, .dead_ms = 1000, .held_ms = 1000};
  mp_output_row output = {.script = "crm@1", .body = "hello", .body_len = 5};
  int64_t event = accepted_at(100), lease = MP_LEASE(3, 1), hook;
  kept k = {0};
  mp_pruned pruned;
  bool applied;

  begin(f);
  hook = add_webhook(f, true);
  add_event(f, event);
  add_delivery(f, event, hook, MP_LEASED, 5, lease);
  must(f, mp_store_output_put(f->store, event, hook, lease, &output, &applied, &f->err));
  assert_true(finish(f, event, hook, lease, MP_DELIVERED, 0, &ok));
  must(f, mp_store_prune(f->store, &all, 2000, 0, &pruned, &f->err));
  assert_int_equal(pruned.count, 1);
  must(f, mp_store_output(f->store, event, hook, keep_output, &k, &f->err));
  assert_int_equal(k.count, 0);
  commit(f);
}

typedef struct found {
  int64_t ids[4];
  int count;
} found;

static mp_code keep_found(void *arg, const mp_replay_row *row, mp_error *err) {
  found *to = arg;
  (void)err;
  assert_true(to->count < 4);
  to->ids[to->count++] = row->event_id;
  return MP_OK;
}

static void a_replay_finds_what_a_script_holds(void **state) {
  fixture *f = *state;
  int64_t lease = MP_LEASE(3, 1), hook, next;
  mp_replay_range range = {.until_ms = INT64_MAX, .what = MP_REPLAY_HELD, .limit = 10};
  found held = {0};

  begin(f);
  range.webhook_id = hook = leased(f, true, lease);
  assert_true(end(f, hook, lease, MP_HELD, NULL, &script_failed));
  add_event(f, 2);
  add_delivery(f, 2, hook, MP_WAITING, 5, 0);
  must(f, mp_store_replay(f->store, &range, keep_found, &held, &next, &f->err));
  assert_int_equal(held.count, 1);
  assert_int_equal(held.ids[0], 1);
  assert_int_equal(next, 0);
  must(f, mp_store_resend(f->store, 1, hook, false, 70, &f->err));
  assert_int_equal(state_of(f, 1, hook), MP_WAITING);
  held.count = 0;
  must(f, mp_store_replay(f->store, &range, keep_found, &held, &next, &f->err));
  assert_int_equal(held.count, 0);
  commit(f);
}

/* A filter ended the chain: nothing made what would be sent. */
static void a_filtered_one_goes_through_its_scripts_again(void **state) {
  fixture *f = *state;
  int64_t lease = MP_LEASE(3, 1), hook;
  claims c;

  begin(f);
  hook = leased(f, true, lease);
  assert_true(end(f, hook, lease, MP_FILTERED, "crm@1", NULL));
  must(f, mp_store_resend(f->store, 1, hook, false, 70, &f->err));
  c = claim(f, hook, 100, 10, lease + 1);
  assert_int_equal(c.count, 1);
  assert_null(c.items[0].script);
  commit(f);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
  const struct CMUnitTest tests[] = {
      TEST(held_until_released),
      TEST(a_failed_script_uses_no_attempt),
      TEST(enabling_a_webhook_releases_what_a_script_held),
      TEST(an_output_belongs_to_the_lease),
      TEST(a_resend_keeps_the_output_unless_it_is_made_anew),
      TEST(a_routing_is_claimed_but_neither_listed_nor_counted),
      TEST(events_say_how_their_routing_is),
      TEST(a_dead_engines_routings_are_taken_over),
      TEST(what_is_routed_yet_is_not_forgotten),
      TEST(outputs_go_with_their_event),
      TEST(a_replay_finds_what_a_script_holds),
      TEST(a_filtered_one_goes_through_its_scripts_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
