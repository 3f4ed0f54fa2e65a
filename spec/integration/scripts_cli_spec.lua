-- Scripts at the command line: trying one, the examples that init writes, a webhook's script, a running server's.
local cjson = require "cjson"
local command = require "spec.support.command"
local process = require "spec.support.process"
local receivers = require "spec.support.receiver"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local tokens = require "moonpost.admin.tokens"
local wait_until = require "spec.support.wait_until"

local has_socket = pcall(require, "socket")
local unpack_from = rawget(_G, "unpack") or table.unpack

describe("moonpost and scripts:", function()
  local dir, shop

  local function config()
    return { MOONPOST_CONFIG = shop .. "/config/server.lua" }
  end

  local function moonpost(...)
    return shell.run(command.moonpost(config(), ...))
  end

  local function ok(...)
    local output, code = moonpost(...)
    assert.equal(0, code, output)
    return output
  end

  before_each(function()
    dir = temp.dir()
    shop = dir .. "/shop"
    shell.run(command.moonpost({}, "init", shop))
  end)

  after_each(function() temp.clean() end)

  local function event(text)
    return temp.write(dir .. "/event.json", text)
  end

  local ADDRESS = '{"event":"entry.%s","created_at":"2026-01-10T08:47:36.649Z","model":"address","entry":%s}'

  -- What `script test --json` prints.
  local function tried(name, text, ...)
    local words = { "script", "test", ("%s/hooks/%s.lua"):format(shop, name), "--event", event(text), "--json", ... }
    local output, code = shell.run(command.moonpost(config(), unpack_from(words)) .. " 2>" .. shell.quote(dir .. "/err")) -- what it logs
    assert.equal(0, code, temp.read(dir .. "/err"))
    return cjson.decode(output)
  end

  it("script test prints what a script decides, what would be sent, and what that took", function()
    temp.write(shop .. "/hooks/crm.lua", [[
      return {
        route = function() return { "crm", "search" } end,
        filter = function(event) return event.entry.city == "Paris" end,
        transform = function(payload, event, webhook)
          payload.entry.door_code = "1"
          payload.entry.full_name = webhook.name
          return payload, { headers = { ["X-Region"] = "eu" } }
        end,
      }
    ]])
    local file = event(ADDRESS:format("create", '{"id":12345678901234567,"city":"Paris"}'))
    local output = ok("script", "test", shop .. "/hooks/crm.lua", "--event", file)
    for _, text in ipairs { "route  *crm, search\n", "decision  *send\n", "header  *X%-Region: eu\n", "scripts  *crm@%x+\n",
      '"entry":{"id":12345678901234567,"city":"Paris","full_name":"test"}}\n', "\nfilter  +%d+%.%d%d%d ms  +%d+ +%d+\n" } do
      assert.truthy(output:find(text), output)
    end
    local result = tried("crm", ADDRESS:format("create", '{"id":1,"city":"Rome"}'))
    assert.equal("filtered", result.verdict)
    assert.is_nil(result.body)
    assert.equal("number", type(result.phases.filter.memory))
    assert.is_nil(result.phases.transform)
    assert.equal("2026-01-10T08:47:36.649Z", result.event.created_at)
  end)

  it("script test fails as a delivery would", function()
    local file = event(ADDRESS:format("create", "{}"))
    local path = temp.write(shop .. "/hooks/bad.lua", "return {\n  transform = function(p)\n    return p.a.b.c\n  end }")
    local output, code = moonpost("script", "test", path, "--event", file)
    assert.equal(1, code)
    assert.truthy(output:find("decision  *held\n"), output)
    assert.truthy(output:find("bad.lua:3: ", 1, true), output)
    temp.write(path, "return { transform = function(p) return p, { headers = { Host = 'x' } } end }")
    output, code = moonpost("script", "test", path, "--event", file)
    assert.equal(1, code)
    assert.truthy(output:find("'Host' is moonpost's own", 1, true), output)
    temp.write(path, "return {\n  filter = = }")
    output, code = moonpost("script", "test", path, "--event", file)
    assert.equal(1, code)
    assert.truthy(output:find("bad.lua:2: ", 1, true), output)
  end)

  it("script test says what is wrong with what it is given", function()
    local path = temp.write(shop .. "/hooks/crm.lua", "return { filter = function() return true end }")
    local good = event(ADDRESS:format("create", "{}"))
    local function refused(expected, ...)
      local output, code = moonpost("script", "test", ...)
      assert.equal(1, code)
      assert.truthy(output:find(expected, 1, true), output)
    end
    refused("nowhere.json", path, "--event", dir .. "/nowhere.json")
    refused("expected a script's file", dir .. "/crm.txt", "--event", good)
    refused("none.lua", shop .. "/hooks/none.lua", "--event", good)
    refused("has the name 'nobody'", path, "--event", good, "--webhook", "nobody")
    refused("users are never sent", path, "--event",
      event '{"event":"entry.create","model":"plugins::users-permissions.user","entry":{}}')
    refused("entry.creat", path, "--event", event '{"event":"entry.creat","model":"address","entry":{}}')
    refused("byte", path, "--event", event "{")
    local _, code = moonpost("script", "test", path)
    assert.equal(2, code)
  end)

  it("script test shows the webhook that the config gives the script", function()
    temp.write(shop .. "/hooks/crm.lua", "return { transform = function(p, e, w) return w.name .. ' ' .. w.url .. ' ' .. w.events[1] end }")
    temp.write(shop .. "/config/server.lua", [[return { webhooks = { store = "../data/moonpost.db", models = "../models",
      scripts = "../hooks", endpoints = {
        { name = "a", url = "http://crm.example/a", events = { "entry.*" } },
        { name = "b", url = "http://crm.example/b", events = { "media.*" }, script = "crm" },
      } } }]])
    local text = ADDRESS:format("create", "{}")
    assert.equal("b http://crm.example/b media.*", tried("crm", text).body)
    assert.equal("a http://crm.example/a entry.*", tried("crm", text, "--webhook", "a").body)
    assert.equal("text/plain; charset=utf-8", tried("crm", text).content_type)
    assert.truthy(ok("check", shop .. "/config/server.lua"):find "script +crm@%x+\n")
    temp.write(shop .. "/hooks/crm.lua", "return 7")
    local output, code = moonpost("check", shop .. "/config/server.lua")
    assert.equal(1, code)
    assert.truthy(output:find("hooks/crm.lua", 1, true), output)
  end)

  it("init's examples load and run", function()
    local function entry(fields, kind) return ADDRESS:format(kind or "create", fields) end
    assert.equal("send", tried("filter", entry '{"id":1,"city":"Saint-Denis"}').verdict)
    assert.equal("filtered", tried("filter", entry '{"id":1,"city":"Rome"}').verdict)
    assert.equal("filtered", tried("filter", entry '{"id":1}').verdict)
    assert.is_nil(tried("filter", entry('{"id":1}', "delete")).phases.filter)

    local redacted = cjson.decode(tried("redact", entry '{"id":1,"full_name":"Ann","postal_code":"75011"}').body)
    assert.same({ id = 1, postal_code = "75***" }, redacted.entry)

    temp.write(shop .. "/config/server.lua", [[return { webhooks = { store = "../data/moonpost.db", models = { address = { attributes = {
      tenant = { type = "string" } } } }, constants = { tenants = { acme = { "acme-crm", "acme-search" } }, everybody = { "audit" } } } }]])
    assert.same({ "audit", "acme-crm", "acme-search" }, tried("tenants", entry '{"id":1,"tenant":"acme"}').route)
    assert.same({ "audit" }, tried("tenants", entry '{"id":1,"tenant":"other"}').route)
    assert.is_nil(tried("tenants", entry '{"id":1}').route)

    local github = tried("github", entry('{"id":12345678901234567}', "update"))
    assert.same({ ref = "main", inputs = { event = "entry.update", model = "address", id = "12345678901234567" } },
      cjson.decode(github.body))
    local headers = {}
    for _, header in ipairs(github.headers) do headers[header[1]] = header[2] end
    assert.same({ Accept = "application/vnd.github+json", ["X-GitHub-Api-Version"] = "2022-11-28" }, headers)

    temp.write(shop .. "/config/server.lua", [[return { webhooks = { store = "../data/moonpost.db", models = { address = { attributes = {
      title = { type = "string" }, published_at = { type = "datetime" } } } } } }]])
    local slack = cjson.decode(tried("slack", entry('{"id":7,"title":"a <b> & ' .. ("é"):rep(300) .. '"}', "update")).body)
    assert.equal("*address* was changed: a &lt;b&gt; &amp; " .. ("é"):rep(191) .. "…", slack.text)
    assert.equal("*address* was created: number 7", cjson.decode(tried("slack", entry '{"id":7}').body).text)

    local build = tried("build", entry('{"id":1,"published_at":"2026-01-10T08:00:00.000Z"}', "update"))
    assert.same({ trigger_title = "entry.update address" }, cjson.decode(build.body))
    assert.equal("application/json", build.content_type)
    assert.equal("filtered", tried("build", entry('{"id":1,"published_at":null}', "update")).verdict)
    assert.equal("send", tried("build", '{"event":"media.update","media":{"id":1}}').verdict)
  end)

  it("a webhook is given a script, and shown with it", function()
    local made = cjson.decode(ok("webhooks", "add", "--name", "crm", "--url", "http://crm.example/", "--event", "entry.*", "--script",
      "filter", "--json"))
    assert.equal("filter", made.script)
    assert.truthy(ok("webhooks", "get", made.id):find("script  +filter\n"))
    assert.equal("redact", cjson.decode(ok("webhooks", "set", made.id, "--script", "redact", "--json")).script)
    local output, code = moonpost("webhooks", "set", made.id, "--script", "none")
    assert.equal(1, code)
    assert.truthy(output:find("hooks/none.lua is not there", 1, true), output)
    assert.is_nil(cjson.decode(ok("webhooks", "set", made.id, "--no-script", "--json")).script)
    output, code = moonpost "reload"
    assert.equal(1, code)
    assert.truthy(output:find("no server runs", 1, true), output)
  end)

  it("an event whose routing a script failed of says so", function()
    temp.write(shop .. "/config/server.lua", [[return { webhooks = { store = "moonpost.db", log = { level = "off" }, scripts = "../hooks",
      models = { address = { attributes = { city = { type = "string" } } } }, globalScripts = { "routing" } } }]])
    temp.write(shop .. "/hooks/routing.lua", "return { route = function(event) if event.entry.id == 7 then error 'no way' end end }")
    for _, id in ipairs { 6, 7 } do
      ok("emit", "entry.create", "--model", "address", "--entry", ('{"id":%d}'):format(id), "--wait", "10")
    end
    local list = cjson.decode(ok("events", "list", "--routing", "held", "--json"))
    assert.equal(1, #list)
    assert.truthy(list[1].body:find('"id":7', 1, true))
    local shown = ok("events", "show", list[1].id)
    assert.truthy(shown:find "routing +held: routing%.lua:1: [^\n]*no way", shown)
    assert.truthy(ok("events", "list"):find("held: routing.lua:1: ", 1, true))
  end)

  if has_socket then
    it("a running server shows its scripts, loads them anew, and runs a delivery again", function()
      local receiver = receivers.start()
      local secret = assert(tokens.open(shop .. "/moonpost.db-tokens.json"):add("spec", { "read", "write", "emit" })).token
      temp.write(shop .. "/server.lua", ([[return { webhooks = {
        store = "moonpost.db", models = { article = { attributes = { title = { type = "string" } } } }, log = { level = "off" },
        network = { allow = { "127.0.0.0/8" } }, scripts = "hooks",
        endpoints = { { name = "a", url = "%s", events = { "*" }, script = "crm" } },
      } }]]):format(receiver:url "/echo"))
      temp.write(shop .. "/hooks/crm.lua", "return { transform = function() return 'one' end }")
      local server = process.start { program = "examples/plain-http/server.lua", args = { shop .. "/server.lua" } }
      local url = "http://" .. assert(wait_until(20, function() return server:output():match "listening on (%S+)\n" end))
      local function run(...)
        return shell.run(command.moonpost({ MOONPOST_URL = url, MOONPOST_TOKEN = secret }, ...))
      end
      run("emit", "entry.create", "--model", "article", "--entry", '{"title":"x"}')
      local output, code = run("scripts", "--json")
      assert.equal(0, code, output)
      local first = cjson.decode(output)[1]
      assert.equal("crm", first.name)
      assert.equal(1, first.calls)
      temp.write(shop .. "/hooks/crm.lua", "return { transform = function() return 'two' end }")
      output, code = run "reload"
      assert.equal(0, code, output)
      assert.equal("loaded crm\n", output)
      local delivery = cjson.decode((run("deliveries", "list", "--json")))[1]
      assert.equal("crm@" .. first.version, delivery.scripts)
      output = run("deliveries", "show", delivery.id)
      assert.truthy(output:find("body  +one\n"), output)
      assert.truthy(output:find("content type  text/plain; charset=utf-8\n", 1, true), output)
      run("deliveries", "resend", delivery.id, "--rerun")
      assert.truthy(run("deliveries", "show", delivery.id):find("body  +two\n"))
      local bodies = {}
      for i, request in ipairs(receiver:requests()) do bodies[i] = request.body end
      assert.same({ "one", "two" }, bodies)
      temp.write(shop .. "/hooks/crm.lua", "return {\n  = }")
      output, code = run "reload"
      assert.equal(1, code)
      assert.truthy(output:find("not loaded: crm: crm.lua:2: ", 1, true), output)
      assert.truthy(run "scripts":find("last good", 1, true))
      server:stop()
      receiver:stop()
    end)
  end
end)
