/* Bundles in the SQLite store: deliveries that were leased as they were inserted, many in one row.
 * Runs on the store thread.
 *
 * Most deliveries succeed at once. Such a one has its place in a bundle while it is under way, and
 * gets a row of its own when its first attempt has ended: it is written once, as what it became,
 * and is in no index of what is open. What a bundle holds is leased as any other.
 *
 * What always holds: of what is in a bundle's row those are under way that have no row in delivery,
 * and open counts them. A row without any is free for the engine's next bundle, which is written
 * over it: that costs less than a row that comes and goes. The engine that made a bundle has a copy
 * in memory. Another one takes it over by removing its row, whereupon the copy is void: so the row
 * is looked for before a transaction ends what was in it. What a transaction does to a copy is made
 * good by its commit, or forgotten. An event is not pruned while a bundle may need it. */
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "queue/sqlite.h"

#define MOST      64  /* deliveries in a bundle: its bits */
#define LEAST     4   /* fewer cost no more in rows of their own */
#define MOST_KEPT 256 /* bundles; over half of it the oldest's deliveries get their rows */

/* In the row each entry has an event id and a webhook id, little-endian, or 0 and 0. A row is
 * always of one size: one that is written over stays where it is. */
#define NUMBER_SIZE 8
#define ENTRY_SIZE  (2 * NUMBER_SIZE)
#define SIZE        (MOST * ENTRY_SIZE)

typedef struct entry {
  int64_t event_id;
  int64_t webhook_id;
  int64_t lease;
} entry;

struct mp_sqlite_bundle {
  int64_t id;      /* of its row: as a lease of the engine's, with a small number */
  size_t count;    /* of entries, by ascending lease */
  uint64_t ended;  /* a bit each: it has its own row */
  uint64_t ending; /* likewise, by the open transaction */
  bool looked_for; /* in the open transaction: the row was there */
  bool lost;       /* it was not: another engine took it over */
  entry entries[MOST];
};

static uint64_t all_of(const mp_sqlite_bundle *b) {
  return UINT64_MAX >> (MOST - b->count);
}

/* ---- the row -------------------------------------------------------------------------------- */

static void put_number(unsigned char *out, int64_t number) {
  for (int i = 0; i < NUMBER_SIZE; i++)
    out[i] = (unsigned char)((uint64_t)number >> 8 * i);
}

static int64_t number_at(const unsigned char *bytes) {
  uint64_t number = 0;
  for (int i = 0; i < NUMBER_SIZE; i++)
    number |= (uint64_t)bytes[i] << 8 * i;
  return (int64_t)number;
}

static mp_code write_row(mp_sqlite *s, const mp_sqlite_bundle *b, mp_error *err) {
  unsigned char bytes[SIZE] = {0};
  int64_t oldest = b->entries[0].event_id;
  sqlite3_stmt *q;
  mp_code code =
      mp_sqlite_write(s, MP_SQL_BUNDLE_PUT,
                      "INSERT INTO bundle(id, open, oldest, deliveries) VALUES(?1, ?2, ?3, ?4) "
                      "ON CONFLICT(id) DO UPDATE SET open = ?2, oldest = ?3, deliveries = ?4",
                      &q, err);

  if (code != MP_OK) return code;
  for (size_t i = 0; i < b->count; i++) {
    put_number(bytes + i * ENTRY_SIZE, b->entries[i].event_id);
    put_number(bytes + i * ENTRY_SIZE + NUMBER_SIZE, b->entries[i].webhook_id);
    if (b->entries[i].event_id < oldest) oldest = b->entries[i].event_id;
  }
  sqlite3_bind_int64(q, 1, b->id);
  sqlite3_bind_int64(q, 2, (int64_t)b->count);
  sqlite3_bind_int64(q, 3, oldest);
  sqlite3_bind_blob64(q, 4, bytes, SIZE, SQLITE_STATIC);
  return mp_sqlite_run(s, q, NULL, err);
}

static mp_code look_for(mp_sqlite *s, mp_sqlite_bundle *b, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code;

  if (b->looked_for || b->lost) return MP_OK;
  code = mp_sqlite_statement(s, MP_SQL_BUNDLE_FIND, "SELECT 1 FROM bundle WHERE id = ?1", &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, b->id);
  code = mp_sqlite_step(s, q, &b->looked_for, err);
  if (code == MP_OK && b->looked_for) mp_sqlite_end(q);
  if (code == MP_OK && !b->looked_for) b->lost = true; /* for ever, while the copy is there */
  return code;
}

static mp_code write_open(mp_sqlite *s, const mp_sqlite_bundle *b, mp_error *err) {
  uint64_t open = all_of(b) & ~(b->ended | b->ending);
  sqlite3_stmt *q;
  mp_code code;

  if (b->lost || b->ending == 0) return MP_OK;
  code =
      mp_sqlite_write(s, MP_SQL_BUNDLE_OPEN, "UPDATE bundle SET open = ?2 WHERE id = ?1", &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, b->id);
  sqlite3_bind_int64(q, 2, __builtin_popcountll(open));
  return mp_sqlite_run(s, q, NULL, err);
}

/* A delivery of a bundle gets a row of its own, if it has none and its event is still there. */
static mp_code write_delivery(mp_sqlite *s, const mp_new_delivery *d, const char *cause,
                              int64_t *written, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code =
      mp_sqlite_write(s, MP_SQL_BUNDLE_DELIVERY,
                      "INSERT OR IGNORE INTO delivery(event_id, webhook_id, state, due_ms, lease, "
                      "cause, attempts, attempts_total) "
                      "SELECT ?1, ?2, ?3, ?4, ?5, ?6, 0, 0 FROM event WHERE id = ?1",
                      &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, d->event_id);
  sqlite3_bind_int64(q, 2, d->webhook_id);
  sqlite3_bind_int(q, 3, d->state);
  sqlite3_bind_int64(q, 4, d->due_ms);
  if (d->state == MP_LEASED) sqlite3_bind_int64(q, 5, d->lease);
  mp_sqlite_bind_text(q, 6, cause);
  return mp_sqlite_run(s, q, written, err);
}

/* ---- making them ---------------------------------------------------------------------------- */

/* The first of the lease's engine that no bundle in memory has. */
static int64_t free_row(const mp_sqlite *s, int64_t lease) {
  bool taken[MOST_KEPT] = {false};
  int64_t first = MP_LEASE(MP_LEASE_ENGINE(lease), 0);
  int n = 0;

  for (size_t i = 0; i < s->bundle_count; i++) {
    int64_t at = s->bundles[i]->id - first;
    if (at >= 0 && at < MOST_KEPT) taken[at] = true;
  }
  while (taken[n])
    n++;
  return first + n;
}

static int64_t last_lease(const mp_sqlite *s) {
  const mp_sqlite_bundle *last = s->bundle_count ? s->bundles[s->bundle_count - 1] : NULL;
  return last ? last->entries[last->count - 1].lease : 0;
}

static bool may_bundle(const mp_new_delivery *d) {
  return d->bundled && d->state == MP_LEASED && d->webhook_id != MP_ROUTING;
}

size_t mp_sqlite_bundle_of(const mp_sqlite *s, const mp_new_delivery *deliveries, size_t count) {
  int64_t last = last_lease(s);
  size_t n = 0;

  if (s->bundle_count == MOST_KEPT) return 0;
  while (n < count && n < MOST && may_bundle(&deliveries[n]) && deliveries[n].lease > last)
    last = deliveries[n++].lease;
  return n >= LEAST ? n : 0;
}

/* Its deliveries that are under way get their rows. */
static mp_code unbundle(mp_sqlite *s, mp_sqlite_bundle *b, mp_error *err) {
  mp_code code = look_for(s, b, err);

  for (size_t i = 0; i < b->count && code == MP_OK && !b->lost; i++) {
    const entry *e = &b->entries[i];
    mp_new_delivery d = {.event_id = e->event_id,
                         .webhook_id = e->webhook_id,
                         .state = MP_LEASED,
                         .due_ms = mp_event_id_ms(e->event_id),
                         .lease = e->lease};
    int64_t written;
    if ((b->ended | b->ending) >> i & 1) continue;
    code = write_delivery(s, &d, NULL, &written, err);
    b->ending |= (uint64_t)1 << i;
  }
  return code;
}

mp_code mp_sqlite_bundle_add(mp_sqlite *s, const mp_new_delivery *deliveries, size_t count,
                             mp_error *err) {
  mp_sqlite_bundle *b;
  mp_code code = MP_OK;

  if (!s->bundles) s->bundles = malloc(MOST_KEPT * sizeof *s->bundles);
  b = s->bundles ? calloc(1, sizeof *b) : NULL;
  if (!b) return mp_fail(err, MP_ENOMEM, "%s: out of memory", s->name);
  b->id = free_row(s, deliveries[0].lease);
  b->count = count;
  b->looked_for = true;
  for (size_t i = 0; i < count; i++) {
    const mp_new_delivery *d = &deliveries[i];
    b->entries[i] = (entry){d->event_id, d->webhook_id, d->lease};
  }
  s->bundles[s->bundle_count++] = b;
  s->added[MP_TOTAL_ACCEPTED] += (int64_t)count;
  for (size_t i = 0; s->bundle_count - i > MOST_KEPT / 2 && code == MP_OK; i++)
    code = unbundle(s, s->bundles[i], err);
  return code == MP_OK ? write_row(s, b, err) : code;
}

/* ---- ending what is in them ----------------------------------------------------------------- */

/* The last bundle that begins at or before the lease. */
static mp_sqlite_bundle *bundle_with(const mp_sqlite *s, int64_t lease) {
  size_t from = 0, to = s->bundle_count;

  while (from < to) {
    size_t middle = from + (to - from) / 2;
    if (s->bundles[middle]->entries[0].lease <= lease)
      from = middle + 1;
    else
      to = middle;
  }
  return from ? s->bundles[from - 1] : NULL;
}

mp_sqlite_bundle *mp_sqlite_bundle_find(const mp_sqlite *s, const mp_finish *f, size_t *at) {
  mp_sqlite_bundle *b = bundle_with(s, f->lease);
  int64_t after;
  const entry *e;
  size_t i;

  if (!b) return NULL;
  after = f->lease - b->entries[0].lease; /* it is at most so many after the first */
  i = after < (int64_t)b->count ? (size_t)after : b->count - 1;
  while (b->entries[i].lease > f->lease)
    i--;
  e = &b->entries[i];
  *at = i;
  if (e->lease != f->lease || (b->ended | b->ending) >> i & 1) return NULL;
  return e->event_id == f->event_id && e->webhook_id == f->webhook_id ? b : NULL;
}

mp_code mp_sqlite_bundle_end(mp_sqlite *s, mp_sqlite_bundle *b, size_t at, bool *applied,
                             mp_error *err) {
  mp_code code = look_for(s, b, err);

  *applied = code == MP_OK && !b->lost;
  if (code == MP_OK) b->ending |= (uint64_t)1 << at;
  return code;
}

mp_code mp_sqlite_unbundle(mp_sqlite *s, mp_error *err) {
  bool alone = sqlite3_get_autocommit(s->db);
  mp_code code = MP_OK;

  if (s->bundle_count == 0) return MP_OK;
  if (alone) code = mp_sqlite_begin(&s->store, err);
  for (size_t i = 0; i < s->bundle_count && code == MP_OK; i++)
    code = unbundle(s, s->bundles[i], err);
  if (alone && code == MP_OK) code = mp_sqlite_commit(&s->store, err);
  if (alone && code != MP_OK) mp_sqlite_rollback(&s->store);
  return alone && code == MP_ENOSPC ? MP_OK : code; /* a full disk can still be read */
}

/* ---- the transaction ------------------------------------------------------------------------ */

mp_code mp_sqlite_bundles_write(mp_sqlite *s, mp_error *err) {
  mp_code code = MP_OK;
  for (size_t i = 0; i < s->bundle_count && code == MP_OK; i++)
    code = write_open(s, s->bundles[i], err);
  return code;
}

void mp_sqlite_bundles_settle(mp_sqlite *s) {
  size_t kept = 0;

  for (size_t i = 0; i < s->bundle_count; i++) {
    mp_sqlite_bundle *b = s->bundles[i];
    b->ended |= b->ending;
    b->ending = 0;
    b->looked_for = false;
    if (b->ended == all_of(b))
      free(b);
    else
      s->bundles[kept++] = b;
  }
  s->bundle_count = s->bundles_stored = kept;
}

void mp_sqlite_bundles_undo(mp_sqlite *s) {
  while (s->bundle_count > s->bundles_stored)
    free(s->bundles[--s->bundle_count]);
  for (size_t i = 0; i < s->bundle_count; i++) {
    s->bundles[i]->ending = 0;
    s->bundles[i]->looked_for = false;
  }
}

void mp_sqlite_bundles_free(mp_sqlite *s) {
  for (size_t i = 0; i < s->bundle_count; i++)
    free(s->bundles[i]);
  free(s->bundles);
}

/* ---- taking them over ----------------------------------------------------------------------- */

static mp_code release_one(mp_sqlite *s, const unsigned char *bytes, int64_t *released,
                           mp_error *err) {
  mp_new_delivery d = {.event_id = number_at(bytes), .webhook_id = number_at(bytes + NUMBER_SIZE)};
  const char *cause;
  int64_t written = 0;
  mp_code code;

  if (d.event_id == 0) return MP_OK;
  code = mp_sqlite_settle(s, d.webhook_id, &d.state, &cause, err);
  if (code != MP_OK) return code;
  if (d.state == MP_WAITING) d.due_ms = mp_event_id_ms(d.event_id);
  code = write_delivery(s, &d, cause, &written, err);
  if (code == MP_OK && written > 0) mp_sqlite_total_state(s, d.state, 1);
  *released += written;
  return code;
}

/* Reads the first of the range. */
static mp_code read_first(mp_sqlite *s, int64_t first, int64_t last, int64_t *id,
                          unsigned char bytes[SIZE], bool *found, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(
      s, MP_SQL_BUNDLE_FIRST,
      "SELECT id, deliveries FROM bundle WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1", &q, err);

  *found = false;
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, first);
  sqlite3_bind_int64(q, 2, last);
  code = mp_sqlite_step(s, q, found, err);
  if (code != MP_OK || !*found) return code;
  *id = sqlite3_column_int64(q, 0);
  if (sqlite3_column_bytes(q, 1) == SIZE)
    memcpy(bytes, sqlite3_column_blob(q, 1), SIZE);
  else
    code = mp_sqlite_damaged(s, err);
  mp_sqlite_end(q);
  return code;
}

static mp_code delete_row(mp_sqlite *s, int64_t id, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code =
      mp_sqlite_write(s, MP_SQL_BUNDLE_DELETE, "DELETE FROM bundle WHERE id = ?1", &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, id);
  return mp_sqlite_run(s, q, NULL, err);
}

mp_code mp_sqlite_bundles_release(mp_sqlite *s, int64_t first, int64_t last, int64_t *released,
                                  mp_error *err) {
  unsigned char bytes[SIZE];
  int64_t id = 0;
  bool found;
  mp_code code;

  while ((code = read_first(s, first, last, &id, bytes, &found, err)) == MP_OK && found) {
    for (size_t at = 0; at < SIZE && code == MP_OK; at += ENTRY_SIZE)
      code = release_one(s, bytes + at, released, err);
    if (code == MP_OK) code = delete_row(s, id, err);
    if (code != MP_OK) break;
  }
  return code;
}
