-- The config: what is accepted, the defaults, and an error for each kind of mistake.
local config = require "moonpost.config"
local temp = require "spec.support.temp"

local unpack_from = rawget(_G, "unpack") or table.unpack

describe("the config", function()
  after_each(function() temp.clean() end)

  local function write(text)
    return temp.write(temp.dir() .. "/server.lua", text)
  end

  local function refused(source, ...)
    local result, message, code = config.load(source)
    assert.is_nil(result)
    assert.equal("EINVAL", code)
    for _, text in ipairs { ... } do assert.truthy(message:find(text, 1, true), message) end
    return message
  end

  it("fills in the defaults", function()
    local loaded = assert(config.load {})
    assert.equal(15, loaded.delivery.timeout)
    assert.equal(5, loaded.delivery.connectTimeout)
    assert.equal(10, loaded.delivery.concurrency)
    assert.same({ 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400 }, loaded.delivery.retrySchedule)
    assert.equal("drop", loaded.sanitize.unknownAttributes)
    assert.equal("id", loaded.sanitize.embeddedUsers)
    assert.equal(1048576, loaded.limits.eventSize)
    assert.same({ delivered = 604800, dead = 2592000, size = 0 }, loaded.retention)
    assert.equal(8, #loaded.event_list)
    assert.truthy(loaded.store:find "/data/moonpost.db$")
    assert.same({}, loaded.endpoints)
    assert.is_true(#loaded.schema_list > 0)
  end)

  it("takes the documented example", function()
    local loaded = assert(config.load(write [[
      return { host = "0.0.0.0", port = 1337, webhooks = { defaultHeaders = { ["Custom-Header"] = "my-custom-header" } } }
    ]]))
    assert.same({ { "Custom-Header", "my-custom-header" } }, loaded.default_headers)
  end)

  it("resolves paths from its own folder", function()
    local path = write [[ return { webhooks = { store = "data/x.db" } } ]]
    assert.truthy(assert(config.load(path)).store:find(path:match "^(.*)/" .. "/data/x.db", 1, true))
    assert.equal(":memory:", assert(config.load { webhooks = { store = ":memory:" } }).store)
  end)

  it("reads secrets from the environment", function()
    local loaded = assert(config.load(write [[
      return { webhooks = { defaultHeaders = { A = env("NO_SUCH_VARIABLE", "default"), P = os.getenv("PATH") } } }
    ]]))
    assert.same({ { "A", "default" }, { "P", os.getenv "PATH" } }, loaded.default_headers)
    refused(write [[ return { webhooks = { defaultHeaders = { A = env("NO_SUCH_VARIABLE") } } } ]], "NO_SUCH_VARIABLE")
  end)

  it("runs its file without files, processes and modules", function()
    for _, text in ipairs {
      "io.open('x')", "os.execute('true')", "require('cjson')", "load('x')", "dofile('x')", "debug.getinfo(1)",
      "string.rep = nil return _G.x",
    } do
      local path = write(text .. " return {}")
      if text:find "string.rep" then
        config.load(path)
        assert.equal("function", type(string.rep))
      else
        refused(path, path)
      end
    end
  end)

  it("names the file and what is wrong with it", function()
    local dir = temp.dir()
    refused(dir .. "/missing.lua", dir .. "/missing.lua", "no such file")
    refused(dir, dir, "directory")
    local path = write "return {\n  webhooks = {\n"
    refused(path, path .. ":3")
    path = write "error('boom')"
    refused(path, path, "boom")
    path = write "return 7"
    refused(path, path, "expected the file to return a table, got number 7")
    path = write "\27Lua"
    refused(path, path)
    refused(7, "expected a path or a table")
  end)

  local cases = {
    { { webhook = {} }, "webhook: unknown key; did you mean 'webhooks'?" },
    { { webhooks = 1 }, "webhooks: expected a table, got number 1" },
    { { webhooks = { defaultHeader = {} } }, "webhooks.defaultHeader: unknown key; did you mean 'defaultHeaders'?" },
    { { webhooks = { defaultHeaders = "x" } }, "webhooks.defaultHeaders: expected a table" },
    { { webhooks = { defaultHeaders = { ["X A"] = "b" } } }, "webhooks.defaultHeaders['X A']" },
    { { webhooks = { defaultHeaders = { A = "b\nC: d" } } }, "webhooks.defaultHeaders['A']" },
    { { webhooks = { defaultHeaders = { A = 1 } } }, "webhooks.defaultHeaders['A']: expected a string, got number" },
    { { webhooks = { defaultHeaders = { Host = "x" } } }, "webhooks.defaultHeaders['Host']" },
    { { webhooks = { defaultHeaders = { A = "1", a = "2" } } }, "is there already" },
    { { webhooks = { store = 7 } }, "webhooks.store: expected a path, got number 7" },
    { { webhooks = { store = "postgres://x/y" } }, "webhooks.store", "postgres", "not supported" },
    { { webhooks = { models = 7 } }, "webhooks.models: expected a path" },
    { { webhooks = { models = "/no/such/folder" } }, "/no/such/folder" },
    { { webhooks = { scripts = "/no/such/folder" } }, "webhooks.scripts" },
    { { webhooks = { globalScripts = { "routing" } } },
      "webhooks.globalScripts: expected webhooks.scripts, the folder of scripts, as well" },
    { { webhooks = { globalScripts = "routing" } }, "webhooks.globalScripts: expected a list of scripts' names" },
    { { webhooks = { globalScripts = { "lib/x" } } }, "webhooks.globalScripts[1]: expected a script's name" },
    { { webhooks = { globalScripts = { "a.lua" } } }, "webhooks.globalScripts[1]", "without .lua" },
    { { webhooks = { globalScripts = { "a", "a" } } }, "webhooks.globalScripts[2]: 'a' is there already" },
    { { webhooks = { constants = { f = print } } }, "webhooks.constants.f:", "function" },
    { { webhooks = { constants = { "a" } } }, "webhooks.constants: expected a table with names, got a list" },
    { { webhooks = { constants = 7 } }, "webhooks.constants: expected a table with names, got number 7" },
    { { webhooks = { limits = { scriptTime = 0 } } }, "webhooks.limits.scriptTime: expected a number between 0.001 and 60" },
    { { webhooks = { limits = { scriptMemory = 1000 } } }, "webhooks.limits.scriptMemory: expected a whole number" },
    { { webhooks = { endpoints = { { name = "a", url = "http://x/", events = { "*" }, script = "crm" } } } },
      "webhooks.endpoints[1].script: expected webhooks.scripts, the folder of scripts, as well" },
    { { webhooks = { events = "order.paid" } }, "webhooks.events: expected a list" },
    { { webhooks = { events = { "order" } } }, "webhooks.events[1]", "joined by dots" },
    { { webhooks = { events = { "entry.create" } } }, "webhooks.events[1]", "own events" },
    { { webhooks = { events = { "trigger-test" } } }, "webhooks.events[1]" },
    { { webhooks = { delivery = { timeout = "fast" } } },
      "webhooks.delivery.timeout: expected a number of seconds between 0.001 and 600, got string 'fast'" },
    { { webhooks = { delivery = { timeout = 0 } } }, "webhooks.delivery.timeout" },
    { { webhooks = { delivery = { timeout = 0 / 0 } } }, "webhooks.delivery.timeout" },
    { { webhooks = { delivery = { threads = 9 } } }, "webhooks.delivery.threads: expected a whole number between 1 and 8, got number 9" },
    { { webhooks = { delivery = { threads = 0 } } }, "webhooks.delivery.threads: expected a whole number between 1 and 8, got number 0" },
    { { webhooks = { delivery = { concurrency = 1.5 } } }, "webhooks.delivery.concurrency: expected a whole number" },
    { { webhooks = { delivery = { concurency = 5 } } }, "webhooks.delivery.concurency", "'concurrency'" },
    { { webhooks = { delivery = { retrySchedule = { -1 } } } }, "webhooks.delivery.retrySchedule[1]" },
    { { webhooks = { delivery = { proxy = "proxy" } } }, "webhooks.delivery.proxy" },
    { { webhooks = { delivery = { proxy = "ftp://x" } } }, "webhooks.delivery.proxy" },
    { { webhooks = { sanitize = { unknownAttributes = "keeep" } } }, 'webhooks.sanitize.unknownAttributes: expected "drop" or "keep"' },
    { { webhooks = { sanitize = { privateAttributes = { 1 } } } }, "webhooks.sanitize.privateAttributes[1]" },
    { { webhooks = { network = { allow = { "10.0.0.0/33" } } } }, "webhooks.network.allow[1]", "CIDR" },
    { { webhooks = { network = { allow = { "256.1.1.1" } } } }, "webhooks.network.allow[1]" },
    { { webhooks = { network = { allow = { "::1/129" } } } }, "webhooks.network.allow[1]" },
    { { webhooks = { network = { allow = { "a b" } } } }, "webhooks.network.allow[1]" },
    { { webhooks = { network = { allow = { "10.0.0.1", 7 } } } }, "webhooks.network.allow[2]: expected a CIDR", "number 7" },
    { { webhooks = { network = { allow = { "0.0.0.0/0" } } } }, "webhooks.network.allow[1]: '0.0.0.0/0' would turn the guard off" },
    { { webhooks = { network = { allow = { "::/0" } } } }, "webhooks.network.allow[1]: '::/0' would turn the guard off" },
    { { webhooks = { network = { allow = { "::ffff:0:0/96" } } } }, "would turn the guard off" },
    { { webhooks = { network = { deny = { "10.0.0.0/x" } } } }, "webhooks.network.deny[1]" },
    { { webhooks = { network = { ports = { 0 } } } }, "webhooks.network.ports[1]: expected a port" },
    { { webhooks = { network = { off = true } } }, "webhooks.network.off: unknown key" },
    { { webhooks = { endpoints = { { name = "a", url = "http://127.1/", events = { "*" } } } } },
      "webhooks.endpoints[1].url: 127.0.0.1 is loopback (127.0.0.0/8); webhooks.network.allow opens it" },
    { { webhooks = { limits = { inbox = 0 } } }, "webhooks.limits.inbox" },
    { { webhooks = { retention = { delivered = "7d" } } }, "webhooks.retention.delivered: expected a number of seconds" },
    { { webhooks = { log = { level = "loud" } } }, "webhooks.log.level" },
    { { webhooks = { endpoints = { { url = "http://a/", events = { "*" } } } } }, "webhooks.endpoints[1].name: expected a name, got none" },
    { { webhooks = { endpoints = { { name = "a", url = "x", events = { "*" } } } } }, "webhooks.endpoints[1].url" },
    { { webhooks = { endpoints = { { name = "a", url = "http://a/", events = { "entry.creat" } } } } },
      "webhooks.endpoints[1].events[1]", "did you mean 'entry.create'?" },
    { { webhooks = { endpoints = { { name = "a", url = "http://a/", events = { "*" }, models = { "nope" } } } } },
      "webhooks.endpoints[1].models[1]", "nope" },
    { { webhooks = { endpoints = { { name = "a", url = "http://a/", events = { "*" } },
      { name = "a", url = "http://b/", events = { "*" } } } } }, "webhooks.endpoints[2].name: 'a' is there already" },
  }
  for i, case in ipairs(cases) do
    it(("refuses %d: %s"):format(i, case[2]), function()
      refused(case[1], "config: ", unpack_from(case, 2))
    end)
  end

  it("takes every form of address rule", function()
    local rules = {
      "10.1.0.0/16", "127.0.0.1", "10.0.0.0/8", "::1", "fc00::/7", "2001:db8::1/64", "fe80::1:2:3:4", "::ffff:10.0.0.1",
      "localhost", "a.b-c.example", "example.",
    }
    local network = { allow = rules, deny = { "0.0.0.0/0", "::/0", "a.example" }, ports = { 80, 443 } }
    assert.same(network, assert(config.load { webhooks = { network = network } }).network)
  end)

  it("finds the scripts that it names", function()
    local dir = temp.dir()
    for _, name in ipairs { "routing", "crm" } do temp.write(("%s/%s.lua"):format(dir, name), "return {}") end
    local function with(global, script)
      return { webhooks = { scripts = dir, globalScripts = global, constants = { b = 1, a = { "x" } },
        endpoints = { { name = "a", url = "http://a/", events = { "*" }, script = script } } } }
    end
    local loaded = assert(config.load(with({ "routing" }, "crm")))
    assert.equal(dir, loaded.scripts)
    assert.same({ "routing" }, loaded.global_scripts)
    assert.equal("crm", loaded.endpoints[1].script)
    assert.equal('{"a":["x"],"b":1}', loaded.constants)
    assert.equal(0.05, loaded.limits.scriptTime)
    local text = table.concat(config.describe(loaded), "\n")
    assert.truthy(text:find("global scripts  routing", 1, true), text)
    assert.truthy(text:find("(*) by crm", 1, true), text)
    refused(with({ "routing", "routin" }), ("webhooks.globalScripts[2]: expected a script, %s/routin.lua is not there"):format(dir),
      "did you mean 'routing'?")
    refused(with({}, "srm"), ("webhooks.endpoints[1].script: expected a script, %s/srm.lua is not there"):format(dir), "'crm'")
    refused(with({}, "../crm"), "webhooks.endpoints[1].script: expected a script's name")
  end)

  it("describes itself with header values masked", function()
    local loaded = assert(config.load { webhooks = { defaultHeaders = { Authorization = "Bearer secret" },
      endpoints = { { name = "a", url = "http://u:p@h/", events = { "*" } } } } })
    local text = table.concat(config.describe(loaded), "\n")
    assert.is_nil(text:find("secret", 1, true))
    assert.is_nil(text:find("u:p", 1, true))
    assert.truthy(text:find("Authorization: Be****", 1, true))
  end)
end)
