-- moonpost end to end: emits events and waits until the last delivery is done and its outcome stored.
-- Task: { url, webhooks, count (of events), size, seconds, most (undelivered at a time; nil: all at once), reused (the store will
-- be used again), script (of the webhooks) } and what engine.open takes.
local engine = require "bench.lib.engine"
local fixture = require "bench.lib.fixture"

local job = engine.job()
local hooks = engine.open(job)
local webhooks = job.ca and {} or engine.create_webhooks(hooks, job.url, job.webhooks, { script = job.script })
local info = { model = "address", entry = fixture.entry(job.size) }
local expected = job.count * job.webhooks

-- Connecting is measured with it, as it is with the peers.
local result = engine.measured(function()
  engine.hand_over(hooks, job.count, "entry.create", info, job.most)
  assert(hooks:wait(job.seconds))
end)
engine.check_delivered(hooks, expected)
result.requests = expected
if job.reused then
  for _, webhook in ipairs(webhooks) do assert(hooks.webhooks:delete(webhook.id)) end
end
hooks:close(0)
engine.report(result)
