/* The clock of the SQLite store: milliseconds since 1970 that no jump of the wall clock moves. Runs
 * on the store thread.
 *
 * What always holds: the store's time is the boot's clock and a base that all engines of one boot
 * share, and it does not go back, whatever the wall clock says after a boot. */
#include <string.h>

#include "base/id.h"
#include "queue/sqlite.h"

typedef struct clock_row {
  bool present;
  bool same_boot;
  int64_t base_ms;   /* the store's time when the boot's clock was 0 */
  int64_t seen_ms;   /* it was at least this ... */
  int64_t newest_ms; /* ... and this, about: an engine in a hurry makes ids of the near future */
} clock_row;

static mp_code read_clock(mp_sqlite *s, const char *boot, clock_row *out, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(s, MP_SQL_CLOCK,
                                 "SELECT boot = ?1, base_ms, seen_ms, "
                                 "coalesce((SELECT max(id) FROM event), 0) "
                                 "FROM clock WHERE id = 1",
                                 &q, err);

  *out = (clock_row){0};
  if (code != MP_OK) return code;
  mp_sqlite_bind_text(q, 1, boot);
  code = mp_sqlite_step(s, q, &out->present, err);
  if (code != MP_OK || !out->present) return code;
  out->same_boot = sqlite3_column_int(q, 0) != 0;
  out->base_ms = sqlite3_column_int64(q, 1);
  out->seen_ms = sqlite3_column_int64(q, 2);
  out->newest_ms = mp_event_id_ms(sqlite3_column_int64(q, 3));
  mp_sqlite_end(q);
  return MP_OK;
}

static mp_code write_clock(mp_sqlite *s, const char *boot, int64_t base_ms, int64_t seen_ms,
                           mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(s, MP_SQL_CLOCK_SET,
                                 "INSERT INTO clock(id, boot, base_ms, seen_ms) "
                                 "VALUES(1, ?1, ?2, ?3) ON CONFLICT(id) DO UPDATE SET "
                                 "boot = excluded.boot, base_ms = excluded.base_ms, "
                                 "seen_ms = excluded.seen_ms",
                                 &q, err);
  if (code != MP_OK) return code;
  mp_sqlite_bind_text(q, 1, boot);
  sqlite3_bind_int64(q, 2, base_ms);
  sqlite3_bind_int64(q, 3, seen_ms);
  return mp_sqlite_run(s, q, NULL, err);
}

mp_code mp_sqlite_clock(mp_store *store, const char *boot, int64_t boot_ms, int64_t wall_ms,
                        int64_t *now_ms, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  clock_row row;
  mp_code code = read_clock(s, boot, &row, err);

  if (code != MP_OK) return code;
  /* A boot's clock behind what was seen of it is another boot's whose name is not known. */
  if (row.same_boot && row.base_ms + boot_ms >= row.seen_ms) {
    *now_ms = row.base_ms + boot_ms;
  } else {
    *now_ms = row.seen_ms > row.newest_ms ? row.seen_ms : row.newest_ms;
    if (*now_ms < wall_ms) *now_ms = wall_ms;
    row.base_ms = *now_ms - boot_ms;
  }
  return write_clock(s, boot, row.base_ms, *now_ms, err);
}
