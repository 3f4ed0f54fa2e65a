-- The command line on a running server: what it does to a store, over the HTTP API.
local command = require "spec.support.command"
local json = require "moonpost.json"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local tokens = require "moonpost.admin.tokens"
local wait_until = require "spec.support.wait_until"
local receiver = require "spec.support.receiver"

local unpack_from = rawget(_G, "unpack") or table.unpack

if not pcall(require, "socket") then
  pending "install luasocket for this Lua"
  return
end

describe("the command line on a running server", function()
  local server, url, token, target

  setup(function()
    local dir = temp.dir()
    token = assert(tokens.open(dir .. "/moonpost.db-tokens.json"):add("spec", { "read", "write", "emit" })).token
    temp.write(dir .. "/server.lua", [[return { webhooks = {
      store = "moonpost.db", models = { article = { attributes = { title = { type = "string" } } } }, log = { level = "off" },
      network = { allow = { "127.0.0.0/8" } },
    } }]])
    target = receiver.start()
    server = process.start { program = "examples/plain-http/server.lua", args = { dir .. "/server.lua" } }
    url = "http://" .. assert(wait_until(20, function() return server:output():match "listening on (%S+)\n" end))
  end)

  teardown(function()
    server:stop()
    target:stop()
    temp.clean()
  end)

  local function line(secret, ...)
    return command.moonpost({ MOONPOST_URL = url, MOONPOST_TOKEN = secret }, ...)
  end

  local function run(...)
    return shell.run(line(token, ...))
  end

  local function data(...)
    local output, status = run(...)
    assert.equal(0, status, output)
    return assert(json.decode(output))
  end

  it("makes, changes, shows, triggers and deletes webhooks", function()
    local made = data("webhooks", "add", "--name", "a", "--url", target:url "/a", "--event", "entry.create", "--header", "X-A: secret-1",
      "--header", "X-B: b", "--json")
    assert.equal("string", type(made.id))
    assert.same({ "entry.create" }, made.events)
    assert.is_nil(made.headers["X-A"]:find "secret", "masked")
    assert.equal("secret-1", data("webhooks", "get", made.id, "--show-secrets", "--json").headers["X-A"])
    local changed = data("webhooks", "set", made.id, "--header", "X-C: c", "--no-header", "x-b", "--concurrency", "3", "--show-secrets",
      "--json")
    assert.same({ ["X-A"] = "secret-1", ["X-C"] = "c" }, changed.headers)
    assert.equal(3, changed.concurrency)
    assert.equal(1, #data("webhooks", "list", "--json"))
    assert.equal(200, data("webhooks", "trigger", made.id, "--json").statusCode)
    data("webhooks", "rm", made.id, "--json")
    local output, status = run("webhooks", "get", made.id)
    assert.equal(1, status)
    assert.truthy(output:find "ENOENT", output)
  end)

  it("emits, shows, resends and replays", function()
    local made = data("webhooks", "add", "--name", "b", "--url", target:url "/b", "--event", "entry.create", "--json")
    local result = data("emit", "entry.create", "--model", "article", "--entry", '{"id":12345678901234567890}', "--json")
    assert.equal("delivered", result.deliveries[1].state)
    assert.truthy(data("events", "show", result.id, "--json").body:find("12345678901234567890", 1, true))
    assert.equal(1, #data("events", "list", "--type", "entry.create", "--json"))
    local id = result.deliveries[1].id
    assert.equal("delivered", data("deliveries", "resend", id, "--json").state)
    assert.equal(2, data("deliveries", "show", id, "--json").attempts)
    assert.equal(1, #data("deliveries", "list", "--webhook", made.id, "--state", "delivered", "--json"))
    assert.equal(1, data("deliveries", "replay", "--webhook", made.id, "--state", "all", "--json").count)
    assert.is_true(data("stats", "--json").store.adds_up)
  end)

  it("follows deliveries as they come", function()
    local log = temp.dir() .. "/tail"
    shell.run(("%s >%s 2>&1 & echo $! >%s.pid"):format(line(token, "deliveries", "tail", "--interval", "0.1", "--for", "20",
      "--json"), log, log))
    local function text()
      local file = io.open(log)
      local all = file and file:read "*a" or ""
      if file then file:close() end
      return all
    end
    -- It begins with what comes after its first look, which nothing shows: emit until one is seen.
    local seen = wait_until(20, function()
      run("emit", "entry.create", "--model", "article", "--entry", '{"id":1}', "--wait", "0")
      return text():match '"state":"delivered"'
    end)
    shell.run(("kill $(cat %s.pid)"):format(log))
    assert.truthy(seen, text():sub(-1000))
  end)

  it("says what was wrong, and with which code", function()
    for _, case in ipairs {
      { "EINVAL", "webhooks", "add", "--name", "", "--url", "ftp://x", "--event", "nothing" },
      { "ENOENT", "deliveries", "show", "dlv_0000000000000-1" },
      { "EINVAL", "webhooks", "list", "--url", "nonsense" },
      { "EINVAL", "webhooks", "list", "--url", url, "--config", "x.lua" },
      { "EIO", "webhooks", "list", "--url", "http://127.0.0.1:1" },
      { "EIO", "--url", "http://127.0.0.1:1", "webhooks", "add", "--name", "a", "--url", "http://a/", "--event", "*" },
    } do
      local output, status = run(unpack_from(case, 2))
      assert.equal(1, status, output)
      assert.truthy(output:find(case[1], 1, true), output)
    end
    local output, status = shell.run(line("wrong", "webhooks", "list"))
    assert.equal(1, status)
    assert.truthy(output:find("EACCES", 1, true), output)
  end)
end)
