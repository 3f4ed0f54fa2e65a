rockspec_format = "3.0"
package = "moonpost"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "A webhook engine for Lua hosts: durable, bounded, and private fields stay private",
  detailed = [[
moonpost sends webhooks from inside a Lua program. An event is on disk when emit returns; threads of
its own deliver it with retries, and attributes that a content type calls private are never sent.]],
  license = "MIT",
}
dependencies = { "lua >= 5.1", "lua-cjson", "argparse" }
external_dependencies = {
  CURL = { library = "curl" },
  CRYPTO = { library = "crypto" },
  SQLITE = { library = "sqlite3" },
}
build = {
  type = "cmake",
  variables = {
    CMAKE_BUILD_TYPE = "Release",
    LUA_INCDIR = "$(LUA_INCDIR)",
    INSTALL_CMOD = "$(LIBDIR)",
    INSTALL_LMOD = "$(LUADIR)",
  },
  install = { bin = { moonpost = "bin/moonpost" } },
}
