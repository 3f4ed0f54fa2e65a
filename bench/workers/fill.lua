-- Makes a store with a backlog: deliveries held for a disabled webhook, which bench/workers/drain.lua enables.
-- Task: { count } and what engine.open takes. Events of the type bench.old alone make such deliveries.
local engine = require "bench.lib.engine"
local fixture = require "bench.lib.fixture"

local BATCH = 1000

local job = engine.job()
job.events = { "bench.old" }
local hooks = engine.open(job)
engine.create_webhooks(hooks, "http://127.0.0.1:9/", 1, { events = { "bench.old" }, enabled = false })
local result = engine.measured(function()
  engine.emit_batches(hooks, job.count, "bench.old", "address", fixture.entry(598), BATCH)
end)
result.requests = job.count
hooks:close(5)
engine.report(result)
