/* log, crypto and base64. Script thread. */
#include <string.h>

#include "crypto/base64.h"
#include "crypto/hash.h"
#include "payload/utf8.h"
#include "script/sandbox.h"

#define MAX_LINE  1024 /* bytes */
#define MAX_LINES 100  /* of a call */

/* ---- log ------------------------------------------------------------------------------------ */

static void add_line(mp_sandbox *s, const char *text, size_t len) {
  size_t start = s->text.len;

  mp_utf8_replace(&s->text, text, len);
  for (size_t i = start; i < s->text.len; i++)
    if ((unsigned char)s->text.data[i] < ' ' || s->text.data[i] == 0x7f) s->text.data[i] = ' ';
}

/* Arguments are joined by spaces. */
static int say(lua_State *L, int level) {
  mp_sandbox *s = mp_sandbox_of(L);
  int count = lua_gettop(L);
  size_t len, room = MAX_LINE;
  luaL_Buffer b;
  const char *line;

  luaL_checkany(L, 1);
  for (int i = 1; i <= count; i++) {
    mp_script_push_text(L, i, &len);
    lua_replace(L, i);
  }
  mp_sandbox_charge(L, 64);
  if (!s->log || s->trying || s->log_lines++ >= MAX_LINES) return 0;
  luaL_buffinit(L, &b);
  for (int i = 1; i <= count && room > 0; i++) {
    const char *text = lua_tolstring(L, i, &len);
    if (i > 1) luaL_addchar(&b, ' ');
    if (len > room) len = room;
    luaL_addlstring(&b, text, len);
    room -= len;
  }
  luaL_pushresult(&b);
  line = lua_tolstring(L, -1, &len);
  if (len > MAX_LINE) len = MAX_LINE;
  while (len > 0 && ((unsigned char)line[len] & 0xC0) == 0x80)
    len--;
  mp_buf_reset(&s->text);
  add_line(s, line, len);
  mp_buf_add_char(&s->text, '\0');
  if (s->text.failed == MP_OK) s->log(s->log_arg, level, s->name, s->text.data);
  return 0;
}

static int log_error(lua_State *L) {
  return say(L, MP_SCRIPT_ERROR);
}

static int log_warn(lua_State *L) {
  return say(L, MP_SCRIPT_WARN);
}

static int log_info(lua_State *L) {
  return say(L, MP_SCRIPT_INFO);
}

void mp_script_open_log(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"error", log_error}, {"info", log_info}, {"warn", log_warn}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}

/* ---- crypto --------------------------------------------------------------------------------- */

/* In the encoding that the argument names: "hex", "base64" or "raw". */
static int push_digest(lua_State *L, const unsigned char *bytes, int arg) {
  static const char *const encodings[] = {"hex", "base64", "raw", NULL};
  static const char digits[] = "0123456789abcdef";
  mp_sandbox *s = mp_sandbox_of(L);
  int encoding = luaL_checkoption(L, arg, "hex", encodings);

  mp_buf_reset(&s->text);
  if (encoding == 1) mp_base64_add(&s->text, bytes, MP_SHA256_SIZE);
  for (int i = 0; i < MP_SHA256_SIZE && encoding == 0; i++) {
    mp_buf_add_char(&s->text, digits[bytes[i] >> 4]);
    mp_buf_add_char(&s->text, digits[bytes[i] & 15]);
  }
  if (encoding == 2) mp_buf_add(&s->text, (const char *)bytes, MP_SHA256_SIZE);
  mp_sandbox_must(L, s->text.failed);
  lua_pushlstring(L, s->text.data, s->text.len);
  return 1;
}

/* sha256(text, encoding = "hex") */
static int crypto_sha256(lua_State *L) {
  unsigned char bytes[MP_SHA256_SIZE];
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);

  mp_sandbox_charge(L, (int64_t)len / 2 + 64);
  mp_sandbox_must(L, mp_sha256(text, len, bytes, NULL));
  return push_digest(L, bytes, 2);
}

/* hmac_sha256(key, text, encoding = "hex") */
static int crypto_hmac_sha256(lua_State *L) {
  unsigned char bytes[MP_SHA256_SIZE];
  size_t key_len, len;
  const char *key = luaL_checklstring(L, 1, &key_len), *text = luaL_checklstring(L, 2, &len);

  mp_sandbox_charge(L, (int64_t)(key_len + len) / 2 + 256);
  mp_sandbox_must(L, mp_hmac_sha256(key, key_len, text, len, bytes, NULL));
  return push_digest(L, bytes, 3);
}

void mp_script_open_crypto(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"hmac_sha256", crypto_hmac_sha256}, {"sha256", crypto_sha256}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}

/* ---- base64 --------------------------------------------------------------------------------- */

static int base64_encode(lua_State *L) {
  mp_sandbox *s = mp_sandbox_of(L);
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);

  mp_sandbox_charge(L, (int64_t)len / 2 + 1);
  mp_buf_reset(&s->text);
  mp_base64_add(&s->text, (const unsigned char *)text, len);
  mp_sandbox_must(L, s->text.failed);
  lua_pushlstring(L, s->text.data ? s->text.data : "", s->text.len);
  return 1;
}

/* decode(text) -> bytes | nil, message */
static int base64_decode(lua_State *L) {
  mp_sandbox *s = mp_sandbox_of(L);
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);

  mp_sandbox_charge(L, (int64_t)len / 2 + 1);
  mp_buf_reset(&s->text);
  if (!mp_base64_decode(&s->text, text, len)) {
    mp_sandbox_must(L, s->text.failed);
    lua_pushnil(L);
    lua_pushliteral(L, "not base64");
    return 2;
  }
  lua_pushlstring(L, s->text.data ? s->text.data : "", s->text.len);
  return 1;
}

void mp_script_open_base64(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"decode", base64_decode}, {"encode", base64_encode}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
