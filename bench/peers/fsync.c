/* What a durable commit costs the disk: writes of a commit's size at the log's place, each followed
 * by fdatasync, with a pause between them. The file is written over again and again, as SQLite does
 * with its WAL.
 *
 *   fsync FOLDER COUNT BYTES PAUSE-US
 *
 * Prints {"requests":N,"seconds":S,"cpu_seconds":C,"p50_ms":M,"p99_ms":M}. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_BYTES (4 << 20) /* where SQLite's log begins anew */

static _Noreturn void die(const char *what) {
  fprintf(stderr, "fsync: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void write_and_sync(int fd, const char *bytes, size_t len, off_t at) {
  if (pwrite(fd, bytes, len, at) != (ssize_t)len || fdatasync(fd) != 0) die("write");
}

int main(int argc, char **argv) {
  char path[4096];
  double *took, at, cpu;
  char *bytes;
  long count, len, pause_us;
  off_t place = 0;
  int fd;

  if (argc != 5) die("usage: fsync FOLDER COUNT BYTES PAUSE-US");
  count = strtol(argv[2], NULL, 10);
  len = strtol(argv[3], NULL, 10);
  pause_us = strtol(argv[4], NULL, 10);
  if (count < 1 || len < 1 || len > LOG_BYTES || pause_us < 0) die("expected positive numbers");
  snprintf(path, sizeof path, "%s/fsync.log", argv[1]);
  fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  took = calloc((size_t)count, sizeof *took);
  bytes = malloc(LOG_BYTES);
  if (fd < 0 || !took || !bytes) die(path);
  memset(bytes, 'x', LOG_BYTES);
  write_and_sync(fd, bytes, LOG_BYTES, 0);

  at = now(CLOCK_MONOTONIC);
  cpu = now(CLOCK_PROCESS_CPUTIME_ID);
  for (long i = 0; i < count; i++) {
    struct timespec pause = {.tv_sec = pause_us / 1000000, .tv_nsec = pause_us % 1000000 * 1000};
    double start = now(CLOCK_MONOTONIC);

    write_and_sync(fd, bytes, (size_t)len, place);
    took[i] = (now(CLOCK_MONOTONIC) - start) * 1e3;
    place = place + 2 * len <= LOG_BYTES ? place + len : 0;
    nanosleep(&pause, NULL);
  }
  at = now(CLOCK_MONOTONIC) - at;
  cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  qsort(took, (size_t)count, sizeof *took, ascending);
  printf(
      "{\"requests\":%ld,\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"p50_ms\":%.6f,\"p99_ms\":%.6f}\n",
      count, at, cpu, took[count / 2], took[count * 99 / 100]);
  close(fd);
  unlink(path);
  free(bytes);
  free(took);
  return 0;
}
