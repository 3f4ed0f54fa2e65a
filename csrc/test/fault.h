/* Faults on demand, for test programs: the n-th call of a kind fails, and so many after it. What
 * can fail is in fault_alloc.h and fault_disk.h; this is the switch, and the sweep that moves the
 * fault through all the calls that a piece of work makes.
 *
 * A sweep's runs are in processes of their own, some at a time: a crash or a hang takes no other
 * run with it, and the waits of one are not the waits of all. */
#ifndef MP_TEST_FAULT_H
#define MP_TEST_FAULT_H

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

/* cmocka.h needs those above it. */
#include <cmocka.h>

/* ---- the switch ----------------------------------------------------------------------------- */

typedef enum fault_kind {
  FAULT_OWN = 1 << 0,    /* allocations of our code, and its fopen and pthread_create */
  FAULT_SQLITE = 1 << 1, /* allocations of SQLite ... */
  FAULT_CURL = 1 << 2,   /* ... and of libcurl */
  FAULT_WRITE = 1 << 3,  /* system calls of SQLite */
  FAULT_SYNC = 1 << 4,
  FAULT_TRUNCATE = 1 << 5,
  FAULT_READ = 1 << 6,
  FAULT_LOCK = 1 << 7,
  FAULT_MAP = 1 << 8,
  FAULT_OPEN = 1 << 9,
  FAULT_FLIP = 1 << 10, /* a read that gives wrong bytes */
  FAULT_LUA = 1 << 12,  /* allocations of Lua */
  FAULT_FILES = 1 << 11 /* fopen in our code, and libcurl's socketpair */
} fault_kind;

static atomic_int fault_kinds; /* that may fail; 0: nothing fails, nothing is counted */
static atomic_int fault_errno;
static atomic_long fault_first; /* the first call that fails, from 0 ... */
static atomic_long fault_count; /* ... and how many do */
static atomic_long fault_calls; /* since it was armed */
static atomic_long fault_hits;
static atomic_bool fault_outside;       /* something else is out of order, that is not counted */
static _Thread_local bool fault_spared; /* this thread's calls neither fail nor count */

static inline bool fault_now(int kinds) {
  long n, first = atomic_load(&fault_first);

  if (fault_spared || !(atomic_load(&fault_kinds) & kinds)) return false;
  n = atomic_fetch_add(&fault_calls, 1);
  if (n < first || n - first >= atomic_load(&fault_count)) return false;
  atomic_fetch_add(&fault_hits, 1);
  errno = atomic_load(&fault_errno);
  return true;
}

static inline void fault_arm(int kinds, int error, long first, long count) {
  atomic_store(&fault_kinds, 0);
  atomic_store(&fault_errno, error);
  atomic_store(&fault_first, first);
  atomic_store(&fault_count, count);
  atomic_store(&fault_calls, 0);
  atomic_store(&fault_hits, 0);
  atomic_store(&fault_kinds, kinds);
}

static inline void fault_end(void) {
  atomic_store(&fault_kinds, 0);
}

/* Every call that was to fail has failed. */
static inline bool fault_over(void) {
  if (atomic_load(&fault_outside)) return false;
  return atomic_load(&fault_kinds) == 0 || atomic_load(&fault_hits) >= atomic_load(&fault_count);
}

/* ---- saying what went wrong, in a run's own process -------------------------------------------
 */

static char fault_place[160]; /* which run it is */

static inline _Noreturn void fault_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static inline _Noreturn void fault_fail(const char *file, int line, const char *format, ...) {
  char text[1024];
  va_list args;

  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  fprintf(stderr, "%s:%d: %s: %s\n", file, line, fault_place, text);
  _exit(1);
}

#define CHECK(condition, ...)                                      \
  do {                                                             \
    if (!(condition)) fault_fail(__FILE__, __LINE__, __VA_ARGS__); \
  } while (0)

/* ---- the sweep ------------------------------------------------------------------------------ */

#define FAULT_WORKERS 16
#define FAULT_LIMIT_S 100 /* of one run: it hangs */

typedef struct fault_sweep {
  const char *name;
  int kinds;
  int error;  /* errno of the calls that fail */
  long count; /* how many fail in a row */
  long most;  /* runs; with more calls than that the sweep goes in steps, from a random one on */
  void (*work)(const struct fault_sweep *sweep, long first);
} fault_sweep;

typedef struct fault_sums {
  atomic_long calls; /* in a run without a fault */
  atomic_long runs;
  atomic_long hit; /* runs in which a call failed */
} fault_sums;

static inline void fault_run(const fault_sweep *s, fault_sums *sums, long first) {
  snprintf(fault_place, sizeof fault_place, "%s, %ld failing from call %ld on", s->name, s->count,
           first);
  alarm(FAULT_LIMIT_S);
  s->work(s, first);
  fault_end();
  atomic_fetch_add(&sums->runs, 1);
  if (atomic_load(&fault_hits) > 0) atomic_fetch_add(&sums->hit, 1);
}

static inline pid_t fault_fork(void) {
  pid_t child;
  fflush(NULL);
  child = fork();
  if (child < 0) abort();
  return child;
}

/* The status of a child: NULL when all was well. */
static inline const char *fault_status(pid_t child) {
  static char text[64];
  int status;

  if (waitpid(child, &status, 0) != child) return "was lost";
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return NULL;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) return "hung";
  if (WIFSIGNALED(status))
    snprintf(text, sizeof text, "was ended by signal %d", WTERMSIG(status));
  else
    snprintf(text, sizeof text, "ended with status %d", WEXITSTATUS(status));
  return text;
}

/* How many calls are there? */
static inline const char *fault_count_calls(const fault_sweep *s, fault_sums *sums) {
  pid_t child = fault_fork();

  if (child == 0) {
    fault_run(s, sums, 1L << 40);
    atomic_store(&sums->calls, atomic_load(&fault_calls));
    exit(0); /* not _exit: the leak checker looks */
  }
  return fault_status(child);
}

/* Does the work in a process of its own; the test fails when that does. */
static inline void fault_alone(const char *name, void (*work)(void)) {
  pid_t child = fault_fork();
  const char *why;

  if (child == 0) {
    snprintf(fault_place, sizeof fault_place, "%s", name);
    alarm(FAULT_LIMIT_S);
    work();
    exit(0);
  }
  if ((why = fault_status(child)) != NULL) fail_msg("it %s", why);
}

/* Moves the fault through all calls. MOONPOST_FAULT=n makes the one run with the fault at n,
 * MOONPOST_FAULT_MOST=n so many runs. The test fails when a run does, which has said why on
 * standard error. */
static inline void fault_sweep_all(const fault_sweep *s) {
  fault_sums *sums =
      mmap(NULL, sizeof *sums, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const char *only = getenv("MOONPOST_FAULT"), *most = getenv("MOONPOST_FAULT_MOST");
  const char *why = NULL, *one;
  pid_t workers[FAULT_WORKERS];
  long calls, step, from = 0;
  unsigned random = 0;

  if (sums == MAP_FAILED) fail_msg("there is no memory for the sweep");
  if ((why = fault_count_calls(s, sums)) != NULL) goto out;
  calls = atomic_load(&sums->calls);
  step = calls / (most ? atol(most) : s->most) + 1;
  if (step > 1 && getrandom(&random, sizeof random, 0) == sizeof random) from = random % step;
  if (only) {
    from = atol(only);
    step = calls = from + 1;
  }
  for (int w = 0; w < FAULT_WORKERS; w++) {
    if ((workers[w] = fault_fork()) != 0) continue;
    for (long n = from + w * step; n < calls; n += FAULT_WORKERS * step)
      fault_run(s, sums, n);
    exit(0);
  }
  for (int w = 0; w < FAULT_WORKERS; w++) {
    if ((one = fault_status(workers[w])) != NULL) why = one;
  }
  fprintf(stderr, "# %s: %ld of %ld calls failed, %ld in a row; every %ld from %ld on\n", s->name,
          (long)atomic_load(&sums->hit), calls, s->count, step, from);
out:
  munmap(sums, sizeof *sums);
  if (why) fail_msg("a run %s", why);
}

#endif
