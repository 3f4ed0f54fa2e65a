/* The Lua binding without memory: every allocation that Lua makes fails in its turn, and every one
 * of ours, while a host opens moonpost, makes a webhook, emits and lists. A call then raises an
 * error that says so, or answers nil, a message and a code; nothing leaks, no lock is left behind,
 * and the next call works. */
#include <dlfcn.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "test/fast_disk.h"
#include "test/fault_alloc.h"
#include "test/sink.h"
#include "test/temp_folder.h"

int luaopen_moonpost_core(lua_State *L);

/* lua-cjson leaves its buffer behind when Lua has no memory for what it reads. It stays loaded, so
 * that the leak checker knows whose that is. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_options(void);

__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void) {
  return "leak:cjson\n";
}

__attribute__((visibility("default"))) const char *__lsan_default_options(void) {
  return "print_suppressions=0";
}

static int keep_cjson(lua_State *L) {
  void *module = dlopen(luaL_checkstring(L, 1), RTLD_NOW | RTLD_NODELETE);
  if (module) dlclose(module);
  return 0;
}

/* Lua 5.4 makes the metatable of its large buffers at the first of them, in steps: when memory runs
 * out between two, every later buffer of the state is refused ("got a non-closable value"). That is
 * Lua's own, so it is made before anything fails. */
static void make_buffer_metatable(lua_State *L) {
  luaL_Buffer b;
  luaL_buffinitsize(L, &b, LUAL_BUFFERSIZE + 1);
  luaL_pushresultsize(&b, 0);
  lua_pop(L, 1);
}

/* ---- what lua_alloc.lua, the host, is given -------------------------------------------------- */

typedef struct host_fault {
  const fault_sweep *sweep;
  long first;
} host_fault;

static int arm(lua_State *L) {
  const host_fault *f = lua_touserdata(L, lua_upvalueindex(1));
  fault_arm(f->sweep->kinds, f->sweep->error, f->first, f->sweep->count);
  return 0;
}

/* faulty(true): this thread's calls may fail from now on. The script's own do not. */
static int faulty(lua_State *L) {
  fault_spared = !lua_toboolean(L, 1);
  return 0;
}

/* over(true) ends it first. */
static int over(lua_State *L) {
  if (lua_toboolean(L, 1)) fault_end();
  lua_pushboolean(L, fault_over());
  return 1;
}

static void *allocate(void *arg, void *old, size_t old_size, size_t size) {
  (void)arg;
  if (size == 0) {
    free(old);
    return NULL;
  }
  /* To make a block smaller never fails, says the manual. */
  if ((!old || size > old_size) && fault_now(FAULT_LUA)) return NULL;
  return __real_realloc(old, size);
}

static int run_script(lua_State *L) {
  luaL_openlibs(L);
  make_buffer_metatable(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_moonpost_core);
  lua_setfield(L, -2, "moonpost.core");
  lua_getglobal(L, "package");
  lua_pushstring(L, MP_LUA_FOLDER "/?.lua;" MP_LUA_FOLDER "/?/init.lua");
  lua_setfield(L, -2, "path");
  if (luaL_loadfile(L, MP_TEST_FOLDER "/lua_alloc.lua") != LUA_OK) return lua_error(L);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  lua_pushcclosure(L, arm, 1);
  lua_pushcfunction(L, over);
  lua_pushcfunction(L, faulty);
  lua_pushcfunction(L, keep_cjson);
  lua_call(L, 6, 0);
  return 0;
}

static void host(const fault_sweep *s, long first) {
  static sink receiver;
  host_fault fault = {.sweep = s, .first = first};
  char path[128];
  lua_State *L;

  sink_start(&receiver);
  snprintf(path, sizeof path, "%s/%d-%ld.db", folder, (int)getpid(), first);
  fault_spared = true;
  L = lua_newstate(allocate, NULL);
  CHECK(L, "out of memory");
  lua_pushcfunction(L, run_script);
  lua_pushstring(L, path);
  lua_pushinteger(L, receiver.port);
  lua_pushlightuserdata(L, &fault);
  CHECK(lua_pcall(L, 3, 0, 0) == LUA_OK, "%s", lua_tostring(L, -1));
  fault_end();
  fault_spared = false;
  lua_close(L);
  sink_stop(&receiver);
}

static void must_hold(const char *name, int kinds, long count, long most) {
  fault_sweep s = {
      .name = name, .kinds = kinds, .error = ENOMEM, .count = count, .most = most, .work = host};
  fault_sweep_all(&s);
}

static void an_allocation_of_lua_fails(void **state) {
  (void)state;
  must_hold("Lua's allocations", FAULT_LUA, 1, 300);
}

static void allocations_of_lua_fail_in_a_row(void **state) {
  (void)state;
  /* Lua collects its garbage and tries again: two failures are one. */
  must_hold("Lua's allocations", FAULT_LUA, 2, 300);
  must_hold("Lua's allocations", FAULT_LUA, 7, 100);
}

static void an_allocation_under_lua_fails(void **state) {
  (void)state;
  must_hold("our allocations under Lua", FAULT_OWN, 1, 300);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
      TEST(an_allocation_of_lua_fails),
      TEST(allocations_of_lua_fail_in_a_row),
      TEST(an_allocation_under_lua_fails),
  };
  if (!fault_sqlite_init()) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
