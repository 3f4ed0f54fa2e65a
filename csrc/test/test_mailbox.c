/* Mailboxes: results of emits that nobody waits for, on a descriptor and on a socket. */
#include <sys/un.h>

#include "engine_fixture.h"

#define PATIENCE_MS 20000

static mp_mailbox *open_mailbox(mp_engine *e) {
  mp_mailbox *m;
  mp_error err = {0};
  if (mp_mailbox_new(e, &m, &err) != MP_OK) fail_msg("%s", err.message);
  return m;
}

static mp_code emit_later(mp_engine *e, mp_mailbox *m, const char *key, int64_t *ticket,
                          mp_error *err) {
  mp_event_row row = {.id = mp_engine_next_id(e),
                      .type = "entry.create",
                      .created_ms = mp_wall_ms(),
                      .body = "{\"event\":\"entry.create\"}",
                      .body_len = 24,
                      .idempotency_key = key};
  mp_event *event = mp_event_new(&row, 0);
  mp_list list = {0};

  assert_non_null(event);
  mp_list_push(&list, &event->node);
  return mp_engine_emit_later(e, &list, m, ticket, err);
}

static bool readable(int fd, int timeout_ms) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  return poll(&p, 1, timeout_ms) == 1;
}

/* Waits for so many results; answers the last one, and frees them. */
static mp_mail take(mp_mailbox *m, int fd, size_t count) {
  mp_mail last = {0};
  size_t taken = 0;

  while (taken < count) {
    mp_list list = {0};
    assert_true(readable(fd, PATIENCE_MS));
    mp_mailbox_take(m, &list);
    for (mp_node *n; (n = mp_list_pop(&list)) != NULL; taken++) {
      mp_mail *mail = MP_CONTAINER(n, mp_mail, node);
      last = *mail;
      last.answer.data = NULL;
      mp_mail_free(mail);
    }
  }
  assert_int_equal(taken, count);
  return last;
}

static void results_come_by_their_tickets(void **state) {
  mp_engine *e = open_engine(1000);
  mp_mailbox *m = open_mailbox(e);
  mp_error err = {0};
  mp_mail r;
  int64_t ticket = 0, first;
  int fd;
  (void)state;

  assert_int_equal(mp_mailbox_fd(m, &fd, &err), MP_OK);
  assert_false(readable(fd, 0));
  for (int i = 0; i < 200; i++)
    assert_int_equal(emit_later(e, m, NULL, &ticket, &err), MP_OK);
  r = take(m, fd, 200);
  assert_int_equal(r.ticket, ticket);
  assert_int_equal(r.error.code, MP_OK);
  assert_false(readable(fd, 0));
  assert_int_equal(stat(e, "events"), 200);

  assert_int_equal(emit_later(e, m, "k", &first, &err), MP_OK);
  assert_int_equal(take(m, fd, 1).existing, 0);
  assert_int_equal(emit_later(e, m, "k", &ticket, &err), MP_OK);
  assert_true(ticket > first);
  assert_true(take(m, fd, 1).existing > 0);
  mp_mailbox_leave(m, e);
  assert_int_equal(mp_engine_close(e, 0, &err), MP_OK);
  mp_mailbox_free(m);
}

static void a_call_that_is_asked_is_answered_there(void **state) {
  mp_engine *e = open_engine(1000);
  mp_mailbox *m = open_mailbox(e);
  mp_asking asking = {.mailbox = m};
  mp_error err = {0};
  mp_mail r;
  mp_buf out;
  int fd;
  (void)state;

  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  assert_int_equal(mp_mailbox_fd(m, &fd, &err), MP_OK);
  assert_int_equal(mp_engine_ask(&asking, &err), MP_OK);
  assert_int_equal(mp_engine_webhooks(e, &out, &err), MP_OK);
  assert_int_equal(out.len, 0);
  r = take(m, fd, 1);
  assert_int_equal(r.ticket, asking.ticket);
  assert_int_equal(r.error.code, MP_OK);
  assert_int_equal(r.answer.len, 2);
  assert_int_equal(mp_engine_webhook(e, 7, &out, &err), MP_OK);
  assert_int_equal(take(m, fd, 1).error.code, MP_ENOENT);
  asking.ticket = 0;
  assert_int_equal(mp_engine_reports(e, 0, &out, &err), MP_OK); /* at once */
  assert_true(out.len > 0);
  assert_int_equal(asking.ticket, 0);
  for (int i = 0; i < 20; i++) /* close answers, or refuses, all of them */
    assert_int_equal(mp_engine_stats(e, true, &out, &err), MP_OK);
  assert_int_equal(mp_engine_ask(NULL, &err), MP_OK);
  mp_mailbox_leave(m, e);
  assert_int_equal(mp_engine_close(e, 0, &err), MP_OK);
  take(m, fd, 20);
  mp_mailbox_free(m);
  mp_buf_free(&out);
}

static void results_are_there_after_close(void **state) {
  mp_engine *e = open_engine(1000);
  mp_mailbox *m = open_mailbox(e);
  mp_error err = {0};
  int64_t ticket;
  int fd;
  (void)state;

  for (int i = 0; i < 50; i++)
    assert_int_equal(emit_later(e, m, NULL, &ticket, &err), MP_OK);
  mp_mailbox_leave(m, e);
  assert_int_equal(mp_engine_close(e, 0, &err), MP_OK);
  assert_int_equal(mp_mailbox_fd(m, &fd, &err), MP_OK); /* what is there rings it */
  assert_int_equal(take(m, fd, 50).error.code, MP_OK);
  mp_mailbox_free(m);
}

/* The engine goes on: another host has it open. */
static void results_of_a_host_that_has_gone_are_freed(void **state) {
  mp_engine *e = open_engine(1000), *same = open_engine(1000);
  mp_error err = {0};
  int64_t ticket;
  (void)state;

  for (int round = 0; round < 20; round++) {
    mp_mailbox *m = open_mailbox(e);
    for (int i = 0; i < 10; i++)
      assert_int_equal(emit_later(e, m, NULL, &ticket, &err), MP_OK);
    mp_mailbox_leave(m, e);
    mp_mailbox_free(m);
  }
  assert_int_equal(mp_engine_close(e, 0, &err), MP_OK);
  assert_int_equal(emit(same, "entry.create", true, NULL, NULL, &err), MP_OK);
  assert_int_equal(stat(same, "events"), 201);
  assert_int_equal(mp_engine_close(same, 0, &err), MP_OK);
}

static void results_that_nobody_takes_are_bounded(void **state) {
  mp_settings *s = settings("same", 1000);
  mp_engine *e;
  mp_mailbox *m;
  mp_error err = {0};
  int64_t ticket;
  int fd;
  (void)state;

  s->inbox_count = 10;
  e = open_with(s);
  m = open_mailbox(e);
  assert_int_equal(mp_mailbox_fd(m, &fd, &err), MP_OK);
  for (int i = 0; i < 10; i++) {
    assert_int_equal(emit_later(e, m, NULL, &ticket, &err), MP_OK);
    assert_int_equal(emit(e, "entry.create", true, NULL, NULL, &err), MP_OK);
  }
  assert_int_equal(emit_later(e, m, NULL, &ticket, &err), MP_EAGAIN);
  take(m, fd, 10);
  assert_int_equal(emit_later(e, m, NULL, &ticket, &err), MP_OK);
  take(m, fd, 1);
  assert_int_equal(stat(e, "events"), 21);
  mp_mailbox_leave(m, e);
  mp_engine_close(e, 0, &err);
  mp_mailbox_free(m);
}

static int connect_to(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  strcpy(address.sun_path, path);
  assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
  return fd;
}

static int files_in_folder(void) {
  char command[128];
  int count = -1;
  FILE *pipe;
  snprintf(command, sizeof command, "ls -A %s | wc -l", folder);
  pipe = popen(command, "r");
  assert_int_equal(fscanf(pipe, "%d", &count), 1);
  pclose(pipe);
  return count;
}

static void a_socket_tells_too(void **state) {
  mp_engine *e = open_engine(1000);
  mp_mailbox *m = open_mailbox(e);
  char path[MP_MAILBOX_PATH], store[128], rings[64];
  int files = files_in_folder();
  mp_error err = {0};
  int64_t ticket;
  int fd;
  (void)state;

  snprintf(store, sizeof store, "%s/engine.db", folder);
  assert_int_equal(mp_mailbox_listen(m, store, path, &err), MP_OK);
  assert_int_equal(files_in_folder(), files);
  for (int round = 0; round < 3; round++) { /* the last connection is the one that is rung */
    assert_int_equal(emit_later(e, m, NULL, &ticket, &err), MP_OK);
    fd = connect_to(path);
    assert_int_equal(mp_mailbox_accept(m, &err), MP_OK);
    assert_int_equal(emit_later(e, m, NULL, &ticket, &err), MP_OK);
    assert_int_equal(take(m, fd, 2).ticket, ticket);
    assert_true(read(fd, rings, sizeof rings) >= 8);
    close(fd);
  }
  /* Nobody hears it: the results stay. */
  assert_int_equal(emit_later(e, m, NULL, &ticket, &err), MP_OK);
  assert_int_equal(emit(e, "entry.create", true, NULL, NULL, &err), MP_OK);
  fd = connect_to(path);
  assert_int_equal(mp_mailbox_accept(m, &err), MP_OK);
  take(m, fd, 1);
  close(fd);
  assert_int_equal(mp_mailbox_fd(m, &fd, &err), MP_EBUSY);
  assert_int_equal(mp_mailbox_accept(m, &err), MP_EIO); /* nobody has connected */
  mp_mailbox_leave(m, e);
  mp_engine_close(e, 0, &err);
  mp_mailbox_free(m);
}

static void a_forked_child_is_told(void **state) {
  mp_engine *e = open_engine(1000);
  mp_mailbox *m = open_mailbox(e);
  mp_error err = {0};
  int status, fd;
  int64_t ticket;
  pid_t child;
  (void)state;

  child = fork();
  if (child == 0) {
    bool told = emit_later(e, m, NULL, &ticket, &err) == MP_EFORK &&
                mp_mailbox_fd(m, &fd, &err) == MP_EFORK;
    mp_mailbox_leave(m, e);
    mp_mailbox_free(m);
    _exit(told ? 0 : 1);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  mp_mailbox_leave(m, e);
  mp_engine_close(e, 0, &err);
  mp_mailbox_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
      TEST(results_come_by_their_tickets),
      TEST(a_call_that_is_asked_is_answered_there),
      TEST(results_are_there_after_close),
      TEST(results_of_a_host_that_has_gone_are_freed),
      TEST(results_that_nobody_takes_are_bounded),
      TEST(a_socket_tells_too),
      TEST(a_forked_child_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
