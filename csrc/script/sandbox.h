/* The inside of csrc/script: one lua_State with limits, and what its functions need to know.
 *
 * A sandbox is used by one thread at a time. Its lua_State is thrown away after a limit was passed,
 * and made anew for the next call from the files as they were read when the script was loaded: a
 * script that was stopped leaves nothing behind. Nor does any other: the file is run anew for each
 * call, in an environment of its own, and nothing that outlives a call can be written to. */
#ifndef MP_SCRIPT_SANDBOX_H
#define MP_SCRIPT_SANDBOX_H

#include <lauxlib.h>
#include <locale.h>
#include <lua.h>

#include "payload/json_reader.h"
#include "script/limit.h"
#include "script/script.h"

#if LUA_VERSION_NUM < 502
#define lua_rawlen                         lua_objlen
#define lua_newuserdatauv(L, size, values) lua_newuserdata(L, size)
#define lua_isinteger(L, index)            false
#endif

/* A file, as it was read when the script was loaded. */
typedef struct mp_script_file {
  char *name; /* "crm", "lib.text" */
  char *path;
  char *text;
  size_t len;
  int64_t mtime_ns; /* of the file, to see that it changed */
  int64_t size;
} mp_script_file;

/* What is at which place of the registry. */
enum {
  MP_KEPT_LIMIT = 16, /* the error of a limit */
  MP_KEPT_ENV_MT,     /* metatable of environments */
  MP_KEPT_CHUNKS,     /* compiled files by name */
  MP_KEPT_MAIN,       /* the script's own */
  MP_KEPT_LAZY_MT,
  MP_KEPT_EXACT_MT,
  /* of the call under way */
  MP_KEPT_CALL,
  MP_KEPT_ENV = MP_KEPT_CALL,
  MP_KEPT_REQUIRED,
  MP_KEPT_NEXT_TABLE,
  MP_KEPT_NEXT_KEYS,
  MP_KEPT_END
};

/* The texts that a call is given. */
enum { MP_DOC_EVENT, MP_DOC_PAYLOAD, MP_DOCS };

typedef struct mp_sandbox {
  lua_State *L; /* NULL: to be made */
  lua_Alloc host_alloc;
  void *host_alloc_arg;
  mp_script_limits limits;
  locale_t locale; /* "C": the host's says nothing to scripts */

  /* the call under way */
  bool running;
  int64_t memory; /* bytes now */
  int64_t peak;
  int64_t allocated; /* bytes since time was looked at */
  int64_t used;      /* instructions */
  int64_t unchecked; /* of them, charged since time was looked at */
  int hook_every;
  int64_t began_us;  /* of the wall clock */
  int64_t marked_us; /* of the thread's, some time after; 0: not yet */
  int64_t before_us; /* what the thread had used by then */
  int refusals;      /* of memory: 1: the collector may yet find some, 2: for good */
  bool starved;      /* the host had no memory */
  int depth;         /* calls of Lua from C, one in the other */
  char over[160];    /* which limit was passed, and where; "": none */
  bool loading;      /* files may be read */
  bool trying;       /* on a sample: no lines are logged */
  bool looked;       /* at what the call was given */
  bool unknown;      /* a name was used that nothing has */
  const mp_script_event *event;
  const mp_script_webhook *webhook;
  mp_span docs[MP_DOCS];
  uint64_t random[4];
  int log_lines;
  int next_at; /* next: the place of the key that it gave last */

  /* scratch that a raised error must not lose */
  mp_buf out;
  mp_buf text;
  mp_json reader;
  bool reading;

  /* the script */
  char *folder;
  char *name;
  char *constants;
  mp_script_log_fn log;
  void *log_arg;
  mp_script_file *files; /* the script's own first */
  size_t file_count;
} mp_sandbox;

static inline mp_sandbox *mp_sandbox_of(lua_State *L) {
  void *sandbox;
  lua_getallocf(L, &sandbox);
  return sandbox;
}

/* ---- sandbox.c ------------------------------------------------------------------------------ */

/* Runs fn(L) with arg as its light userdata argument under the limits, in a state that is made if
 * there is none. What fn leaves in Lua is gone afterwards; it hands out what it has through arg.
 * MP_EINVAL: it raised an error, or passed a limit. MP_ENOMEM: the host has no memory. */
mp_code mp_sandbox_run(mp_sandbox *s, lua_CFunction fn, void *arg, mp_script_use *use,
                       mp_error *err);
void mp_sandbox_close(mp_sandbox *s); /* the state; not the files */

/* ---- chunk.c -------------------------------------------------------------------------------- */

/* Runs the script's file in a fresh environment and pushes the table that it returned. */
void mp_script_push_script(lua_State *L);
int mp_script_require(lua_State *L);
/* __index of what the environments inherit from: names that nothing has. */
int mp_script_missing(lua_State *L);

/* ---- files.c -------------------------------------------------------------------------------- */

/* Reads a file of the folder, or finds it among those that were read. MP_ENOENT, MP_EINVAL. */
mp_code mp_script_file_get(mp_sandbox *s, const char *name, const mp_script_file **out,
                           mp_error *err);
void mp_script_files_free(mp_sandbox *s);
bool mp_script_files_changed(const mp_sandbox *s);
/* MP_SCRIPT_HASH hex digits and a NUL. */
mp_code mp_script_files_hash(const mp_sandbox *s, char *out, mp_error *err);

/* ---- value.c: JSON in Lua ------------------------------------------------------------------- */

/* null is a NULL light userdata. A number that the Lua at hand cannot hold digit for digit (over 53
 * bits on LuaJIT, over 64 and long fractions everywhere) is a userdata that knows its digits.
 * Objects remember the order of their keys, lists that they are lists, both under a key of the
 * table that no script can name. The objects of a call's documents are tables that are filled when
 * they are first looked into: everything that reads a table raw must fill it before. */

void mp_script_open_value(lua_State *L); /* once a state */

void mp_script_push_document(lua_State *L, int doc);
void mp_script_push_webhook(lua_State *L);
/* Pushes the value of a text, or nothing and answers false, with err filled. */
bool mp_script_push_json(lua_State *L, const char *text, size_t len, const char *root,
                         mp_error *err);

bool mp_script_is_lazy(lua_State *L, int index);
void mp_script_fill(lua_State *L, int index);        /* any value; a table that waits is filled */
void mp_script_check_table(lua_State *L, int index); /* an argument; filled */
void mp_script_mark_list(lua_State *L, int index);

typedef enum mp_script_mark { MP_MARK_NONE, MP_MARK_LIST, MP_MARK_OBJECT } mp_script_mark;
/* Pushes an object's keys in their order, else nothing. */
mp_script_mark mp_script_push_mark(lua_State *L, int index);
/* Is the key at the index the one that marks are under? */
bool mp_script_is_hidden(lua_State *L, int index);
/* The JSON text of a table that waits; none for a webhook. */
mp_span mp_script_lazy_text(lua_State *L, int index);

/* ---- exact.c -------------------------------------------------------------------------------- */

void mp_script_open_exact(lua_State *L);
/* A number as JSON has it. What follows the text is no digit. */
void mp_script_push_number(lua_State *L, const char *text, size_t len);
const char *mp_script_exact(lua_State *L, int index); /* digits; NULL: no such number */

/* ---- keys.c --------------------------------------------------------------------------------- */

/* Pushes the keys of a table in an order that is the same everywhere: numbers by size, then, as in
 * the text that it came from, the keys of an object, then other strings by their bytes, then the
 * rest. For keys that are 1 to n pushes n instead. Charges for it. */
void mp_script_push_keys(lua_State *L, int index);

/* ---- encode.c ------------------------------------------------------------------------------- */

/* Writes the value at index as JSON to the sandbox's out, which is emptied first; raises an error
 * that names the place, from root on, of what JSON has not. */
void mp_script_to_json(lua_State *L, int index, const char *root);

/* ---- libraries ------------------------------------------------------------------------------ */

/* Each fills the table at the stack's top. */
void mp_script_open_base(lua_State *L);  /* lib_base.c: the functions and all libraries */
void mp_script_open_types(lua_State *L); /* of the functions */
void mp_script_open_string(lua_State *L);
void mp_script_open_patterns(lua_State *L); /* of string */
void mp_script_open_format(lua_State *L);   /* of string */
void mp_script_open_table(lua_State *L);
void mp_script_open_math(lua_State *L);
void mp_script_open_utf8(lua_State *L);
void mp_script_open_os(lua_State *L);
void mp_script_open_json(lua_State *L);
void mp_script_open_log(lua_State *L);
void mp_script_open_crypto(lua_State *L);
void mp_script_open_base64(lua_State *L);

/* Pushes the value at index as tostring has it. */
const char *mp_script_push_text(lua_State *L, int index, size_t *len);

#endif
