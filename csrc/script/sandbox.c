/* The lua_State of a script: its memory, its instructions, its time; running something in it.
 *
 * A limit that is passed raises an error at once, and from then on at every instruction, so that no
 * pcall of the script goes on. What C functions do for a script they charge as instructions. */
#include "script/sandbox.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#if LUA_VERSION_NUM < 502
#include <luajit.h>
#endif

#include "base/clock.h"
#include "payload/utf8.h"

#define HOOK_EVERY  100       /* instructions */
#define LOOK_BYTES  (1 << 20) /* allocated: time is looked at, however few the instructions are */
#define LOOK_STEPS  256       /* charged */
#define CHARGE      16        /* bytes for a step */
#define MARK_AFTER  1000      /* us of the wall clock, after which the thread's is asked */
#define UNMARKED    2000      /* us of the thread's time before that, at most */
#define WALL_SLACK  1000000   /* us of the wall clock beyond twice the limit, on a busy machine */
#define COLLECT_AT  4         /* a quarter of the memory in use before a call: garbage goes first */
#define MAX_DEPTH   100       /* calls of Lua from C */
#define MAX_MESSAGE 400       /* bytes */
#define KEEP_BUFFER (1 << 18) /* bytes of scratch that are kept between calls */

/* ---- memory --------------------------------------------------------------------------------- */

static void on_count(lua_State *L, lua_Debug *ar);

static void hook_every(mp_sandbox *s, int count) {
  s->hook_every = count;
  lua_sethook(s->L, on_count, LUA_MASKCOUNT, count);
}

/* Lua 5.4 collects garbage after a refusal and asks again; LuaJIT gives up. */
static void *refuse(mp_sandbox *s) {
#if LUA_VERSION_NUM < 502
  s->refusals = 2;
#else
  if (s->refusals < 2) s->refusals++;
#endif
  return NULL;
}

static void *limited_alloc(void *arg, void *ptr, size_t old_size, size_t size) {
  mp_sandbox *s = arg;
  int64_t more = (int64_t)size - (ptr ? (int64_t)old_size : 0);
  void *result;

  if (more > 0 && s->memory + more > (int64_t)s->limits.memory) return refuse(s);
  result = s->host_alloc(s->host_alloc_arg, ptr, old_size, size);
  if (!result && size > 0) return NULL;
  s->memory += more;
  if (more <= 0) return result;
  if (s->memory > s->peak) s->peak = s->memory;
  if (s->refusals == 1) s->refusals = 0;
  s->allocated += more;
  if (s->allocated > LOOK_BYTES && s->running) {
    s->allocated = 0;
    if (s->hook_every != 1) hook_every(s, 1);
  }
  return result;
}

/* ---- instructions and time ------------------------------------------------------------------ */

static int64_t thread_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* What the call has used of the thread's time. To ask for that is a system call: most calls are
 * over before it is worth while, and up to then all time that passes counts as used. The wall clock
 * is looked at often enough that no more of the thread's time than UNMARKED goes by unseen. */
static int64_t used_us(mp_sandbox *s, int64_t wall) {
  if (wall < MARK_AFTER) return wall;
  if (!s->marked_us) {
    s->before_us = wall < UNMARKED ? wall : UNMARKED;
    s->marked_us = thread_us();
    return s->before_us;
  }
  return s->before_us + thread_us() - s->marked_us;
}

static bool is_late(mp_sandbox *s) {
  int64_t limit = s->limits.time_us, wall = mp_mono_us() - s->began_us;

  if (wall < MARK_AFTER || (s->marked_us && wall <= limit)) return wall > limit;
  return used_us(s, wall) > limit || wall > 2 * limit + WALL_SLACK;
}

/* Where the script is: "crm.lua:12: ". */
static void place_of(lua_State *L, char *out, size_t size) {
  lua_Debug ar;

  out[0] = '\0';
  for (int level = 0; level < 8 && lua_getstack(L, level, &ar); level++) {
    if (!lua_getinfo(L, "Sl", &ar) || ar.currentline <= 0) continue;
    snprintf(out, size, "%s:%d: ", ar.short_src, ar.currentline);
    return;
  }
}

static void note_over(mp_sandbox *s, const char *place) {
  if (s->over[0]) return;
  if (s->refusals == 2) {
    snprintf(s->over, sizeof s->over, "%sover its limit of %zu bytes of memory", place,
             s->limits.memory);
  } else if (s->used > s->limits.instructions) {
    snprintf(s->over, sizeof s->over, "%sover its limit of %lld instructions", place,
             (long long)s->limits.instructions);
  } else if (is_late(s)) {
    snprintf(s->over, sizeof s->over, "%sover its limit of %g seconds", place,
             (double)s->limits.time_us / 1e6);
  }
}

/* Raises the error of a limit that is passed. */
static void check(lua_State *L, mp_sandbox *s) {
  char place[80];

  s->unchecked = 0;
  if (!s->over[0]) {
    if (s->refusals < 2 && s->used <= s->limits.instructions && !is_late(s)) return;
    place_of(L, place, sizeof place);
    note_over(s, place);
  }
  hook_every(s, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, MP_KEPT_LIMIT); /* no memory is needed */
  lua_error(L);
}

static void on_count(lua_State *L, lua_Debug *ar) {
  mp_sandbox *s = mp_sandbox_of(L);
  (void)ar;
  s->used += s->hook_every;
  check(L, s);
  if (s->hook_every != HOOK_EVERY) hook_every(s, HOOK_EVERY);
}

void mp_sandbox_charge(lua_State *L, int64_t steps) {
  mp_sandbox *s = mp_sandbox_of(L);

  if (steps > s->limits.instructions - s->used) steps = s->limits.instructions - s->used + 1;
  s->used += steps;
  s->unchecked += steps + 1;
  if (s->unchecked > LOOK_STEPS || s->over[0] || s->used > s->limits.instructions) check(L, s);
}

void mp_sandbox_charge_bytes(lua_State *L, size_t count) {
  mp_sandbox_charge(L, (int64_t)(count / CHARGE) + 1);
}

void mp_sandbox_must(lua_State *L, mp_code code) {
  mp_sandbox *s = mp_sandbox_of(L);

  if (code == MP_OK) return;
  if (code == MP_E2BIG) s->refusals = 2;
  if (code != MP_E2BIG) s->starved = true;
  check(L, s);
  luaL_error(L, "not enough memory");
}

/* ---- calls ---------------------------------------------------------------------------------- */

void mp_sandbox_enter(lua_State *L) {
  mp_sandbox *s = mp_sandbox_of(L);

  if (s->depth >= MAX_DEPTH) luaL_error(L, "functions call each other over %d deep", MAX_DEPTH);
  s->depth++;
}

void mp_sandbox_leave(lua_State *L) {
  mp_sandbox_of(L)->depth--;
}

void mp_sandbox_call(lua_State *L, int arguments, int results) {
  mp_sandbox_enter(L);
  lua_call(L, arguments, results);
  mp_sandbox_leave(L);
}

bool mp_sandbox_pcall(lua_State *L, int arguments, int handler) {
  mp_sandbox *s = mp_sandbox_of(L);
  int depth = s->depth, status;

  mp_sandbox_enter(L);
  status = lua_pcall(L, arguments, LUA_MULTRET, handler);
  s->depth = depth;
  if (status != 0 && s->refusals == 1) s->refusals = 2; /* luaL_Buffer does not ask again */
  if (s->over[0] || s->refusals == 2) check(L, s);
  return status == 0;
}

/* ---- the state ------------------------------------------------------------------------------ */

/* The places keep a value, so that clearing them takes no memory. */
static void forget_call(lua_State *L) {
  for (int i = MP_KEPT_CALL; i < MP_KEPT_END; i++) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, LUA_REGISTRYINDEX, i);
  }
}

static int open_state(lua_State *L) {
  lua_pushliteral(L, "over its limit");
  lua_rawseti(L, LUA_REGISTRYINDEX, MP_KEPT_LIMIT);
  mp_script_open_value(L);
  lua_newtable(L); /* metatable of environments */
  lua_newtable(L);
  mp_script_open_base(L);
  lua_newtable(L);
  lua_pushcfunction(L, mp_script_missing);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_rawseti(L, LUA_REGISTRYINDEX, MP_KEPT_ENV_MT);
  lua_newtable(L);
  lua_rawseti(L, LUA_REGISTRYINDEX, MP_KEPT_CHUNKS);
  forget_call(L);
  return 0;
}

static int protected_call(lua_State *L, lua_CFunction fn, void *arg) {
  lua_settop(L, 0);
#if LUA_VERSION_NUM < 502
  return lua_cpcall(L, fn, arg); /* pushing a function takes memory there */
#else
  lua_pushcfunction(L, fn);
  lua_pushlightuserdata(L, arg);
  return lua_pcall(L, 1, 0, 0);
#endif
}

static mp_code make_state(mp_sandbox *s, mp_error *err) {
  s->L = luaL_newstate();
  if (!s->L) return mp_fail(err, MP_ENOMEM, "out of memory");
#if LUA_VERSION_NUM < 502
  luaJIT_setmode(s->L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF); /* compiled code runs no hooks */
#endif
  s->host_alloc = lua_getallocf(s->L, &s->host_alloc_arg);
  s->memory = (int64_t)lua_gc(s->L, LUA_GCCOUNT, 0) * 1024;
  s->refusals = 0;
  lua_setallocf(s->L, limited_alloc, s);
  if (protected_call(s->L, open_state, NULL) != 0) {
    bool small = s->refusals == 2;
    mp_sandbox_close(s);
    if (!small) return mp_fail(err, MP_ENOMEM, "out of memory");
    return mp_fail(err, MP_EINVAL, "%s.lua: over its limit of %zu bytes of memory", s->name,
                   s->limits.memory);
  }
  return MP_OK;
}

void mp_sandbox_close(mp_sandbox *s) {
  if (!s->L) return;
  lua_sethook(s->L, NULL, 0, 0);
  lua_setallocf(s->L, s->host_alloc, s->host_alloc_arg); /* LuaJIT's own is closed with its state */
  lua_close(s->L);
  s->L = NULL;
}

/* ---- running -------------------------------------------------------------------------------- */

static void begin(mp_sandbox *s) {
  if (s->memory > (int64_t)s->limits.memory / COLLECT_AT) lua_gc(s->L, LUA_GCCOLLECT, 0);
  s->peak = s->memory;
  s->allocated = 0;
  s->used = s->unchecked = 0;
  s->over[0] = '\0';
  s->refusals = 0;
  s->starved = false;
  s->depth = 0;
  s->log_lines = 0;
  s->looked = s->unknown = false;
  s->began_us = mp_mono_us();
  s->marked_us = 0;
  s->running = true;
  hook_every(s, HOOK_EVERY);
}

static void keep_small(mp_buf *b) {
  if (b->cap > KEEP_BUFFER) mp_buf_free(b);
}

static void end(mp_sandbox *s) {
  s->running = false;
  if (s->reading) mp_json_free(&s->reader);
  s->reading = false;
  keep_small(&s->text);
}

/* An error object may be anything, and is asked for nothing. */
static void add_message(const mp_sandbox *s, mp_buf *out) {
  const char *text;
  size_t len, start = out->len;

  if (lua_type(s->L, -1) != LUA_TSTRING) {
    mp_buf_add_format(out, "%s.lua: the error is a %s, expected a text", s->name,
                      luaL_typename(s->L, -1));
    return;
  }
  text = lua_tolstring(s->L, -1, &len);
  if (!strstr(text, ".lua:")) mp_buf_add_format(out, "%s.lua: ", s->name); /* it has no place */
  start = out->len;
  if (len > MAX_MESSAGE) {
    len = MAX_MESSAGE;
    while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
      len--;
  }
  mp_utf8_replace(out, text, len);
  for (size_t i = start; i < out->len; i++)
    if ((unsigned char)out->data[i] < ' ' || out->data[i] == 0x7f) out->data[i] = ' ';
}

static mp_code fail(mp_sandbox *s, int status, mp_error *err) {
  mp_buf message;
  mp_code code = MP_EINVAL;

  if (s->over[0]) return mp_fail(err, MP_EINVAL, "%s", s->over);
  if (s->starved || status == LUA_ERRMEM) return mp_fail(err, MP_ENOMEM, "out of memory");
  mp_buf_init(&message, MP_BUF_NO_LIMIT);
  add_message(s, &message);
  if (message.failed != MP_OK)
    code = mp_fail(err, MP_ENOMEM, "out of memory");
  else
    mp_fail(err, code, "%.*s", (int)message.len, message.data ? message.data : "");
  mp_buf_free(&message);
  return code;
}

mp_code mp_sandbox_run(mp_sandbox *s, lua_CFunction fn, void *arg, mp_script_use *use,
                       mp_error *err) {
  mp_code code = s->L ? MP_OK : make_state(s, err);
  locale_t locale;
  char name[80];
  int status;

  *use = (mp_script_use){0};
  if (code != MP_OK) return code;
  locale = uselocale(s->locale);
  begin(s);
  status = protected_call(s->L, fn, arg);
  end(s);
  *use = (mp_script_use){.cpu_us = used_us(s, mp_mono_us() - s->began_us),
                         .instructions = s->used,
                         .memory = (size_t)(s->peak > 0 ? s->peak : 0)};
  if (status != 0 && s->refusals == 1) s->refusals = 2;
  snprintf(name, sizeof name, "%.70s.lua: ", s->name);
  if (s->refusals == 2) note_over(s, name);
  if (status != 0 || s->over[0] || s->starved) code = fail(s, status, err);
  if (s->over[0] || code == MP_ENOMEM) {
    mp_sandbox_close(s);
  } else {
    lua_settop(s->L, 0);
    forget_call(s->L);
  }
  uselocale(locale);
  return code;
}
