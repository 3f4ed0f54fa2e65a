-- Emits one event at a time on an idle engine, with a pause between them.
-- Task: { url, count, pause (seconds), emits (a file to write) } and what engine.open takes.
local delays = require "bench.lib.delays"
local engine = require "bench.lib.engine"
local fixture = require "bench.lib.fixture"

local job = engine.job()
local hooks = engine.open(job)
engine.create_webhooks(hooks, job.url, 1)
local info = { model = "address", entry = fixture.entry(598) }

assert(hooks:emit("entry.create", info)) -- connects
assert(hooks:wait(10))
local emits = {}
local result = engine.measured(function()
  for i = 1, job.count do
    local at = engine.now()
    emits[i] = { at = at, id = assert(hooks:emit("entry.create", info)), returned = engine.now() - at }
    engine.sleep(job.pause)
  end
end)
assert(hooks:wait(10))
hooks:close(0)
table.sort(emits, function(a, b) return a.returned < b.returned end)
result.emit_p50_ms = emits[math.ceil(#emits / 2)].returned * 1e3
result.requests = job.count + 1
delays.write_emits(job.emits, emits)
engine.report(result)
