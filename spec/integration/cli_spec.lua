-- The command moonpost, run as a person runs it.
local cjson = require "cjson"
local paths = require "spec.support.paths"
local receivers = require "spec.support.receiver"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"

local unpack_from = rawget(_G, "unpack") or table.unpack

describe("the command moonpost", function()
  local dir, receiver

  local function moonpost(...)
    local words = {
      "env", "LUA_PATH=" .. package.path, "LUA_PATH_5_4=" .. package.path, "LUA_CPATH=" .. package.cpath,
      "LUA_CPATH_5_4=" .. package.cpath, "MOONPOST_CONFIG=" .. dir .. "/shop/config/server.lua",
      paths.interpreter, "bin/moonpost", ...,
    }
    for i, word in ipairs(words) do words[i] = shell.quote(word) end
    return shell.run(table.concat(words, " "))
  end

  local function ok(...)
    local output, code = moonpost(...)
    assert.equal(0, code, output)
    return output
  end

  local function json(...)
    return cjson.decode(ok(...))
  end

  before_each(function()
    dir = temp.dir()
    receiver = receivers.start()
    ok("init", dir .. "/shop")
  end)

  after_each(function()
    receiver:stop()
    temp.clean()
  end)

  local function add(path, ...)
    return json("webhooks", "add", "--name", "crm", "--url", receiver:url(path), "--event", "entry.*", "--json", ...)
  end

  it("init writes a config that check accepts, and overwrites nothing", function()
    assert.truthy(ok("check", dir .. "/shop/config/server.lua"):find "ok\n$")
    assert.equal(1, json("check", dir .. "/shop/config/server.lua", "--json").ok and 1)
    local output, code = moonpost("init", dir .. "/shop")
    assert.equal(1, code)
    assert.truthy(output:find("config/server.lua", 1, true))
  end)

  it("check tells what is wrong, and opens no store", function()
    local path = temp.write(dir .. "/bad.lua", "return { webhooks = { defaultHeader = {} } }")
    local output, code = moonpost("check", path)
    assert.equal(1, code)
    assert.truthy(output:find("webhooks.defaultHeader: unknown key; did you mean 'defaultHeaders'?", 1, true), output)
    assert.truthy(output:find(path, 1, true))
    assert.is_nil(temp.read(dir .. "/shop/data/moonpost.db"))
  end)

  it("webhooks are added, shown masked, changed and deleted", function()
    local webhook = add("/ok", "--header", "Authorization: Bearer s3cr3t", "--model", "address")
    assert.equal("Be****", webhook.headers.Authorization)
    assert.equal("Bearer s3cr3t", json("webhooks", "get", webhook.id, "--json", "--show-secrets").headers.Authorization)
    assert.truthy(ok("webhooks", "list"):find("crm", 1, true))
    local changed = json("webhooks", "set", webhook.id, "--name", "new", "--header", "X-A: b", "--disable", "--json",
      "--show-secrets")
    assert.equal("new", changed.name)
    assert.is_false(changed.enabled)
    assert.same({ Authorization = "Bearer s3cr3t", ["X-A"] = "b" }, changed.headers)
    changed = json("webhooks", "set", webhook.id, "--no-header", "authorization", "--enable", "--json")
    assert.is_nil(changed.headers.Authorization)
    ok("webhooks", "rm", webhook.id)
    local output, code = moonpost("webhooks", "get", webhook.id)
    assert.equal(1, code)
    assert.truthy(output:find("ENOENT", 1, true))
  end)

  it("emit sends JSON as it is, and shows the deliveries", function()
    add "/ok"
    local result = json("emit", "entry.create", "--model", "address", "--entry",
      '{"id":9007199254740993,"city":"Paris","door_code":"1234#"}', "--json")
    assert.truthy(result.id:find "^evt_")
    assert.equal("delivered", result.deliveries[1].state)
    local request = assert(receiver:wait_for(1))[1]
    assert.truthy(request.body:find('"entry":{"id":9007199254740993,"city":"Paris"}', 1, true), request.body)
    local shown = ok("deliveries", "show", result.deliveries[1].id)
    assert.truthy(shown:find("delivered", 1, true))
    assert.truthy(shown:find("attempt 1", 1, true))
    assert.equal(1, #json("deliveries", "list", "--state", "delivered", "--json"))
    assert.equal(0, #json("deliveries", "list", "--state", "dead", "--json"))
    assert.equal(result.id, json("events", "list", "--json")[1].id)
    assert.equal("entry.create", json("events", "show", result.id, "--json").type)
    assert.equal(1, json("stats", "--json").store.delivered)
    assert.equal("delivered", json("deliveries", "resend", result.deliveries[1].id, "--json").state)
    assert(receiver:wait_for(2))
  end)

  it("webhooks take events in one word, and --config stands before or after the command", function()
    local config = dir .. "/shop/config/server.lua"
    local webhook = json("--config", config, "webhooks", "add", "--name", "a", "--url", receiver:url "/", "--event",
      "entry.create,media.*", "--json")
    assert.same({ "entry.create", "media.*" }, webhook.events)
    assert.equal(1, #json("webhooks", "list", "--config", config, "--json"))
  end)

  it("emit reads files", function()
    local path = temp.write(dir .. "/entry.json", '{"id":1}')
    local output = ok("emit", "entry.update", "--model", "address", "--entry-file", path)
    assert.truthy(output:find "^evt_%w+\n")
  end)

  it("fails with a reason", function()
    for _, case in ipairs {
      { 1, "EPRIVATE", "emit", "entry.create", "--model", "user", "--entry", "{}" },
      { 1, "EINVAL", "emit", "entry.create", "--model", "address", "--entry", "{" },
      { 1, "EINVAL", "emit", "nonsense" },
      { 1, "EINVAL", "webhooks", "add", "--name", "a", "--url", "ftp://x/", "--event", "*" },
      { 1, "ENOENT", "deliveries", "show", "dlv_nonsense" },
      { 1, "EINVAL", "stats", "--config", "/no/such/file.lua" },
      { 2, "Usage", "nonsense" },
      { 2, "Usage", "webhooks", "add" },
    } do
      local output, code = moonpost(unpack_from(case, 3))
      assert.equal(case[1], code, output)
      assert.truthy(output:find(case[2], 1, true), output)
    end
  end)

  it("trigger answers by its exit code", function()
    local webhook = add "/ok"
    assert.truthy(ok("webhooks", "trigger", webhook.id):find("200", 1, true))
    ok("webhooks", "set", webhook.id, "--url", receiver:url "/status/503")
    local output, code = moonpost("webhooks", "trigger", webhook.id)
    assert.equal(1, code)
    assert.truthy(output:find("503", 1, true))
  end)
end)
