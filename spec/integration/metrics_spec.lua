-- Metrics: what they say is what happened, and a scraper can read it.
local cjson = require "cjson"
local exposition = require "spec.support.exposition"
local hooks_support = require "spec.support.hooks"
local metrics = require "moonpost.metrics"
local receivers = require "spec.support.receiver"
local wait_until = require "spec.support.wait_until"

describe("metrics", function()
  local receiver, hooks

  before_each(function()
    receiver = receivers.start()
    hooks = hooks_support.open { delivery = { retrySchedule = { 0.01 }, timeout = 5 } }
  end)

  after_each(function() hooks_support.done(hooks, receiver) end)

  local function create(name, path, extra)
    return hooks_support.create(hooks, { name = name, url = receiver:url(path), events = { "entry.*" } }, extra)
  end

  local function emit(count)
    for i = 1, count do assert(hooks:emit("entry.create", { model = "address", entry = { id = i } })) end
  end

  local function read()
    return exposition.read(assert(hooks:metrics()))
  end

  it("say what came of events, deliveries and attempts", function()
    local good, bad = create("good", "/good"), create('b"a\\d', "/status/500")
    emit(3)
    local families
    local function value(name, labels) return exposition.value(families, name, labels) end
    assert(wait_until(20, function()
      families = read()
      return value("moonpost_store_deliveries", { state = "dead" }) == 3
        and value("moonpost_store_deliveries", { state = "delivered" }) == 3
    end))
    assert.equal(3, value "moonpost_events_accepted_total")
    assert.equal(3, value("moonpost_deliveries_delivered_total", { id = good.id, name = "good" }))
    assert.equal(0, value("moonpost_deliveries_dead_total", { id = good.id }))
    assert.equal(3, value("moonpost_deliveries_dead_total", { id = bad.id, name = 'b"a\\d' }))
    assert.equal(6, value("moonpost_attempts_failed_total", { id = bad.id, class = "http" }))
    assert.is_nil(value("moonpost_attempts_failed_total", { id = good.id }))
    assert.equal(3, value "moonpost_accept_seconds_count")
    assert.equal(6, value "moonpost_wait_seconds_count") -- first attempts
    assert.equal(9, value "moonpost_send_seconds_count")
    assert.is_true(value "moonpost_send_seconds_sum" > 0)
    assert.equal(0, value("moonpost_store_deliveries", { state = "unsent" }))
    assert.equal(6, value "moonpost_store_deliveries_accepted_total")
  end)

  it("say what waits, what is under way and who is left alone", function()
    local hung, off = create("hung", "/hang", { concurrency = 2 }), create("off", "/good", { enabled = false })
    local failing = create("failing", "/status/500", { retrySchedule = { 60 }, concurrency = 20 })
    emit(12)
    local families
    local function value(name, labels) return exposition.value(families, name, labels) end
    assert(wait_until(20, function()
      families = read()
      -- Ten failures open it; the last two may be written after that.
      return value("moonpost_webhook_circuit_open", { id = failing.id }) == 1
        and value("moonpost_deliveries_in_flight", { id = failing.id }) == 0
    end))
    assert.equal(0, value("moonpost_webhook_circuit_open", { id = hung.id }))
    assert.equal(2, value("moonpost_deliveries_in_flight", { id = hung.id }))
    assert.equal(10, value("moonpost_webhook_waiting", { id = hung.id }))
    assert.equal(0, value("moonpost_webhook_held", { id = hung.id }))
    assert.equal(0, value("moonpost_webhook_waiting", { id = off.id }))
    assert.equal(12, value("moonpost_webhook_held", { id = off.id }))
    assert.equal(0, value("moonpost_webhook_enabled", { id = off.id }))
    assert.equal(1, value("moonpost_webhook_enabled", { id = hung.id }))
    assert.equal(2, value("moonpost_store_deliveries", { state = "leased" }))
    assert.equal(34, value("moonpost_store_deliveries", { state = "unsent" }))
  end)

  it("keep what was counted of a webhook that is deleted", function()
    local webhook = create("gone", "/good")
    emit(2)
    assert(hooks:wait(20))
    assert(hooks.webhooks:delete(webhook.id))
    local families = read()
    assert.is_nil(exposition.value(families, "moonpost_deliveries_delivered_total", { id = webhook.id }))
    assert.equal(2, exposition.value(families, "moonpost_deliveries_delivered_total", { id = "other" }))
  end)

  it("are all in the documentation, and the dashboard has no others", function()
    local function read_file(path)
      local file = assert(io.open(path, "rb"))
      local text = file:read "*a"
      file:close()
      return text
    end
    local known, docs = {}, read_file "docs/metrics.md"
    for _, name in ipairs(metrics.names()) do
      known[name] = true
      assert.truthy(docs:find("`" .. name .. "`", 1, true), name .. " is not in docs/metrics.md")
    end
    local dashboard, count = cjson.decode(read_file "docs/grafana.json"), 0
    for _, panel in ipairs(dashboard.panels) do
      for _, target in ipairs(panel.targets or {}) do
        for name in target.expr:gmatch "moonpost_[%w_]+" do
          local base = name:gsub("_bucket$", ""):gsub("_sum$", ""):gsub("_count$", "")
          assert.is_true(known[name] or known[base] or false, panel.title .. ": " .. name)
          count = count + 1
        end
      end
    end
    assert.is_true(count > 10)
  end)
end)
