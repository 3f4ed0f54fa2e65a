-- The log: what became of deliveries and webhooks, to the host's function or to standard error, and nothing private in it.
local cjson = require "cjson"
local has_socket, socket = pcall(require, "socket")
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local process = require "spec.support.process"
local receivers = require "spec.support.receiver"
local temp = require "spec.support.temp"
local wait_until = require "spec.support.wait_until"

describe("the log", function()
  local receiver, hooks, lines

  setup(function() receiver = receivers.start() end)

  teardown(function()
    receiver:stop()
    temp.clean()
  end)

  before_each(function() lines = {} end)

  after_each(function()
    if hooks then hooks:close(0) end
    hooks = nil
  end)

  local function note(level, line, fields)
    lines[#lines + 1] = { level = level, line = line, fields = fields }
  end

  local function open(config, log)
    config = config or {}
    config.log = config.log or { level = "debug" }
    return hooks_support.open(config, { log = log == nil and note or log })
  end

  local function found(event)
    for _, line in ipairs(lines) do
      if line.fields.event == event then return line end
    end
  end

  local function wait_for(event)
    return wait_until(20, function()
      hooks:poll()
      return found(event)
    end)
  end

  local function emit(id)
    return assert(hooks:emit("entry.create", { model = "address", entry = { id = id } }))
  end

  it("tells the host's function what became of deliveries", function()
    hooks = open()
    local good = assert(hooks.webhooks:create { name = "good one", url = receiver:url "/ok", events = { "*" } })
    local id = emit(1)
    local delivered = assert(wait_for "delivery.delivered")
    assert.equal("debug", delivered.level)
    assert.same({ id = good.id, name = "good one" }, delivered.fields.webhook)
    assert.equal(id, delivered.fields.delivery.event_id)
    assert.equal(1, delivered.fields.delivery.attempts)
    assert.equal(200, delivered.fields.status)
    assert.truthy(delivered.fields.time:find "^%d+%-%d%d%-%d%dT[%d:.]+Z$")
    assert.equal("debug", delivered.fields.level)
    assert.truthy(delivered.line:find('moonpost: debug: delivery.delivered webhook.id=' .. good.id .. ' webhook.name="good one" ', 1, true),
      delivered.line)
    assert(hooks.webhooks:update(good.id, { url = receiver:url "/status/500", retrySchedule = { 0.01 } }))
    emit(2)
    local dead = assert(wait_for "delivery.dead")
    assert.equal("warn", dead.level)
    local failed = found "delivery.failed"
    assert.equal("info", failed.level)
    assert.equal("http", failed.fields.class)
    assert.equal(500, failed.fields.status)
    assert.truthy(failed.fields.due_at)
    assert.equal(2, dead.fields.delivery.attempts)
  end)

  it("tells of webhooks that are made, changed and deleted", function()
    hooks = open()
    local id = assert(hooks.webhooks:create { name = "a", url = receiver:url "/ok", events = { "*" } }).id
    assert(hooks.webhooks:update(id, { enabled = false }))
    assert(hooks.webhooks:delete(id))
    hooks:poll()
    for event, enabled in pairs { ["webhook.created"] = true, ["webhook.changed"] = false, ["webhook.deleted"] = false } do
      assert.same({ id = id, name = "a", enabled = enabled }, found(event).fields.webhook)
      assert.equal("info", found(event).level)
    end
  end)

  it("leaves out what is below the level", function()
    hooks = open { log = { level = "warn" } }
    assert(hooks.webhooks:create { name = "a", url = receiver:url "/status/500", events = { "*" }, retrySchedule = { 0.01 } })
    emit(1)
    assert(wait_for "delivery.dead")
    assert.is_nil(found "delivery.failed")
  end)

  it("rings the host's event loop for a line", function()
    if not has_socket then
      pending "luasocket is not installed"
      return
    end
    hooks = open { log = { level = "warn" } }
    local fd = assert(hooks:fd())
    assert(hooks:emit("entry.create", { model = "address", entry = { id = 1, mystery = 2 } }))
    assert.equal(1, #socket.select({ { getfd = function() return fd end } }, nil, 20))
    hooks:poll()
    assert.equal(0, #socket.select({ { getfd = function() return fd end } }, nil, 0))
    assert.equal("payload.unknown_key", lines[1].fields.event)
    assert.equal("moonpost: warn: " .. lines[1].fields.message, lines[1].line)
  end)

  it("says how many lines of a kind were left out", function()
    hooks = open()
    local webhook = assert(hooks.webhooks:create { name = "a", url = receiver:url "/ok", events = { "*" } })
    for i = 1, 150 do assert(hooks:emit("entry.create", { model = "address", entry = { id = i } }, { wait = false })) end
    assert(hooks:wait(20))
    assert.equal(150, #hooks.deliveries:list { webhook_id = webhook.id, state = "delivered", limit = 200 })
    hooks:poll()
    local count = 0
    for _, line in ipairs(lines) do
      if line.fields.event == "delivery.delivered" then count = count + 1 end
    end
    assert.equal(100, count)
    hooks:close()
    assert.equal("50 lines of delivery.delivered were left out", found("log.left_out").fields.message)
  end)

  it("gives the function what was logged until the end of close, once", function()
    hooks = open { log = { level = "debug" } }
    assert(hooks.webhooks:create { name = "a", url = receiver:url "/ok", events = { "*" } })
    emit(1)
    hooks:wait(20)
    hooks:close()
    assert.truthy(found "delivery.delivered")
    local count = #lines
    hooks:poll()
    hooks:close()
    assert.equal(count, #lines)
  end)

  it("raises for a log that is no function", function()
    assert.has_error(function() moonpost.open({}, { log = "x" }) end, "moonpost.open: options.log: expected a function")
  end)

  local SCRIPT = [[
    local moonpost = require "moonpost"
    local hooks = assert(moonpost.open { webhooks = {
      store = ":memory:", events = { "order.paid" }, network = { allow = { "127.0.0.0/8" } },
      log = { level = "debug", format = %q }, delivery = { retrySchedule = { 0.01 }, timeout = 0.5 },
      defaultHeaders = { ["X-Key"] = "CANARY-default" },
      models = { address = { attributes = { city = { type = "string" }, code = { type = "password" } } } },
    } })
    for i, url in ipairs { %s } do
      assert(hooks.webhooks:create { name = "w" .. i, url = url, events = { "*" }, headers = { ["X-Own"] = "CANARY-own" },
        hubSignature = { secret = "CANARY-hub" } })
    end
    for i = 1, 3 do
      local entry = { id = i, city = "CANARY-city", code = "CANARY-code", other = "CANARY-x" }
      assert(hooks:emit("entry.create", { model = "address", entry = entry }, {
        headers = { ["X-One"] = "CANARY-one" }, idempotency_key = "CANARY-key" .. i,
      }))
    end
    hooks:wait(20)
    local state
    for _ = 1, 1000 do
      state = hooks:stats().store
      if state.waiting + state.leased == 0 then break end
      require "moonpost.core".sleep(0.02)
    end
    io.write(state.dead)
    hooks:close()
  ]]

  for _, format in ipairs { "text", "json" } do
    it("has neither payloads nor secrets in it, as " .. format, function()
      local port = receiver.port
      local urls = {}
      for _, rest in ipairs { "127.0.0.1:" .. port .. "/status/500?CANARY-query", "127.0.0.1:" .. port .. "/reset", "127.0.0.1:9/",
        "nothing.invalid/" } do
        urls[#urls + 1] = ("%q"):format("http://user:CANARY-password@" .. rest)
      end
      urls[#urls + 1] = ("%q"):format("https://user:CANARY-password@127.0.0.1:" .. port .. "/")
      local child = process.start { code = SCRIPT:format(format, table.concat(urls, ", ")) }
      finally(function() child:stop() end)
      local code = child:wait(60)
      local _, err = child:output()
      assert.equal(0, code, err)
      assert.is_nil(err:find "CANARY", err)
      assert.is_nil(err:find("user:", 1, true))
      local events = {}
      for line in err:gmatch "[^\n]+" do
        if format == "json" then
          local fields = cjson.decode(line)
          events[fields.event] = true
          assert.truthy(fields.level and fields.time)
        else
          local event = line:match "^moonpost: %a+: (%a+%.%a+) "
          if event then events[event] = true end
        end
      end
      assert.truthy(events["delivery.failed"], err)
      assert.truthy(events["delivery.dead"], err)
    end)
  end
end)
