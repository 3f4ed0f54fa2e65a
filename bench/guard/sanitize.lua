-- The guard's sanitizer for Lua values, counted in mp_lua_sanitize alone. COUNT is the argument.
local moonpost = require "moonpost"
local fixture = require "bench.lib.fixture"

local models = assert(moonpost.models(fixture.models))
local entry = fixture.entry(598)
entry.door_code, entry.internal_notes, entry.contact.stray = "1234#", "never sent", { "unknown" }
for _ = 1, tonumber(arg[1]) do assert(moonpost.sanitize(models, "address", entry)) end
