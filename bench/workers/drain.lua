-- Opens a store with a backlog (bench/workers/fill.lua) and enables its webhook: the whole backlog is due. Ends after a
-- time, whether or not all of it was sent, and disables the webhook again.
-- Task: { url, seconds } and what engine.open takes.
local engine = require "bench.lib.engine"
local proc = require "bench.lib.proc"

local job = engine.job()
job.events = { "bench.old" }
local hooks = engine.open(job)
local webhook = assert(hooks.webhooks:list())[1]
assert(hooks.webhooks:update(webhook.id, { url = job.url, enabled = true }))
local result = engine.measured(function() engine.sleep(job.seconds) end)
collectgarbage()
result.resident_kib, result.anonymous_kib = proc.memory()
assert(hooks.webhooks:update(webhook.id, { enabled = false }))
hooks:close(0)
engine.report(result)
