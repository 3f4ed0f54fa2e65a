-- Nothing that a config, a webhook, an emit or a script sets changes the fields that frame a request or that moonpost signs it with,
-- and nothing puts a line of its own into it.
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local receivers = require "spec.support.receiver"
local scripts = require "spec.support.scripts"
local wait_until = require "spec.support.wait_until"

local SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
local INFO = { model = "address", entry = { id = 1, city = "Paris" } }

local OWN = {
  "Host", "host", "HOST", "Content-Length", "content-LENGTH", "Transfer-Encoding", "transfer-encoding", "Connection", "connection",
  "Keep-Alive", "TE", "te", "Trailer", "Upgrade", "Expect", "Proxy-Authorization", "proxy-connection", "webhook-id", "Webhook-Id",
  "WEBHOOK-TIMESTAMP", "webhook-signature", "Webhook-Signature", "webhook-anything",
}
local NO_TOKENS = {
  "", " ", "A B", "A:", "A: B", ":authority", "A\tB", "A\r\nX-Injected", "A\nX-Injected", "A\r", "A\0", "A\0B", "\127", "A(b)", "A/b",
  "A=b", "A@b", "A[b]", 'A"b', "A,b", "A;b", "A\\b", "A{b}", "\195\132", "A\160", "Host ", " Host", "Host:", "Host\0", "webhook-id:",
}
local NO_VALUES = {
  "a\r\nX-Injected: 1", "a\nX-Injected: 1", "a\rX-Injected: 1", "a\r\n\r\nGET / HTTP/1.1", "\r\n", "a\n", "a\r", "a\0", "\0", "a\0b",
  "a\27b", "a\11b", "a\127", "\1",
}

describe("header injection", function()
  local receiver, hooks

  before_each(function() receiver, hooks = receivers.start(), nil end)
  after_each(function() hooks_support.done(hooks, receiver) end)

  -- Fields in every form that a table of them may have.
  local function forms(name, value)
    return { { [name] = value }, { { name, value } }, { { name = name, value = value } } }
  end

  -- refuse(fields) answers nil, message, code.
  local function assert_all_refused(refuse)
    local count = 0
    local function check(name, value)
      for _, fields in ipairs(forms(name, value)) do
        local ok, message, code = refuse(fields)
        assert.is_nil(ok, ("%q: %q"):format(name, value))
        assert.equal("EINVAL", code)
        assert.falsy(message:find("[%z\r\n]"), "the message has no control character")
        count = count + 1
      end
    end
    for _, name in ipairs(OWN) do check(name, "x") end
    for _, name in ipairs(NO_TOKENS) do check(name, "x") end
    for _, value in ipairs(NO_VALUES) do check("X-A", value) end
    return count
  end

  it("is refused in a config's defaults and endpoints", function()
    assert.is_true(assert_all_refused(function(fields)
      return moonpost.open(hooks_support.config { defaultHeaders = fields })
    end) > 150)
    assert_all_refused(function(fields)
      return moonpost.open(hooks_support.config { endpoints = {
        { name = "a", url = receiver:url "/ok", events = { "*" }, headers = fields },
      } })
    end)
  end)

  it("is refused in a webhook that is made or changed, and over the HTTP API", function()
    hooks = hooks_support.open()
    local fields = { name = "a", url = receiver:url "/ok", events = { "*" } }
    local webhook = assert(hooks.webhooks:create(fields))
    assert_all_refused(function(headers)
      fields.headers = headers
      return hooks.webhooks:create(fields)
    end)
    assert_all_refused(function(headers) return hooks.webhooks:update(webhook.id, { headers = headers }) end)
    assert.same({ webhook }, hooks.webhooks:list())
    local support = require "spec.support.admin"
    local handler = support.handler(hooks)
    for _, list in ipairs { OWN, NO_TOKENS } do
      for _, name in ipairs(list) do
        local status = support.go(handler, "PATCH", "/admin/webhooks/" .. webhook.id, { headers = { [name] = "x" } })
        assert.equal(400, status, name)
      end
    end
    for _, value in ipairs(NO_VALUES) do
      assert.equal(400, (support.go(handler, "PATCH", "/admin/webhooks/" .. webhook.id, { headers = { ["X-A"] = value } })))
    end
  end)

  it("is refused in an emit, of Lua values and of JSON", function()
    hooks = hooks_support.open()
    assert_all_refused(function(fields) return hooks:emit("entry.create", INFO, { headers = fields }) end)
    assert_all_refused(function(fields)
      return hooks:emit_json('{"event":"entry.create","model":"address","entry":{}}', { headers = fields })
    end)
    assert.equal(0, hooks:stats().store.events)
  end)

  it("is refused in what signs a request and shows who sends it", function()
    hooks = hooks_support.open()
    local function create(more)
      more.name, more.url, more.events = "a", receiver:url "/ok", { "*" }
      return hooks.webhooks:create(more)
    end
    for _, list in ipairs { OWN, NO_TOKENS } do
      for _, name in ipairs(list) do
        assert.equal("EINVAL", (select(3, create { hubSignature = { secret = "s", header = name } })))
        assert.equal("EINVAL", (select(3, create { auth = { type = "header", name = name, value = "x" } })))
      end
    end
    for _, value in ipairs(NO_VALUES) do
      assert.equal("EINVAL", (select(3, create { hubSignature = { secret = "s", prefix = value } })))
      assert.equal("EINVAL", (select(3, create { auth = { type = "header", name = "X-A", value = value } })))
      assert.equal("EINVAL", (select(3, create { auth = { type = "bearer", token = value } })))
      assert.equal("EINVAL", (select(3, create { url = "x", headers = {}, signingKey = value })))
      assert.is_nil(moonpost.open(hooks_support.config { delivery = { userAgent = value } }))
    end
    assert.same({}, hooks.webhooks:list())
  end)

  it("is refused by URLs that hold a line's end", function()
    hooks = hooks_support.open()
    for _, text in ipairs { "/ok\r\nX-Injected:%201", "/ok\nX", "/ok\r", "/ok\0", "/ok HTTP/1.1\r\nX-Injected: 1" } do
      local webhook, _, code = hooks.webhooks:create { name = "a", url = receiver:url(text), events = { "*" } }
      assert.is_nil(webhook)
      assert.equal("EINVAL", code)
    end
  end)

  it("over 8 KiB is refused when it is saved, the defaults and the webhook's own together", function()
    local function fields(count)
      local map = {}
      for i = 1, count do map[("X-%04d"):format(i)] = ("v"):rep(94) end -- 100 bytes each
      return map
    end
    assert.is_nil(moonpost.open(hooks_support.config { defaultHeaders = fields(82) }))
    hooks = hooks_support.open { defaultHeaders = fields(41) }
    local webhook = { name = "a", url = receiver:url "/ok", events = { "*" }, headers = fields(82) }
    assert.equal("EINVAL", (select(3, hooks.webhooks:create(webhook))))
    webhook.headers = {}
    for i = 1, 41 do webhook.headers[("Y-%04d"):format(i)] = ("v"):rep(94) end
    local made, message = hooks.webhooks:create(webhook)
    assert.is_nil(made)
    assert.truthy(message:find "8192")
    webhook.headers["Y-0001"] = nil
    assert(hooks.webhooks:create(webhook))
    webhook.headers = {}
    webhook.auth = { type = "bearer", token = ("t"):rep(4090) }
    assert.is_nil(hooks.webhooks:create(webhook))
  end)

  it("of names that are forced changes nothing, and each field comes once", function()
    hooks = hooks_support.open { defaultHeaders = { ["x-strapi-event"] = "forged", ["content-type"] = "text/forged", ["X-A"] = "1" } }
    local webhook = assert(hooks.webhooks:create { name = "a", url = receiver:url "/ok", events = { "*" }, secret = SECRET,
      headers = { ["X-STRAPI-EVENT"] = "forged", ["Content-type"] = "text/forged", ["x-a"] = "2" } })
    assert(hooks:emit("entry.create", INFO, { headers = { ["X-strapi-Event"] = "forged", ["CONTENT-TYPE"] = "text/forged" } }))
    local request = assert(receiver:wait_for(1))[1]
    local expected = {
      ["x-strapi-event"] = "entry.create", ["content-type"] = "application/json", ["x-a"] = "2",
      host = ("%s:%d"):format(receiver.address, receiver.port), ["content-length"] = tostring(#request.body),
    }
    for name, value in pairs(expected) do assert.same({ value, 1 }, { receivers.header(request, name) }, name) end
    for _, name in ipairs { "webhook-id", "webhook-timestamp", "webhook-signature" } do
      assert.equal(1, (select(2, receivers.header(request, name))), name)
    end
    assert.equal(0, (select(2, receivers.header(request, "transfer-encoding"))))
    local map = {}
    for _, header in ipairs(request.headers) do map[header[1]] = header[2] end
    assert.is_true(moonpost.verify(SECRET, map, request.body))
    assert.equal("a", webhook.name)
  end)

  it("by a script holds its delivery, and sends nothing", function()
    local cases = {}
    local function add(name, value) cases[#cases + 1] = ("{ headers = { [%q] = %q } }"):format(name, value) end
    for _, name in ipairs(OWN) do add(name, "x") end
    for _, name in ipairs { "", "A B", "A: B", "A\r\nX-Injected", "A\0", "Host ", "X-Strapi-Event", "Content-Type" } do add(name, "x") end
    for _, value in ipairs(NO_VALUES) do add("X-A", value) end
    add("X-Long", ("v"):rep(9000))
    -- Every failure is its own script's, for one that keeps failing is paused.
    local files, webhooks = {}, {}
    for i, case in ipairs(cases) do
      files["s" .. i] = ("return { transform = function(event, webhook, payload) return payload, %s end }"):format(case)
    end
    for i, value in ipairs { "text/plain\r\nX-Injected: 1", "text/plain\n", "\0", "a b" } do
      files["t" .. i] = ("return { transform = function() return 'x', { content_type = %q } end }"):format(value)
    end
    hooks = scripts.open(scripts.folder(files))
    for name in pairs(files) do
      webhooks[#webhooks + 1] = assert(hooks.webhooks:create { name = name, url = receiver:url "/ok", events = { "*" }, script = name })
    end
    assert(hooks:emit("entry.create", INFO))
    assert.is_true(wait_until(30, function() return hooks:stats().store.held == #webhooks end),
      ("%d of %d held"):format(hooks:stats().store.held, #webhooks))
    assert.same({}, receiver:requests())
  end)
end)
