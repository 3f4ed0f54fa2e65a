/* SQLite's allocations that fail on demand. */
#ifndef MP_TEST_FAULT_SQLITE_H
#define MP_TEST_FAULT_SQLITE_H

#include <sqlite3.h>

#include "test/fault.h"

static sqlite3_mem_methods fault_sqlite;

static void *fault_sqlite_malloc(int n) {
  return fault_now(FAULT_SQLITE) ? NULL : fault_sqlite.xMalloc(n);
}

static void *fault_sqlite_realloc(void *old, int n) {
  return fault_now(FAULT_SQLITE) ? NULL : fault_sqlite.xRealloc(old, n);
}

/* Before anything else is done with SQLite. */
static bool fault_sqlite_init(void) {
  sqlite3_mem_methods faulty;

  if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &fault_sqlite) != SQLITE_OK) return false;
  faulty = fault_sqlite;
  faulty.xMalloc = fault_sqlite_malloc;
  faulty.xRealloc = fault_sqlite_realloc;
  return sqlite3_config(SQLITE_CONFIG_MALLOC, &faulty) == SQLITE_OK;
}

#endif
