-- TLS to a real server: what is refused, and why; what is delivered where it is configured.
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local process = require "spec.support.process"
local receivers = require "spec.support.receiver"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local tls_server = require "spec.support.tls_server"
local wait_until = require "spec.support.wait_until"

local missing = tls_server.missing()

describe("TLS", function()
  if missing then
    pending("needs nginx: " .. missing)
    return
  end

  local server, hooks, dir

  setup(function()
    server = tls_server.start()
    dir = temp.dir()
    for _, name in ipairs { "ca.pem", "other.pem", "self.pem", "client.pem", "client.key", "client.both", "client.locked",
      "stranger.pem", "stranger.key" } do
      assert(shell.run(("cp %s/%s %s"):format(server.dir, name, dir)) == "")
    end
    local file = temp.write(dir .. "/server.lua", [[return { webhooks = { store = ":memory:", log = { level = "off" },
      network = { allow = { "127.0.0.0/8", "localhost" } }, delivery = { retrySchedule = {} } } }]])
    hooks = assert(moonpost.open(file))
  end)

  teardown(function()
    hooks:close()
    server:stop()
    temp.clean()
  end)

  local count = 0
  local function create(name, tls, host)
    count = count + 1
    return hooks.webhooks:create { name = name .. count, events = { "media.*" }, tls = tls,
      url = ("https://%s:%d/hook"):format(host or "127.0.0.1", server.ports[name]) }
  end

  local function trigger(name, tls, host)
    local webhook = assert(create(name, tls, host))
    local result = assert(hooks.webhooks:trigger(webhook.id))
    assert(hooks.webhooks:delete(webhook.id))
    return result
  end

  local function delivered(name, tls, host)
    local result = trigger(name, tls, host)
    assert.equal(200, result.statusCode, ("%s: %s"):format(result.error, result.message))
  end

  local function refused(reason, name, tls, host)
    local result = trigger(name, tls, host)
    assert.equal("tls", result.error)
    assert.truthy(result.message:find(reason, 1, true), result.message)
  end

  it("delivers to a receiver whose CA is configured, and to no other", function()
    delivered("good", { ca = "ca.pem" })
    delivered("good", { ca = "ca.pem" }, "localhost")
    refused("of an unknown CA", "good")
    refused("of an unknown CA", "good", { ca = "other.pem" })
  end)

  it("refuses an expired certificate", function() refused("certificate has expired", "expired", { ca = "ca.pem" }) end)
  it("refuses a certificate for another host", function() refused("is for another host", "host", { ca = "ca.pem" }) end)

  it("refuses a self-signed certificate, but for the one that is configured", function()
    refused("is self-signed", "self")
    delivered("self", { ca = "self.pem" })
  end)

  it("speaks nothing older than TLS 1.2, or than minVersion", function()
    refused("is older than tls.minVersion", "old", { ca = "ca.pem" })
    refused("is older than tls.minVersion", "old", { insecure = true })
    delivered("1.2", { ca = "ca.pem" })
    delivered("1.2", { ca = "ca.pem", minVersion = "1.2" })
    refused("is older than tls.minVersion", "1.2", { ca = "ca.pem", minVersion = "1.3" })
    delivered("good", { ca = "ca.pem", minVersion = "1.3" })
  end)

  it("shows a client certificate where one is configured", function()
    local result = trigger("client", { ca = "ca.pem" })
    assert.equal(400, result.statusCode) -- nginx says it so
    assert.truthy(result.message:find("No required SSL certificate was sent", 1, true), result.message)
    delivered("client", { ca = "ca.pem", cert = "client.pem", key = "client.key" })
    delivered("client", { ca = "ca.pem", cert = "client.both" })
    local requests = server:requests()
    assert.equal("CN=client", requests[#requests].client)
    assert.equal(400, trigger("client", { ca = "ca.pem", cert = "stranger.pem", key = "stranger.key" }).statusCode)
  end)

  for _, version in ipairs { "1.2", "1.3" } do
    it("says that a receiver that breaks off wants a client certificate, TLS " .. version, function()
      local listener = receivers.start() -- for its port
      local port = listener.port
      listener:stop()
      local pipe = assert(io.popen(("exec 3<&0; openssl s_server -quiet -accept 127.0.0.1:%d -tls%s -Verify 1 -CAfile %s/ca.pem "
        .. "-cert %s/good.pem -key %s/good.key </dev/null >%s/s_server 2>&1 & p=$!; cat <&3; kill $p"):format(port,
        version:gsub("%.", "_"), server.dir, server.dir, server.dir, dir), "w"))
      finally(function() pipe:close() end)
      server.ports.breaks_off = port
      local result
      assert(wait_until(20, function()
        result = trigger("breaks_off", { ca = "ca.pem" })
        return result.error ~= "connect"
      end))
      assert.equal("tls", result.error)
      assert.truthy(result.message:find("client certificate", 1, true), result.message)
    end)
  end

  it("pins the receiver's public key", function()
    local right, wrong = server:pin "good", server:pin "self"
    delivered("good", { ca = "ca.pem", pin = right })
    delivered("good", { ca = "ca.pem", pin = wrong .. ";" .. right })
    refused("is not that of tls.pin", "good", { ca = "ca.pem", pin = wrong })
    delivered("good", { pin = right, insecure = true }) -- known by its key alone
    refused("is not that of tls.pin", "good", { pin = wrong, insecure = true })
    refused("of an unknown CA", "good", { pin = right })
  end)

  it("verifies nothing where insecure says so", function()
    for _, name in ipairs { "good", "expired", "host", "self" } do delivered(name, { insecure = true }) end
  end)

  it("keeps the connections of webhooks apart by what they verify", function()
    delivered("good", { ca = "ca.pem" })
    delivered("good", { insecure = true })
    for _ = 1, 3 do
      refused("of an unknown CA", "good")
      refused("of an unknown CA", "good", { ca = "other.pem" })
      refused("is not that of tls.pin", "good", { ca = "ca.pem", pin = server:pin "self" })
      refused("is not that of tls.pin", "good", { insecure = true, pin = server:pin "self" })
      delivered("good", { ca = "ca.pem" })
      delivered("client", { ca = "ca.pem", cert = "client.pem", key = "client.key" })
      assert.equal(400, trigger("client", { ca = "ca.pem" }).statusCode)
      assert.equal(400, trigger("client", { insecure = true }).statusCode)
    end
    local requests, connections = server:requests(), {}
    for _, request in ipairs(requests) do connections[request.connection] = true end
    local distinct = 0
    for _ in pairs(connections) do distinct = distinct + 1 end
    assert.is_true(distinct < #requests) -- they are used again
  end)

  -- nginx ends each connection after so many requests, and answers before it has read the body.
  for what, size in pairs { short = 100, long = 200000 } do
    it(("fails no attempt at a server of HTTP/2: %s bodies"):format(what), function()
      local webhook = assert(create("http2", { ca = "ca.pem" }))
      finally(function() assert(hooks.webhooks:delete(webhook.id)) end)
      for i = 1, 120 do
        assert(hooks:emit("media.create", { media = { id = i, caption = ("x"):rep(size) } }, { wait = i == 120 }))
      end
      assert(hooks:wait(30))
      local list = assert(hooks.deliveries:list { webhook_id = webhook.id, limit = 200 })
      assert.equal(120, #list)
      for _, delivery in ipairs(list) do
        local attempts = hooks.deliveries:attempts(delivery.id)
        assert.equal(1, #attempts)
        assert.is_nil(attempts[1].error)
        assert.equal(200, attempts[1].status)
      end
    end)
  end

  it("files are looked at when a webhook is saved", function()
    for _, case in ipairs {
      { { ca = "none.pem" }, "webhook.tls.ca: ", "No such file" },
      { { ca = "/etc/passwd" }, "webhook.tls.ca: expected a path within the config's folder" },
      { { ca = "../../etc/passwd" }, "webhook.tls.ca: expected a path within the config's folder" },
      { { ca = "." }, "webhook.tls.ca: ", "expected a file" },
      { { ca = "server.lua" }, "webhook.tls.ca: ", "expected a certificate in PEM" },
      { { ca = "client.key" }, "webhook.tls.ca: ", "expected a certificate in PEM" },
      { { key = "client.key" }, "webhook.tls.cert: expected the certificate of key" },
      { { cert = "client.pem" }, "webhook.tls.cert: ", "expected a private key in PEM" },
      { { cert = "client.pem", key = "client.locked" }, "webhook.tls.key: ", "without a pass phrase" },
      { { cert = "client.pem", key = "ca.pem" }, "webhook.tls.key: ", "expected a private key" },
      { { cert = "client.pem", key = "stranger.key" }, "webhook.tls.key: is not that of the certificate" },
      { { pin = "sha256//x" }, 'webhook.tls.pin: expected "sha256//"' },
      { { pin = "/etc/passwd" }, 'webhook.tls.pin: expected "sha256//"' },
      { { pin = "" }, "webhook.tls.pin" },
      { { minVersion = "1.1" }, 'webhook.tls.minVersion: expected "1.2" or "1.3"' },
      { { insecure = "yes" }, "webhook.tls.insecure: expected a boolean" },
      { { verify = false }, "webhook.tls.verify: unknown key" },
      { "x", "webhook.tls: expected a table" },
    } do
      local webhook, message, code = create("good", case[1])
      assert.is_nil(webhook, case[2])
      assert.equal("EINVAL", code)
      for i = 2, #case do assert.truthy(message:find(case[i], 1, true), message) end
    end
  end)

  it("what a webhook verifies can be changed", function()
    local webhook = assert(create("good", { ca = "ca.pem" }))
    assert.same({ ca = "ca.pem" }, webhook.tls)
    assert.same({ insecure = true }, assert(hooks.webhooks:update(webhook.id, { tls = { insecure = true } })).tls)
    assert.equal(200, assert(hooks.webhooks:trigger(webhook.id)).statusCode)
    assert.is_nil(hooks.webhooks:update(webhook.id, { tls = { ca = "none.pem" } }))
    assert.is_nil(assert(hooks.webhooks:update(webhook.id, { tls = moonpost.null })).tls)
    assert.equal("tls", assert(hooks.webhooks:trigger(webhook.id)).error)
  end)

  it("endpoints of the config may name any file, which is looked at too", function()
    local endpoint = { name = "a", events = { "*" }, url = ("https://127.0.0.1:%d/"):format(server.ports.good),
      tls = { ca = server.dir .. "/ca.pem", cert = dir .. "/client.pem", key = dir .. "/client.key" } }
    local config = hooks_support.config { endpoints = { endpoint } }
    local opened = assert(moonpost.open(config))
    assert.equal(200, assert(opened.webhooks:trigger(opened.webhooks:list()[1].id)).statusCode)
    opened:close()
    endpoint.tls.key = server.dir .. "/stranger.key"
    local _, message = moonpost.open(config)
    assert.truthy(message:find("webhooks.endpoints[1].tls.key: is not that of the certificate", 1, true), message)
  end)

  it("a webhook that verifies nobody is told of at the start, and shown so", function()
    local file = temp.write(dir .. "/insecure.lua", ([[return { webhooks = { store = "insecure.db",
      network = { allow = { "127.0.0.0/8" } }, endpoints = { { name = "careless", url = "https://127.0.0.1:%d/", events = { "*" },
      tls = { insecure = true } } } } }]]):format(server.ports.good))
    local child = process.start { program = "bin/moonpost", args = { "webhooks", "list", "--config", file } }
    finally(function() child:stop() end)
    assert.equal(0, child:wait(20))
    local out, err = child:output()
    assert.truthy(err:find("webhook 1 ('careless') sends to whoever answers", 1, true), err)
    assert.truthy(out:find("careless is NOT VERIFIED", 1, true), out)
    local check = process.start { program = "bin/moonpost", args = { "check", file } }
    finally(function() check:stop() end)
    assert.equal(0, check:wait(20))
    assert.truthy(check:output():find("careless is NOT VERIFIED", 1, true))
  end)
end)
