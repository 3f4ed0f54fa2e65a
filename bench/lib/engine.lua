--- What the workers share: an engine with webhooks at the sink, and load on it. Runs on Lua 5.4 and LuaJIT.
local cjson = require "cjson"
local core = require "moonpost.core"
local moonpost = require "moonpost"
local fixture = require "bench.lib.fixture"

local engine = {}

--- Seconds of the monotonic clock, which is the sink's too.
engine.now = core.now
engine.sleep = core.sleep

--- The worker's task: the JSON object of its first argument.
function engine.job()
  return cjson.decode(arg[1] or error "a worker is started by bench/run.lua")
end

--- Prints the worker's result, the last line of its output.
function engine.report(result)
  print(cjson.encode(result))
end

--- Opens an engine.
---@param job table store; concurrency, max_concurrency, threads, events, inbox, scripts, ca (may be absent). With ca it has
-- a webhook for url, whose receiver's CA that is
function engine.open(job)
  return assert(moonpost.open { webhooks = {
    store = job.store or ":memory:",
    models = fixture.models,
    events = job.events,
    scripts = job.scripts,
    delivery = {
      concurrency = job.concurrency, maxConcurrency = job.max_concurrency, timeout = job.timeout,
      threads = job.threads,
    },
    -- Only the config names files anywhere.
    endpoints = job.ca and { { name = "bench", url = job.url, events = { "entry.*" }, tls = { ca = job.ca } } } or nil,
    network = { allow = { "127.0.0.0/8" } },
    limits = { inbox = job.inbox, inboxBytes = job.inbox and 4294967296 or nil, emitTimeout = 120 },
    log = { level = "error" },
  } })
end

--- Creates webhooks. The i-th has the URL base .. i, or base itself when there is one only.
---@return table[] webhooks
function engine.create_webhooks(hooks, base, count, fields)
  local list = {}
  for i = 1, count do
    local webhook = { name = "bench " .. base .. i, url = count == 1 and base or base .. i, events = { "entry.*" } }
    for name, value in pairs(fields or {}) do webhook[name] = value end
    list[i] = assert(hooks.webhooks:create(webhook))
  end
  return list
end

-- Waits until so few of the emitted are not delivered yet.
local function catch_up(hooks, emitted, most)
  while emitted - assert(hooks:stats { store = false }).delivered > most do core.sleep(0.0005) end
end

--- Emits without waiting for the disk; where the inbox is full it waits a little, as a host would have to.
---@param most integer? so many undelivered ones at most, as a host that is in step with its receiver has
function engine.hand_over(hooks, count, event, info, most)
  local options = { wait = false }
  for i = 1, count do
    if most and i % 100 == 0 then catch_up(hooks, i, most) end
    local id, message, code = hooks:emit(event, info, options)
    while not id do
      if code ~= "EAGAIN" then error(message) end
      core.sleep(0.001)
      id, message, code = hooks:emit(event, info, options)
    end
  end
end

--- Emits in transactions of up to size events, each on disk before the next.
function engine.emit_batches(hooks, count, event, model, entry, size)
  local left = count
  while left > 0 do
    local entries = {}
    for i = 1, math.min(left, size) do entries[i] = entry end
    assert(hooks:emit(event, { model = model, entries = entries }))
    left = left - #entries
  end
end

--- Runs fn and answers what it took, CPU of all threads of this process included.
---@return { seconds: number, cpu_seconds: number }
function engine.measured(fn)
  local cpu, at = os.clock(), core.now()
  fn()
  return { seconds = core.now() - at, cpu_seconds = os.clock() - cpu }
end

--- Fails when not all deliveries are done, or when an attempt failed.
function engine.check_delivered(hooks, expected)
  local stats = assert(hooks:stats())
  assert(stats.delivered == expected and stats.failed_attempts == 0, ("expected %d deliveries, got %d, and %d attempts failed")
    :format(expected, stats.delivered, stats.failed_attempts))
end

return engine
