-- kill -9 at random moments: an event whose emit returned is delivered, always, by whoever goes on; in order where that
-- was asked for; again only where a kill interrupted it.
local checks = require "spec.support.crash_checks"
local core = require "moonpost.core"
local crash_store = require "spec.support.crash_store"
local crash_webhooks = require "spec.support.crash_webhooks"
local crash_writers = require "spec.support.crash_writers"
local moonpost = require "moonpost"
local receivers = require "spec.support.receiver"
local temp = require "spec.support.temp"

local KILLS = tonumber(os.getenv "MOONPOST_KILLS" or "100")
local SUMMARY = os.getenv "MOONPOST_CRASH_SUMMARY"

-- One in so many kills hits one of two processes on the store; the other goes on, and is the next one's victim.
local SHARED_EVERY = 5
-- Seconds in which at least one more of the healthy webhooks' deliveries must end, once nobody is killed any more.
local PATIENCE = 60

-- A moment in which to kill: while the store is opened; while events are emitted; when retries are under way.
local function wait_for_moment(writers)
  local choice = math.random()
  if choice < 0.4 and #writers.kills > 0 then
    core.sleep(math.random() * 0.12)
    return
  end
  writers:wait_for_event()
  core.sleep(math.random() * (choice < 0.9 and 0.12 or 1.5))
end

local function kill_again_and_again(writers)
  while writers.killed < KILLS do
    local together = (#writers.kills + 1) % SHARED_EVERY == 0 and 2 or 1
    while #writers.running < together do
      writers:start()
    end
    wait_for_moment(writers)
    writers:kill()
  end
  while #writers.running > 0 do
    writers:kill()
  end
end

local function has_more(hooks, webhook)
  for _, state in ipairs { "waiting", "leased" } do
    if #assert(hooks.deliveries:list { webhook_id = webhook.id, state = state, limit = 1 }) > 0 then
      return true
    end
  end
  return false
end

-- Until the healthy webhooks have everything, or nothing goes on any more: what is left then the checks tell.
local function drain(hooks, webhooks)
  local delivered, deadline = -1, 0
  for _, webhook in ipairs(webhooks) do
    while webhook.healthy and has_more(hooks, webhook) do
      local now = assert(hooks:stats()).store.delivered
      if now > delivered then
        delivered, deadline = now, core.now() + PATIENCE
      elseif core.now() > deadline then
        return
      end
      hooks:wait(1)
      core.sleep(0.02)
    end
  end
end

local function print_summary(rows, writers, events, started)
  local function line(...)
    print(("%-12s %8s %9s %9s %10s %9s"):format(...))
  end
  local repeated = 0
  print ""
  line("webhooks", "", "requests", "failed", "delivered", "repeated")
  for _, row in ipairs(rows) do
    line(row.kind, row.webhooks, row.requests, row.failed, row.delivered, row.repeated)
    repeated = repeated + row.repeated
  end
  print(("%d kills (%d more had closed before); %d events accepted (%d stored); %d deliveries repeated; %.1f s"):format(
    writers.killed, #writers.kills - writers.killed, #writers.accepted, events, repeated, core.now() - started))
end

describe("after kill -9", function()
  local receiver, writers, hooks

  after_each(function()
    writers:stop()
    if hooks then hooks:close(0) end
    receiver:stop()
    temp.clean()
  end)

  it(("nothing accepted is lost (%d kills)"):format(KILLS), function()
    local started = core.now()
    local store = temp.dir() .. "/moonpost.db"
    local config = crash_webhooks.config(store)
    receiver = receivers.start { brief = true }
    writers = crash_writers.new(store, receiver)
    local webhooks = crash_webhooks.list(receiver)
    hooks = assert(moonpost.open(config))
    for _, webhook in ipairs(webhooks) do
      webhook.id = assert(hooks.webhooks:create(webhook.fields)).id
    end
    assert(hooks:close())

    kill_again_and_again(writers)
    assert.is_true(#writers.accepted > KILLS / 4, "too few events were accepted to tell anything: " .. #writers.accepted)

    hooks = assert(moonpost.open(config))
    drain(hooks, webhooks)
    local totals = assert(hooks:stats()).store
    assert(hooks:close(60))
    hooks = nil

    local run = checks.new {
      webhooks = webhooks, kills = writers.kills, accepted = writers.accepted, events = crash_store.events(store),
    }
    for at, target, id, hash, status in receiver:arrivals() do
      run:request(at, target, id, hash, status)
    end
    run:finish(totals, crash_store.states(store))
    if SUMMARY then
      print_summary(run:summary(), writers, totals.events, started)
    end
    assert.is_nil(run:report(function() return receiver:arrivals() end))
    assert.equal("ok", crash_store.integrity(store))
  end)
end)
