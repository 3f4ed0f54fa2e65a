/* kill -9 at random moments: what a commit reported is there afterwards, whole; nothing is half
 * there; and what the dead engine had leased is free again.
 *
 * A child writes groups of events, each with two deliveries, and finishes some; it reports each
 * commit through a pipe once it returned. The parent kills it, opens the store and compares. */
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/process.h"
#include "test/store_fixture.h"

#define ROUNDS      60
#define MOST_EVENTS 100000

/* One committed transaction: it inserted the events first .. first + count - 1 and finished the
 * first delivery of each event of the group before. */
typedef struct report {
  int64_t first;
  int64_t count;
  int64_t finished_first;
  int64_t finished_count;
} report;

static bool reported[MOST_EVENTS], finished[MOST_EVENTS];

static uint64_t seed = 7;

static unsigned next_random(unsigned below) {
  seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (unsigned)(seed >> 33) % below;
}

/* ---- the child ------------------------------------------------------------------------------ */

static int64_t join(fixture *f, int64_t *newest) {
  char host[MP_HOST_SIZE];
  mp_engine_identity who = {host, getpid(), mp_process_start(getpid())};
  unsigned slot;
  int64_t id;

  mp_host_name(host);
  must(f, mp_store_engine_join(f->store, &who, mp_wall_ms(), &id, &slot, newest, &f->err));
  return id;
}

static void write_until_killed(fixture *f, int out) {
  static char body[5000];
  int64_t engine, next, hooks[2];
  report last = {0};

  must(f, mp_store_open(f->path, &f->store, &f->err));
  begin(f);
  engine = join(f, &next);
  for (int i = 0; i < 2; i++)
    hooks[i] = add_webhook(f, true);
  commit(f);
  next++;
  while (next + 64 < MOST_EVENTS) {
    report now = {.first = next, .count = 1 + next_random(40)};
    begin(f);
    for (int64_t id = last.first; id < last.first + last.count; id++) {
      mp_attempt ok = {.status = 200};
      if (!finish(f, id, hooks[0], MP_LEASE(engine, id), MP_DELIVERED, 0, &ok)) _exit(3);
    }
    now.finished_first = last.first;
    now.finished_count = last.count;
    for (int64_t id = now.first; id < now.first + now.count; id++) {
      mp_event_row event = {
          .id = id, .type = "t", .body = body, .body_len = next_random(sizeof body)};
      must(f, mp_store_event_insert(f->store, &event, &f->err));
      add_delivery(f, id, hooks[0], MP_LEASED, 1, MP_LEASE(engine, id));
      add_delivery(f, id, hooks[1], MP_WAITING, 1, 0);
    }
    commit(f);
    if (write(out, &now, sizeof now) != sizeof now) _exit(4);
    next = now.first + now.count;
    last = now;
  }
}

/* ---- the parent ----------------------------------------------------------------------------- */

static void nap_us(long us) {
  struct timespec t = {us / 1000000, us % 1000000 * 1000};
  while (nanosleep(&t, &t) != 0 && errno == EINTR) {
  }
}

static void read_reports(int in) {
  report r;
  while (read(in, &r, sizeof r) == sizeof r) {
    for (int64_t i = 0; i < r.count; i++)
      reported[r.first + i] = true;
    for (int64_t i = 0; i < r.finished_count; i++)
      finished[r.finished_first + i] = true;
  }
}

static int64_t query(sqlite3 *db, const char *sql) {
  sqlite3_stmt *q;
  int64_t value;
  if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK) fail_msg("%s", sqlite3_errmsg(db));
  assert_int_equal(sqlite3_step(q), SQLITE_ROW);
  value = sqlite3_column_int64(q, 0);
  sqlite3_finalize(q);
  return value;
}

typedef struct tally {
  int count, delivered;
} tally;

static mp_code add_to_tally(void *arg, const mp_delivery_row *row, mp_error *err) {
  tally *t = arg;
  (void)err;
  t->count++;
  t->delivered += row->state == MP_DELIVERED;
  return MP_OK;
}

static void check(fixture *f) {
  mp_store_counts counts;
  int64_t newest, released;
  char host[MP_HOST_SIZE];
  sqlite3 *db;

  must(f, mp_store_open(f->path, &f->store, &f->err));
  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  assert_int_equal(query(db, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
  assert_int_equal(query(db,
                         "SELECT count(*) FROM event WHERE (SELECT count(*) FROM delivery "
                         "WHERE event_id = id) <> 2"),
                   0);
  assert_int_equal(query(db,
                         "SELECT count(*) FROM delivery WHERE event_id NOT IN "
                         "(SELECT id FROM event)"),
                   0);
  sqlite3_close(db);
  for (int64_t id = 0; id < MOST_EVENTS; id++) {
    mp_delivery_filter filter = {.event_id = id, .state = -1, .limit = 9};
    tally t = {0};
    if (!reported[id]) continue;
    must(f, mp_store_deliveries(f->store, &filter, add_to_tally, &t, &f->err));
    if (t.count != 2) fail_msg("event %d was accepted and has %d deliveries", (int)id, t.count);
    if (finished[id]) assert_int_equal(t.delivered, 1);
  }

  mp_host_name(host);
  begin(f);
  join(f, &newest);
  must(f, mp_store_engine_reap(f->store, 0, host, mp_wall_ms(), INT64_MAX, &released, &f->err));
  must(f, mp_store_count(f->store, &counts, &f->err));
  assert_int_equal(counts.deliveries[MP_LEASED], 0);
  mp_store_rollback(f->store);
  mp_store_close(f->store);
  f->store = NULL;
}

static void what_was_accepted_survives_kill_9(void **state) {
  fixture *f = *state;
  int accepted = 0;

  for (int round = 0; round < ROUNDS; round++) {
    int ends[2], status;
    pid_t child;

    if (round % 12 == 0) { /* a new store now and then: its making may be cut short too */
      snprintf(f->path, sizeof f->path, "%s/%d.db", f->folder, round);
      memset(reported, 0, sizeof reported);
      memset(finished, 0, sizeof finished);
    }
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
      close(ends[0]);
      write_until_killed(f, ends[1]);
      _exit(0);
    }
    close(ends[1]);
    nap_us(round % 3 == 0 ? next_random(8000) : next_random(60000));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    read_reports(ends[0]);
    close(ends[0]);
    check(f);
    for (int i = 0; i < MOST_EVENTS; i++)
      accepted += reported[i];
  }
  assert_true(accepted > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(what_was_accepted_survives_kill_9, fixture_folder,
                                      fixture_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
