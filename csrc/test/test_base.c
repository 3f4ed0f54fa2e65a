/* base: buffer, ids, clock, list, process identity, error texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those before it */
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "base/list.h"
#include "base/process.h"

/* ---- buf ------------------------------------------------------------------------------------ */

static void assert_content(const mp_buf *b, const char *text) {
  assert_int_equal(b->len, strlen(text));
  assert_memory_equal(b->data, text, b->len);
}

static void test_buf_grows(void **state) {
  mp_buf b;
  size_t len;
  char *data;

  (void)state;
  mp_buf_init(&b, MP_BUF_NO_LIMIT);
  mp_buf_add(&b, NULL, 0);
  assert_int_equal(b.len, 0);
  for (int i = 0; i < 10000; i++)
    mp_buf_add_format(&b, "%04d", i);
  assert_int_equal(b.failed, MP_OK);
  assert_int_equal(b.len, 40000);
  assert_memory_equal(b.data, "000000010002", 12);
  assert_memory_equal(b.data + 39996, "9999", 4);

  data = mp_buf_take(&b, &len);
  assert_int_equal(len, 40000);
  assert_null(b.data);
  assert_int_equal(b.len, 0);
  free(data);
  mp_buf_add_str(&b, "again");
  assert_content(&b, "again");
  mp_buf_free(&b);
  assert_null(mp_buf_take(&b, NULL));
}

static void test_buf_holds_its_limit_to_the_byte(void **state) {
  mp_buf b;

  (void)state;
  mp_buf_init(&b, 8);
  mp_buf_add_str(&b, "1234567");
  mp_buf_add_char(&b, '8');
  assert_int_equal(b.failed, MP_OK);
  assert_content(&b, "12345678");
  mp_buf_add_char(&b, '9');
  assert_int_equal(b.failed, MP_E2BIG);
  mp_buf_free(&b);

  mp_buf_init(&b, 8);
  assert_true(mp_buf_reserve(&b, 8));
  assert_false(mp_buf_reserve(&b, 9));
  mp_buf_free(&b);
}

static void test_buf_failure_is_sticky(void **state) {
  mp_buf b;

  (void)state;
  mp_buf_init(&b, 8);
  mp_buf_add_str(&b, "1234");
  mp_buf_add_str(&b, "56789");
  assert_int_equal(b.failed, MP_E2BIG);
  mp_buf_add_char(&b, '5');
  mp_buf_add_format(&b, "%d", 5);
  mp_buf_add_str(&b, "5");
  assert_content(&b, "1234");
  assert_int_equal(b.failed, MP_E2BIG);
  mp_buf_reset(&b);
  assert_int_equal(b.failed, MP_OK);
  mp_buf_add_str(&b, "fine");
  assert_content(&b, "fine");
  mp_buf_free(&b);
}

static void test_buf_refuses_sizes_that_overflow(void **state) {
  mp_buf b;

  (void)state;
  mp_buf_init(&b, (size_t)-1);
  mp_buf_add_char(&b, 'x');
  assert_false(mp_buf_reserve(&b, (size_t)-1));
  assert_int_equal(b.failed, MP_E2BIG);
  mp_buf_free(&b);
}

/* ---- id ------------------------------------------------------------------------------------- */

static void test_event_id_form(void **state) {
  static const int64_t ids[] = {1, 31, 32, 1234567890123456789, INT64_MAX};
  char text[MP_EVENT_ID_SIZE];
  int64_t back;

  (void)state;
  for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
    mp_event_id_format(ids[i], text);
    assert_int_equal(strlen(text), 17);
    assert_true(mp_event_id_parse(text, &back));
    assert_true(back == ids[i]);
  }
  mp_event_id_format(1, text);
  assert_string_equal(text, "evt_0000000000001");
  mp_event_id_format(INT64_MAX, text);
  assert_string_equal(text, "evt_7zzzzzzzzzzzz");
}

static void test_event_ids_sort_as_their_texts(void **state) {
  char a[MP_EVENT_ID_SIZE], b[MP_EVENT_ID_SIZE];

  (void)state;
  for (int64_t id = 1; id < INT64_MAX / 3; id = id * 2 + id / 7) {
    mp_event_id_format(id, a);
    mp_event_id_format(id + 1, b);
    assert_true(strcmp(a, b) < 0);
  }
}

static void test_malformed_event_ids(void **state) {
  static const char *const bad[] = {"",
                                    "evt_",
                                    "evt_000000000001",   /* a digit less */
                                    "evt_00000000000001", /* a digit more */
                                    "evt_0000000000000",  /* 0 */
                                    "evt_8000000000000",  /* over 63 bits */
                                    "evt_zzzzzzzzzzzzz",
                                    "evt_000000000000I",
                                    "evt_000000000000u",
                                    "evt_000000000000A",
                                    "EVT_0000000000001",
                                    "dlv_0000000000001",
                                    "0000000000001"};
  int64_t id;

  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    if (mp_event_id_parse(bad[i], &id)) fail_msg("accepted: %s", bad[i]);
  }
}

static void test_delivery_id_form(void **state) {
  static const char *const bad[] = {"dlv_0000000000001",    "dlv_0000000000001-",
                                    "dlv_0000000000001-0",  "dlv_0000000000001-01",
                                    "dlv_0000000000001-1x", "dlv_0000000000001--1",
                                    "dlv_0000000000001- 1", "dlv_0000000000001-1234567890123456789",
                                    "dlv_0000000000000-1",  "evt_0000000000001-1"};
  char text[MP_DELIVERY_ID_SIZE];
  int64_t event, webhook;

  (void)state;
  mp_delivery_id_format(33, 7, text);
  assert_string_equal(text, "dlv_0000000000011-7");
  mp_delivery_id_format(INT64_MAX, 999999999999999999, text);
  assert_true(mp_delivery_id_parse(text, &event, &webhook));
  assert_true(event == INT64_MAX && webhook == 999999999999999999);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    if (mp_delivery_id_parse(bad[i], &event, &webhook)) fail_msg("accepted: %s", bad[i]);
  }
}

static void test_ids_grow(void **state) {
  mp_id_source s;
  int64_t last = 0;

  (void)state;
  mp_id_source_init(&s, 5, 0);
  for (int i = 0; i < 100000; i++) {
    int64_t id = mp_id_next(&s, mp_boot_ms());
    assert_true(id > last);
    last = id;
  }
  mp_id_source_free(&s);
}

static void test_ids_are_larger_than_the_newest(void **state) {
  /* A store that was written by a host whose clock was a day ahead. */
  int64_t newest = mp_event_id_first(mp_wall_ms() + 86400000) | 1023 << 11 | 2047;
  mp_id_source s;

  (void)state;
  mp_id_source_init(&s, 0, newest);
  assert_true(mp_id_next(&s, mp_wall_ms()) > newest);
  mp_id_source_free(&s);
}

#define THREADS 8
#define IDS     20000

typedef struct id_thread {
  pthread_t thread;
  mp_id_source *source;
  int64_t ids[IDS];
} id_thread;

static void *make_ids(void *arg) {
  id_thread *t = arg;
  for (int i = 0; i < IDS; i++)
    t->ids[i] = mp_id_next(t->source, mp_wall_ms());
  return NULL;
}

static int compare_ids(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* Two engines of four threads each: no id twice, neither within an engine nor between them. */
static void test_ids_are_unique_across_threads_and_slots(void **state) {
  id_thread *threads = calloc(THREADS, sizeof *threads);
  int64_t *all = calloc(THREADS * IDS, sizeof *all);
  mp_id_source sources[2];

  (void)state;
  mp_id_source_init(&sources[0], 0, 0);
  mp_id_source_init(&sources[1], 1, 0);
  for (int i = 0; i < THREADS; i++) {
    threads[i].source = &sources[i % 2];
    assert_int_equal(pthread_create(&threads[i].thread, NULL, make_ids, &threads[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i].thread, NULL);
    memcpy(all + i * IDS, threads[i].ids, sizeof threads[i].ids);
  }
  qsort(all, THREADS * IDS, sizeof *all, compare_ids);
  for (int i = 1; i < THREADS * IDS; i++)
    assert_true(all[i - 1] < all[i]);
  mp_id_source_free(&sources[0]);
  mp_id_source_free(&sources[1]);
  free(all);
  free(threads);
}

/* ---- clock ---------------------------------------------------------------------------------- */

static void test_iso8601(void **state) {
  static const struct {
    int64_t ms;
    const char *text;
  } cases[] = {
      {0, "1970-01-01T00:00:00.000Z"},
      {1578646056649, "2020-01-10T08:47:36.649Z"},
      {951782400001, "2000-02-29T00:00:00.001Z"},
      {-1, "1969-12-31T23:59:59.999Z"},
      {-1000, "1969-12-31T23:59:59.000Z"},
      {-62167219200000, "0000-01-01T00:00:00.000Z"},
      {253402300799999, "9999-12-31T23:59:59.999Z"},
  };
  char text[MP_ISO8601_SIZE];

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    mp_iso8601(cases[i].ms, text);
    assert_string_equal(text, cases[i].text);
  }
}

static void test_monotonic_clock(void **state) {
  int64_t us = mp_mono_us(), ms = mp_mono_ms();

  (void)state;
  assert_true(ms >= us / 1000);
  for (int i = 0; i < 1000; i++) {
    int64_t now = mp_mono_us();
    assert_true(now >= us);
    us = now;
  }
  assert_true(mp_wall_ms() > 1600000000000);
}

/* ---- list ----------------------------------------------------------------------------------- */

typedef struct item {
  int number;
  mp_node node;
} item;

static int pop_number(mp_list *l) {
  mp_node *n = mp_list_pop(l);
  return n ? MP_CONTAINER(n, item, node)->number : -1;
}

static void test_list(void **state) {
  item items[5];
  mp_list a = {0}, b = {0};

  (void)state;
  for (int i = 0; i < 5; i++) {
    items[i].number = i;
    mp_list_push(i < 2 ? &a : &b, &items[i].node);
  }
  assert_int_equal(a.count, 2);
  mp_list_append(&a, &b);
  assert_int_equal(a.count, 5);
  assert_int_equal(b.count, 0);
  assert_null(b.head);
  mp_list_append(&a, &b);
  assert_int_equal(a.count, 5);
  mp_list_append(&b, &a);
  for (int i = 0; i < 5; i++)
    assert_int_equal(pop_number(&b), i);
  assert_int_equal(pop_number(&b), -1);
  assert_int_equal(b.count, 0);
  mp_list_push(&b, &items[3].node);
  assert_int_equal(pop_number(&b), 3);
}

/* ---- process -------------------------------------------------------------------------------- */

static void test_process_start(void **state) {
  int64_t own = mp_process_start(getpid());
  int64_t other, again;
  siginfo_t info;
  pid_t pid;

  (void)state;
  assert_true(own > 0);
  assert_true(own == mp_process_start(getpid()));
  assert_int_equal(mp_process_start(0), 0);
  assert_int_equal(mp_process_start(-1), 0);
  assert_int_equal(mp_process_start(INT64_MAX), 0);

  pid = fork();
  if (pid == 0) {
    pause();
    _exit(0);
  }
  assert_true(pid > 0);
  other = mp_process_start(pid);
  assert_true(other >= own);
  kill(pid, SIGKILL);
  waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT); /* now a zombie */
  assert_int_equal(mp_process_start(pid), 0);
  waitpid(pid, NULL, 0);
  again = mp_process_start(pid); /* 0, or a later process that got its pid */
  assert_true(again == 0 || again > other);
}

/* A command's name may hold what separates the fields of /proc/PID/stat. */
static void test_process_start_with_a_misleading_name(void **state) {
  int ready[2];
  char byte;
  pid_t pid;

  (void)state;
  assert_int_equal(pipe(ready), 0);
  pid = fork();
  if (pid == 0) {
    pthread_setname_np(pthread_self(), "a) Z 1 (b");
    if (write(ready[1], "x", 1) == 1) pause();
    _exit(0);
  }
  assert_int_equal(read(ready[0], &byte, 1), 1);
  assert_true(mp_process_start(pid) >= mp_process_start(getpid()));
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  close(ready[0]);
  close(ready[1]);
}

static void test_cpus_are_those_that_may_be_used(void **state) {
  cpu_set_t usual, one;
  (void)state;

  assert_int_equal(sched_getaffinity(0, sizeof usual, &usual), 0);
  assert_int_equal(mp_process_cpus(), CPU_COUNT(&usual));
  CPU_ZERO(&one);
  for (int i = 0; CPU_COUNT(&one) == 0; i++) {
    if (CPU_ISSET(i, &usual)) CPU_SET(i, &one);
  }
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  assert_int_equal(mp_process_cpus(), 1);
  assert_int_equal(sched_setaffinity(0, sizeof usual, &usual), 0);
}

static void test_host_name(void **state) {
  char a[MP_HOST_SIZE], b[MP_HOST_SIZE];

  (void)state;
  mp_host_name(a);
  mp_host_name(b);
  assert_string_equal(a, b);
  assert_non_null(strstr(a, "pid:["));
  assert_null(strchr(a, '\n'));
}

/* ---- error ---------------------------------------------------------------------------------- */

static void test_errors(void **state) {
  mp_error err;
  char text[600];

  (void)state;
  for (int code = 0; code < MP_CODE_COUNT; code++) {
    assert_non_null(mp_code_name((mp_code)code));
    assert_non_null(mp_strerror((mp_code)code));
  }
  assert_string_equal(mp_code_name(MP_EAGAIN), "EAGAIN");
  assert_string_equal(mp_code_name((mp_code)-1), "EUNKNOWN");
  assert_string_equal(mp_strerror(MP_CODE_COUNT), "unknown error");

  assert_int_equal(mp_fail(NULL, MP_EIO, "%d", 1), MP_EIO);
  memset(text, 'x', sizeof text);
  text[sizeof text - 1] = '\0';
  assert_int_equal(mp_fail(&err, MP_E2BIG, "%s", text), MP_E2BIG);
  assert_int_equal(err.code, MP_E2BIG);
  assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_buf_grows),
      cmocka_unit_test(test_buf_holds_its_limit_to_the_byte),
      cmocka_unit_test(test_buf_failure_is_sticky),
      cmocka_unit_test(test_buf_refuses_sizes_that_overflow),
      cmocka_unit_test(test_event_id_form),
      cmocka_unit_test(test_event_ids_sort_as_their_texts),
      cmocka_unit_test(test_malformed_event_ids),
      cmocka_unit_test(test_delivery_id_form),
      cmocka_unit_test(test_ids_grow),
      cmocka_unit_test(test_ids_are_larger_than_the_newest),
      cmocka_unit_test(test_ids_are_unique_across_threads_and_slots),
      cmocka_unit_test(test_iso8601),
      cmocka_unit_test(test_monotonic_clock),
      cmocka_unit_test(test_list),
      cmocka_unit_test(test_process_start),
      cmocka_unit_test(test_process_start_with_a_misleading_name),
      cmocka_unit_test(test_cpus_are_those_that_may_be_used),
      cmocka_unit_test(test_host_name),
      cmocka_unit_test(test_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
