-- What an emit that does not wait costs the host's thread.
-- Task: { url (nil: nobody subscribes), count, size } and what engine.open takes. The inbox has room for all of it.
local engine = require "bench.lib.engine"
local fixture = require "bench.lib.fixture"
local proc = require "bench.lib.proc"

local job = engine.job()
local hooks = engine.open(job)
if job.url then engine.create_webhooks(hooks, job.url, 1) end
local entry = fixture.entry(job.size)
local options = { wait = false }

local before
local result = engine.measured(function()
  before = proc.thread_ns()
  for _ = 1, job.count do assert(hooks:emit("entry.create", { model = "address", entry = entry }, options)) end
end)
result.host_ns = (proc.thread_ns() - before) / job.count
result.wall_ns = result.seconds / job.count * 1e9
assert(hooks:wait(60))
result.requests = job.url and job.count or 0
hooks:close(0)
engine.report(result)
