-- The network guard as those meet it who type URLs: over two hundred that lead inside, in every spelling; those that were saved
-- before the config closed; redirects. A listener on the loopback that no rule allows gets no byte of any.
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local receivers = require "spec.support.receiver"
local temp = require "spec.support.temp"

-- An address of each special range, as bytes.
local V4 = {
  { 0, 0, 0, 0 }, { 0, 1, 2, 3 }, { 10, 0, 0, 1 }, { 10, 255, 255, 254 }, { 100, 64, 0, 1 }, { 100, 127, 255, 254 }, { 127, 0, 0, 1 },
  { 127, 255, 255, 254 }, { 169, 254, 169, 254 }, { 169, 254, 0, 1 }, { 168, 63, 129, 16 }, { 172, 16, 0, 1 }, { 172, 31, 255, 254 },
  { 192, 0, 0, 1 }, { 192, 0, 2, 1 }, { 192, 88, 99, 1 }, { 192, 168, 0, 1 }, { 192, 168, 255, 254 }, { 198, 18, 0, 1 },
  { 198, 51, 100, 1 }, { 203, 0, 113, 1 }, { 224, 0, 0, 1 }, { 240, 0, 0, 1 }, { 255, 255, 255, 255 },
}

local function number(b) return ((b[1] * 256 + b[2]) * 256 + b[3]) * 256 + b[4] end

local function escaped(text)
  return (text:gsub(".", function(c) return ("%%%02x"):format(c:byte()) end))
end

local FORMS = {
  function(b) return ("%d.%d.%d.%d"):format(b[1], b[2], b[3], b[4]) end,
  function(b) return ("%d.%d.%d.%d."):format(b[1], b[2], b[3], b[4]) end,
  function(b) return ("%.0f"):format(number(b)) end,
  function(b) return ("0x%08x"):format(number(b)) end,
  function(b) return ("0%o.0%o.0%o.0%o"):format(b[1], b[2], b[3], b[4]) end,
  function(b) return ("0x%x.%d.0%o.%d"):format(b[1], b[2], b[3], b[4]) end,
  function(b) return ("%d.%d"):format(b[1], (b[2] * 256 + b[3]) * 256 + b[4]) end,
  function(b) return ("%d.%d.%d"):format(b[1], b[2], b[3] * 256 + b[4]) end,
  function(b) return escaped(("%d.%d"):format(b[1], b[2])) .. (".%d.%d"):format(b[3], b[4]) end,
  function(b) return ("[::ffff:%d.%d.%d.%d]"):format(b[1], b[2], b[3], b[4]) end,
  function(b) return ("[::ffff:%x:%x]"):format(b[1] * 256 + b[2], b[3] * 256 + b[4]) end,
  function(b) return ("[0:0:0:0:0:FFFF:%x:%x]"):format(b[1] * 256 + b[2], b[3] * 256 + b[4]) end,
  function(b) return ("[64:ff9b::%d.%d.%d.%d]"):format(b[1], b[2], b[3], b[4]) end,
  function(b) return ("[2002:%x:%x::1]"):format(b[1] * 256 + b[2], b[3] * 256 + b[4]) end,
  function(b) return ("[::%d.%d.%d.%d]"):format(b[1], b[2], b[3], b[4]) end,
}

local V6 = {
  "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::1%25lo]", "[fe80::1]", "[fe80::1%25eth0]", "[fc00::1]", "[fd00:ec2::254]", "[fec0::1]",
  "[ff02::1]", "[100::1]", "[64:ff9b:1::1]", "[2001::1]", "[2001:db8::1]", "[3fff::1]", "[5f00::1]", "[4000::1]", "[FE80::A]",
}

local NAMES = { "localhost", "LOCALHOST", "localhost.", "a.localhost", "%6cocalhost" }

local function targets()
  local list = {}
  for _, address in ipairs(V4) do
    for _, form in ipairs(FORMS) do list[#list + 1] = form(address) end
  end
  for _, address in ipairs(V6) do list[#list + 1] = address end
  for _, name in ipairs(NAMES) do list[#list + 1] = name end
  return list
end

describe("the network guard", function()
  local inner, hooks

  setup(function() inner = receivers.start() end)

  after_each(function()
    if hooks then hooks:close(0) end
    hooks = nil
  end)

  teardown(function()
    assert.equal(0, #inner:requests())
    inner:stop()
    temp.clean()
  end)

  it("refuses every URL that is an inner address when it is saved, and says which key opens it", function()
    hooks = hooks_support.open { network = { allow = {} } }
    local count = 0
    for _, host in ipairs(targets()) do
      for _, form in ipairs { "http://%s:%d/", "https://user:password@%s:%d/a?b=c#d" } do
        local url = form:format(host, inner.port)
        local webhook, message, code = hooks.webhooks:create { name = "a", url = url, events = { "*" } }
        assert.is_nil(webhook, url)
        assert.equal("EINVAL", code)
        assert.truthy(message:find("webhooks.network.allow", 1, true), url .. ": " .. message)
        count = count + 1
      end
    end
    assert.is_true(count >= 400)
  end)

  it("refuses what was saved before the config closed, when it is sent", function()
    local config = hooks_support.config { delivery = { retrySchedule = {} }, network = { allow = { "127.0.0.0/8", "::1", "localhost" } } }
    hooks = assert(moonpost.open(config))
    local urls = {}
    for _, form in ipairs(FORMS) do urls[#urls + 1] = form { 127, 0, 0, 1 } end
    for _, host in ipairs { "[::1]", "localhost", "localhost." } do urls[#urls + 1] = host end
    local saved = 0
    for i, host in ipairs(urls) do
      local url = ("http://%s:%d/%d"):format(host, inner.port, i)
      if hooks.webhooks:create { name = url, url = url, events = { "entry.*" }, enabled = false } then saved = saved + 1 end
    end
    assert.is_true(saved >= 15)
    hooks:close()
    config.webhooks.network.allow = {}
    hooks = assert(moonpost.open(config))
    for _, webhook in ipairs(assert(hooks.webhooks:list())) do
      local result = assert(hooks.webhooks:trigger(webhook.id))
      assert.equal("guard", result.error, webhook.url)
      assert.truthy(result.message:find("webhooks.network.allow opens it", 1, true), result.message)
      assert(hooks.webhooks:update(webhook.id, { enabled = true }))
    end
    local id = assert(hooks:emit("entry.create", { model = "address", entry = { id = 1 } }))
    assert(hooks:wait(20))
    for _, delivery in ipairs(assert(hooks.deliveries:list { event_id = id })) do
      assert.equal("dead", delivery.state)
      assert.equal("guard", delivery.last.class)
      assert.equal(1, #assert(hooks.deliveries:attempts(delivery.id)))
    end
  end)

  it("follows no redirect, inside or elsewhere", function()
    local outer = receivers.start { bind = "127.0.0.2" }
    finally(function() outer:stop() end)
    hooks = hooks_support.open { network = { allow = { "127.0.0.2" } } }
    for _, status in ipairs { 301, 302, 303, 307, 308 } do
      for _, host in ipairs { "127.0.0.1", "0x7f.1", "[::ffff:127.0.0.1]", "localhost" } do
        local webhook = assert(hooks.webhooks:create { name = "a", events = { "*" },
          url = outer:url(("/redirect/%d?to=http://%s:%d/"):format(status, host, inner.port)) })
        assert.equal(status, assert(hooks.webhooks:trigger(webhook.id)).statusCode)
      end
    end
    assert.equal(20, #outer:requests())
  end)

  it("has deny win over allow, and dials the given ports alone", function()
    local outer = receivers.start { bind = "127.0.0.2" }
    finally(function() outer:stop() end)
    hooks = hooks_support.open { network = { allow = { "127.0.0.0/8" }, deny = { "127.0.0.1" }, ports = { outer.port } } }
    local function create(url) return hooks.webhooks:create { name = "a", url = url, events = { "*" } } end
    assert.equal(200, assert(hooks.webhooks:trigger(assert(create(outer:url "/ok")).id)).statusCode)
    local _, message = create(("http://127.0.0.1:%d/"):format(outer.port))
    assert.equal("webhook.url: 127.0.0.1 is denied by webhooks.network.deny (127.0.0.1)", message)
    _, message = create "http://127.0.0.2/"
    assert.equal("webhook.url: port 80 is not one of webhooks.network.ports", message)
    _, message = create "https://crm.example/"
    assert.equal("webhook.url: port 443 is not one of webhooks.network.ports", message)
  end)

  it("judges what an update brings, and the endpoints of the config", function()
    hooks = hooks_support.open { network = { allow = { "127.0.0.2" } } }
    local webhook = assert(hooks.webhooks:create { name = "a", url = "http://127.0.0.2/", events = { "*" } })
    assert.is_nil(hooks.webhooks:update(webhook.id, { url = "http://127.0.0.1/" }))
    assert.equal("http://127.0.0.2/", assert(hooks.webhooks:get(webhook.id)).url)
    local _, message = moonpost.open(hooks_support.config { network = { allow = {} },
      endpoints = { { name = "a", url = "http://10.1/", events = { "*" } } } })
    assert.truthy(message:find("webhooks.endpoints[1].url: 10.0.0.1 is private (10.0.0.0/8)", 1, true), message)
  end)
end)
