/* Engines and their leases in the SQLite store. Runs on the store thread.
 *
 * What always holds: a lease's upper bits name an engine, and engine ids are never given twice. So
 * a lease without its engine's row is free, whoever removed the row. */
#include <string.h>

#include "base/id.h"
#include "base/process.h"
#include "queue/sqlite.h"

/* What MP_LEASE has room for. */
#define MAX_ENGINE_ID MP_LEASE_ENGINE(INT64_MAX)
#define MAX_COUNT     ((INT64_C(1) << MP_LEASE_BITS) - 1)

/* The smallest number that no engine has; MP_ID_SLOTS when all are taken. */
static mp_code free_slot(mp_sqlite *s, unsigned *slot, mp_error *err) {
  sqlite3_stmt *q;
  bool row;
  mp_code code =
      mp_sqlite_write(s, MP_SQL_ENGINE_SLOTS, "SELECT slot FROM engine ORDER BY slot", &q, err);
  if (code != MP_OK) return code;
  *slot = 0;
  while ((code = mp_sqlite_step(s, q, &row, err)) == MP_OK && row) {
    if (sqlite3_column_int64(q, 0) != *slot) {
      mp_sqlite_end(q);
      break;
    }
    ++*slot;
  }
  return code;
}

/* A process has one engine on a store: a row with its identity is of one that could not leave (the
 * disk was full, say). Its leases are free with the next reap. */
static mp_code forget_former(mp_sqlite *s, const mp_engine_identity *who, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(
      s, MP_SQL_ENGINE_FORMER,
      "DELETE FROM engine WHERE host = ?1 AND pid = ?2 AND start = ?3 AND start <> 0", &q, err);
  if (code != MP_OK) return code;
  mp_sqlite_bind_text(q, 1, who->host);
  sqlite3_bind_int64(q, 2, who->pid);
  sqlite3_bind_int64(q, 3, who->start);
  return mp_sqlite_run(s, q, NULL, err);
}

mp_code mp_sqlite_engine_join(mp_store *store, const mp_engine_identity *who, int64_t now_ms,
                              int64_t *id, unsigned *slot, int64_t *newest_event, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  mp_code code = forget_former(s, who, err);

  if (code == MP_OK) code = free_slot(s, slot, err);
  if (code != MP_OK) return code;
  if (*slot >= MP_ID_SLOTS) {
    return mp_fail(err, MP_EBUSY, "%s: %d engines use it already", s->name, MP_ID_SLOTS);
  }
  code = mp_sqlite_write(
      s, MP_SQL_ENGINE_INSERT,
      "INSERT INTO engine(slot, host, pid, start, beat_ms) VALUES(?1, ?2, ?3, ?4, ?5)", &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, *slot);
  mp_sqlite_bind_text(q, 2, who->host);
  sqlite3_bind_int64(q, 3, who->pid);
  sqlite3_bind_int64(q, 4, who->start);
  sqlite3_bind_int64(q, 5, now_ms);
  if ((code = mp_sqlite_run(s, q, NULL, err)) != MP_OK) return code;
  *id = sqlite3_last_insert_rowid(s->db);
  if (*id > MAX_ENGINE_ID) {
    return mp_fail(err, MP_E2BIG, "%s: its engine numbers are used up", s->name);
  }

  code = mp_sqlite_read(s, MP_SQL_NEWEST_EVENT, "SELECT max(id) FROM event", &q, err);
  return code == MP_OK ? mp_sqlite_integer(s, q, 0, newest_event, err) : code;
}

mp_code mp_sqlite_engine_beat(mp_store *store, int64_t id, int64_t now_ms, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  int64_t count;
  mp_code code = mp_sqlite_write(s, MP_SQL_ENGINE_BEAT,
                                 "UPDATE engine SET beat_ms = ?2 WHERE id = ?1", &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, id);
  sqlite3_bind_int64(q, 2, now_ms);
  if ((code = mp_sqlite_run(s, q, &count, err)) != MP_OK) return code;
  if (count == 0) {
    return mp_fail(err, MP_ENOENT, "%s: engine %lld was taken for dead", s->name, (long long)id);
  }
  return MP_OK;
}

static const char engines_sql[] = "SELECT id, pid, start, host, beat_ms FROM engine ORDER BY id";

mp_code mp_sqlite_engines(mp_store *store, mp_engine_fn fn, void *arg, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  bool row;
  mp_code code = mp_sqlite_read(s, MP_SQL_ENGINES, engines_sql, &q, err);

  if (code != MP_OK) return code;
  while ((code = mp_sqlite_step(s, q, &row, err)) == MP_OK && row) {
    mp_engine_identity who = {.host = mp_sqlite_text(q, 3),
                              .pid = sqlite3_column_int64(q, 1),
                              .start = sqlite3_column_int64(q, 2)};
    if ((code = fn(arg, sqlite3_column_int64(q, 0), &who, err)) != MP_OK) {
      mp_sqlite_end(q);
      break;
    }
  }
  return code;
}

static mp_code end_leases(mp_sqlite *s, mp_sql slot, const char *sql, int64_t first, int64_t last,
                          int64_t *count, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(s, slot, sql, &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, first);
  sqlite3_bind_int64(q, 2, last);
  return mp_sqlite_run(s, q, count, err);
}

/* Frees the leases from first to last. Their deliveries are due at once, for they were when they
 * were leased; without their webhook they are dead. */
static mp_code release_leases(mp_sqlite *s, int64_t first, int64_t last, int64_t *released,
                              mp_error *err) {
  int64_t waiting = 0, dead = 0;
  mp_code code = end_leases(s, MP_SQL_LEASES_ABANDON,
                            "UPDATE delivery INDEXED BY delivery_lease SET lease = NULL, "
                            "state = 3, due_ms = 0, cause = 'deleted' WHERE state = 1 "
                            "AND lease BETWEEN ?1 AND ?2 "
                            "AND webhook_id <> 0 AND webhook_id NOT IN (SELECT id FROM webhook)",
                            first, last, &dead, err);
  if (code != MP_OK) return code;
  mp_sqlite_total_state(s, MP_DEAD, dead);
  code = end_leases(s, MP_SQL_LEASES_RELEASE,
                    "UPDATE delivery INDEXED BY delivery_lease SET lease = NULL, state = 0 "
                    "WHERE state = 1 AND lease BETWEEN ?1 AND ?2",
                    first, last, &waiting, err);
  *released += waiting + dead;
  return code == MP_OK ? mp_sqlite_bundles_release(s, first, last, released, err) : code;
}

static mp_code delete_engine(mp_sqlite *s, int64_t id, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code =
      mp_sqlite_write(s, MP_SQL_ENGINE_DELETE, "DELETE FROM engine WHERE id = ?1", &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, id);
  return mp_sqlite_run(s, q, NULL, err);
}

mp_code mp_sqlite_engine_leave(mp_store *store, int64_t id, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  int64_t released = 0;
  mp_code code = delete_engine(s, id, err);
  if (code != MP_OK) return code;
  return release_leases(s, MP_LEASE(id, 0), MP_LEASE(id, MAX_COUNT), &released, err);
}

/* On this host the process itself is asked, where its start is known; elsewhere its last beat
 * tells. */
static bool is_dead(sqlite3_stmt *q, const char *host, int64_t now_ms, int64_t stale_ms) {
  int64_t start = sqlite3_column_int64(q, 2);
  const char *its_host = mp_sqlite_text(q, 3);

  if (start != 0 && its_host && strcmp(its_host, host) == 0) {
    int64_t runs = mp_process_start(sqlite3_column_int64(q, 1));
    return runs >= 0 && runs != start; /* in doubt it lives */
  }
  return now_ms - sqlite3_column_int64(q, 4) > stale_ms;
}

mp_code mp_sqlite_engine_reap(mp_store *store, int64_t self, const char *host, int64_t now_ms,
                              int64_t stale_ms, int64_t *released, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  int64_t alive[MP_ID_SLOTS], dead[MP_ID_SLOTS];
  size_t alive_count = 0, dead_count = 0;
  int64_t first = 0;
  sqlite3_stmt *q;
  bool row;
  mp_code code = mp_sqlite_write(s, MP_SQL_ENGINES, engines_sql, &q, err);
  *released = 0;
  if (code != MP_OK) return code;
  while ((code = mp_sqlite_step(s, q, &row, err)) == MP_OK && row) {
    int64_t id = sqlite3_column_int64(q, 0);
    /* engine_slot bounds the engines, but not in a file that was tampered with. */
    if (alive_count + dead_count == MP_ID_SLOTS) {
      mp_sqlite_end(q);
      return mp_fail(err, MP_ECORRUPT, "%s: it has more than %d engines", s->name, MP_ID_SLOTS);
    }
    if (id != self && is_dead(q, host, now_ms, stale_ms)) {
      dead[dead_count++] = id;
    } else {
      alive[alive_count++] = id;
    }
  }
  for (size_t i = 0; i < dead_count && code == MP_OK; i++)
    code = delete_engine(s, dead[i], err);
  /* Between the leases of the living lie those of the dead: an index seek for each gap, however
   * many deliveries the living have in flight. */
  for (size_t i = 0; i < alive_count && code == MP_OK; i++) {
    if (alive[i] > first) {
      code =
          release_leases(s, MP_LEASE(first, 0), MP_LEASE(alive[i] - 1, MAX_COUNT), released, err);
    }
    first = alive[i] + 1;
  }
  if (code == MP_OK && first <= MAX_ENGINE_ID) {
    code = release_leases(s, MP_LEASE(first, 0), INT64_MAX, released, err);
  }
  return code;
}
