/* Mailboxes. Host threads make and empty them, the store thread fills them.
 *
 * mailbox->lock is held shortly, and no other lock is taken under it (the engine's may be held when
 * it is taken). The host and each claimed place hold a reference, so that a mail may come after
 * its host has gone. */
#include "engine/mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/internal.h"

struct mp_mailbox {
  mp_mailbox *next; /* of the engine's; engine->lock */
  pid_t pid;
  size_t most; /* mails claimed and not taken */

  pthread_mutex_t lock;
  int refs;
  size_t claimed;
  int64_t last_ticket;
  mp_list mails;  /* of mp_mail */
  bool closed;    /* the host has gone */
  bool rung;      /* and nothing was taken since */
  bool unheard;   /* it was to be rung, and there was no bell */
  int bell;       /* an eventfd, or a connection; -1: none */
  bool connected; /* it is a connection */

  /* host thread */
  int listener; /* -1: none */
  int path;     /* O_PATH: the listener's file, which has no name any more */
};

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

void mp_mail_free(mp_mail *mail) {
  if (!mail) return;
  mp_buf_free(&mail->answer);
  free(mail);
}

static void free_mails(mp_list *mails) {
  for (mp_node *n; (n = mp_list_pop(mails)) != NULL;)
    mp_mail_free(MP_CONTAINER(n, mp_mail, node));
}

mp_code mp_mailbox_new(mp_engine *engine, mp_mailbox **out, mp_error *err) {
  mp_code code = mp_engine_check(engine, err);
  mp_mailbox *m;

  *out = NULL;
  if (code != MP_OK) return code;
  m = calloc(1, sizeof *m);
  if (!m) return mp_fail(err, MP_ENOMEM, "out of memory");
  pthread_mutex_init(&m->lock, NULL);
  m->pid = engine->pid;
  m->most = engine->settings->inbox_count;
  m->refs = 1;
  m->bell = m->listener = m->path = -1;
  pthread_mutex_lock(&engine->lock);
  m->next = engine->mailboxes;
  engine->mailboxes = m;
  pthread_mutex_unlock(&engine->lock);
  *out = m;
  return MP_OK;
}

void mp_mailbox_leave(mp_mailbox *mailbox, mp_engine *engine) {
  if (mp_engine_check(engine, NULL) != MP_OK) return;
  pthread_mutex_lock(&engine->lock);
  for (mp_mailbox **at = &engine->mailboxes; *at; at = &(*at)->next) {
    if (*at != mailbox) continue;
    *at = mailbox->next;
    break;
  }
  pthread_mutex_unlock(&engine->lock);
}

/* With the lock held; gives it back. */
static void unref(mp_mailbox *m, int refs) {
  bool last;

  m->refs -= refs;
  last = m->refs == 0;
  pthread_mutex_unlock(&m->lock);
  if (!last) return;
  close_fd(&m->bell);
  free_mails(&m->mails);
  pthread_mutex_destroy(&m->lock);
  free(m);
}

/* In a forked child the lock may be held for ever. */
static mp_code check_process(const mp_mailbox *m, mp_error *err) {
  if (m->pid == getpid()) return MP_OK;
  return mp_fail(err, MP_EFORK, "opened in another process (pid %ld): open moonpost after the fork",
                 (long)m->pid);
}

void mp_mailbox_free(mp_mailbox *mailbox) {
  if (!mailbox || check_process(mailbox, NULL) != MP_OK) return;
  close_fd(&mailbox->listener);
  close_fd(&mailbox->path);
  pthread_mutex_lock(&mailbox->lock);
  mailbox->closed = true;
  close_fd(&mailbox->bell);
  unref(mailbox, 1);
}

/* ---- mails -------------------------------------------------------------------------------- */

mp_code mp_mailbox_claim(mp_mailbox *mailbox, mp_mail **out, mp_error *err) {
  mp_mail *mail = calloc(1, sizeof *mail);
  bool full;

  *out = NULL;
  if (check_process(mailbox, err) != MP_OK) {
    free(mail);
    return MP_EFORK;
  }
  if (!mail) return mp_fail(err, MP_ENOMEM, "out of memory");
  pthread_mutex_lock(&mailbox->lock);
  full = mailbox->claimed >= mailbox->most;
  if (!full) {
    mailbox->claimed++;
    mailbox->refs++;
    mail->ticket = ++mailbox->last_ticket;
    mp_buf_init(&mail->answer, MP_BUF_NO_LIMIT);
  }
  pthread_mutex_unlock(&mailbox->lock);
  if (full) {
    free(mail);
    return mp_fail(err, MP_EAGAIN, "%zu results were not taken (hooks:poll)", mailbox->most);
  }
  *out = mail;
  return MP_OK;
}

void mp_mailbox_cancel(mp_mailbox *mailbox, mp_mail *mail) {
  free(mail);
  pthread_mutex_lock(&mailbox->lock);
  mailbox->claimed--;
  unref(mailbox, 1);
}

/* With the lock held. A bell that cannot be rung is one that rings, or that nobody listens to. */
static void ring(mp_mailbox *m) {
  uint64_t one = 1;

  if (m->bell < 0) m->unheard = true;
  if (m->rung || m->bell < 0) return;
  m->rung = true;
  if (m->connected) {
    if (send(m->bell, &one, sizeof one, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return;
  } else if (write(m->bell, &one, sizeof one) < 0) {
    return;
  }
}

void mp_mailbox_post(mp_mailbox *mailbox, mp_list *mails) {
  int count = (int)mails->count;

  pthread_mutex_lock(&mailbox->lock);
  mp_list_append(&mailbox->mails, mails);
  if (mailbox->closed) {
    free_mails(&mailbox->mails);
  } else {
    ring(mailbox);
  }
  unref(mailbox, count);
}

void mp_mailbox_ring(mp_mailbox *mailbox) {
  pthread_mutex_lock(&mailbox->lock);
  ring(mailbox);
  pthread_mutex_unlock(&mailbox->lock);
}

void mp_mailboxes_ring(mp_engine *engine) {
  for (mp_mailbox *m = engine->mailboxes; m; m = m->next)
    mp_mailbox_ring(m);
}

void mp_mailbox_take(mp_mailbox *mailbox, mp_list *mails) {
  uint64_t rings;

  if (check_process(mailbox, NULL) != MP_OK) return;
  pthread_mutex_lock(&mailbox->lock);
  mailbox->claimed -= mailbox->mails.count;
  mp_list_append(mails, &mailbox->mails);
  if (mailbox->rung && !mailbox->connected && mailbox->bell >= 0) {
    if (read(mailbox->bell, &rings, sizeof rings) < 0) rings = 0; /* the host has read it */
  }
  mailbox->rung = mailbox->unheard = false;
  pthread_mutex_unlock(&mailbox->lock);
}

/* ---- bells ---------------------------------------------------------------------------------- */

/* What came before there was a bell rings it. Takes the descriptor. */
static void hang(mp_mailbox *m, int bell, bool connected) {
  bool due;

  pthread_mutex_lock(&m->lock);
  due = m->rung || m->unheard;
  close_fd(&m->bell);
  m->bell = bell;
  m->connected = connected;
  m->rung = m->unheard = false;
  if (due) ring(m);
  pthread_mutex_unlock(&m->lock);
}

mp_code mp_mailbox_fd(mp_mailbox *mailbox, int *fd, mp_error *err) {
  if (check_process(mailbox, err) != MP_OK) return MP_EFORK;
  if (mailbox->listener >= 0) return mp_fail(err, MP_EBUSY, "its host is told on a socket");
  if (mailbox->bell < 0) {
    int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bell < 0) return mp_fail(err, MP_EIO, "eventfd: %s", strerror(errno));
    hang(mailbox, bell, false);
  }
  *fd = mailbox->bell;
  return MP_OK;
}

/* Listens in a folder, under a name that is gone again when this returns: who connects goes by the
 * descriptor in /proc. So neither the length of the folder's path matters, nor what a crash leaves
 * behind. */
static bool listen_in(mp_mailbox *m, const char *folder) {
  static atomic_int count;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char name[48];
  int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  snprintf(name, sizeof name, ".moonpost-%ld-%d", (long)m->pid, atomic_fetch_add(&count, 1));
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dir, name);
  if (dir >= 0 && fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
    m->path = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    unlinkat(dir, name, 0);
    if (m->path >= 0 && listen(fd, 8) == 0) {
      m->listener = fd;
      fd = -1;
    } else {
      close_fd(&m->path);
    }
  }
  close_fd(&dir);
  close_fd(&fd);
  return m->listener >= 0;
}

mp_code mp_mailbox_listen(mp_mailbox *mailbox, const char *store, char path[MP_MAILBOX_PATH],
                          mp_error *err) {
  if (check_process(mailbox, err) != MP_OK) return MP_EFORK;
  if (mailbox->listener < 0) {
    char folder[PATH_MAX];

    if (mailbox->bell >= 0) return mp_fail(err, MP_EBUSY, "its host is told on a descriptor");
    snprintf(folder, sizeof folder, "%s", store);
    /* Not every file system has sockets. */
    if ((strcmp(store, ":memory:") == 0 || !listen_in(mailbox, dirname(folder))) &&
        !listen_in(mailbox, "/tmp")) {
      return mp_fail(err, MP_EIO, "cannot listen on a unix socket beside the store or in /tmp: %s",
                     strerror(errno));
    }
  }
  snprintf(path, MP_MAILBOX_PATH, "/proc/self/fd/%d", mailbox->path);
  return MP_OK;
}

mp_code mp_mailbox_accept(mp_mailbox *mailbox, mp_error *err) {
  struct ucred peer = {0};
  socklen_t len = sizeof peer;
  int fd;

  if (check_process(mailbox, err) != MP_OK) return MP_EFORK;
  for (;;) {
    fd = accept4(mailbox->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return mp_fail(err, MP_EIO, "accept: %s", strerror(errno));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid == mailbox->pid) {
      break;
    }
    close(fd); /* who is that? */
  }
  hang(mailbox, fd, true);
  return MP_OK;
}
