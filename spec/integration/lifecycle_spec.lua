-- Opening, closing, sharing, forking, several processes, and stores that are not ours.
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local process = require "spec.support.process"
local receivers = require "spec.support.receiver"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local wait_until = require "spec.support.wait_until"

describe("the engine", function()
  local opened

  before_each(function() opened = {} end)
  after_each(function()
    for _, hooks in ipairs(opened) do hooks:close(0) end
    temp.clean()
  end)

  local function open(config)
    local hooks = assert(moonpost.open(config))
    opened[#opened + 1] = hooks
    return hooks
  end

  local info = { model = "address", entry = { id = 1 } }

  it("answers ECLOSED after close, and a second close is none", function()
    local hooks = open(hooks_support.config())
    assert.is_true(hooks:close())
    assert.is_true(hooks:close())
    for _, call in ipairs {
      function() return hooks:emit("entry.create", info) end, function() return hooks:stats() end,
      function() return hooks:wait(1) end, function() return hooks.webhooks:list() end,
      function() return hooks.deliveries:list() end, function() return hooks.events:list() end,
      function() return hooks:emit_json "{}" end,
    } do
      local result, message, code = call()
      assert.is_nil(result)
      assert.equal("closed", message)
      assert.equal("ECLOSED", code)
    end
  end)

  it("is shared by two opens of one store, however its path is spelt", function()
    local config = hooks_support.config()
    local first = open(config)
    local dir = config.webhooks.store:match "^(.*)/"
    config.webhooks.store = dir .. "/../" .. dir:match "[^/]+$" .. "/moonpost.db"
    local second = open(config)
    local id = assert(first:emit("entry.create", info))
    assert.equal(id, assert(second.events:get(id)).id)
    first:close()
    assert(second:emit("entry.create", info))
    assert.equal(2, assert(second:stats()).accepted)
    config.webhooks.delivery.timeout = 3
    local third, message, code = moonpost.open(config)
    assert.is_nil(third)
    assert.equal("EBUSY", code)
    assert.truthy(message:find("other settings", 1, true))
  end)

  it("keeps what close could not send for the next start", function()
    local receiver = receivers.start()
    finally(function() receiver:stop() end)
    local config = hooks_support.config { delivery = { timeout = 30, concurrency = 2 } }
    local hooks = open(config)
    local webhook = assert(hooks.webhooks:create { name = "a", url = receiver:url "/hang", events = { "*" } })
    for _ = 1, 5 do assert(hooks:emit("entry.create", info)) end
    assert(receiver:wait_for(2))
    local result, _, code = hooks:close(0.1)
    assert.is_nil(result)
    assert.equal("ETIMEDOUT", code)
    hooks = open(config)
    assert(hooks.webhooks:update(webhook.id, { url = receiver:url "/ok" }))
    hooks:close(0)
    hooks = open(config)
    assert(hooks:wait(20))
    assert.equal(5, #assert(hooks.deliveries:list { state = "delivered" }))
  end)

  it("finishes what is under way when close gives it time", function()
    local receiver = receivers.start()
    finally(function() receiver:stop() end)
    local config = hooks_support.config()
    local hooks = open(config)
    assert(hooks.webhooks:create { name = "a", url = receiver:url "/delay/0.3", events = { "*" } })
    assert(hooks:emit("entry.create", info))
    assert.is_true(hooks:close(10))
    hooks = open(config)
    assert.equal("delivered", assert(hooks.deliveries:list())[1].state)
    assert.equal(1, #receiver:requests())
  end)

  it("works on a store that another process uses too", function()
    local receiver = receivers.start()
    finally(function() receiver:stop() end)
    local config = hooks_support.config()
    local hooks = open(config)
    assert(hooks.webhooks:create { name = "a", url = receiver:url "/a", events = { "*" } })
    local code = ([[
      local hooks = assert(require("moonpost").open { webhooks = { store = %q, models = { address = { attributes = {} } },
        network = { allow = { "127.0.0.0/8" } } } })
      for i = 1, 100 do assert(hooks:emit("entry.create", { model = "address", entry = { id = i } })) end
      assert(hooks.webhooks:create { name = "b", url = %q, events = { "entry.update" } })
      assert(hooks:wait(30))
      assert(hooks:close())
    ]]):format(config.webhooks.store, receiver:url "/b")
    local other = process.start { code = code }
    finally(function() other:stop() receiver:stop() end)
    for i = 1, 100 do
      assert(hooks:emit("entry.create", { model = "address", entry = { id = 1000 + i } }))
    end
    assert.equal(0, other:wait(60), (select(2, other:output())))
    assert(hooks:wait(30))
    assert.equal(200, #assert(hooks.deliveries:list { state = "delivered", limit = 1000 }))
    assert.equal(200, #receiver:requests())
    assert(wait_until(10, function() return #assert(hooks.webhooks:list()) == 2 end))
    assert(hooks:emit("entry.update", { model = "address", entry = { id = 1 } }))
    assert(receiver:wait_for(202))
  end)

  it("loses none of two processes' changes of one webhook", function()
    local config = hooks_support.config()
    local hooks = open(config)
    local webhook = assert(hooks.webhooks:create { name = "a", url = "http://127.0.0.1:1/", events = { "*" } })
    local go, program = temp.dir() .. "/go", [[
      local hooks, id, field, go = ...
      assert(require("spec.support.wait_until")(30, function() return io.open(go) end))
      for i = 1, 100 do
        assert(i == 1 or assert(hooks.webhooks:get(id))[field] == i - 1, field .. " was lost")
        assert(assert(hooks.webhooks:update(id, { [field] = i }))[field] == i)
      end
    ]]
    local other = process.start { code = ([[
      local hooks = assert(require("moonpost").open { webhooks = { store = %q, models = {}, log = { level = "off" },
        network = { allow = { "127.0.0.0/8" } } } })
      io.stdout:write "open" io.stdout:flush()
      assert((loadstring or load)(%q))(hooks, %q, "concurrency", %q)
      assert(hooks:close())
    ]]):format(config.webhooks.store, program, webhook.id, go) }
    finally(function() other:stop() end)
    assert(wait_until(20, function() return other:output() == "open" or other:code() end))
    temp.write(go, "")
    local run = assert((rawget(_G, "loadstring") or load)(program))
    run(hooks, webhook.id, "timeout", go)
    assert.equal(0, other:wait(60), (select(2, other:output())))
    assert(wait_until(20, function() return assert(hooks.webhooks:get(webhook.id)).concurrency == 100 end))
    assert.equal(100, hooks.webhooks:get(webhook.id).timeout)
  end)

  it("takes over the deliveries of a process that was killed", function()
    local receiver = receivers.start()
    finally(function() receiver:stop() end)
    local config = hooks_support.config { delivery = { timeout = 30 } }
    local hooks = open(config)
    local webhook = assert(hooks.webhooks:create { name = "a", url = receiver:url "/hang", events = { "entry.update" } })
    local other = process.start { code = ([[
      local hooks = assert(require("moonpost").open { webhooks = { store = %q, models = { address = { attributes = {} } },
        network = { allow = { "127.0.0.0/8" } } } })
      for i = 1, 5 do assert(hooks:emit("entry.update", { model = "address", entry = { id = i } })) end
      require("moonpost.core").sleep(60)
    ]]):format(config.webhooks.store) }
    finally(function() other:stop() receiver:stop() end)
    assert(receiver:wait_for(5))
    assert(hooks.webhooks:update(webhook.id, { url = receiver:url "/ok" }))
    other:kill "KILL"
    assert(wait_until(15, function()
      return #assert(hooks.deliveries:list { state = "delivered" }) == 5
    end))
  end)

  describe("refuses", function()
    local function refused(store, code, text)
      local config = hooks_support.config { store = store }
      local result, message, got = moonpost.open(config)
      assert.is_nil(result)
      assert.equal(code, got)
      assert.truthy(message:find(store, 1, true), message)
      if text then assert.truthy(message:find(text, 1, true), message) end
    end

    it("a store path that is a directory", function()
      refused(temp.dir(), "EINVAL")
    end)

    it("a store in a folder that is not there", function()
      refused(temp.dir() .. "/missing/moonpost.db", "EINVAL")
    end)

    it("a damaged store, and does not change it", function()
      local path = temp.dir() .. "/damaged.db"
      local bytes = ("not a store at all\n"):rep(1000)
      temp.write(path, bytes)
      refused(path, "ECORRUPT")
      assert.equal(bytes, temp.read(path))
    end)

    it("a store of a newer version", function()
      local config = hooks_support.config()
      open(config):close()
      local path = config.webhooks.store
      local file = assert(io.open(path, "r+b"))
      file:seek("set", 60) -- user_version: SQLite's database header, offset 60
      file:write("\0\0\3\231")
      file:close()
      refused(path, "EVERSION")
    end)
  end)

  it("makes the store's file readable by its owner alone", function()
    local config = hooks_support.config()
    open(config)
    local output = shell.run("stat -c %a " .. shell.quote(config.webhooks.store))
    assert.equal("600", (output:gsub("%s", "")))
  end)

  it("forgets old history, and keeps what is not done", function()
    local receiver = receivers.start()
    finally(function() receiver:stop() end)
    local config = hooks_support.config { retention = { delivered = 0, dead = 3600 }, delivery = { retrySchedule = {} } }
    local hooks = open(config)
    assert(hooks.webhooks:create { name = "a", url = receiver:url "/ok", events = { "entry.create" } })
    assert(hooks.webhooks:create { name = "b", url = receiver:url "/status/500", events = { "entry.update" } })
    for i = 1, 20 do assert(hooks:emit("entry.create", { model = "address", entry = { id = i } })) end
    local dead = assert(hooks:emit("entry.update", info))
    assert(hooks:wait(10))
    hooks:close()
    hooks = open(config) -- looks at once
    assert(wait_until(10, function() return #assert(hooks.events:list()) == 1 end))
    assert.equal(dead, assert(hooks.events:list())[1].id)
    assert.equal(20, assert(hooks:stats()).pruned)
    assert.equal(1, #assert(hooks.deliveries:list()))
  end)

  it("forgets the oldest history when the store is too large, but nothing that is held", function()
    local receiver = receivers.start()
    finally(function() receiver:stop() end)
    local config = hooks_support.config()
    local hooks = open(config)
    assert(hooks.webhooks:create { name = "a", url = receiver:url "/ok", events = { "entry.create" } })
    assert(hooks.webhooks:create { name = "b", url = receiver:url "/ok", events = { "entry.update" }, enabled = false })
    for _ = 1, 50 do assert(hooks:emit("entry.update", info)) end
    local big = { model = "address", entries = {} }
    for i = 1, 1000 do big.entries[i] = { id = i, city = ("x"):rep(16000) } end
    local ids = assert(hooks:emit("entry.create", big))
    assert(hooks:wait(30))
    hooks:close()
    local function file_size()
      return tonumber((shell.run("stat -c %s " .. shell.quote(config.webhooks.store))))
    end
    local before = file_size()
    assert.is_true(before > 16000000)
    config.webhooks.retention = { size = 1048576 }
    hooks = open(config)
    assert(wait_until(30, function() return assert(hooks:stats()).store.events < 200 end))
    local counts = assert(hooks:stats()).store
    assert.same({ 50, 1000, 1050, true }, { counts.held, counts.delivered, counts.accepted, counts.adds_up })
    local own = assert(hooks:stats { store = false })
    assert.is_nil(own.store)
    assert.is_true(own.pruned > 0)
    local left = assert(hooks.events:list { type = "entry.create", limit = 1000 })
    assert.is_true(#left > 0)
    for i, event in ipairs(left) do assert.equal(ids[1001 - i], event.id) end -- the newest
    assert(wait_until(30, function() return file_size() < before / 2 end))
  end)

  it("warns of a folder that everybody may write to", function()
    local folder = temp.dir()
    local program = temp.write(folder .. "/open.lua", [[
      assert(require("moonpost").open { webhooks = { store = arg[1] .. "/moonpost.db" } }):close()
    ]])
    for _, case in ipairs { { "0777", true }, { "1777", false }, { "0775", false } } do
      assert.equal("", (shell.run(("chmod %s %s"):format(case[1], folder))))
      local child = process.start { program = program, args = { folder } }
      assert.equal(0, child:wait(20))
      local warned = select(2, child:output()):find("everybody may write to its folder", 1, true) ~= nil
      child:stop()
      assert.equal(case[2], warned, case[1])
    end
  end)

  it("leaves no thread behind when it is garbage", function()
    local function leak()
      for _ = 1, 5 do
        local hooks = assert(moonpost.open(hooks_support.config { delivery = { threads = 3 } }))
        assert(hooks:emit("entry.create", info))
      end
    end
    local function threads()
      return tonumber((shell.run("ls /proc/$PPID/task | wc -l")))
    end
    collectgarbage()
    collectgarbage()
    local before = threads()
    collectgarbage "stop"
    leak()
    assert.equal(before + 5 * (1 + 3), threads())
    collectgarbage "restart"
    collectgarbage()
    collectgarbage()
    assert.equal(before, threads())
  end)
end)
