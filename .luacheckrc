-- What runs on Lua 5.4 and on LuaJIT alike; what only one of them has is looked for with rawget or named at its place.
std = "min"
max_line_length = 140
exclude_files = { "build", "build.luarocks" }
read_globals = { table = { fields = { "unpack" }, other_fields = true } }
files["spec"] = { std = "min+busted" }
files["lua/moonpost/host/openresty"] = { std = "min+ngx_lua" }
files["examples/haproxy"] = { read_globals = { "core" } }
files["examples/kong"] = { read_globals = { "kong" } }
files["examples/**/config/server.lua"] = { read_globals = { "env" } }
files["lua/moonpost/types.lua"] = { ignore = { "1", "212" } } -- declarations
files["csrc/fuzz/fuzz_sandbox.lua"] = { -- a script: what scripts have
  read_globals = {
    "base64", "constants", "crypto", "json", "log", "rawlen", "unpack", "utf8", math = { fields = { "tointeger" }, other_fields = true },
  },
}
