/* Which process this is, in a form that another process can judge: is the engine that wrote this
 * row still running? */
#ifndef MP_BASE_PROCESS_H
#define MP_BASE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#define MP_BOOT_ID_SIZE 48
#define MP_HOST_SIZE    96

/* Names the machine's present boot; "no-boot-id" where the kernel does not tell. */
void mp_boot_id(char out[MP_BOOT_ID_SIZE]);

/* Names the space in which pids mean something: the kernel's boot and the pid namespace. Two
 * containers on one machine get two names. */
void mp_host_name(char out[MP_HOST_SIZE]);

/* The start time of a process in clock ticks since boot, from /proc/PID/stat; 0 when there is no
 * such process, -1 when that cannot be told (no memory or no file descriptor is left). With the pid
 * it names a process for good: a pid alone is given again. */
int64_t mp_process_start(int64_t pid);

/* How many CPUs may the calling thread and those that it starts run on (sched_setaffinity(2))? At
 * least 1. */
int mp_process_cpus(void);

#endif
