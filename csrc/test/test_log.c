/* The log: how lines look, how many come, and who takes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* cmocka.h needs those above it. */
#include <cmocka.h>

#include "engine/log.h"
#include "engine/log_line.h"

/* What came on standard error, of one test. */
static FILE *caught;
static int before;
static char text[1 << 20];

static int catch (void **state) {
  (void)state;
  fflush(stderr);
  before = dup(STDERR_FILENO);
  caught = tmpfile();
  return caught && dup2(fileno(caught), STDERR_FILENO) >= 0 ? 0 : -1;
}

static int give_back(void **state) {
  (void)state;
  if (before >= 0) dup2(before, STDERR_FILENO);
  close(before);
  fclose(caught);
  before = -1;
  return 0;
}

static const char *written(void) {
  size_t len;
  rewind(caught);
  len = fread(text, 1, sizeof text - 1, caught);
  text[len] = '\0';
  return text;
}

static size_t count_lines(const char *lines) {
  size_t count = 0;
  for (; *lines; lines++)
    count += *lines == '\n';
  return count;
}

static void writes_lines_at_its_level(void **state) {
  mp_logger *log = mp_logger_new(MP_LOG_WARN, false);
  (void)state;
  mp_log(NULL, MP_LOG_ERROR, "x.y", "to nobody");
  mp_log(log, MP_LOG_INFO, "x.y", "below");
  mp_log(log, MP_LOG_WARN, "x.y", "the %s\nfailed\x7f", "store");
  assert_string_equal(written(), "moonpost: warn: the store failed \n");
  mp_logger_free(log);
}

static void writes_json(void **state) {
  mp_logger *log = mp_logger_new(MP_LOG_WARN, true);
  static const char object[] = "{\"event\":\"a.b\",\"n\":1}";
  (void)state;
  mp_log(log, MP_LOG_ERROR, "x.y", "a \"quote\"\nand \xff");
  mp_log_object(log, MP_LOG_WARN, "a.b", object, strlen(object));
  written();
  assert_non_null(strstr(text,
                         "\",\"level\":\"error\",\"event\":\"x.y\",\"message\":\"a "
                         "\\\"quote\\\"\\nand \xef\xbf\xbd\"}\n"));
  assert_non_null(strstr(text, "\",\"level\":\"warn\",\"event\":\"a.b\",\"n\":1}\n"));
  assert_int_equal(count_lines(text), 2);
  mp_logger_free(log);
}

static void flattens_objects(void **state) {
  mp_logger *log = mp_logger_new(MP_LOG_DEBUG, false);
  static const char object[] =
      "{\"event\":\"a.b\",\"webhook\":{\"id\":\"7\",\"name\":\"x y\"},\"n\":1.5,\"e\":\"\","
      "\"q\":\"a\\\"b\",\"k\":\"a=b\",\"l\":[1,{\"m\":2}]}";
  (void)state;
  mp_log_object(log, MP_LOG_DEBUG, "a.b", object, strlen(object));
  assert_string_equal(
      written(),
      "moonpost: debug: a.b webhook.id=7 webhook.name=\"x y\" n=1.5 e=\"\" q=\"a\\\"b\" "
      "k=\"a=b\" l=[1,{\"m\":2}]\n");
  mp_logger_free(log);
}

static void stays_one_line_when_it_is_too_long(void **state) {
  char bytes[65], long_text[200];
  static const mp_log_record object = {.level = MP_LOG_INFO,
                                       .event = "a.b",
                                       .object = "{\"event\":\"a.b\",\"n\":\"0123456789\"}",
                                       .object_len = 34};
  mp_log_record message = {.level = MP_LOG_INFO, .event = "a.b", .message = long_text};
  mp_buf out = {.data = bytes, .cap = sizeof bytes - 1, .limit = sizeof bytes - 1};
  (void)state;
  memset(long_text, 'x', sizeof long_text - 1);
  long_text[sizeof long_text - 1] = '\0';
  mp_log_as_json(&object, &out);
  assert_int_equal(out.failed, MP_OK);
  assert_int_equal(bytes[out.len - 1], '}');
  out.len = 0;
  mp_log_as_json(&message, &out);
  assert_int_equal(bytes[out.len - 1], '}');
  out.len = 0;
  mp_log_as_text(&message, &out);
  assert_int_equal(out.failed, MP_OK);
  assert_int_equal(out.len, sizeof bytes - 1);
}

static void leaves_out_what_is_too_much_of_one_kind(void **state) {
  mp_logger *log = mp_logger_new(MP_LOG_WARN, false);
  (void)state;
  for (int i = 0; i < MP_LOG_RATE + 7; i++)
    mp_log(log, MP_LOG_WARN, "a.b", "line");
  mp_log(log, MP_LOG_WARN, "c.d", "another");
  assert_int_equal(count_lines(written()), MP_LOG_RATE + 1);
  mp_logger_free(log);
  assert_non_null(strstr(written(), "\nmoonpost: warn: 7 lines of a.b were left out\n"));
}

static void keeps_lines_for_a_host(void **state) {
  mp_logger *log = mp_logger_new(MP_LOG_WARN, false);
  mp_log_line *line;
  (void)state;
  mp_log_hold(log);
  mp_log(log, MP_LOG_WARN, "a.b", "first");
  mp_log(log, MP_LOG_ERROR, "a.b", "second");
  assert_string_equal(written(), "");
  line = mp_log_take(log, false);
  assert_non_null(line);
  assert_int_equal(line->level, MP_LOG_WARN);
  assert_string_equal(line->text, "moonpost: warn: first");
  assert_non_null(strstr(line->object, "\"event\":\"a.b\",\"message\":\"first\"}"));
  free(line);
  mp_log_release(log, NULL); /* what it did not take is not lost */
  assert_string_equal(written(), "moonpost: error: second\n");
  mp_log(log, MP_LOG_ERROR, "a.b", "third");
  assert_string_equal(written(), "moonpost: error: second\nmoonpost: error: third\n");
  assert_null(mp_log_take(log, false));
  mp_logger_free(log);
}

static void lets_the_oldest_go_when_no_host_comes(void **state) {
  mp_logger *log = mp_logger_new(MP_LOG_WARN, false);
  char events[MP_LOG_KEPT / MP_LOG_RATE + 2][8];
  size_t kinds = sizeof events / sizeof events[0], count = 0;
  bool told = false;
  (void)state;
  mp_log_hold(log);
  for (size_t i = 0; i < kinds; i++) {
    snprintf(events[i], sizeof events[i], "k.%zu", i);
    for (int j = 0; j < MP_LOG_RATE; j++)
      mp_log(log, MP_LOG_WARN, events[i], "line");
  }
  for (mp_log_line *line; (line = mp_log_take(log, false)) != NULL; count++) {
    if (strstr(line->text, " lines were lost: they were not taken in time")) told = true;
    free(line);
  }
  assert_true(told);
  assert_true(count <= MP_LOG_KEPT + 2);
  mp_log_release(log, NULL);
  mp_logger_free(log);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(writes_lines_at_its_level, catch, give_back),
      cmocka_unit_test_setup_teardown(writes_json, catch, give_back),
      cmocka_unit_test_setup_teardown(flattens_objects, catch, give_back),
      cmocka_unit_test(stays_one_line_when_it_is_too_long),
      cmocka_unit_test_setup_teardown(leaves_out_what_is_too_much_of_one_kind, catch, give_back),
      cmocka_unit_test_setup_teardown(keeps_lines_for_a_host, catch, give_back),
      cmocka_unit_test_setup_teardown(lets_the_oldest_go_when_no_host_comes, catch, give_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
