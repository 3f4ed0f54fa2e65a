/* Allocations that fail on demand. Our own code's are caught by the linker (--wrap, see
 * CMakeLists.txt: for the test programs that include this), libcurl's and SQLite's (fault_sqlite.h)
 * by what they offer for it. So it works under the sanitizers, whose allocator stays in place. */
#ifndef MP_TEST_FAULT_ALLOC_H
#define MP_TEST_FAULT_ALLOC_H

#include <curl/curl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "test/fault_sqlite.h"

/* ---- ours ----------------------------------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
char *__real_realpath(const char *path, char *out);
FILE *__real_fopen(const char *path, const char *mode);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *),
                          void *arg);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
char *__wrap_realpath(const char *path, char *out);
FILE *__wrap_fopen(const char *path, const char *mode);
int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *),
                          void *arg);
CURLcode __wrap_curl_global_init(long flags);

void *__wrap_malloc(size_t size) {
  return fault_now(FAULT_OWN) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
  return fault_now(FAULT_OWN) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size) {
  return fault_now(FAULT_OWN) ? NULL : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
  return fault_now(FAULT_OWN) ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *s) {
  return fault_now(FAULT_OWN) ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n) {
  return fault_now(FAULT_OWN) ? NULL : __real_strndup(s, n);
}

char *__wrap_realpath(const char *path, char *out) {
  return fault_now(FAULT_OWN) ? NULL : __real_realpath(path, out);
}

FILE *__wrap_fopen(const char *path, const char *mode) {
  return fault_now(FAULT_OWN | FAULT_FILES) ? NULL : __real_fopen(path, mode);
}

int __wrap_asprintf(char **out, const char *format, ...) {
  va_list args;
  int n;

  if (fault_now(FAULT_OWN)) return -1; /* *out is then undefined (asprintf(3)) */
  va_start(args, format);
  n = vasprintf(out, format, args);
  va_end(args);
  return n;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *),
                          void *arg) {
  return fault_now(FAULT_OWN) ? EAGAIN : __real_pthread_create(thread, attr, body, arg);
}

/* ---- libcurl's ------------------------------------------------------------------------------ */

static void *fault_curl_malloc(size_t size) {
  return fault_now(FAULT_CURL) ? NULL : __real_malloc(size);
}

static void *fault_curl_calloc(size_t n, size_t size) {
  return fault_now(FAULT_CURL) ? NULL : __real_calloc(n, size);
}

static void *fault_curl_realloc(void *old, size_t size) {
  return fault_now(FAULT_CURL) ? NULL : __real_realloc(old, size);
}

static char *fault_curl_strdup(const char *s) {
  return fault_now(FAULT_CURL) ? NULL : __real_strdup(s);
}

CURLcode __wrap_curl_global_init(long flags) {
  if (fault_now(FAULT_OWN | FAULT_FILES)) return CURLE_OUT_OF_MEMORY;
  return curl_global_init_mem(flags, fault_curl_malloc, free, fault_curl_realloc, fault_curl_strdup,
                              fault_curl_calloc);
}

/* Of its own accord it makes one pair, to be woken by. It stands before the C library's. */
__attribute__((visibility("default"))) int socketpair(int domain, int type, int protocol,
                                                      int fds[2]) {
  if (fault_now(FAULT_FILES)) return -1;
  return (int)syscall(SYS_socketpair, domain, type, protocol, fds);
}

#endif
