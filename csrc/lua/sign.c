/* Secrets, keys, hashes and verifying for Lua. Host thread. What is written into C memory is in a
 * fixed array, so that nothing is held where Lua may raise. */
#include "lua/sign.h"

#include <string.h>

#include "crypto/hash.h"
#include "crypto/sign.h"
#include "lua/fail.h"

#define MAX_TEXT    128 /* of a secret or key that is made here */
#define MAX_SECRETS 32  /* that a verifier may try */

/* check_secret(kind, where, text) -> true; kind: "whsec", "whsk" or "whpk" */
static int check_secret(lua_State *L) {
  static const char *const kinds[] = {"whsec", "whsk", "whpk", NULL};
  mp_sign_kind kind = (mp_sign_kind)luaL_checkoption(L, 1, NULL, kinds);
  const char *where = luaL_checkstring(L, 2);
  size_t len;
  const char *text = luaL_checklstring(L, 3, &len);
  mp_error err;

  if (strlen(text) != len) {
    mp_fail(&err, MP_EINVAL, "%s: expected no NUL byte", where);
    return mp_lua_fail(L, &err);
  }
  if (mp_sign_check(text, kind, where, &err) != MP_OK) return mp_lua_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

/* Pushes the text, frees and wipes the buffer. The text fits into a string that Lua makes without
 * our memory being held. */
static int answer(lua_State *L, mp_buf *out, mp_code code, const mp_error *err) {
  char text[MAX_TEXT];
  size_t len = code == MP_OK ? out->len : 0;

  if (out->data) {
    memcpy(text, out->data, len);
    explicit_bzero(out->data, out->cap);
  }
  mp_buf_free(out);
  if (code != MP_OK) return mp_lua_fail(L, err);
  lua_pushlstring(L, text, len);
  explicit_bzero(text, sizeof text);
  return 1;
}

/* new_secret() -> "whsec_..." */
static int new_secret(lua_State *L) {
  mp_error err = {0};
  mp_buf out;
  mp_code code;

  mp_buf_init(&out, MAX_TEXT);
  code = mp_sign_new_secret(&out, &err);
  return answer(L, &out, code, &err);
}

/* new_signing_key() -> "whsk_..." */
static int new_signing_key(lua_State *L) {
  mp_error err = {0};
  mp_buf out;
  mp_code code;

  mp_buf_init(&out, MAX_TEXT);
  code = mp_sign_new_key(&out, &err);
  return answer(L, &out, code, &err);
}

/* public_key("whsk_...") -> "whpk_..." */
static int public_key(lua_State *L) {
  const char *key = luaL_checkstring(L, 1);
  mp_error err = {0};
  mp_buf out;
  mp_code code;

  mp_buf_init(&out, MAX_TEXT);
  code = mp_sign_public_key(key, &out, &err);
  return answer(L, &out, code, &err);
}

/* sha256(text) -> 64 hexadecimal digits */
static int sha256(lua_State *L) {
  static const char digits[] = "0123456789abcdef";
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  unsigned char hash[MP_SHA256_SIZE];
  char hex[2 * MP_SHA256_SIZE];
  mp_error err;

  if (mp_sha256(text, len, hash, &err) != MP_OK) return mp_lua_fail(L, &err);
  for (size_t i = 0; i < MP_SHA256_SIZE; i++) {
    hex[2 * i] = digits[hash[i] >> 4];
    hex[2 * i + 1] = digits[hash[i] & 15];
  }
  lua_pushlstring(L, hex, sizeof hex);
  return 1;
}

static mp_text field(lua_State *L, int index) {
  mp_text text = {0};
  if (!lua_isnoneornil(L, index)) text.data = luaL_checklstring(L, index, &text.len);
  return text;
}

/* verify(secrets, id, timestamp, signatures, body, tolerance, now) -> true; seconds */
static int verify(lua_State *L) {
  const char *secrets[MAX_SECRETS];
  mp_received received;
  size_t count;
  mp_error err;

  luaL_checktype(L, 1, LUA_TTABLE);
  count = lua_rawlen(L, 1);
  luaL_argcheck(L, count <= MAX_SECRETS, 1, "too many secrets");
  luaL_checkstack(L, MAX_SECRETS + 2, "verify");
  received = (mp_received){field(L, 2), field(L, 3), field(L, 4), field(L, 5)};
  if (!received.body.data) received.body.data = "";
  lua_settop(L, 7);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, 1, (int)i + 1); /* stays on the stack: the text lives as long */
    secrets[i] = luaL_checkstring(L, -1);
  }
  if (mp_verify(secrets, count, &received, (int64_t)luaL_checknumber(L, 6),
                (int64_t)luaL_checknumber(L, 7), &err) != MP_OK) {
    return mp_lua_fail(L, &err);
  }
  lua_pushboolean(L, 1);
  return 1;
}

void mp_lua_sign(lua_State *L) {
  static const luaL_Reg functions[] = {{"check_secret", check_secret},
                                       {"new_secret", new_secret},
                                       {"new_signing_key", new_signing_key},
                                       {"public_key", public_key},
                                       {"sha256", sha256},
                                       {"verify", verify},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
