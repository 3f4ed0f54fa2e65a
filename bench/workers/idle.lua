-- An engine that has nothing to do, or none: what does it use in a while?
-- Task: { webhooks (nil: no engine), url, settle, seconds } and what engine.open takes.
local engine = require "bench.lib.engine"
local proc = require "bench.lib.proc"

local job = engine.job()
local hooks = job.webhooks and engine.open(job)
if hooks then engine.create_webhooks(hooks, job.url, job.webhooks) end
engine.sleep(job.settle or 0) -- past its start, and the looks around that follow its last write for seven seconds
collectgarbage()

local before = proc.switches()
local result = engine.measured(function() engine.sleep(job.seconds) end)
result.switches = proc.switches() - before
result.cpu_ms = result.cpu_seconds * 1e3
result.resident_kib, result.anonymous_kib = proc.memory()
if hooks then hooks:close(0) end
engine.report(result)
