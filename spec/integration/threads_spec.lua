-- Several delivery threads: what each sends of a webhook, and what holds for all of them together.
local command = require "spec.support.command"
local core = require "moonpost.core"
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local receivers = require "spec.support.receiver"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local wait_until = require "spec.support.wait_until"

local INFO = { model = "address", entry = { id = 1, city = "Paris" } }
-- Prints how many threads an engine has. The first open may start some that are not its own (a sanitizer's).
local COUNT = [[
  local moonpost, core = require "moonpost", require "moonpost.core"
  local function threads() return #core.listdir "/proc/self/task" end
  local config = { webhooks = { store = ":memory:", log = { level = "off" } } }
  local first, before = assert(moonpost.open(config)), threads()
  local second = assert(moonpost.open(config))
  io.write(threads() - before)
  second:close(0)
  first:close(0)
]]

local SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

describe("delivery threads", function()
  local receiver, hooks

  before_each(function() receiver, hooks = receivers.start(), nil end)
  after_each(function() hooks_support.done(hooks, receiver) end)

  local function open(delivery)
    delivery.timeout = 60
    hooks = hooks_support.open { delivery = delivery }
  end

  local function create(path, fields)
    return hooks_support.create(hooks, { name = path, url = receiver:url(path), events = { "*" } }, fields)
  end

  local function emit(count)
    for _ = 1, count do assert(hooks:emit("entry.create", INFO, { wait = false })) end
  end

  local function delivered(webhook)
    return #assert(hooks.deliveries:list { webhook_id = webhook.id, state = "delivered", limit = 1000 })
  end

  -- No more come than that, for a while.
  local function stays_at(least, most)
    assert(receiver:wait_for(least, 30))
    core.sleep(0.3)
    local count = #receiver:requests()
    assert.is_true(count >= least and count <= most, ("%d requests, expected %d to %d"):format(count, least, most))
  end

  it("are two, or one where the process may use one CPU", function()
    local program = command.lua({}, temp.write(temp.dir() .. "/count.lua", COUNT))
    local allowed = assert(temp.read "/proc/self/status"):match "\nCpus_allowed_list:%s+(%S+)"
    assert.equal("2", (shell.run(("taskset -c %s %s"):format(allowed:match "^%d+", program)))) -- one, and the store thread
    if allowed:find "[-,]" then assert.equal("3", (shell.run(program))) end
  end)

  for _, threads in ipairs { 1, 2, 8 } do
    it(("of %d keep to a webhook's concurrency together, and reach it"):format(threads), function()
      open { threads = threads }
      create("/hang", { concurrency = 35 })
      emit(60)
      stays_at(35, 35)
    end)

    it(("of %d keep to maxConcurrency together, but that a webhook with nothing under way gets a slot"):format(threads), function()
      open { threads = threads, maxConcurrency = 10 }
      for i = 1, 4 do create("/hang?" .. i, { concurrency = 8 }) end
      emit(20)
      stays_at(10, threads == 1 and 10 or 14) -- where one thread is first, those of another have nothing under way
      local quick = create "/ok"
      emit(20)
      assert(wait_until(30, function() return delivered(quick) == 20 end))
    end)

    it(("of %d tell each other of a slot that is free"):format(threads), function()
      open { threads = threads, maxConcurrency = 1 }
      for i = 1, 8 do create("/delay/0.001?" .. i) end
      emit(50)
      assert(hooks:wait(60))
      assert.equal(400, hooks:stats().store.delivered)
      assert.equal(0, hooks:stats().failed_attempts)
    end)
  end

  it("sign each for themselves", function()
    open { threads = 4 }
    create("/ok", { concurrency = 64, secret = SECRET })
    emit(300)
    assert(hooks:wait(30))
    local connections, seen = {}, 0
    for _, request in ipairs(receiver:requests()) do
      local headers = {}
      for _, field in ipairs(request.headers) do headers[field[1]] = field[2] end
      assert(moonpost.verify(SECRET, headers, request.body))
      if not connections[request.connection] then connections[request.connection], seen = true, seen + 1 end
    end
    assert.equal(300, #receiver:requests())
    assert.is_true(seen <= 64, seen)
  end)

  it("deliver everything while a webhook's concurrency, and so the number of them that it has, changes", function()
    open { threads = 4 }
    local webhook = create("/delay/0.002", { concurrency = 64 })
    for _, concurrency in ipairs { 1, 100, 20, 40, 64 } do
      emit(100)
      assert(hooks.webhooks:update(webhook.id, { concurrency = concurrency }))
    end
    emit(100)
    assert(hooks:wait(30))
    assert.equal(600, hooks:stats().store.delivered)
    assert.equal(600, #receiver:requests())
  end)

  it("give back what they hold when moonpost is closed", function()
    open { threads = 3, retrySchedule = { 0.05 } }
    create("/hang", { concurrency = 48 })
    emit(100)
    assert(receiver:wait_for(48, 30))
    local closed, message, code = hooks:close(0)
    assert.is_nil(closed, message)
    assert.equal("ETIMEDOUT", code)
    hooks = nil
  end)
end)
