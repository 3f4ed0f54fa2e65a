-- Order and rate: the next delivery starts when the one before has ended; no more begin in a second than asked.
local core = require "moonpost.core"
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local process = require "spec.support.process"
local receivers = require "spec.support.receiver"
local temp = require "spec.support.temp"

describe("the order of deliveries", function()
  local receiver, hooks

  before_each(function() receiver, hooks = receivers.start(), nil end)
  after_each(function() hooks_support.done(hooks, receiver) end)

  local function create(fields)
    fields.name = fields.name or "spec"
    fields.events = fields.events or { "*" }
    return assert(hooks.webhooks:create(fields))
  end

  local function emit(count, options)
    local ids = {}
    for i = 1, count do
      ids[i] = assert(hooks:emit("entry.create", { model = "address", entry = { id = i } }, options and options(i)))
    end
    return ids
  end

  -- The ids in the order of their first arrival, and the requests.
  local function arrivals(path)
    local ids, seen, requests = {}, {}, {}
    for _, request in ipairs(receiver:requests()) do
      if request.path == path then
        local id = receivers.header(request, "webhook-id")
        if not seen[id] then ids[#ids + 1] = id end
        seen[id] = true
        requests[#requests + 1] = request
      end
    end
    return ids, requests
  end

  it("is any without one, and that of the events with order = webhook", function()
    hooks = hooks_support.open()
    create { url = receiver:url "/delay/0.02", order = "webhook", concurrency = 10 }
    local ids = emit(20)
    assert(hooks:wait(30))
    local arrived, requests = arrivals "/delay/0.02"
    assert.same(ids, arrived)
    assert.equal(20, #requests)
    for i = 2, 20 do -- each came when the one before had its answer
      assert.is_true(requests[i].at_us - requests[i - 1].at_us >= 20000, i)
    end
  end)

  it("lasts over retries: what fails holds up the others until it is delivered or dead", function()
    hooks = hooks_support.open { delivery = { retrySchedule = { 0.05, 0.05 } } }
    local target = "/sequence/500,200,500,500,500,200"
    create { url = receiver:url(target), order = "webhook" }
    local ids = emit(3)
    assert(hooks:wait(30))
    while hooks:stats().store.waiting > 0 do assert(hooks:wait(30)) end
    local order = {}
    for i, request in ipairs(receiver:requests()) do order[i] = receivers.header(request, "webhook-id") end
    assert.same({ ids[1], ids[1], ids[2], ids[2], ids[2], ids[3] }, order)
    local states = {}
    for i, id in ipairs(ids) do states[i] = hooks.deliveries:list({ event_id = id })[1].state end
    assert.same({ "delivered", "dead", "delivered" }, states)
  end)

  it("is that of each key with order = key, and keys do not wait for each other", function()
    hooks = hooks_support.open { delivery = { retrySchedule = { 30 } } }
    create { url = receiver:url "/sequence/500,200", order = "key", events = { "entry.update" } }
    create { url = receiver:url "/ok", order = "key", events = { "entry.create" } }
    -- The first of key a fails and waits: the second of a waits behind it, b and what has no key do not.
    local function update(key)
      return assert(hooks:emit("entry.update", { model = "address", entry = { id = 1 } }, key and { key = key }))
    end
    local stuck = update "a"
    assert(receiver:wait_for(1))
    local behind, other, none = update "a", update "b", update(nil)
    assert(receiver:wait_for(3))
    local arrived = {}
    for _, id in ipairs((arrivals "/sequence/500,200")) do arrived[id] = true end
    assert.same({ [stuck] = true, [other] = true, [none] = true }, arrived)
    local waiting = hooks.deliveries:list({ event_id = behind })[1]
    assert.equal("waiting", waiting.state)
    assert.is_nil(waiting.due_at) -- when the one before it has ended
    assert.is_string(hooks.deliveries:list({ event_id = stuck })[1].due_at)

    receiver:clear()
    local ids, of_key = emit(40, function(i) return { key = "k" .. i % 4 } end), {}
    assert(receiver:wait_for(40))
    for i, id in ipairs(ids) do of_key[id] = i % 4 end
    local expected, got = { [0] = {}, {}, {}, {} }, { [0] = {}, {}, {}, {} }
    for i, id in ipairs(ids) do table.insert(expected[i % 4], id) end
    for _, id in ipairs((arrivals "/ok")) do table.insert(got[of_key[id]], id) end
    assert.same(expected, got)
  end)

  it("holds over a restart", function()
    local config = hooks_support.config()
    hooks = assert(moonpost.open(config))
    local webhook = create { url = receiver:url "/ok", order = "webhook", enabled = false }
    local ids = emit(30)
    assert(hooks:close())
    hooks = assert(moonpost.open(config))
    assert(hooks.webhooks:update(webhook.id, { enabled = true }))
    for i = 31, 40 do ids[i] = emit(1)[1] end
    assert(receiver:wait_for(40))
    assert.same(ids, (arrivals "/ok"))
  end)

  it("can be given up: what waited behind another goes", function()
    hooks = hooks_support.open { delivery = { retrySchedule = { 600 } } }
    local webhook = create { url = receiver:url "/sequence/500,200", order = "webhook" }
    emit(5)
    assert(receiver:wait_for(1))
    assert(hooks.webhooks:update(webhook.id, { order = "none" }))
    assert(receiver:wait_for(5)) -- the first one still waits for its retry
    assert.equal(5, #(arrivals "/sequence/500,200"))
  end)

  it("checks its words", function()
    hooks = hooks_support.open()
    local fields = { name = "x", url = receiver:url "/ok", events = { "*" }, order = "fifo" }
    local result, message, code = hooks.webhooks:create(fields)
    assert.is_nil(result)
    assert.equal('webhook.order: expected "none" or "webhook" or "key", got string \'fifo\'', message)
    assert.equal("EINVAL", code)
  end)
end)

describe("a webhook's rate", function()
  local receiver, hooks

  before_each(function() receiver, hooks = receivers.start(), nil end)
  after_each(function() hooks_support.done(hooks, receiver) end)

  it("lets so many begin in a second, and so many at once after a rest", function()
    hooks = hooks_support.open()
    local rate = { perSecond = 20, burst = 4 }
    local webhook = assert(hooks.webhooks:create { name = "slow", url = receiver:url "/ok", events = { "*" }, rate = rate })
    assert.same(rate, webhook.rate)
    assert(hooks.webhooks:create { name = "fast", url = receiver:url "/echo", events = { "*" } })
    for i = 1, 24 do assert(hooks:emit("entry.create", { model = "address", entry = { id = i } })) end
    assert(hooks:wait(30)) -- also for what waits for nothing but the rate
    assert.equal(48, #receiver:requests())
    local times, fast = {}, 0
    for _, request in ipairs(receiver:requests()) do
      if request.path == "/ok" then
        times[#times + 1] = request.at_us
      elseif #times < 24 then
        fast = fast + 1
      end
    end
    assert.equal(24, fast) -- the other webhook did not wait
    -- The n-th cannot have begun before (n - burst) intervals had passed; a request may take a moment to arrive, so that the
    -- time between two is compared with the clock's step to spare.
    for n = 5, 24 do
      assert.is_true(times[n] - times[1] >= (n - 4) * 50000 - 10000, ("%d after %d us"):format(n, times[n] - times[1]))
    end
  end)

  it("is that of all engines on the store together", function()
    hooks = hooks_support.open()
    local store = hooks.config.store
    assert(hooks.webhooks:create { name = "slow", url = receiver:url "/ok", events = { "*" }, enabled = false,
      rate = { perSecond = 10 } })
    for i = 1, 10 do assert(hooks:emit("entry.create", { model = "address", entry = { id = i } })) end
    local program = temp.write(temp.dir() .. "/engine.lua", [[
      local hooks = assert(require("moonpost").open { webhooks = { store = arg[1], log = { level = "off" },
        network = { allow = { "127.0.0.0/8" } } } })
      io.stdout:write "open\n"
      io.stdout:flush()
      require("moonpost.core").sleep(60)
    ]])
    local other = process.start { program = program, args = { store } }
    finally(function() other:kill "KILL" other:stop() end)
    for _ = 1, 1000 do
      if other:output():find "open" then break end
      core.sleep(0.01)
    end
    local id = hooks.webhooks:list()[1].id
    assert(hooks.webhooks:update(id, { enabled = true }))
    assert(receiver:wait_for(10, 30))
    local requests = receiver:requests()
    assert.is_true(requests[10].at_us - requests[1].at_us >= 890000)
  end)

  it("is checked", function()
    hooks = hooks_support.open()
    for text, rate in pairs {
      ["webhook.rate: expected a table { perSecond =, burst = }, got number 5"] = 5,
      ["webhook.rate.perSecond: expected a number, got none"] = { burst = 2 },
      ["webhook.rate.perSecond: expected a number between 0.001 and 100000, got number 0"] = { perSecond = 0 },
      ["webhook.rate.burst: expected a whole number between 1 and 100000, got number 0"] = { perSecond = 1, burst = 0 },
      ["webhook.rate.persecond: unknown key; did you mean 'perSecond'?"] = { persecond = 1 },
    } do
      local result, message, code = hooks.webhooks:create { name = "x", url = receiver:url "/ok", events = { "*" }, rate = rate }
      assert.is_nil(result)
      assert.equal(text, message)
      assert.equal("EINVAL", code)
    end
  end)
end)
