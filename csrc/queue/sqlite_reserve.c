/* Room for a full disk: a file beside the store that holds blocks of the disk for what is under
 * way. Runs on the store thread.
 *
 * On a full disk the outcomes of deliveries need a little room of their own: SQLite appends them to
 * its -wal, and the database grows when that is written back. So a file of nothing but room is kept
 * ("-reserve"), and removed when the disk is full; new events are refused until it could be made
 * again. A disk too small for one has none, and then all go on as far as the disk lets them.
 *
 * What always holds: nothing reads the file, and without it the store works as well. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "queue/sqlite.h"

#define MAX_SIZE ((int64_t)16 << 20) /* of a full -wal, and so of what the database may grow by */
#define MIN_SIZE ((int64_t)256 << 10)
#define SHARE    8 /* of the room on the disk, at most one part in so many */

static int64_t free_bytes(const char *path) {
  struct statvfs fs;
  return statvfs(path, &fs) == 0 ? (int64_t)fs.f_bavail * (int64_t)fs.f_frsize : 0;
}

/* Makes it of that size, or leaves nothing. A file that is there already serves. */
static bool make(const char *path, int64_t size) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool made;

  if (fd < 0) return errno == EEXIST;
  made = posix_fallocate(fd, 0, size) == 0;
  close(fd);
  if (!made) unlink(path);
  return made;
}

void mp_sqlite_reserve(mp_sqlite *s) {
  int64_t size = free_bytes(s->name) / SHARE;

  s->reserve_size = size < MAX_SIZE ? size : MAX_SIZE;
  if (s->reserve_size < MIN_SIZE || asprintf(&s->reserve, "%s-reserve", s->name) < 0) {
    s->reserve = NULL;
    return;
  }
  if (!make(s->reserve, s->reserve_size)) {
    free(s->reserve);
    s->reserve = NULL;
  }
}

bool mp_sqlite_has_room(mp_store *store) {
  mp_sqlite *s = mp_sqlite_of(store);

  if (!s->reserve_given) return true;
  /* A little more than the reserve must be free: its own blocks just came free, after all. */
  if (free_bytes(s->name) < s->reserve_size + s->reserve_size / 2) return false;
  s->reserve_given = !make(s->reserve, s->reserve_size);
  return !s->reserve_given;
}

/* What the -wal holds goes into the database, and the -wal is written from its start again: the
 * more of the store's own room is used over and over, the longer what is under way can go on. */
void mp_sqlite_relieve(mp_store *store) {
  mp_sqlite *s = mp_sqlite_of(store);

  if (s->reserve && !s->reserve_given) {
    unlink(s->reserve);
    s->reserve_given = true;
  }
  sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}
