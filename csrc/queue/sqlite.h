/* The inside of the SQLite store, for sqlite*.c. One connection, used by the store thread alone. */
#ifndef MP_QUEUE_SQLITE_H
#define MP_QUEUE_SQLITE_H

#include <sqlite3.h>

#include "base/id.h"
#include "queue/store_ops.h"

/* The statements that are kept prepared; the SQL of each stands in the function that uses it. */
typedef enum mp_sql {
  MP_SQL_BEGIN,
  MP_SQL_COMMIT,
  MP_SQL_ROLLBACK,
  MP_SQL_DATA_VERSION,
  MP_SQL_SEAL,
  MP_SQL_SEAL_SET,
  MP_SQL_CLOCK,
  MP_SQL_CLOCK_SET,
  MP_SQL_ENGINE_SLOTS,
  MP_SQL_ENGINE_FORMER,
  MP_SQL_ENGINE_INSERT,
  MP_SQL_ENGINE_BEAT,
  MP_SQL_ENGINE_DELETE,
  MP_SQL_ENGINES,
  MP_SQL_LEASES_ABANDON,
  MP_SQL_LEASES_RELEASE,
  MP_SQL_NEWEST_EVENT,
  MP_SQL_WEBHOOKS,
  MP_SQL_WEBHOOK_INSERT,
  MP_SQL_WEBHOOK_ENABLED,
  MP_SQL_WEBHOOK_UPDATE,
  MP_SQL_WEBHOOK_RESUME,
  MP_SQL_WEBHOOK_HOLD,
  MP_SQL_WEBHOOK_FAILING,
  MP_SQL_WEBHOOK_LANE,
  MP_SQL_WEBHOOK_PACE,
  MP_SQL_WEBHOOK_DELETE,
  MP_SQL_WEBHOOK_ABANDON,
  MP_SQL_EVENT_TYPE,
  MP_SQL_EVENT_INSERT,
  MP_SQL_EVENTS_INSERT,
  MP_SQL_KEY_STORE,
  MP_SQL_KEY_FIND,
  MP_SQL_KEY_EXPIRE,
  MP_SQL_DELIVERY_INSERT,
  MP_SQL_DELIVERIES_INSERT,
  MP_SQL_ENDED_INSERT,
  MP_SQL_ENDED_INSERT_ALL,
  MP_SQL_BUNDLE_PUT,
  MP_SQL_BUNDLE_FIND,
  MP_SQL_BUNDLE_OPEN,
  MP_SQL_BUNDLE_DELETE,
  MP_SQL_BUNDLE_DELIVERY,
  MP_SQL_BUNDLE_FIRST,
  MP_SQL_ORDER_OPEN,
  MP_SQL_ORDER_NEXT,
  MP_SQL_UNORDER,
  MP_SQL_DUE,
  MP_SQL_LEASE,
  MP_SQL_NEXT_DUE,
  MP_SQL_FINISH,
  MP_SQL_ATTEMPT_INSERT,
  MP_SQL_RELEASE,
  MP_SQL_ROUTED,
  MP_SQL_OUTPUT_LEASE,
  MP_SQL_OUTPUT_PUT,
  MP_SQL_OUTPUT,
  MP_SQL_OUTPUT_FORGET,
  MP_SQL_DELIVERY_STATE,
  MP_SQL_ATTEMPT_MOVE,
  MP_SQL_RESEND,
  MP_SQL_ATTEMPTS,
  MP_SQL_EVENT,
  MP_SQL_EVENTS,
  MP_SQL_EVENTS_OF_TYPE,
  MP_SQL_EVENTS_HELD,
  MP_SQL_REPLAY_ALL,
  MP_SQL_REPLAY_DEAD,
  MP_SQL_REPLAY_HELD,
  MP_SQL_PRUNE_FIND,
  MP_SQL_PRUNE_OPEN,
  MP_SQL_PRUNE_ATTEMPTS,
  MP_SQL_PRUNE_OUTPUTS,
  MP_SQL_PRUNE_DELIVERIES,
  MP_SQL_PRUNE_TYPE,
  MP_SQL_PRUNE_EVENT,
  MP_SQL_PAGE_COUNT,
  MP_SQL_PAGE_SIZE,
  MP_SQL_FREE_PAGES,
  MP_SQL_TOTAL_ADD,
  MP_SQL_COUNT_ALL,
  MP_SQL_TOTALS,
  MP_SQL_BACKLOG,
  MP_SQL_COUNT
} mp_sql;

/* The running totals, in the order of the columns of the table total. */
typedef enum mp_total {
  MP_TOTAL_EVENTS,   /* in the store */
  MP_TOTAL_ACCEPTED, /* deliveries ever inserted */
  MP_TOTAL_DELIVERED,
  MP_TOTAL_DEAD,
  MP_TOTAL_FILTERED,
  MP_TOTAL_COUNT
} mp_total;

/* Whether a webhook is enabled (-1: it is not there), as read in this transaction. id 0: unknown.
 */
#define MP_SQLITE_KNOWN 64
typedef struct mp_sqlite_known {
  int64_t id;
  int64_t enabled;
} mp_sqlite_known;

/* Rows that one INSERT takes, where there are so many: it costs less than as many statements. */
#define MP_SQLITE_ROWS        16
#define MP_SQLITE_4_ROWS(row) row "," row "," row "," row
#define MP_SQLITE_ALL(row)    MP_SQLITE_4_ROWS(MP_SQLITE_4_ROWS(row))

/* Prepares the insert of count rows: one, by the statement of the first slot, or MP_SQLITE_ROWS, by
 * that of the second. */
#define MP_SQLITE_INSERT(s, count, one, all, insert, row, q, err)     \
  ((count) == 1 ? mp_sqlite_write((s), (one), insert row, (q), (err)) \
                : mp_sqlite_write((s), (all), insert MP_SQLITE_ALL(row), (q), (err)))

#define MP_SQLITE_TYPE 64 /* longer types are not remembered */

/* What a lease's end makes of its delivery. */
typedef struct mp_sqlite_ended {
  mp_finish finish;
  mp_delivery_state state; /* as it is stored, as the next */
  const char *cause;
  int64_t due_ms;
  int attempts;   /* 1: the attempt is a step of the schedule */
  bool delivered; /* by the attempt */
} mp_sqlite_ended;

typedef struct mp_sqlite_bundle mp_sqlite_bundle; /* sqlite_bundle.c */

typedef struct mp_sqlite {
  mp_store store; /* first: an mp_store * is an mp_sqlite * */
  sqlite3 *db;
  char *name;                             /* the location, for messages */
  int64_t busy_since_ms;                  /* monotonic: another process has the file */
  int64_t data_version;                   /* as mp_store_changed saw it last */
  int64_t added[MP_TOTAL_COUNT];          /* by the open transaction, to the totals */
  mp_sqlite_known known[MP_SQLITE_KNOWN]; /* in the open transaction (sqlite_webhook.c) */
  int64_t typed_ms;                       /* the open transaction wrote into event_type last ... */
  char typed[MP_SQLITE_TYPE];             /* ... that and this; "": nothing (sqlite_event.c) */
  mp_sqlite_ended ended[MP_SQLITE_ROWS];  /* by the open transaction, out of bundles; their rows are
                                             not written yet (sqlite_delivery.c) */
  size_t ended_count;
  mp_sqlite_bundle **bundles; /* by ascending lease ... */
  size_t bundle_count;
  size_t bundles_stored; /* ... of which the first so many are of transactions before */
  char *reserve;         /* the path of the file that keeps room; NULL: there is none */
  int64_t reserve_size;  /* bytes */
  bool reserve_given;    /* it was removed, for the disk was full */
  sqlite3_stmt *statements[MP_SQL_COUNT];
} mp_sqlite;

static inline mp_sqlite *mp_sqlite_of(mp_store *store) {
  return (mp_sqlite *)(void *)store;
}

#define MP_PROTOTYPE(name, parameters, arguments) mp_code mp_sqlite_##name parameters;
MP_STORE_CALLS(MP_PROTOTYPE)
#undef MP_PROTOTYPE
void mp_sqlite_rollback(mp_store *store);
void mp_sqlite_relieve(mp_store *store);
bool mp_sqlite_has_room(mp_store *store);
const char *mp_sqlite_signal_file(mp_store *store);

/* ---- statements (sqlite_statement.c) -------------------------------------------------------- */

/* Fills err from the connection's last error, rc. */
mp_code mp_sqlite_fail(mp_sqlite *s, int rc, mp_error *err);

/* The prepared statement of a slot, without bindings. */
mp_code mp_sqlite_statement(mp_sqlite *s, mp_sql slot, const char *sql, sqlite3_stmt **out,
                            mp_error *err);

/* The same, after the rows of what ended are written, so that it finds them. */
mp_code mp_sqlite_read(mp_sqlite *s, mp_sql slot, const char *sql, sqlite3_stmt **out,
                       mp_error *err);

/* The same for a statement that writes: refused outside a transaction, for SQLite ends one by
 * itself after some errors, and what came then would be committed one by one. */
mp_code mp_sqlite_write(mp_sqlite *s, mp_sql slot, const char *sql, sqlite3_stmt **out,
                        mp_error *err);

/* Moves to the next row. When there is none, or on failure, row is false and the statement is ready
 * for its next use; after a row the caller goes on or calls mp_sqlite_end. */
mp_code mp_sqlite_step(mp_sqlite *s, sqlite3_stmt *q, bool *row, mp_error *err);
void mp_sqlite_end(sqlite3_stmt *q);

/* Runs a statement that gives no rows; changes (may be NULL) counts the rows it wrote. */
mp_code mp_sqlite_run(mp_sqlite *s, sqlite3_stmt *q, int64_t *changes, mp_error *err);

/* Runs a statement that gives at most one integer; fallback when it gives none. */
mp_code mp_sqlite_integer(mp_sqlite *s, sqlite3_stmt *q, int64_t fallback, int64_t *out,
                          mp_error *err);

/* Makes the reserve (sqlite_reserve.c), if the disk has room for one. */
void mp_sqlite_reserve(mp_sqlite *s);

/* Prepares what must not need memory later (ROLLBACK) and sets where mp_store_changed counts from.
 */
mp_code mp_sqlite_ready(mp_sqlite *s, mp_error *err);

/* Bound text must live until the statement has run. NULL binds NULL. */
static inline void mp_sqlite_bind_text(sqlite3_stmt *q, int index, const char *text) {
  sqlite3_bind_text(q, index, text, -1, SQLITE_STATIC);
}

static inline const char *mp_sqlite_text(sqlite3_stmt *q, int column) {
  return (const char *)sqlite3_column_text(q, column);
}

/* ---- the schema (sqlite_schema.c) ----------------------------------------------------------- */

#define MP_SQLITE_APPLICATION_ID \
  0x6d6f6f6e /* "moon": says whose file it is (sqlite.org/fileformat2.html 1.3.10) */
#define MP_SQLITE_VERSION 1

/* Brings the schema to MP_SQLITE_VERSION, making it in an empty file. */
mp_code mp_sqlite_migrate(mp_sqlite *s, mp_error *err);

/* Is the schema ours to the letter, with nothing added? */
mp_code mp_sqlite_verify(mp_sqlite *s, mp_error *err);

mp_code mp_sqlite_exec(mp_sqlite *s, const char *sql, mp_error *err);
mp_code mp_sqlite_damaged(mp_sqlite *s, mp_error *err);
mp_code mp_sqlite_newer(mp_sqlite *s, int64_t version, mp_error *err);

/* ---- shared between topics ------------------------------------------------------------------ */

/* The due time of what waits behind another of its order key, and of what is held until
 * mp_store_release. */
#define MP_BEHIND     INT64_MAX
#define MP_PARKED     (INT64_MAX - 1)
#define MP_PARKED_SQL "9223372036854775806"

/* The bits of an event's id below its milliseconds, as text. */
#define MP_TEXT_OF(number) #number
#define MP_TEXT(macro)     MP_TEXT_OF(macro)
#define MP_ID_SHIFT_SQL    MP_TEXT(MP_ID_SHIFT)

/* In SQL: is the event e one of those that the row t of event_type stands for? */
#define MP_OF_TYPE(e, t)                                                              \
  e ".type = " t ".type AND " e ".id BETWEEN " t ".ms << " MP_ID_SHIFT_SQL " AND (" t \
    ".ms << " MP_ID_SHIFT_SQL ") + (1 << " MP_ID_SHIFT_SQL ") - 1"

/* What becomes of a delivery that would wait: it does, or its webhook is gone. (This and the next:
 * sqlite_delivery.c.) */
mp_code mp_sqlite_settle(mp_sqlite *s, int64_t webhook_id, mp_delivery_state *state,
                         const char **cause, mp_error *err);

/* Writes the rows of what ended. */
mp_code mp_sqlite_ended_flush(mp_sqlite *s, mp_error *err);

/* How many of the first of these deliveries go into one bundle; 0: they get rows of their own.
 * (This and the next: sqlite_bundle.c.) */
size_t mp_sqlite_bundle_of(const mp_sqlite *s, const mp_new_delivery *deliveries, size_t count);
mp_code mp_sqlite_bundle_add(mp_sqlite *s, const mp_new_delivery *deliveries, size_t count,
                             mp_error *err);

/* The bundle in which the lease is, and its place in it; NULL: it is in none. */
mp_sqlite_bundle *mp_sqlite_bundle_find(const mp_sqlite *s, const mp_finish *f, size_t *at);

/* The delivery gets a row of its own. applied is false when another engine took it over. */
mp_code mp_sqlite_bundle_end(mp_sqlite *s, mp_sqlite_bundle *b, size_t at, bool *applied,
                             mp_error *err);

/* Whoever looks for deliveries one by one finds those that this engine has in bundles: they get
 * their rows. In the open transaction, or in one of its own. */
mp_code mp_sqlite_unbundle(mp_sqlite *s, mp_error *err);

/* Before the commit; after it; and when there was none. */
mp_code mp_sqlite_bundles_write(mp_sqlite *s, mp_error *err);
void mp_sqlite_bundles_settle(mp_sqlite *s);
void mp_sqlite_bundles_undo(mp_sqlite *s);
void mp_sqlite_bundles_free(mp_sqlite *s);

/* Makes waiting what is under way in bundles whose leases lie between first and last. */
mp_code mp_sqlite_bundles_release(mp_sqlite *s, int64_t first, int64_t last, int64_t *released,
                                  mp_error *err);

/* Has the webhook a delivery with this order key, but that of event_id, that has not ended? (This
 * and the next: sqlite_order.c.) */
mp_code mp_sqlite_order_open(mp_sqlite *s, int64_t event_id, int64_t webhook_id,
                             const char *order_key, bool *open, mp_error *err);

/* The one of a webhook's order key whose turn it was, event_id's, has ended or is about to: the
 * next becomes due. */
mp_code mp_sqlite_order_next(mp_sqlite *s, int64_t event_id, int64_t webhook_id,
                             const char *order_key, int64_t now_ms, mp_error *err);

/* Counts a delivery that comes into a state, or goes out of it, in the totals (sqlite_total.c). A
 * routing is counted nowhere. */
void mp_sqlite_total_state(mp_sqlite *s, mp_delivery_state state, int64_t by);

/* Adds what the transaction changed to the totals, before its commit (sqlite_total.c). */
mp_code mp_sqlite_total_flush(mp_sqlite *s, mp_error *err);

/* enabled is -1 when there is no such webhook. Asked of the store once a transaction; what was
 * known is forgotten when a transaction begins or changes webhooks (sqlite_webhook.c). */
mp_code mp_sqlite_webhook_enabled(mp_sqlite *s, int64_t id, int64_t *enabled, mp_error *err);
void mp_sqlite_webhook_forget(mp_sqlite *s);

/* Forgets what scripts made of an event for a webhook (sqlite_output.c). */
mp_code mp_sqlite_output_forget(mp_sqlite *s, int64_t event_id, int64_t webhook_id, mp_error *err);

/* Reads the columns id, type, model, created_ms, order_key, headers and body from first on
 * (sqlite_event.c).
 */
void mp_sqlite_event_row(sqlite3_stmt *q, int first, mp_event_row *row);

#endif
