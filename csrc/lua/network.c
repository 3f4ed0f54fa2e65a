/* The network guard's rules for the host's config code, its judgement of URLs when they are saved,
 * and TLS files. Runs in the host's thread: a name is not resolved here, and files are read at the
 * start alone. */
#include "lua/network.h"

#include <string.h>

#include "crypto/certificate.h"
#include "http/url.h"
#include "lua/fail.h"

static mp_code add_rules(lua_State *L, int index, mp_netguard_list list, mp_netguard *guard,
                         mp_error *err) {
  size_t count = lua_type(L, index) == LUA_TTABLE ? lua_rawlen(L, index) : 0;
  mp_code code = MP_OK;

  for (size_t i = 1; i <= count && code == MP_OK; i++) {
    lua_rawgeti(L, index, (int)i);
    if (lua_type(L, -1) == LUA_TSTRING)
      code = mp_netguard_add(guard, list, lua_tostring(L, -1), err);
    else
      code = mp_fail(err, MP_EINVAL, "expected a rule, got %s", luaL_typename(L, -1));
    lua_pop(L, 1);
  }
  return code;
}

static mp_code add_ports(lua_State *L, int index, mp_netguard *guard, mp_error *err) {
  size_t count = lua_type(L, index) == LUA_TTABLE ? lua_rawlen(L, index) : 0;
  mp_code code = MP_OK;

  for (size_t i = 1; i <= count && code == MP_OK; i++) {
    lua_rawgeti(L, index, (int)i);
    code = mp_netguard_add_port(guard, lua_tonumber(L, -1), err);
    lua_pop(L, 1);
  }
  return code;
}

mp_code mp_lua_guard(lua_State *L, int allow, int deny, int ports, mp_netguard **out,
                     mp_error *err) {
  mp_netguard *guard = NULL;
  mp_code code = mp_netguard_new(&guard, err);

  allow = lua_absindex(L, allow);
  deny = lua_absindex(L, deny);
  ports = lua_absindex(L, ports);
  if (code == MP_OK) code = add_rules(L, allow, MP_NETGUARD_ALLOW, guard, err);
  if (code == MP_OK) code = add_rules(L, deny, MP_NETGUARD_DENY, guard, err);
  if (code == MP_OK) code = add_ports(L, ports, guard, err);
  if (code != MP_OK) {
    mp_netguard_free(guard);
    guard = NULL;
  }
  *out = guard;
  return code;
}

/* check_rule("allow" | "deny", rule) -> true */
static int check_rule(lua_State *L) {
  static const char *const lists[] = {"allow", "deny", NULL};
  mp_netguard_list list = (mp_netguard_list)luaL_checkoption(L, 1, NULL, lists);
  size_t len;
  const char *rule = luaL_checklstring(L, 2, &len);
  mp_netguard *guard = NULL;
  mp_error err;
  mp_code code = MP_OK;

  if (memchr(rule, '\0', len)) code = mp_fail(&err, MP_EINVAL, "expected no NUL byte");
  if (code == MP_OK) code = mp_netguard_new(&guard, &err);
  if (code == MP_OK) code = mp_netguard_add(guard, list, rule, &err);
  mp_netguard_free(guard);
  if (code != MP_OK) return mp_lua_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

/* guard_url(url, { allow =, deny =, ports = }) -> true. The URL has passed check_url. */
static int guard_url(lua_State *L) {
  const char *url = luaL_checkstring(L, 1);
  mp_netguard *guard = NULL;
  mp_error err;
  mp_code code;

  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_getfield(L, 2, "allow");
  lua_getfield(L, 2, "deny");
  lua_getfield(L, 2, "ports");
  luaL_checkstack(L, 2, NULL);
  code = mp_lua_guard(L, 3, 4, 5, &guard, &err);
  if (code == MP_OK) code = mp_url_guard(url, guard, &err);
  mp_netguard_free(guard);
  if (code != MP_OK) return mp_lua_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

/* check_certificate(where, ca?, cert?, key?) -> true. Paths; reads the files. */
static int check_certificate(lua_State *L) {
  const char *where = luaL_checkstring(L, 1);
  const char *ca = luaL_optstring(L, 2, NULL);
  const char *cert = luaL_optstring(L, 3, NULL);
  const char *key = luaL_optstring(L, 4, NULL);
  mp_error err;

  if (mp_certificate_check(where, ca, cert, key, &err) != MP_OK) return mp_lua_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

void mp_lua_network(lua_State *L) {
  static const luaL_Reg functions[] = {{"check_rule", check_rule},
                                       {"guard_url", guard_url},
                                       {"check_certificate", check_certificate},
                                       {NULL, NULL}};

  luaL_setfuncs(L, functions, 0);
}
