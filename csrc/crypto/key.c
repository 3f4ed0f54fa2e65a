/* Keys and their files. Any thread; no state. */
#include "crypto/key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/base64.h"

#define MAX_FILE 128 /* bytes: 44 of base64 and a line's end, and room to say what is wrong */

mp_code mp_key_parse(const char *text, const char *where, unsigned char key[MP_SEAL_KEY_SIZE],
                     mp_error *err) {
  size_t len = strcspn(text, "\r\n");
  mp_code code = MP_OK;
  mp_buf bytes;

  mp_buf_init(&bytes, MAX_FILE);
  if (mp_base64_decode(&bytes, text, len) && bytes.len == MP_SEAL_KEY_SIZE)
    memcpy(key, bytes.data, MP_SEAL_KEY_SIZE);
  else
    code = mp_fail(err, MP_EKEY, "%s: expected a key, the base64 of %d bytes", where,
                   MP_SEAL_KEY_SIZE);
  if (bytes.data) OPENSSL_cleanse(bytes.data, bytes.len);
  mp_buf_free(&bytes);
  return code;
}

void mp_key_wipe(unsigned char key[MP_SEAL_KEY_SIZE]) {
  OPENSSL_cleanse(key, MP_SEAL_KEY_SIZE);
}

mp_code mp_key_new(unsigned char key[MP_SEAL_KEY_SIZE], mp_error *err) {
  if (RAND_bytes(key, MP_SEAL_KEY_SIZE) == 1) return MP_OK;
  return mp_fail(err, MP_EIO, "cannot make a key: no randomness");
}

static mp_code file_fail(const char *path, mp_error *err) {
  return mp_fail(err, errno == ENOSPC ? MP_ENOSPC : MP_EIO, "%s: %s", path, strerror(errno));
}

static bool write_all(int fd, const char *text, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, text, len);
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) {
      text += n;
      len -= (size_t)n;
    }
  }
  return fsync(fd) == 0;
}

/* Written under another name and linked: nobody sees a part of it, and who comes second gets
 * EEXIST. */
mp_code mp_key_write(const char *path, const unsigned char key[MP_SEAL_KEY_SIZE], mp_error *err) {
  mp_code code = MP_OK;
  char *draft = NULL;
  mp_buf text;
  int fd = -1;

  mp_buf_init(&text, MAX_FILE);
  mp_base64_add(&text, key, MP_SEAL_KEY_SIZE);
  mp_buf_add_char(&text, '\n');
  if (text.failed != MP_OK || asprintf(&draft, "%s.XXXXXX", path) < 0) {
    draft = NULL;
    code = mp_fail(err, MP_ENOMEM, "out of memory");
  }
  if (code == MP_OK && (fd = mkostemp(draft, O_CLOEXEC)) < 0) code = file_fail(path, err);
  if (code == MP_OK && !write_all(fd, text.data, text.len)) code = file_fail(path, err);
  if (code == MP_OK && link(draft, path) != 0) {
    code = errno == EEXIST ? mp_fail(err, MP_EBUSY, "%s is there already", path)
                           : file_fail(path, err);
  }
  if (fd >= 0) {
    close(fd);
    unlink(draft);
  }
  if (text.data) OPENSSL_cleanse(text.data, text.len);
  mp_buf_free(&text);
  free(draft);
  return code;
}

mp_code mp_key_read(const char *path, unsigned char key[MP_SEAL_KEY_SIZE], mp_error *err) {
  char text[MAX_FILE + 1];
  struct stat st;
  mp_code code = MP_OK;
  ssize_t n;
  int fd = open(path, O_RDONLY | O_CLOEXEC);

  if (fd < 0 && errno == ENOENT) return mp_fail(err, MP_ENOENT, "%s: there is no such file", path);
  if (fd < 0) return file_fail(path, err);
  n = read(fd, text, MAX_FILE);
  if (n < 0 || fstat(fd, &st) != 0) {
    code = file_fail(path, err);
  } else if (!S_ISREG(st.st_mode) || (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    code = mp_fail(err, MP_EKEY,
                   "%s: its mode is %04o; expected a file that only its owner may read (chmod 600)",
                   path, (unsigned)(st.st_mode & 07777));
  } else {
    text[n] = '\0';
    code = mp_key_parse(text, path, key, err);
  }
  close(fd);
  OPENSSL_cleanse(text, sizeof text);
  return code;
}
