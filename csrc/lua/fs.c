/* Files and time for Lua, where portable Lua has nothing: folders of models and scripts, real
 * paths, files for nobody else's eyes, a monotonic clock. Runs in the host's thread, at start, on
 * reload, in the CLI and where somebody signs in to the admin page; in no other request. Failures
 * are nil, "listdir 'path': reason", and the errno's name as the code. */
#include "lua/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define MAX_ENTRIES 65536
#define MAX_SLEEP   86400.0 /* seconds */

static const char *errno_name(int number) {
  switch (number) {
    case EACCES:
    case EPERM:
      return "EACCES";
    case EEXIST:
      return "EEXIST";
    case EINVAL:
    case ELOOP:
    case ENAMETOOLONG:
      return "EINVAL";
    case EMFILE:
    case ENFILE:
      return "EMFILE";
    case ENOENT:
      return "ENOENT";
    case ENOMEM:
      return "ENOMEM";
    case ENOSPC:
    case EDQUOT:
      return "ENOSPC";
    case ENOTDIR:
      return "ENOTDIR";
    case EROFS:
      return "EROFS";
    case E2BIG:
      return "E2BIG";
    default:
      return "EIO";
  }
}

static int fail(lua_State *L, const char *function, const char *path, int number) {
  char text[128];

  lua_pushnil(L);
  lua_pushfstring(L, "%s '%s': %s", function, path, strerror_r(number, text, sizeof text));
  lua_pushstring(L, errno_name(number));
  return 3;
}

static const char *check_path(lua_State *L) {
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  luaL_argcheck(L, strlen(path) == len, 1, "a path holds no NUL byte");
  return path;
}

static const char *type_name(mode_t mode) {
  if (S_ISREG(mode)) return "file";
  return S_ISDIR(mode) ? "directory" : "other";
}

/* ---- listdir -------------------------------------------------------------------------------- */

typedef struct entry {
  char *name;
  const char *type;
} entry;

/* A userdata: the collector frees what an error in the middle left. */
typedef struct listing {
  entry *items;
  size_t count;
  size_t cap;
} listing;

#define LISTING "moonpost.listing"

static void listing_free(listing *l) {
  for (size_t i = 0; i < l->count; i++)
    free(l->items[i].name);
  free(l->items);
  *l = (listing){0};
}

static int listing_gc(lua_State *L) {
  listing_free(luaL_checkudata(L, 1, LISTING));
  return 0;
}

static listing *new_listing(lua_State *L) {
  listing *l = lua_newuserdatauv(L, sizeof *l, 0);
  *l = (listing){0};
  luaL_getmetatable(L, LISTING);
  lua_setmetatable(L, -2);
  return l;
}

/* 0, or the errno. */
static int add_entry(listing *l, DIR *dir, const char *name) {
  struct stat st;
  const char *type;

  if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return 0;
  if (l->count == MAX_ENTRIES) return E2BIG;
  if (l->count == l->cap) {
    size_t cap = l->cap ? l->cap * 2 : 32;
    entry *items = realloc(l->items, cap * sizeof *items);
    if (!items) return ENOMEM;
    l->items = items;
    l->cap = cap;
  }
  /* Fails for a link to nothing, and for a file removed since. */
  type = fstatat(dirfd(dir), name, &st, 0) == 0 ? type_name(st.st_mode) : "other";
  l->items[l->count] = (entry){.name = strdup(name), .type = type};
  if (!l->items[l->count].name) return ENOMEM;
  l->count++;
  return 0;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

/* 0, or the errno. */
static int read_listing(listing *l, const char *path) {
  DIR *dir = opendir(path);
  int failure = 0;

  if (!dir) return errno;
  while (failure == 0) {
    struct dirent *d;
    errno = 0;
    d = readdir(dir);
    if (!d) {
      failure = errno;
      break;
    }
    failure = add_entry(l, dir, d->d_name);
  }
  closedir(dir);
  if (l->count > 1) qsort(l->items, l->count, sizeof *l->items, by_name);
  return failure;
}

/* listdir(path) -> array of { name =, type = "file" | "directory" | "other" }, by name; types are
 * those of what links point to */
static int listdir(lua_State *L) {
  const char *path = check_path(L);
  listing *l = new_listing(L);
  int failure = read_listing(l, path);

  if (failure != 0) {
    listing_free(l);
    return fail(L, "listdir", path, failure);
  }
  lua_createtable(L, (int)l->count, 0);
  for (size_t i = 0; i < l->count; i++) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, l->items[i].name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, l->items[i].type);
    lua_setfield(L, -2, "type");
    lua_rawseti(L, -2, (int)i + 1);
  }
  listing_free(l);
  return 1;
}

/* ---- single paths --------------------------------------------------------------------------- */

/* realpath(path) -> the absolute path without links */
static int real_path(lua_State *L) {
  const char *path = check_path(L);
  char resolved[PATH_MAX];

  if (!realpath(path, resolved)) return fail(L, "realpath", path, errno);
  lua_pushstring(L, resolved);
  return 1;
}

/* stat(path) -> { type =, size = bytes } */
static int stat_path(lua_State *L) {
  const char *path = check_path(L);
  struct stat st;

  if (stat(path, &st) != 0) return fail(L, "stat", path, errno);
  lua_createtable(L, 0, 2);
  lua_pushstring(L, type_name(st.st_mode));
  lua_setfield(L, -2, "type");
  lua_pushinteger(L, (lua_Integer)st.st_size);
  lua_setfield(L, -2, "size");
  return 1;
}

/* mkdir(path, private) -> true; the parent folder must be there, the folder must not. private: mode
 * 0700 */
static int make_directory(lua_State *L) {
  const char *path = check_path(L);

  if (mkdir(path, lua_toboolean(L, 2) ? 0700 : 0777) != 0) return fail(L, "mkdir", path, errno);
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- a private file -------------------------------------------------------------------------- */

static int write_all(int fd, const char *data, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, data, len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    data += n;
    len -= (size_t)n;
  }
  return fsync(fd) == 0 ? 0 : errno;
}

/* The rename is on disk when the folder is. Not every file system can do this: no failure. */
static void sync_folder_of(char *path) {
  char *slash = strrchr(path, '/');
  int fd;

  if (slash) slash[slash == path] = '\0';
  fd = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  (void)fsync(fd);
  close(fd);
}

/* 0, or the errno. */
static int replace_private(const char *path, const char *data, size_t len) {
  char temporary[PATH_MAX];
  int fd, failure;

  if (strlen(path) + sizeof ".XXXXXX" > sizeof temporary) return ENAMETOOLONG;
  strcpy(temporary, path);
  strcat(temporary, ".XXXXXX");
  fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
  if (fd < 0) return errno;
  failure = write_all(fd, data, len);
  if (close(fd) != 0 && failure == 0) failure = errno;
  if (failure == 0 && rename(temporary, path) != 0) failure = errno;
  if (failure != 0) unlink(temporary);
  if (failure == 0) sync_folder_of(temporary);
  return failure;
}

/* write_private(path, text) -> true; the file is there with the whole new text and mode 0600, or as
 * it was */
static int write_private(lua_State *L) {
  const char *path = check_path(L);
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  int failure = replace_private(path, data, len);

  if (failure != 0) return fail(L, "write_private", path, failure);
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- time ----------------------------------------------------------------------------------- */

/* now() -> seconds of the monotonic clock */
static int now(lua_State *L) {
  lua_pushnumber(L, (lua_Number)mp_mono_us() / 1e6);
  return 1;
}

/* wall_ms() -> milliseconds since 1970 */
static int wall_ms(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)mp_wall_ms());
  return 1;
}

/* sleep(seconds), at most a day. Blocks the thread. A signal ends it early, so that the interpreter
 * can act on an interrupt from the keyboard. */
static int sleep_seconds(lua_State *L) {
  lua_Number seconds = luaL_checknumber(L, 1);
  struct timespec t;

  luaL_argcheck(L, seconds >= 0 && seconds <= MAX_SLEEP, 1, "expected 0 to 86400 seconds");
  t.tv_sec = (time_t)seconds;
  t.tv_nsec = (long)((seconds - (lua_Number)t.tv_sec) * 1e9);
  nanosleep(&t, NULL);
  return 0;
}

void mp_lua_fs(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"listdir", listdir},      {"realpath", real_path},          {"stat", stat_path},
      {"mkdir", make_directory}, {"write_private", write_private}, {"now", now},
      {"wall_ms", wall_ms},      {"sleep", sleep_seconds},         {NULL, NULL}};

  mp_lua_new_type(L, LISTING, listing_gc);
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
}
