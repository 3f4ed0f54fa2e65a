-- The command moonpost, run as a person runs it.
local cjson = require "cjson"
local command = require "spec.support.command"
local process = require "spec.support.process"
local receivers = require "spec.support.receiver"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local wait_until = require "spec.support.wait_until"

local unpack_from = rawget(_G, "unpack") or table.unpack

describe("the command moonpost", function()
  local dir, receiver

  local function line(...)
    return command.moonpost({ MOONPOST_CONFIG = dir .. "/shop/config/server.lua" }, ...)
  end

  local function moonpost(...)
    return shell.run(line(...))
  end

  -- The two outputs apart.
  local function apart(...)
    local out, code = shell.run(line(...) .. " 2>" .. shell.quote(dir .. "/err"))
    return out, temp.read(dir .. "/err"), code
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
    local config = dir .. "/shop/config/server.lua"
    local text, count = temp.read(config):gsub("%-%- (network = ){[^\n]*", '%1{ allow = { "127.0.0.0/8" } },') -- the receiver
    assert.equal(1, count)
    temp.write(config, text)
  end)

  after_each(function()
    receiver:stop()
    temp.clean()
  end)

  local function add(path, ...)
    return json("webhooks", "add", "--name", "crm", "--url", receiver:url(path), "--event", "entry.*", "--json", ...)
  end

  it("has a version and help", function()
    assert.truthy(ok "--version":find "^moonpost %d+%.%d+%.%d+\n$")
    for _, words in ipairs { {}, { "init" }, { "check" }, { "emit" }, { "webhooks" }, { "webhooks", "set" },
      { "deliveries", "list" }, { "events", "show" }, { "stats" }, { "prune" } } do
      words[#words + 1] = "--help"
      assert.truthy(ok(unpack_from(words)):find "^Usage: moonpost")
    end
  end)

  it("init writes a config that check accepts, and overwrites nothing", function()
    assert.truthy(ok("check", dir .. "/shop/config/server.lua"):find "ok\n$")
    assert.equal(1, json("check", dir .. "/shop/config/server.lua", "--json").ok and 1)
    local config = temp.write(dir .. "/shop/config/server.lua", "return {}")
    local output, code = moonpost("init", dir .. "/shop")
    assert.equal(1, code)
    assert.truthy(output:find("config/server.lua", 1, true))
    assert.equal("return {}", temp.read(config))
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

  it("webhooks take all models again", function()
    local webhook = add("/ok", "--model", "address")
    assert.equal(1, #webhook.models)
    assert.is_nil(json("webhooks", "set", webhook.id, "--all-models", "--json").models)
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
      { 1, "EIO", "emit", "entry.create", "--model", "address", "--entry-file", dir },
      { 1, "E2BIG", "emit", "entry.create", "--model", "address", "--entry-file", "/dev/zero" },
      { 1, "--entry: ", "emit", "entry.create", "--model", "address", "--entry", '{},"event":"entry.delete"' },
      { 1, "model: expected UTF-8 (EINVAL)", "emit", "entry.create", "--model", "a\255", "--entry", "{}" },
      { 1, "event: expected UTF-8 (EINVAL)", "emit", "a\255" },
      { 1, "several", "emit", "entry.create", "--model", "address", "--entry", "{}", "--media", "{}" },
      { 1, "ENOENT", "deliveries", "resend", "dlv_nonsense" },
      { 1, "EINVAL", "deliveries", "list", "--state", "nonsense" },
      { 1, "ENOENT", "events", "show", "evt_nonsense" },
      { 1, "ENOENT", "webhooks", "set", "99", "--name", "a" },
      { 1, "ENOENT", "webhooks", "rm", "99" },
      { 1, "ENOENT", "webhooks", "trigger", "99" },
      { 1, "no such file", "check", dir .. "/none.lua" },
      { 2, "Usage", "nonsense" },
      { 2, "Usage", "webhooks", "add" },
      { 2, "got 'nan'", "emit", "entry.create", "--wait", "nan" },
      { 2, "got '1.5'", "deliveries", "list", "--limit", "1.5" },
      { 2, "got '0'", "events", "list", "--limit", "0" },
      { 2, "can not be used together", "webhooks", "set", "1", "--enable", "--disable" },
      { 2, "can not be used together", "emit", "entry.create", "--entry", "{}", "--entry-file", "-" },
    } do
      local output, code = moonpost(unpack_from(case, 3))
      assert.equal(case[1], code, output)
      assert.truthy(output:find(case[2], 1, true), output)
      assert.falsy(output:find("stack traceback", 1, true), output)
    end
  end)

  it("errors go to standard error, results to standard output", function()
    local out, err, code = apart("webhooks", "get", "99")
    assert.equal(1, code)
    assert.equal("", out)
    assert.equal("moonpost: no webhook has the id 99 (ENOENT)\n", err)
    out, err, code = apart("webhooks", "list")
    assert.equal(0, code)
    assert.equal("ID  NAME  ENABLED  SOURCE  EVENTS  URL\n", out)
    assert.equal("", err)
  end)

  it("fails when its output is lost", function()
    for _, words in ipairs { { "stats" }, { "stats", "--json" }, { "check", dir .. "/shop/config/server.lua" } } do
      local output, code = shell.run(line(unpack_from(words)) .. " >/dev/full")
      assert.equal(1, code)
      assert.equal("moonpost: standard output: No space left on device (EIO)\n", output)
    end
  end)

  it("set changes nothing without an option, and knows the headers", function()
    local webhook = add("/ok", "--header", "X-A: 1")
    local output, code = moonpost("webhooks", "set", webhook.id)
    assert.equal(1, code)
    assert.truthy(output:find("EINVAL", 1, true), output)
    output, code = moonpost("webhooks", "set", webhook.id, "--no-header", "X-B", "--name", "new")
    assert.equal(1, code)
    assert.truthy(output:find("--no-header 'X-B'", 1, true), output)
    local changed = json("webhooks", "set", webhook.id, "--header", "x-a: 2", "--json", "--show-secrets")
    assert.equal("crm", changed.name)
    assert.same({ ["x-a"] = "2" }, changed.headers)
  end)

  it("a URL's password is masked, and still used", function()
    local webhook = json("webhooks", "add", "--name", "crm", "--event", "*", "--json", "--url",
      (receiver:url "/ok":gsub("//", "//user:pa55%%40word@")))
    for _, words in ipairs { { "list" }, { "list", "--json" }, { "get", webhook.id }, { "set", webhook.id, "--name", "b" } } do
      local output = ok("webhooks", unpack_from(words))
      assert.truthy(output:find("//***@127.0.0.1", 1, true), output)
      assert.falsy(output:find("pa55", 1, true), output)
      assert.falsy(output:find("40word@", 1, true), output)
    end
    assert.truthy(ok("webhooks", "list", "--show-secrets"):find("//user:pa55%40word@", 1, true))
    ok("webhooks", "trigger", webhook.id)
    assert.truthy(receivers.header(assert(receiver:wait_for(1))[1], "authorization"):find "^Basic ")
  end)

  it("says how a receiver is verified, and warns where it is not", function()
    local out, err = apart("webhooks", "add", "--name", "careless", "--url", "https://crm.example/", "--event", "*", "--json",
      "--tls", "insecure=true", "--tls", "minVersion=1.3", "--proxy", "http://proxy.example:3128")
    assert.truthy(err:find("('careless') sends to whoever answers", 1, true), err)
    local webhook = cjson.decode(out)
    assert.same({ insecure = true, minVersion = "1.3" }, webhook.tls)
    assert.equal("http://proxy.example:3128", webhook.proxy)
    for _, words in ipairs { { "get", webhook.id }, { "list" }, { "set", webhook.id, "--name", "careless" } } do
      assert.truthy(ok("webhooks", unpack_from(words)):find("careless is NOT VERIFIED", 1, true))
    end
    assert.truthy(ok("webhooks", "get", webhook.id):find "tls +1.3 or newer\n")
    webhook = cjson.decode((apart("webhooks", "set", webhook.id, "--no-tls", "--no-proxy", "--json")))
    assert.is_nil(webhook.tls)
    assert.is_nil(webhook.proxy)
    assert.falsy(ok("webhooks", "list"):find("NOT VERIFIED", 1, true))
    for _, word in ipairs { "insecure", "ca=none.pem", "verify=false", "insecure=1" } do
      local output, code = moonpost("webhooks", "set", webhook.id, "--tls", word)
      assert.equal(1, code)
      assert.truthy(output:find("tls", 1, true), output)
    end
  end)

  it("webhooks of the config are shown, and are read-only", function()
    temp.write(dir .. "/shop/config/server.lua", ([[return { webhooks = {
      store = "../data/moonpost.db", models = "../models", network = { allow = { "127.0.0.0/8" } },
      endpoints = { { name = "code", url = "%s", events = { "*" }, retrySchedule = {} } },
    } }]]):format(receiver:url "/ok"))
    local output = ok("webhooks", "list", "--json")
    assert.truthy(output:find('"retrySchedule":[]', 1, true), output)
    local webhook = cjson.decode(output)[1]
    assert.equal("config", webhook.source)
    local code
    output, code = moonpost("webhooks", "rm", webhook.id)
    assert.equal(1, code)
    assert.truthy(output:find("EROFS", 1, true), output)
  end)

  it("columns line up, and nothing that was received steers the terminal", function()
    ok("webhooks", "add", "--name", "caf\195\169", "--url", receiver:url "/ok", "--event", "*")
    assert.truthy(ok("webhooks", "list"):find("\n1   caf\195\169  yes ", 1))
    local id = json("emit", "entry.create", "--model", "address", "--json", "--entry",
      '{"city":"\195\169\127\194\15531m"}').id
    assert.truthy(ok("events", "show", id):find("\195\169\\x7f\\xc2\\x9b31m", 1, true))
    assert.truthy(json("events", "show", id, "--json").body:find("\195\169\127\194\15531m", 1, true))
  end)

  it("emit is accepted also where a delivery fails, and says so", function()
    add "/status/503"
    local out, err, code = apart("emit", "entry.create", "--model", "address", "--entry", '{"id":1}')
    assert.equal(0, code)
    local id = out:match "^(evt_%w+)\nDELIVERY "
    assert.truthy(out:find(" waiting +1 +503 ", 1), out)
    assert.equal(("moonpost: %s is accepted; 1 of 1 deliveries have not succeeded\n"):format(id), err)
    local result = json("deliveries", "show", "dlv_" .. id:sub(5) .. "-1", "--json")
    assert.equal(503, result.history[1].status)
    assert.truthy(result.body:find('"entry":{"id":1}', 1, true))
  end)

  it("emit knows an idempotency key again", function()
    add "/ok"
    local words = { "emit", "entry.create", "--model", "address", "--entry", "{}", "--json", "--idempotency-key", "k1" }
    local first, second = json(unpack_from(words)), json(unpack_from(words))
    assert.equal(first.id, second.id)
    assert.equal("delivered", second.deliveries[1].state)
    assert.equal(1, #json("events", "list", "--json"))
    assert.equal(1, #receiver:requests())
  end)

  it("emit reads standard input, and media", function()
    local output, code = shell.run("echo '{\"id\":7}' | " .. line("emit", "entry.create", "--model", "address",
      "--entry-file", "-", "--json"))
    assert.equal(0, code, output)
    assert.truthy(json("events", "show", cjson.decode(output).id, "--json").body:find('"entry":{"id":7}', 1, true))
    local id = json("emit", "media.create", "--media", '{"id":8,"name":"a.png"}', "--json").id
    assert.truthy(json("events", "show", id, "--json").body:find('"media":{"id":8,"name":"a.png"}', 1, true))
  end)

  it("a disabled webhook's deliveries are kept; lists go on from where they ended", function()
    local webhook = add("/ok", "--disabled")
    local ids = {}
    for i = 1, 3 do
      local result = json("emit", "entry.create", "--model", "address", "--entry", "{}", "--json", "--wait", "0")
      assert.equal("held", result.deliveries[1].state)
      ids[4 - i] = result.deliveries[1].id
    end
    local page = json("deliveries", "list", "--webhook", webhook.id, "--limit", "2", "--json")
    assert.same({ ids[1], ids[2] }, { page[1].id, page[2].id })
    page = json("deliveries", "list", "--before", ids[2], "--json")
    assert.same({ ids[3] }, { page[1].id, page[2] and page[2].id })
  end)

  it("webhooks have an order and a rate; replay sends to one that came later", function()
    ok("emit", "entry.create", "--model", "address", "--entry", '{"id":1}')
    local made = cjson.decode(ok("webhooks", "add", "--name", "late", "--url", receiver:url "/ok", "--event", "*", "--order", "key",
      "--rate", "50", "--burst", "5", "--on-enable", "discard", "--concurrency", "3", "--json"))
    assert.same({ "key", 50, 5, "discard", 3 }, { made.order, made.rate.perSecond, made.rate.burst, made.on_enable,
      made.concurrency })
    local shown = ok("webhooks", "get", made.id)
    assert.matches("rate +50 a second, 5 at once", shown)
    assert.matches("order +key", shown)
    assert.equal("0 deliveries will be made again\n", ok("deliveries", "replay", "--webhook", made.id))
    assert.equal("1 delivery will be made again\n", ok("deliveries", "replay", "--webhook", made.id, "--state", "all",
      "--since", "2026-01-01"))
    assert.is_truthy(receiver:wait_for(1))
    assert.same({ count = 0 }, cjson.decode(ok("deliveries", "replay", "--webhook", made.id, "--state", "all", "--until",
      "2026-01-01", "--json")))
    assert.equal("none", cjson.decode(ok("webhooks", "set", made.id, "--order", "none", "--json")).order)
    local _, errors, code = apart("webhooks", "set", made.id, "--burst", "3")
    assert.equal(1, code)
    assert.matches("--burst: expected --rate as well", errors, 1, true)
    assert.equal(2, (select(3, apart("webhooks", "set", made.id, "--order", "fifo"))))
    assert.matches("accepted +1\n", ok "stats")
  end)

  it("works while another process serves the store", function()
    add "/ok"
    local server = process.start {
      code = [[
        local hooks = assert(require "moonpost".open(arg[1]))
        io.stdout:write "open\n"
        io.stdout:flush()
        while not io.open(arg[2]) do hooks:wait(1); os.execute "sleep 0.05" end
        hooks:close()
      ]],
      args = { dir .. "/shop/config/server.lua", dir .. "/stop" },
    }
    wait_until(20, function() return server:output():find "open" end)
    local result = json("emit", "entry.create", "--model", "address", "--entry", '{"id":1}', "--json")
    assert.equal("delivered", result.deliveries[1].state)
    ok("webhooks", "add", "--name", "late", "--url", receiver:url "/late", "--event", "entry.*")
    result = json("emit", "entry.create", "--model", "address", "--entry", '{"id":2}', "--json")
    assert.equal(2, #result.deliveries)
    temp.write(dir .. "/stop", "")
    local code, message = server:wait(20)
    local _, err = server:output()
    server:stop()
    assert.equal(0, code, (message or "") .. err)
    assert.equal(3, json("stats", "--json").store.delivered)
    assert.equal(3, #assert(receiver:wait_for(3)))
  end)

  it("trigger answers by its exit code", function()
    local webhook = add "/ok"
    assert.truthy(ok("webhooks", "trigger", webhook.id):find("200", 1, true))
    ok("webhooks", "set", webhook.id, "--url", receiver:url "/status/503")
    local output, code = moonpost("webhooks", "trigger", webhook.id)
    assert.equal(1, code)
    assert.truthy(output:find("503", 1, true))
  end)

  it("makes, lists and takes away tokens, and shows each once", function()
    local made = json("token", "add", "--name", "ci", "--scopes", "emit,read", "--json")
    assert.truthy(made.token:find "^mpt_%x+$")
    local out, err, code = apart("token", "add", "--name", "page", "--scopes", "read")
    assert.equal(0, code)
    assert.truthy(out:find "^mpt_%x+\n$")
    assert.truthy(err:find "not shown again")
    local list = ok("token", "list", "--json")
    assert.is_nil(list:find(made.token, 1, true))
    assert.equal("ci", cjson.decode(list)[1].name)
    assert.same({ "read", "emit" }, cjson.decode(list)[1].scopes)
    assert.truthy(ok("token", "list"):find "page%s+read%s")
    ok("token", "rm", "ci")
    assert.equal(1, #json("token", "list", "--json"))
    out, code = moonpost("token", "rm", "ci")
    assert.equal(1, code)
    assert.equal("moonpost: there is no token 'ci' (ENOENT)\n", out)
    out, code = moonpost("token", "add", "--name", "x", "--scopes", "raed")
    assert.equal(1, code)
    assert.truthy(out:find "did you mean 'read'")
    assert.equal(2, select(2, moonpost("token", "add", "--name", "x")))
  end)

  it("completes for shells", function()
    for _, name in ipairs { "bash", "zsh", "fish" } do
      local text = ok("completion", name)
      assert.truthy(text:find("deliveries", 1, true) and text:find("replay", 1, true), name)
    end
    local file = dir .. "/completion"
    temp.write(file, ok("completion", "bash"))
    local output, code = shell.run("bash -n " .. shell.quote(file))
    assert.equal(0, code, output)
  end)
end)
