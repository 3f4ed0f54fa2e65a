-- The guard's delivery: an event with one webhook is emitted, stored, sent, and its outcome stored, before the next one.
-- One at a time, for otherwise the scheduler decides how many share a commit. Arguments: COUNT URL
local moonpost = require "moonpost"
local fixture = require "bench.lib.fixture"

local hooks = assert(moonpost.open { webhooks = {
  store = ":memory:", models = fixture.models, network = { allow = { "127.0.0.0/8" } }, log = { level = "error" },
} })
assert(hooks.webhooks:create { name = "guard", url = arg[2], events = { "entry.*" } })
local info = { model = "address", entry = fixture.entry(598) }
for _ = 1, tonumber(arg[1]) do
  assert(hooks:emit("entry.create", info))
  assert(hooks:wait(30))
end
hooks:close()
