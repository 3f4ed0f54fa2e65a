/* Webhooks in the SQLite store. Runs on the store thread.
 *
 * What always holds: a waiting delivery has a webhook. Whether it is held is its webhook's enabled
 * alone. */
#include <string.h>

#include "queue/sqlite.h"

mp_code mp_sqlite_webhooks(mp_store *store, mp_webhook_fn fn, void *arg, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  bool row;
  mp_code code = mp_sqlite_read(
      s, MP_SQL_WEBHOOKS,
      "SELECT id, from_config, name, definition, enabled, created_ms, updated_ms, hold_ms, "
      "failing_ms, failed_ms FROM webhook ORDER BY id",
      &q, err);

  if (code != MP_OK) return code;
  while ((code = mp_sqlite_step(s, q, &row, err)) == MP_OK && row) {
    mp_webhook_row webhook = {
        .id = sqlite3_column_int64(q, 0),
        .from_config = sqlite3_column_int(q, 1) != 0,
        .name = mp_sqlite_text(q, 2),
        .definition = mp_sqlite_text(q, 3),
        .enabled = sqlite3_column_int(q, 4) != 0,
        .created_ms = sqlite3_column_int64(q, 5),
        .updated_ms = sqlite3_column_int64(q, 6),
        .hold_ms = sqlite3_column_int64(q, 7),
        .failing_ms = sqlite3_column_int64(q, 8),
        .failed_ms = sqlite3_column_int64(q, 9),
    };
    if ((code = fn(arg, &webhook, err)) != MP_OK) {
      mp_sqlite_end(q);
      break;
    }
  }
  return code;
}

mp_code mp_sqlite_webhook_insert(mp_store *store, mp_webhook_row *row, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  mp_code code = mp_sqlite_write(
      s, MP_SQL_WEBHOOK_INSERT,
      "INSERT INTO webhook(from_config, name, definition, enabled, created_ms, updated_ms) "
      "VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
      &q, err);

  if (code != MP_OK) return code;
  sqlite3_bind_int(q, 1, row->from_config);
  mp_sqlite_bind_text(q, 2, row->name);
  mp_sqlite_bind_text(q, 3, row->definition);
  sqlite3_bind_int(q, 4, row->enabled);
  sqlite3_bind_int64(q, 5, row->created_ms);
  sqlite3_bind_int64(q, 6, row->updated_ms);
  mp_sqlite_webhook_forget(s);
  code = mp_sqlite_run(s, q, NULL, err);
  if (code == MP_OK) row->id = sqlite3_last_insert_rowid(s->db);
  return code;
}

mp_code mp_sqlite_webhook_enabled(mp_sqlite *s, int64_t id, int64_t *enabled, mp_error *err) {
  mp_sqlite_known *known = &s->known[(uint64_t)id % MP_SQLITE_KNOWN];
  bool in_transaction = !sqlite3_get_autocommit(s->db);
  sqlite3_stmt *q;
  mp_code code;

  if (id == MP_ROUTING) { /* no webhook, and always open */
    *enabled = 1;
    return MP_OK;
  }
  if (known->id == id && in_transaction) {
    *enabled = known->enabled;
    return MP_OK;
  }
  code = mp_sqlite_read(s, MP_SQL_WEBHOOK_ENABLED, "SELECT enabled FROM webhook WHERE id = ?1", &q,
                        err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, id);
  code = mp_sqlite_integer(s, q, -1, enabled, err);
  if (code == MP_OK && in_transaction) {
    *known = (mp_sqlite_known){.id = id, .enabled = *enabled};
  }
  return code;
}

void mp_sqlite_webhook_forget(mp_sqlite *s) {
  memset(s->known, 0, sizeof s->known);
}

static mp_code no_webhook(mp_sqlite *s, int64_t id, mp_error *err) {
  return mp_fail(err, MP_ENOENT, "%s: there is no webhook %lld", s->name, (long long)id);
}

/* What waits for its next attempt need not wait longer; what waits behind another does. */
static mp_code resume(mp_sqlite *s, int64_t id, int64_t due_ms, mp_error *err) {
  sqlite3_stmt *q;
  mp_code code =
      mp_sqlite_write(s, MP_SQL_WEBHOOK_RESUME,
                      "UPDATE delivery INDEXED BY delivery_due SET due_ms = ?2 "
                      "WHERE webhook_id = ?1 AND state = 0 AND due_ms > ?2 AND due_ms < ?3",
                      &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, id);
  sqlite3_bind_int64(q, 2, due_ms);
  sqlite3_bind_int64(q, 3, MP_BEHIND);
  return mp_sqlite_run(s, q, NULL, err);
}

mp_code mp_sqlite_webhook_update(mp_store *store, const mp_webhook_row *row, int64_t now_ms,
                                 mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  int64_t before, count;
  mp_code code = mp_sqlite_webhook_enabled(s, row->id, &before, err);

  if (code != MP_OK) return code;
  if (before < 0) return no_webhook(s, row->id, err);
  code = mp_sqlite_write(
      s, MP_SQL_WEBHOOK_UPDATE,
      "UPDATE webhook SET name = ?2, definition = ?3, enabled = ?4, "
      "updated_ms = max(?5, updated_ms + 1), hold_ms = 0, failing_ms = 0, failed_ms = 0 "
      "WHERE id = ?1 AND ?6 IN (0, updated_ms)",
      &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, row->id);
  mp_sqlite_bind_text(q, 2, row->name);
  mp_sqlite_bind_text(q, 3, row->definition);
  sqlite3_bind_int(q, 4, row->enabled);
  sqlite3_bind_int64(q, 5, row->updated_ms);
  sqlite3_bind_int64(q, 6, row->seen_ms);
  mp_sqlite_webhook_forget(s);
  code = mp_sqlite_run(s, q, &count, err);
  if (code == MP_OK && count == 0) {
    return mp_fail(err, MP_ECHANGED, "webhook %lld was changed meanwhile", (long long)row->id);
  }
  if (code == MP_OK && row->enabled && !before) code = resume(s, row->id, now_ms, err);
  return code;
}

mp_code mp_sqlite_webhook_hold(mp_store *store, int64_t id, int64_t until_ms, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  mp_code code =
      mp_sqlite_write(s, MP_SQL_WEBHOOK_HOLD,
                      "UPDATE webhook SET hold_ms = max(hold_ms, ?2) WHERE id = ?1", &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, id);
  sqlite3_bind_int64(q, 2, until_ms);
  return mp_sqlite_run(s, q, NULL, err);
}

mp_code mp_sqlite_webhook_failing(mp_store *store, int64_t id, int64_t since_ms, int64_t last_ms,
                                  mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  mp_code code =
      mp_sqlite_write(s, MP_SQL_WEBHOOK_FAILING,
                      "UPDATE webhook SET failing_ms = ?2, failed_ms = ?3 WHERE id = ?1", &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, id);
  sqlite3_bind_int64(q, 2, since_ms);
  sqlite3_bind_int64(q, 3, last_ms);
  return mp_sqlite_run(s, q, NULL, err);
}

/* What waits of a webhook becomes dead. */
static mp_code abandon(mp_sqlite *s, int64_t id, const char *cause, mp_error *err) {
  sqlite3_stmt *q;
  int64_t count;
  mp_code code = mp_sqlite_write(s, MP_SQL_WEBHOOK_ABANDON,
                                 "UPDATE delivery INDEXED BY delivery_due SET state = 3, "
                                 "due_ms = 0, cause = ?2 WHERE webhook_id = ?1 AND state = 0",
                                 &q, err);
  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, id);
  mp_sqlite_bind_text(q, 2, cause);
  code = mp_sqlite_run(s, q, &count, err);
  mp_sqlite_total_state(s, MP_DEAD, count);
  return code;
}

mp_code mp_sqlite_webhook_discard(mp_store *store, int64_t id, mp_error *err) {
  return abandon(mp_sqlite_of(store), id, "discarded", err);
}

mp_code mp_sqlite_webhook_delete(mp_store *store, int64_t id, mp_error *err) {
  mp_sqlite *s = mp_sqlite_of(store);
  sqlite3_stmt *q;
  int64_t count;
  mp_code code =
      mp_sqlite_write(s, MP_SQL_WEBHOOK_DELETE, "DELETE FROM webhook WHERE id = ?1", &q, err);

  if (code != MP_OK) return code;
  sqlite3_bind_int64(q, 1, id);
  mp_sqlite_webhook_forget(s);
  if ((code = mp_sqlite_run(s, q, &count, err)) != MP_OK) return code;
  return count == 0 ? no_webhook(s, id, err) : abandon(s, id, "deleted", err);
}
