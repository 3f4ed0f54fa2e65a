/* The engine on a disk that fails it: every write, sync, truncation, read, lock and mapping of the
 * store fails in its turn, once or for a while, with a full disk, a broken one or a lock that
 * another holds. The rule of engine_run.h holds, and the engine goes on when the fault is over. */
#include "test/engine_run.h"
#include "test/fault_disk.h"

static bool is_disk_error(mp_code code) {
  int error = atomic_load(&fault_errno);
  if (error == ENOSPC) return code == MP_ENOSPC || code == MP_EIO; /* EIO: while opening */
  if (error == EAGAIN) return code == MP_EBUSY || code == MP_EIO;  /* EIO: while opening */
  if (error == ENOMEM) return code == MP_EIO || code == MP_ENOMEM;
  return code == MP_EIO || code == MP_ECORRUPT; /* SQLite says so of a read that fails with EIO */
}

static void host(const fault_sweep *s, long first) {
  static sink receiver;
  static run r;

  run_begin(&r, &receiver, is_disk_error);
  fault_arm(s->kinds, s->error, first, s->count);
  run_work(&r);
  run_close(&r);
  run_check(&r);
  run_end(&r);
}

static void must_hold(const char *name, int kinds, int error, long count, long most) {
  fault_sweep s = {
      .name = name, .kinds = kinds, .error = error, .count = count, .most = most, .work = host};
  fault_sweep_all(&s);
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
