/* The files of a script: read once, when it is loaded, so that a version is what it is. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "script/sandbox.h"

#define MAX_FILE  (1 << 20) /* bytes */
#define MAX_FILES 64        /* of one script */
#define MAX_NAME  128

/* Words of letters, digits, _ and -, joined by dots: no path but below the folder. */
static bool is_name(const char *name) {
  bool word = false;
  size_t len = strlen(name);

  if (len == 0 || len > MAX_NAME) return false;
  for (const char *p = name; *p; p++) {
    if (*p == '.') {
      if (!word) return false;
      word = false;
    } else {
      if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && !(*p >= '0' && *p <= '9') &&
          *p != '_' && *p != '-') {
        return false;
      }
      word = true;
    }
  }
  return word;
}

static int64_t mtime_of(const struct stat *st) {
  return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* The file's own path, links followed, is below the folder's. */
static mp_code path_of(const mp_sandbox *s, const char *name, char **out, mp_error *err) {
  char path[PATH_MAX], real[PATH_MAX], folder[PATH_MAX];
  size_t at = strlen(s->folder) + 1, len;

  *out = NULL;
  if (!is_name(name)) {
    return mp_fail(err, MP_EINVAL,
                   "'%.100s': expected words of letters, digits, _ and - joined by dots", name);
  }
  if (snprintf(path, sizeof path, "%s/%s.lua", s->folder, name) >= (int)sizeof path) {
    return mp_fail(err, MP_EINVAL, "'%s': the path is too long", name);
  }
  len = at + strlen(name);
  for (size_t i = at; i < len; i++)
    if (path[i] == '.') path[i] = '/';
  if (!realpath(path, real) || !realpath(s->folder, folder)) {
    return mp_fail(err, errno == ENOMEM ? MP_ENOMEM : MP_ENOENT, "%s.lua: %s", name,
                   errno == ENOENT ? "no such file in the folder of scripts" : strerror(errno));
  }
  len = strlen(folder);
  if (strncmp(real, folder, len) != 0 || real[len] != '/') {
    return mp_fail(err, MP_EINVAL, "%s.lua: a link that leads out of the folder of scripts", name);
  }
  *out = strdup(path);
  return *out ? MP_OK : mp_fail(err, MP_ENOMEM, "out of memory");
}

static mp_code read_whole(int fd, mp_script_file *f, mp_error *err) {
  struct stat st;

  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
    return mp_fail(err, MP_EINVAL, "%s.lua: expected a file", f->name);
  }
  if (st.st_size > MAX_FILE) {
    return mp_fail(err, MP_EINVAL, "%s.lua: over %d bytes", f->name, MAX_FILE);
  }
  f->mtime_ns = mtime_of(&st);
  f->size = st.st_size;
  f->text = malloc((size_t)st.st_size + 1);
  if (!f->text) return mp_fail(err, MP_ENOMEM, "out of memory");
  while (f->len < (size_t)st.st_size) {
    ssize_t n = read(fd, f->text + f->len, (size_t)st.st_size - f->len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return mp_fail(err, MP_EINVAL, "%s.lua: %s", f->name, strerror(errno));
    if (n == 0) break;
    f->len += (size_t)n;
  }
  f->text[f->len] = '\0';
  return MP_OK;
}

static void free_file(mp_script_file *f) {
  free(f->name);
  free(f->path);
  free(f->text);
}

static mp_code read_file(mp_sandbox *s, const char *name, mp_script_file *f, mp_error *err) {
  mp_code code = path_of(s, name, &f->path, err);
  int fd;

  if (code != MP_OK) return code;
  f->name = strdup(name);
  if (!f->name) return mp_fail(err, MP_ENOMEM, "out of memory");
  fd = open(f->path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return mp_fail(err, errno == ENOENT ? MP_ENOENT : MP_EINVAL, "%s.lua: %s", name,
                   strerror(errno));
  }
  code = read_whole(fd, f, err);
  close(fd);
  return code;
}

mp_code mp_script_file_get(mp_sandbox *s, const char *name, const mp_script_file **out,
                           mp_error *err) {
  mp_script_file file = {0}, *longer;
  mp_code code;

  for (size_t i = 0; i < s->file_count; i++) {
    *out = &s->files[i];
    if (strcmp(s->files[i].name, name) == 0) return MP_OK;
  }
  *out = NULL;
  if (!s->loading) {
    return mp_fail(err, MP_EINVAL,
                   "require '%.100s': it was not there when the script was loaded: require it at "
                   "the file's top",
                   name);
  }
  if (s->file_count == MAX_FILES) {
    return mp_fail(err, MP_EINVAL, "require '%.100s': over %d files", name, MAX_FILES);
  }
  longer = realloc(s->files, (s->file_count + 1) * sizeof *longer);
  if (!longer) return mp_fail(err, MP_ENOMEM, "out of memory");
  s->files = longer;
  code = read_file(s, name, &file, err);
  if (code != MP_OK) {
    free_file(&file);
    return code;
  }
  s->files[s->file_count++] = file;
  *out = &s->files[s->file_count - 1];
  return MP_OK;
}

void mp_script_files_free(mp_sandbox *s) {
  for (size_t i = 0; i < s->file_count; i++)
    free_file(&s->files[i]);
  free(s->files);
  s->files = NULL;
  s->file_count = 0;
}

/* Of each file its name, its length and its text, in the order in which they were required. */
mp_code mp_script_files_hash(const mp_sandbox *s, char *out, mp_error *err) {
  unsigned char bytes[MP_SHA256_SIZE];
  mp_code code;
  mp_buf all;

  mp_buf_init(&all, MP_BUF_NO_LIMIT);
  for (size_t i = 0; i < s->file_count; i++) {
    const mp_script_file *f = &s->files[i];
    mp_buf_add_format(&all, "%s:%zu:", f->name, f->len);
    mp_buf_add(&all, f->text, f->len);
  }
  code = all.failed == MP_OK ? mp_sha256(all.data, all.len, bytes, err)
                             : mp_fail(err, MP_ENOMEM, "out of memory");
  mp_buf_free(&all);
  for (int i = 0; i < MP_SCRIPT_HASH / 2 && code == MP_OK; i++)
    snprintf(out + 2 * i, 3, "%02x", bytes[i]);
  return code;
}

/* Has the text of a file that looks touched changed? */
static bool differs(const mp_script_file *f) {
  mp_script_file now = {.name = f->name};
  mp_error err;
  int fd = open(f->path, O_RDONLY | O_CLOEXEC);
  bool changed = true;

  if (fd < 0) return errno == ENOENT;
  if (read_whole(fd, &now, &err) == MP_OK)
    changed = now.len != f->len || memcmp(now.text, f->text, f->len) != 0;
  close(fd);
  free(now.text);
  return changed;
}

bool mp_script_files_changed(const mp_sandbox *s) {
  for (size_t i = 0; i < s->file_count; i++) {
    const mp_script_file *f = &s->files[i];
    struct stat st;
    if (stat(f->path, &st) != 0) return true;
    if ((mtime_of(&st) != f->mtime_ns || st.st_size != f->size) && differs(f)) return true;
  }
  return false;
}
