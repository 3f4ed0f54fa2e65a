/* A disk that fails on demand: the system calls that SQLite makes (sqlite3_vfs.xSetSystemCall), and
 * those it gives no handle on, which stand before the C library's. */
#ifndef MP_TEST_FAULT_DISK_H
#define MP_TEST_FAULT_DISK_H

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "test/fault.h"

/* No file grows any more; what is in the files can be written over, as on a full disk. */
static atomic_bool fault_disk_full;

static bool fault_no_room(int fd, off_t end) {
  struct stat st;

  if (!atomic_load(&fault_disk_full) || fstat(fd, &st) != 0 || end <= st.st_size) return false;
  errno = ENOSPC;
  return true;
}

static ssize_t fault_pwrite(int fd, const void *bytes, size_t n, off_t at) {
  if (fault_now(FAULT_WRITE) || fault_no_room(fd, at + (off_t)n)) return -1;
  return pwrite(fd, bytes, n, at);
}

static ssize_t fault_write(int fd, const void *bytes, size_t n) {
  return fault_now(FAULT_WRITE) ? -1 : write(fd, bytes, n);
}

/* The flipped byte moves with each call, so that a sweep meets many kinds of damage. */
static ssize_t fault_pread(int fd, void *bytes, size_t n, off_t at) {
  ssize_t got;

  if (fault_now(FAULT_READ)) return -1;
  got = pread(fd, bytes, n, at);
  if (got > 512 && fault_now(FAULT_FLIP)) {
    long call = atomic_load(&fault_first);
    unsigned char *byte = (unsigned char *)bytes + (call * 61 + 7) % got;
    *byte = (unsigned char)(*byte ^ (1 << call % 8));
  }
  return got;
}

static int fault_ftruncate(int fd, off_t size) {
  if (fault_now(FAULT_TRUNCATE) || fault_no_room(fd, size)) return -1;
  return ftruncate(fd, size);
}

static void *fault_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
  return fault_now(FAULT_MAP) ? MAP_FAILED : mmap(at, n, protection, flags, fd, offset);
}

static int fault_open(const char *path, int flags, int mode) {
  return fault_now(FAULT_OPEN) ? -1 : open(path, flags, mode);
}

static int fault_fcntl(int fd, int command, ...) {
  va_list args;
  void *arg;

  va_start(args, command);
  arg = va_arg(args, void *);
  va_end(args);
  if (command == F_SETLK && ((struct flock *)arg)->l_type != F_UNLCK && fault_now(FAULT_LOCK)) {
    return -1;
  }
  return fcntl(fd, command, arg);
}

/* Syncing is not what takes the tests' time: what is written here need not outlive the machine. */
__attribute__((visibility("default"))) int fdatasync(int fd) {
  (void)fd;
  return fault_now(FAULT_SYNC) ? -1 : 0;
}

__attribute__((visibility("default"))) int fsync(int fd) {
  (void)fd;
  return fault_now(FAULT_SYNC) ? -1 : 0;
}

/* Before a store is opened. */
static bool fault_disk_init(void) {
  static const struct {
    const char *name;
    sqlite3_syscall_ptr call;
  } calls[] = {{"write", (sqlite3_syscall_ptr)fault_write},
               {"pwrite", (sqlite3_syscall_ptr)fault_pwrite},
               {"pwrite64", (sqlite3_syscall_ptr)fault_pwrite},
               {"pread", (sqlite3_syscall_ptr)fault_pread},
               {"pread64", (sqlite3_syscall_ptr)fault_pread},
               {"ftruncate", (sqlite3_syscall_ptr)fault_ftruncate},
               {"mmap", (sqlite3_syscall_ptr)fault_mmap},
               {"open", (sqlite3_syscall_ptr)fault_open},
               {"fcntl", (sqlite3_syscall_ptr)fault_fcntl}};
  sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
    int rc = vfs->xSetSystemCall(vfs, calls[i].name, calls[i].call);
    if (rc != SQLITE_OK && rc != SQLITE_NOTFOUND) return false; /* one of the two names is there */
  }
  return true;
}

#endif
