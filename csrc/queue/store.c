/* The store's front: chooses the database by the location and hands every call on to it. Runs on
 * the store thread. */
#include "queue/store.h"

#include <string.h>

#include "queue/store_ops.h"

static const char *const state_names[MP_STATE_COUNT] = {
    [MP_WAITING] = "waiting", [MP_LEASED] = "leased", [MP_DELIVERED] = "delivered",
    [MP_DEAD] = "dead",       [MP_HELD] = "held",     [MP_FILTERED] = "filtered",
};

const char *mp_delivery_state_name(mp_delivery_state state) {
  return (unsigned)state < MP_STATE_COUNT ? state_names[state] : "unknown";
}

bool mp_delivery_state_parse(const char *name, mp_delivery_state *state) {
  for (int i = 0; i < MP_STATE_COUNT; i++) {
    if (strcmp(name, state_names[i]) == 0) {
      *state = (mp_delivery_state)i;
      return true;
    }
  }
  return false;
}

mp_code mp_store_open(const char *location, mp_store **out, mp_error *err) {
  *out = NULL;
  if (strncmp(location, "postgres://", 11) == 0 || strncmp(location, "postgresql://", 13) == 0) {
    /* The location may hold a password: it is not repeated. */
    return mp_fail(err, MP_EINVAL, "a store in PostgreSQL is not supported by this build");
  }
  return mp_sqlite_open(location, out, err);
}

void mp_store_close(mp_store *store) {
  if (store) store->ops->close(store);
}

void mp_store_rollback(mp_store *store) {
  store->ops->rollback(store);
}

void mp_store_relieve(mp_store *store) {
  store->ops->relieve(store);
}

const char *mp_store_signal_file(mp_store *store) {
  return store->ops->signal_file(store);
}

bool mp_store_has_room(mp_store *store) {
  return store->ops->has_room(store);
}

#define MP_CALL(name, parameters, arguments) \
  mp_code mp_store_##name parameters {       \
    return store->ops->name arguments;       \
  }
MP_STORE_CALLS(MP_CALL)
#undef MP_CALL
