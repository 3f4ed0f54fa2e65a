-- 1,000 webhooks in one engine. 998 of them get a steady flow of events, or all of it at once; of the other two, when
-- disturbed, one's receiver hangs and one has many due deliveries.
-- Task: { base, lanes, disturbed, backlog, count (of events), pause (seconds; 0: at once), drain (seconds), emits }
local delays = require "bench.lib.delays"
local engine = require "bench.lib.engine"
local fixture = require "bench.lib.fixture"

local BATCH = 500
local STUCK = 100

local job = engine.job()
job.events = { "bench.tick", "bench.stuck", "bench.backlog" }
local hooks = engine.open(job)
local entry = fixture.entry(598)
local info = { model = "address", entry = entry }

engine.create_webhooks(hooks, job.base .. "/w/", job.lanes, { events = { "bench.tick" } })
assert(hooks:emit("bench.tick", info)) -- connects
assert(hooks:wait(30))
local others = {
  engine.create_webhooks(hooks, job.base .. "/hang", 1, { events = { "bench.stuck" }, enabled = false })[1],
  engine.create_webhooks(hooks, job.base .. "/backlog", 1, { events = { "bench.backlog" }, enabled = false })[1],
}
if job.disturbed then
  engine.emit_batches(hooks, STUCK, "bench.stuck", "address", entry, BATCH)
  engine.emit_batches(hooks, job.backlog, "bench.backlog", "address", entry, BATCH)
end
for _, webhook in ipairs(others) do assert(hooks.webhooks:update(webhook.id, { enabled = true })) end
engine.sleep(0.3)

local emits = {}
local result = engine.measured(function()
  local start = engine.now()
  for i = 1, job.count do
    local at = engine.now()
    emits[i] = { at = at, id = assert(hooks:emit("bench.tick", info, { wait = false })) }
    local rest = start + i * job.pause - engine.now()
    if rest > 0 then engine.sleep(rest) end
  end
  engine.sleep(job.drain) -- not hooks:wait: the one that hangs has due work for as long as it hangs
end)
delays.write_emits(job.emits, emits)
hooks:close(0)
engine.report(result)
