/* Process identity, read from /proc (proc(5)). No state; callable from any thread. */
#include "base/process.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void mp_boot_id(char out[MP_BOOT_ID_SIZE]) {
  FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

  strcpy(out, "no-boot-id");
  if (!f) return;
  if (fgets(out, MP_BOOT_ID_SIZE, f)) out[strcspn(out, "\n")] = '\0';
  fclose(f);
}

void mp_host_name(char out[MP_HOST_SIZE]) {
  char boot[MP_BOOT_ID_SIZE];
  char space[40] = "no-pid-ns";
  ssize_t n;

  mp_boot_id(boot);
  n = readlink("/proc/self/ns/pid", space, sizeof space - 1);
  if (n > 0) space[n] = '\0';
  snprintf(out, MP_HOST_SIZE, "%s %s", boot, space);
}

int64_t mp_process_start(int64_t pid) {
  char path[48], line[1024];
  const char *p;
  FILE *f;
  size_t n;

  snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
  f = fopen(path, "re");
  if (!f) return errno == ENOENT ? 0 : -1;
  n = fread(line, 1, sizeof line - 1, f);
  fclose(f);
  line[n] = '\0';
  /* Field 2, the command's name, may hold spaces and parentheses: count from its last ")". */
  p = strrchr(line, ')');
  if (!p || p[1] != ' ') return 0;
  p += 2; /* field 3, the state: a zombie runs nothing any more */
  if (*p == 'Z' || *p == 'X') return 0;
  for (int field = 3; field < 22; field++) {
    p = strchr(p, ' ');
    if (!p) return 0;
    p++;
  }
  return strtoll(p, NULL, 10);
}

int mp_process_cpus(void) {
  cpu_set_t cpus;
  /* It fails on machines with more CPUs than the set has bits. */
  return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : CPU_SETSIZE;
}
