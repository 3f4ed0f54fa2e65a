-- The guard's emit: a Lua entry is checked, sanitized, written and handed over. Counted in mp_lua_emit alone, so without
-- Lua's own work and without the engine's threads. COUNT is the argument.
local moonpost = require "moonpost"
local fixture = require "bench.lib.fixture"

local hooks = assert(moonpost.open { webhooks = {
  store = ":memory:", models = fixture.models, limits = { inbox = 1000000 }, log = { level = "error" },
} })
local info, options = { model = "address", entry = fixture.entry(598) }, { wait = false }
for _ = 1, tonumber(arg[1]) do assert(hooks:emit("entry.create", info, options)) end
hooks:close()
