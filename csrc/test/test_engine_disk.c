/* The engine on a disk that fails it: every write, sync, truncation, read, lock and mapping of the
 * store fails in its turn, once or for a while, with a full disk, a broken one or a lock that
 * another holds. The rule of engine_run.h holds, and the engine goes on when the fault is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/engine_run.h"
#include "test/fault_disk.h"

static char folder[64];

static int make_folder(void **state) {
  (void)state;
  strcpy(folder, "/tmp/moonpost-test.XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  char command[128];
  (void)state;
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

static sink receiver;
static run r;

static void begin(bool (*allowed)(mp_code code)) {
  r = (run){.sink = &receiver, .allowed = allowed};
  snprintf(r.path, sizeof r.path, "%s/%d.db", folder, (int)getpid());
  sink_start(&receiver);
}

static void end(void) {
  sink_stop(&receiver);
  run_remove_store(&r);
}

/* ---- sweeps --------------------------------------------------------------------------------- */

static bool is_disk_error(mp_code code) {
  int error = atomic_load(&fault_errno);
  if (error == ENOSPC) return code == MP_ENOSPC || code == MP_EIO; /* EIO: while opening */
  if (error == EAGAIN) return code == MP_EBUSY || code == MP_EIO;  /* EIO: while opening */
  if (error == ENOMEM) return code == MP_EIO || code == MP_ENOMEM;
  return code == MP_EIO || code == MP_ECORRUPT; /* SQLite says so of a read that fails with EIO */
}

static void host(const fault_sweep *s, long first) {
  begin(is_disk_error);
  fault_arm(s->kinds, s->error, first, s->count);
  run_work(&r);
  run_close(&r);
  run_check(&r);
  end();
}

static void must_hold(const char *name, int kinds, int error, long count, long most) {
  fault_sweep s = {
      .name = name, .kinds = kinds, .error = error, .count = count, .most = most, .work = host};
  const char *why = fault_sweep_all(&s);
  if (why) fail_msg("a run %s", why);
}

static void a_write_finds_no_room(void **state) {
  (void)state;
  must_hold("writes, ENOSPC", FAULT_WRITE | FAULT_TRUNCATE, ENOSPC, 1, 100);
  must_hold("writes, ENOSPC", FAULT_WRITE | FAULT_TRUNCATE, ENOSPC, 4, 50);
}

static void a_write_fails(void **state) {
  (void)state;
  must_hold("writes, EIO", FAULT_WRITE | FAULT_TRUNCATE, EIO, 1, 100);
  must_hold("writes, EIO", FAULT_WRITE | FAULT_TRUNCATE, EIO, 4, 50);
}

static void a_sync_fails(void **state) {
  (void)state;
  must_hold("syncs, EIO", FAULT_SYNC, EIO, 1, 100);
  must_hold("syncs, EIO", FAULT_SYNC, EIO, 3, 50);
}

static void a_read_fails(void **state) {
  (void)state;
  must_hold("reads, EIO", FAULT_READ, EIO, 1, 100);
}

static void a_lock_is_refused(void **state) {
  (void)state;
  must_hold("locks, EAGAIN", FAULT_LOCK, EAGAIN, 2, 100);
  must_hold("locks, ENOLCK", FAULT_LOCK, ENOLCK, 1, 100);
}

static void a_file_cannot_be_opened_or_mapped(void **state) {
  (void)state;
  must_hold("opens, EMFILE", FAULT_OPEN, EMFILE, 1, 50);
  must_hold("maps, ENOMEM", FAULT_MAP, ENOMEM, 1, 50);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
      TEST(a_write_finds_no_room), TEST(a_write_fails),     TEST(a_sync_fails),
      TEST(a_read_fails),          TEST(a_lock_is_refused), TEST(a_file_cannot_be_opened_or_mapped),
  };
  if (!fault_disk_init()) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
