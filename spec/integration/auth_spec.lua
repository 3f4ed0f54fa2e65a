-- What shows a receiver who sends: bearer, basic, a header of its choice, and OAuth 2.0 client credentials.
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local receivers = require "spec.support.receiver"
local wait_until = require "spec.support.wait_until"

local INFO = { model = "address", entry = { id = 1, city = "Paris" } }
local SECRET = "s3cr3t/+ canary"
local ENCODED = "s3cr3t%2F%2B%20canary"

describe("auth", function()
  local receiver, hooks

  before_each(function() receiver, hooks = receivers.start(), nil end)
  after_each(function() hooks_support.done(hooks, receiver) end)

  local function create(fields)
    hooks = hooks or hooks_support.open()
    return hooks_support.create(hooks, { name = "spec", url = receiver:url "/ok", events = { "*" }, secret = false }, fields)
  end

  local function oauth(path, more)
    local auth = { type = "oauth2", tokenUrl = receiver:url(path), clientId = "moon", clientSecret = SECRET }
    for name, value in pairs(more or {}) do auth[name] = value end
    return auth
  end

  local function emit(count)
    for _ = 1, count or 1 do assert(hooks:emit("entry.create", INFO, { headers = { Authorization = "Bearer of the event" } })) end
  end

  local function requests_of(path)
    local list = {}
    for _, request in ipairs(receiver:requests()) do
      if request.path:sub(1, #path) == path then list[#list + 1] = request end
    end
    return list
  end

  local function header(request, name)
    local value, count = receivers.header(request, name)
    assert.is_true(count <= 1, name)
    return value
  end

  local function state_of(webhook)
    return hooks.deliveries:list({ webhook_id = webhook.id })[1]
  end

  it("of the simple types is one header field, over the defaults and what events bring", function()
    hooks = hooks_support.open { defaultHeaders = { authorization = "Bearer default", ["x-key"] = "default" } }
    for _, case in ipairs {
      { { type = "bearer", token = "abc" }, "Authorization", "Bearer abc" },
      { { type = "basic", username = "moon", password = "p:st" }, "Authorization", "Basic bW9vbjpwOnN0" },
      { { type = "basic", username = "moon", password = "" }, "Authorization", "Basic bW9vbjo=" },
      { { type = "header", name = "X-Key", value = "abc def" }, "X-Key", "abc def" },
      { { type = "apiKey", name = "X-Key", value = "k" }, "X-Key", "k" },
    } do
      local webhook = create { auth = case[1] }
      receiver:clear()
      emit()
      local request = assert(receiver:wait_for(1))[1]
      assert.equal(case[3], header(request, case[2]))
      assert(hooks.webhooks:delete(webhook.id))
    end
  end)

  it("of OAuth 2.0 asks for a token once, and uses it for all", function()
    local webhook = create { url = receiver:url "/bearer/token-1", auth = oauth("/token?life=3600&delay=0.1",
      { scope = "hooks:write x", audience = "https://a.example" }) }
    emit(30)
    assert(hooks:wait(20))
    assert.equal(30, #requests_of "/bearer")
    local asked = requests_of "/token"
    assert.equal(1, #asked)
    assert.equal("POST", asked[1].method)
    assert.equal("grant_type=client_credentials&scope=hooks%3Awrite%20x&audience=https%3A%2F%2Fa.example", asked[1].body)
    local basic = io.popen(("printf %%s 'moon:%s' | base64 -w0"):format(ENCODED)):read "*a"
    assert.equal("Basic " .. basic, header(asked[1], "Authorization"))
    assert.equal("application/x-www-form-urlencoded", header(asked[1], "Content-Type"))
    for _, name in ipairs { "X-Strapi-Event", "webhook-id" } do assert.is_nil(header(asked[1], name)) end
    for _, request in ipairs(requests_of "/bearer") do assert.equal("Bearer token-1", header(request, "Authorization")) end
    assert.equal(30, hooks:stats().store.delivered)
    assert.equal(0, hooks:stats().failed_attempts)
    assert.equal("****", webhook.auth.clientSecret)
    assert.equal(200, assert(hooks.webhooks:trigger(webhook.id)).statusCode)
    assert.equal(1, #requests_of "/token")
  end)

  it("of OAuth 2.0 can have the client in the form", function()
    create { url = receiver:url "/bearer/token-1", auth = oauth("/token?life=3600", { clientAuth = "body" }) }
    emit()
    assert(hooks:wait(10))
    local asked = requests_of("/token")[1]
    assert.equal("grant_type=client_credentials&client_id=moon&client_secret=" .. ENCODED, asked.body)
    assert.is_nil(header(asked, "Authorization"))
  end)

  it("of OAuth 2.0 asks again before a token's end, and uses one that ends at once all the same", function()
    for name, life in pairs { short = "1", none = "0", text = '"1"' } do
      receiver:clear()
      local path = ("/token?n=%s&life=%s"):format(name, life:gsub('"', "%%22"))
      local webhook = create { name = name, url = receiver:url("/ok?" .. name), auth = oauth(path) }
      emit()
      assert(hooks:wait(10))
      assert.equal("delivered", state_of(webhook).state)
      assert.equal("Bearer token-1", header(requests_of("/ok?" .. name)[1], "Authorization"))
      require("moonpost.core").sleep(life == "0" and 0 or 1.1)
      emit()
      assert(hooks:wait(10))
      assert.equal("Bearer token-2", header(requests_of("/ok?" .. name)[2], "Authorization"))
      assert(hooks.webhooks:delete(webhook.id))
    end
  end)

  it("of OAuth 2.0 asks again, once, when the receiver answers 401", function()
    local webhook = create { url = receiver:url "/bearer/token-2", auth = oauth "/token?life=3600", retrySchedule = {} }
    emit() -- waits for token-1, which was new: its 401 counts
    assert(hooks:wait(10))
    assert.equal("dead", state_of(webhook).state)
    assert.equal(401, state_of(webhook).last.status)
    assert.equal(1, #requests_of "/token")
    emit(5) -- token-1 is refused now that it is old, and token-2 taken
    assert(hooks:wait(10))
    assert.equal(5, hooks:stats().store.delivered)
    assert.equal(2, #requests_of "/token")
    for _, delivery in ipairs(hooks.deliveries:list { state = "delivered" }) do assert.equal(1, delivery.attempts) end
    assert(hooks.webhooks:update(webhook.id, { url = receiver:url "/status/401" }))
    receiver:clear()
    emit()
    assert(hooks:wait(10))
    assert.equal("dead", state_of(webhook).state)
    assert.equal(1, #requests_of "/token")
    assert.equal(1, #requests_of "/status")
    assert.equal(401, assert(hooks.webhooks:trigger(webhook.id)).statusCode)
    assert.equal(2, #requests_of "/token")
    assert.equal(3, #requests_of "/status")
  end)

  it("of OAuth 2.0 that gets no token is a failed attempt of the class auth, which tells no secret", function()
    local closed = receivers.start()
    local url = closed:url "/"
    closed:stop()
    local function json(status, body)
      return ("/json/%d?body=%s"):format(status, body:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end))
    end
    local echo = SECRET:gsub("[^%w]", "") -- a receiver may repeat what it was sent
    for i, case in ipairs {
      { json(401, '{"error":"invalid_client","error_description":"' .. echo .. '"}'), "answered with status 401 (invalid_client)" },
      { json(400, '{"error":"' .. echo .. '"}'), "answered with status 400" },
      { json(200, '{"error":"invalid_client"}'), "answered without an access_token" },
      { json(200, '{"access_token":"a b"}'), "that no header field can have" },
      { json(200, '{"access_token":"a","token_type":"mac"}'), "a token_type other than Bearer" },
      { json(200, '{"access_token":["' .. echo .. '"]}'), "something else than a JSON object" },
      { json(200, echo), "something else than a JSON object" },
      { "/big/20000", "something else than a JSON object" },
      { "/redirect?to=/token", "answered with status 302" },
      { "/hang", "imed out" },
      { url, "onnect" },
    } do
      local auth = oauth(case[1])
      if case[1] == url then auth.tokenUrl = url end
      local webhook = create { name = "n" .. i, auth = auth, timeout = 0.5, retrySchedule = { 0.01 } }
      emit()
      assert.is_true(wait_until(20, function() return state_of(webhook).state == "dead" end), case[1])
      local delivery = state_of(webhook)
      assert.equal(2, delivery.attempts)
      assert.equal("auth", delivery.last.class)
      assert.equal("the token's endpoint: ", delivery.last.error:sub(1, 22))
      assert.truthy(delivery.last.error:find(case[2], 1, true), delivery.last.error)
      for _, attempt in ipairs(hooks.deliveries:attempts(delivery.id)) do
        assert.is_nil(attempt.response)
        assert.falsy((attempt.error .. delivery.last.error):find("s3cr3t", 1, true))
      end
      local result = hooks.webhooks:trigger(webhook.id)
      assert.equal("auth", result.error)
      assert(hooks.webhooks:delete(webhook.id))
    end
    assert.equal(0, #requests_of "/ok")
  end)

  it("of OAuth 2.0 that hangs holds up no other webhook, and no close", function()
    local stuck = create { name = "stuck", auth = oauth "/hang", timeout = 60 }
    create { name = "other", url = receiver:url "/ok?other" }
    emit(20)
    assert(wait_until(20, function() return hooks:stats().store.delivered == 20 end))
    assert.equal(1, #requests_of "/hang")
    assert.equal(20, #requests_of "/ok?other")
    local config = hooks.config
    hooks:close(0)
    hooks = assert(moonpost.open({ webhooks = { store = config.store, models = hooks_support.models, log = { level = "off" },
      network = { allow = { "127.0.0.0/8" } } } }))
    for _, delivery in ipairs(hooks.deliveries:list { webhook_id = stuck.id }) do assert.equal(0, delivery.attempts) end
  end)

  it("keeps order while it waits for a token", function()
    create { url = receiver:url "/bearer/token-3", auth = oauth "/token?life=3600", order = "webhook",
      retrySchedule = { 0.01, 0.01, 0.01 } }
    local ids = {}
    for i = 1, 12 do ids[i] = assert(hooks:emit("entry.create", INFO)) end
    assert.is_true(wait_until(20, function() return hooks:stats().store.delivered == 12 end))
    local seen = {}
    for _, request in ipairs(requests_of "/bearer") do
      if header(request, "Authorization") == "Bearer token-3" then seen[#seen + 1] = header(request, "webhook-id") end
    end
    assert.same(ids, seen)
  end)

  it("is refused with what is wrong, and without what was given", function()
    hooks = hooks_support.open()
    local function field(value, more)
      local fields = { auth = value }
      for name, item in pairs(more or {}) do fields[name] = item end
      return fields
    end
    for message, fields in pairs {
      ['webhook.auth.type: expected "apiKey", "basic", "bearer", "header", "oauth2", got string'] = field("bearer s3cr3t"),
      ['webhook.auth.type: expected "apiKey", "basic", "bearer", "header", "oauth2", got nil'] = field { token = "s3cr3t" },
      ["webhook.auth.token: expected no control characters"] = field { type = "bearer", token = "s3cr3t\r\nHost: x" },
      ["webhook.auth.token: expected text, got none"] = field { type = "bearer" },
      ["webhook.auth.tokne: unknown key for the type bearer; did you mean 'token'?"] = field { type = "bearer", tokne = "s3cr3t" },
      ["webhook.auth.username: expected no colon"] = field { type = "basic", username = "a:b", password = "s3cr3t" },
      ["webhook.auth.name: 'Host' is moonpost's own"] = field { type = "header", name = "Host", value = "s3cr3t" },
      ["webhook.auth.name: 'content-type' is moonpost's own"] = field { type = "apiKey", name = "content-type", value = "s3cr3t" },
      ["webhook.auth.tokenUrl: "] = field(oauth("", { tokenUrl = "ftp://user:s3cr3t@a.example/" })),
      ["webhook.auth.tokenUrl: 169.254.169.254"] = field(oauth("", { tokenUrl = "http://169.254.169.254/token" })),
      ['webhook.auth.clientAuth: expected "basic" or "body", got'] = field(oauth("/token", { clientAuth = "x" })),
      ["webhook.auth.clientId: expected 1 to 4096 bytes of UTF-8 without NUL, got 0 bytes"] = field(oauth("/token", { clientId = "" })),
      ["webhook.auth.scope: expected 1 to 4096 bytes of UTF-8 without NUL, got 0 bytes"] = field(oauth("/token", { scope = "" })),
      ["webhook.headers['authorization']: is that of auth"] =
        field({ type = "bearer", token = "s3cr3t" }, { headers = { authorization = "x" } }),
      ["webhook.hubSignature.header: 'X-Key' is that of auth"] =
        field({ type = "header", name = "X-Key", value = "s3cr3t" }, { hubSignature = { secret = "s3cr3t", header = "x-key" } }),
    } do
      fields.name, fields.url, fields.events = "a", receiver:url "/ok", { "*" }
      local webhook, told, code = hooks.webhooks:create(fields)
      assert.is_nil(webhook, message)
      assert.equal("EINVAL", code)
      assert.equal(message, told:sub(1, #message))
      assert.falsy(told:find("s3cr3t", 1, true), told)
    end
  end)

  it("stays when it is sent back masked, and goes with null", function()
    local webhook = create { auth = oauth("/token", { tokenUrl = "https://u:s3cr3t@a.example/token" }) }
    assert.equal("****", webhook.auth.clientSecret)
    assert.equal("https://***@a.example/token", webhook.auth.tokenUrl)
    assert.equal("moon", webhook.auth.clientId)
    assert(hooks.webhooks:update(webhook.id, { auth = webhook.auth, name = "b" }))
    local whole = hooks.webhooks:get(webhook.id, { show_secrets = true }).auth
    assert.equal(SECRET, whole.clientSecret)
    assert.equal("https://u:s3cr3t@a.example/token", whole.tokenUrl)
    local refused, message = hooks.webhooks:update(webhook.id, { auth = { type = "bearer", token = "****" } })
    assert.is_nil(refused)
    assert.truthy(message:find("auth.token: is masked", 1, true))
    assert.equal("EINVAL", (select(3, hooks.webhooks:update(webhook.id, { headers = { Authorization = "x" } }))))
    assert.is_nil(hooks.webhooks:update(webhook.id, { auth = moonpost.null }).auth)
  end)
end)
