/* Opening and closing the SQLite store. Runs on the store thread.
 *
 * What always holds: a file that is refused is left as it was. So the header is looked at before
 * SQLite reads the file, for a read may already change one: it rolls back a hot journal, and in WAL
 * mode makes files beside it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/sqlite.h"

#define BUSY_TIMEOUT_MS 5000
#define BUSY_STEP_US    500
#define HEADER_SIZE     100 /* sqlite.org/fileformat2.html section 1.3 */

static void close_store(mp_store *store) {
  mp_sqlite *s = mp_sqlite_of(store);
  for (int i = 0; i < MP_SQL_COUNT; i++)
    sqlite3_finalize(s->statements[i]);
  sqlite3_close(s->db);
  mp_sqlite_bundles_free(s);
  free(s->reserve);
  free(s->name);
  free(s);
}

static const mp_store_ops ops = {.close = close_store,
                                 .rollback = mp_sqlite_rollback,
                                 .relieve = mp_sqlite_relieve,
                                 .has_room = mp_sqlite_has_room,
                                 .signal_file = mp_sqlite_signal_file,
#define MP_ENTRY(name, parameters, arguments) .name = mp_sqlite_##name,
                                 MP_STORE_CALLS(MP_ENTRY)
#undef MP_ENTRY
};

static mp_code system_fail(const char *location, int error, mp_error *err) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return mp_fail(err, MP_EINVAL, "%s: the folder it should be in does not exist", location);
    case ENOSPC:
    case EDQUOT:
      return mp_fail(err, MP_ENOSPC, "%s: the disk is full", location);
    case ENAMETOOLONG:
      return mp_fail(err, MP_EINVAL, "%s: %s", location, strerror(error));
    default:
      return mp_fail(err, MP_EIO, "%s: %s", location, strerror(error));
  }
}

/* Makes the file where there is none, for its owner alone; SQLite gives the -wal and -shm files the
 * same mode. mknod leaves no descriptor to close: closing one would drop the locks that another
 * connection of this process may already hold on the file (fcntl(2), "record locks"). */
static mp_code prepare_file(mp_sqlite *s, const char *location, mp_error *err) {
  struct stat st;

  if (stat(location, &st) != 0) {
    if (errno != ENOENT) return system_fail(location, errno, err);
    if (mknod(location, S_IFREG | S_IRUSR | S_IWUSR, 0) == 0) return MP_OK;
    if (errno != EEXIST) return system_fail(location, errno, err);
    if (stat(location, &st) != 0) return system_fail(location, errno, err);
  }
  if (S_ISDIR(st.st_mode)) {
    return mp_fail(err, MP_EINVAL, "%s is a directory; a file was expected", location);
  }
  if (!S_ISREG(st.st_mode)) return mp_fail(err, MP_EINVAL, "%s is not a regular file", location);
  if (st.st_mode & S_IWOTH) {
    return mp_fail(err, MP_EINVAL, "%s may be written by everybody (mode %04o; expected 0600)",
                   location, (unsigned)st.st_mode & 07777);
  }
  /* Asked here, for SQLite calls a file of one byte empty. */
  return st.st_size > 0 && st.st_size < HEADER_SIZE ? mp_sqlite_damaged(s, err) : MP_OK;
}

/* SQLite would take a relative name that begins with "file:" for a URI. The caller frees it. */
static char *file_name(const char *location) {
  char *name = malloc(strlen(location) + 3);
  if (name) {
    strcpy(name, location[0] == '/' || strcmp(location, ":memory:") == 0 ? "" : "./");
    strcat(name, location);
  }
  return name;
}

static uint32_t big_endian(const unsigned char *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Looks at the header through the connection's own descriptor, before any lock or read of SQLite's.
 */
static mp_code check_header(mp_sqlite *s, mp_error *err) {
  unsigned char header[HEADER_SIZE];
  sqlite3_file *file = NULL;
  sqlite3_int64 size = 0;
  uint32_t application, version;
  bool empty;
  int rc = sqlite3_file_control(s->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);

  if (rc == SQLITE_OK) rc = file->pMethods->xFileSize(file, &size);
  if (rc != SQLITE_OK) return mp_fail(err, MP_EIO, "%s: its size cannot be read", s->name);
  if (size == 0) return MP_OK;
  rc = file->pMethods->xRead(file, header, HEADER_SIZE, 0);
  if (rc != SQLITE_OK) return mp_fail(err, MP_EIO, "%s cannot be read", s->name);
  if (memcmp(header, "SQLite format 3", 16) != 0) return mp_sqlite_damaged(s, err);
  application = big_endian(header + 68);
  version = big_endian(header + 60);
  /* Without a table and not in WAL mode: a store whose making was cut short, or is under way. */
  empty = application == 0 && version == 0 && big_endian(header + 40) == 0 && header[18] == 1;
  if (application != MP_SQLITE_APPLICATION_ID && !empty) {
    return mp_fail(err, MP_ECORRUPT,
                   "%s is the SQLite database of another application (application_id %u), not a "
                   "moonpost store; it was not changed",
                   s->name, application);
  }
  return version > MP_SQLITE_VERSION ? mp_sqlite_newer(s, version, err) : MP_OK;
}

const char *mp_sqlite_signal_file(mp_store *store) {
  const char *name = sqlite3_db_filename(mp_sqlite_of(store)->db, "main");
  return name && name[0] ? sqlite3_filename_wal(name) : NULL; /* "": in memory */
}

/* Does closing write into the file what its -wal holds? Only where there was none before. */
static mp_code guard_wal(mp_sqlite *s, mp_error *err) {
  size_t length = strlen(s->name);
  char *wal = malloc(length + 5);
  struct stat st;

  if (!wal) return mp_fail(err, MP_ENOMEM, "%s: out of memory", s->name);
  memcpy(wal, s->name, length);
  memcpy(wal + length, "-wal", 5);
  if (stat(wal, &st) == 0 && st.st_size > 0) {
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
  }
  free(wal);
  return MP_OK;
}

/* Another process writes. SQLite's own handler waits longer each time, up to a tenth of a second:
 * one that writes a lot would keep the others out for seconds. These steps find the moments between
 * its commits. */
static int wait_for_writer(void *store, int tries) {
  mp_sqlite *s = store;
  const struct timespec step = {.tv_nsec = BUSY_STEP_US * 1000};

  if (tries == 0) s->busy_since_ms = mp_mono_ms();
  if (mp_mono_ms() - s->busy_since_ms >= BUSY_TIMEOUT_MS) return 0;
  nanosleep(&step, NULL);
  return 1;
}

static mp_code configure(mp_sqlite *s, mp_error *err) {
  sqlite3_extended_result_codes(s->db, 1);
  sqlite3_busy_handler(s->db, wait_for_writer, s);
  sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
  sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
  sqlite3_db_config(s->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
  sqlite3_db_config(s->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
  return mp_sqlite_exec(s,
                        "PRAGMA temp_store = MEMORY;"
                        "PRAGMA cell_size_check = ON;"
                        "PRAGMA cache_size = -16384;"
                        "PRAGMA secure_delete = FAST;"
                        "PRAGMA synchronous = FULL;"
                        "PRAGMA wal_autocheckpoint = 2000;"
                        "PRAGMA journal_size_limit = 67108864",
                        err);
}

/* The schema is made with a rollback journal, and the file put into WAL mode afterwards: so the
 * main file says whose it is from its first byte on, whatever is in the -wal. The change of mode
 * needs the file for itself for a moment, and SQLite's busy handler does not wait for that. */
static mp_code use_wal(mp_sqlite *s, mp_error *err) {
  mp_code code;
  int waited_ms = 0;

  while ((code = mp_sqlite_exec(s, "PRAGMA journal_mode = WAL", err)) == MP_EBUSY &&
         waited_ms < BUSY_TIMEOUT_MS) {
    waited_ms += sqlite3_sleep(10);
  }
  return code;
}

mp_code mp_sqlite_open(const char *location, mp_store **out, mp_error *err) {
  bool memory = strcmp(location, ":memory:") == 0;
  mp_code code = MP_OK;
  mp_sqlite *s = NULL;
  int rc;

  if (location[0] == '\0') return mp_fail(err, MP_EINVAL, "the store's path is empty");
  s = calloc(1, sizeof *s);
  if (s) s->name = file_name(location);
  if (!s || !s->name) {
    free(s);
    return mp_fail(err, MP_ENOMEM, "%s: out of memory", location);
  }
  s->store.ops = &ops;
  if (!memory) code = prepare_file(s, location, err);
  if (code != MP_OK) goto out;

  rc =
      sqlite3_open_v2(s->name, &s->db,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
  if (rc != SQLITE_OK) {
    code =
        s->db ? mp_sqlite_fail(s, rc, err) : mp_fail(err, MP_ENOMEM, "%s: out of memory", location);
    goto out;
  }
  if (sqlite3_db_readonly(s->db, "main") == 1) {
    code = mp_fail(err, MP_EIO, "%s is not writable", location);
    goto out;
  }
  if (!memory) {
    if ((code = check_header(s, err)) != MP_OK) goto out;
    if ((code = guard_wal(s, err)) != MP_OK) goto out;
  }
  code = configure(s, err);
  if (code == MP_OK) code = mp_sqlite_migrate(s, err);
  if (code == MP_ECORRUPT) code = mp_sqlite_damaged(s, err);
  if (code == MP_OK) code = mp_sqlite_verify(s, err);
  if (code == MP_OK && !memory) code = use_wal(s, err);
  if (code == MP_OK) code = mp_sqlite_ready(s, err);
  if (code == MP_OK) sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
  if (code == MP_OK && !memory) mp_sqlite_reserve(s);

out:
  if (code != MP_OK) {
    close_store(&s->store);
    return code;
  }
  *out = &s->store;
  return MP_OK;
}
