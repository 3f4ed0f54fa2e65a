-- The HTTP API: webhooks, beyond what Strapi recorded.
local hooks_support = require "spec.support.hooks"
local receivers = require "spec.support.receiver"
local support = require "spec.support.admin"

describe("the HTTP API's webhooks", function()
  local receiver, hooks, handler

  setup(function()
    receiver = receivers.start()
    hooks = support.open(receiver)
    handler = support.handler(hooks)
  end)

  teardown(function() hooks_support.done(hooks, receiver) end)

  local function go(...)
    return support.go(handler, ...)
  end

  local function create(fields)
    return support.create(handler, receiver, fields)
  end

  it("masks secrets, but for who may write and asks", function()
    local url = receiver:url("/ok"):gsub("//", "//user:pass@")
    local webhook = create { url = url }
    local masked = receiver:url("/ok"):gsub("//", "//***@")
    local target = "/admin/webhooks/" .. webhook.id
    assert.equal(masked, webhook.url)
    for _, path in ipairs { "/admin/webhooks", target, target .. "?show_secrets=false" } do
      local _, _, _, text = go("GET", path)
      assert.is_nil(text:find "s3cr3t", path)
      assert.is_nil(text:find("user:pass", 1, true), path)
    end
    local _, answer = go("GET", target .. "?show_secrets=true")
    assert.equal("Bearer s3cr3t", answer.data.headers.Authorization)
    assert.equal(url, answer.data.url)
    assert.equal(403, (go("GET", target .. "?show_secrets=true", nil, { token = "read" })))
    -- What was shown may be sent back.
    local status
    status, answer = go("PUT", target .. "?show_secrets=true",
      { name = "b", url = masked, headers = { authorization = "Be****", New = "x" }, isEnabled = false, id = webhook.id })
    assert.equal(200, status)
    assert.same({ authorization = "Bearer s3cr3t", New = "x" }, answer.data.headers)
    assert.equal(url, answer.data.url)
    assert.is_false(answer.data.enabled)
    -- But not to another webhook.
    status, answer = go("PUT", target, { name = "b", url = "http://***@other.example/", headers = { Other = "Be****" } })
    assert.equal(409, status)
    assert.truthy(answer.data.errors.url)
    assert.truthy(answer.data.errors["headers['Other']"])
    assert.equal(400, (go("POST", "/admin/webhooks", { name = "b", url = masked, headers = {}, events = { "*" } })))
  end)

  it("takes what an answer has: the changed one of enabled and isEnabled counts", function()
    local _, answer = go("GET", "/admin/webhooks/" .. create().id)
    local webhook = answer.data
    local target = "/admin/webhooks/" .. webhook.id
    local function change(field, value)
      webhook[field] = value
      local status
      status, answer = go("PUT", target, webhook)
      assert.equal(200, status)
      webhook = answer.data
      return webhook.enabled
    end
    assert.is_true(webhook.enabled)
    assert.is_false(change("isEnabled", false))
    assert.is_true(change("enabled", true))
    assert.is_false(change("enabled", false))
    assert.equal("Bearer s3cr3t", hooks.webhooks:get(webhook.id).headers.Authorization)
    assert.equal(201, (go("POST", "/admin/webhooks", { name = "c", url = receiver:url "/ok", headers = { a = "b" }, events = { "*" },
      isEnabled = true, enabled = true })))
    assert.equal(400, (go("POST", "/admin/webhooks", { name = "c", url = receiver:url "/ok", headers = { a = "b" }, events = { "*" },
      isEnabled = true, enabled = false })))
  end)

  it("changes single fields by a merge patch (RFC 7396)", function()
    local target = "/admin/webhooks/" .. create({ models = { "article" }, timeout = 3 }).id
    local function patch(text)
      local status, answer = go("PATCH", target .. "?show_secrets=true", text, { type = "application/merge-patch+json" })
      return status, answer.data
    end
    local status, webhook = patch '{"name":"b","timeout":null,"headers":{"authorization":null,"X-A":"1"},"rate":{"perSecond":5}}'
    assert.equal(200, status)
    assert.equal("b", webhook.name)
    assert.is_nil(webhook.timeout)
    assert.same({ ["X-A"] = "1" }, webhook.headers)
    assert.same({ "application::article.article" }, webhook.models)
    webhook = select(2, patch '{"rate":{"burst":3},"models":null}')
    assert.same({ perSecond = 5, burst = 3 }, webhook.rate)
    assert.is_nil(webhook.models)
    webhook = select(2, patch '{"headers":null,"rate":null,"isEnabled":false}')
    assert.same({}, webhook.headers)
    assert.is_nil(webhook.rate)
    assert.is_false(webhook.isEnabled)
    assert.equal(409, (patch '{"rate":{"burst":3}}'))
    assert.same({ insecure = true }, select(2, patch '{"tls":{"insecure":true}}').tls)
    assert.same({ minVersion = "1.3" }, select(2, patch '{"tls":{"insecure":null,"minVersion":"1.3"}}').tls)
    assert.is_nil(select(2, patch '{"tls":null,"proxy":"http://proxy.example:3128"}').tls)
    assert.equal("http://proxy.example:3128", select(2, patch "{}").proxy)
    assert.equal(409, (patch '{"tls":{"key":"client.key"}}')) -- there is no certificate that it goes with
    for _, text in ipairs { '{"proxy":"http://10.0.0.1:3128"}', '{"proxy":"http://u:p@proxy.example"}', '{"tls":{"ca":"/etc/passwd"}}' } do
      assert.equal(400, (patch(text)), text)
    end
    for _, text in ipairs { '{"name":null}', '{"events":null}', '{"enabled":null}', '{"url":3}', '{"headers":[]}', '{"rate":[]}', "[]" } do
      assert.equal(400, (patch(text)), text)
    end
    assert.equal(200, (patch "{}"))
  end)

  it("tells every mistake at once, by field, with a reason", function()
    local status, answer = go("POST", "/admin/webhooks",
      '{"name":"","url":"gopher://x","events":["entry.create","entry.craete"],"timeout":0,"retrySchedule":{},"foo":1,"bar":2}')
    assert.equal(400, status)
    local errors = answer.data.errors
    assert.same({ "name is a required field" }, errors.name)
    assert.equal("url must be a valid URL", errors.url[1])
    assert.equal(2, #errors.url)
    assert.same({ "headers is a required field" }, errors.headers)
    assert.truthy(errors["events[1]"][2]:find "did you mean 'entry.create'")
    assert.same({ "expected a number of seconds between 0.001 and 600, got number 0" }, errors.timeout)
    assert.truthy(errors.retrySchedule[1]:find "must be a `array` type")
    assert.equal("this field has unspecified keys: bar, foo", errors[""][1])
  end)

  it("shows the webhooks of the config, and refuses to change them", function()
    local _, answer = go("GET", "/admin/webhooks")
    local id
    for _, webhook in ipairs(answer.data) do id = webhook.source == "config" and webhook.id or id end
    local target = "/admin/webhooks/" .. id
    assert.equal(409, (go("DELETE", target)))
    assert.equal(409, (go("PATCH", target, '{"name":"x"}')))
    local own = create().id
    local status
    status, answer = go("POST", "/admin/webhooks/batch-delete", { ids = { own, id } })
    assert.equal(409, status)
    assert.equal("EROFS", answer.code)
    assert.equal(200, (go("GET", "/admin/webhooks/" .. own)))
    assert.equal(200, (go("POST", "/admin/webhooks/batch-delete", ('{"ids":["%d",%d,77777]}'):format(own, own))))
    assert.equal(404, (go("GET", "/admin/webhooks/" .. own)))
  end)

  it("sends a trigger-test", function()
    local _, answer = go("POST", ("/admin/webhooks/%d/trigger"):format(create { url = receiver:url "/status/503" }.id))
    assert.equal(503, answer.data.statusCode)
    _, answer = go("POST", ("/admin/webhooks/%d/trigger"):format(create { url = receiver:url "/close" }.id))
    assert.is_nil(answer.data.statusCode)
    assert.equal("reset", answer.data.error)
  end)

  it("signs with a secret that is masked, rotated, and shown to who may write and asks", function()
    local secret, key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="
    local webhook = create { secret = secret, signingKey = key, hubSignature = { secret = "hush-hush" } }
    local target = "/admin/webhooks/" .. webhook.id
    assert.equal("whsec_****", webhook.secret)
    assert.equal("whsk_****", webhook.signingKey)
    assert.equal("****", webhook.hubSignature.secret)
    assert.equal("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", webhook.publicKey)
    local _, _, _, text = go("GET", "/admin/webhooks")
    assert.is_nil(text:find("MfKQ9r8", 1, true) or text:find("6Xb/", 1, true) or text:find("hush", 1, true))
    local _, answer = go("GET", target .. "?show_secrets=true")
    assert.same({ secret, key, "hush-hush" }, { answer.data.secret, answer.data.signingKey, answer.data.hubSignature.secret })
    -- What was shown may be sent back, and a merge patch keeps what it does not name.
    _, answer = go("GET", target)
    assert.equal(200, (go("PUT", target, answer.data)))
    assert.equal(200, (go("PATCH", target, { hubSignature = { header = "X-Sum" }, secret = "whsec_****" })))
    _, answer = go("GET", target .. "?show_secrets=true")
    assert.same({ secret, key, "hush-hush", "X-Sum" },
      { answer.data.secret, answer.data.signingKey, answer.data.hubSignature.secret, answer.data.hubSignature.header })
    local status
    status, answer = go("POST", target .. "/rotate-secret?show_secrets=true", { overlap = 60 })
    assert.equal(200, status)
    assert.truthy(answer.data.secret:find "^whsec_" and answer.data.secret ~= secret)
    assert.equal(secret, answer.data.oldSecrets[1].secret)
    _, _, _, text = go("GET", target)
    assert.truthy(text:find('"oldSecrets":[{', 1, true))
    assert.is_nil(text:find("MfKQ9r8", 1, true))
    assert.equal(400, (go("POST", target .. "/rotate-secret", { secret = "v1," .. secret })))
    assert.equal(400, (go("POST", target .. "/rotate-secret", { overlap = "1" })))
    assert.equal(400, (go("POST", target .. "/rotate-secret", { overlapp = 1 })))
    assert.equal(404, (go("POST", "/admin/webhooks/899999/rotate-secret", {})))
    assert.equal(409, (go("POST", ("/admin/webhooks/%d/rotate-secret"):format(hooks.webhooks:list()[1].id), {})))
    assert.equal(403, (go("POST", target .. "/rotate-secret", {}, { token = "read" })))
    -- Masked, and not of this webhook; and what is none.
    local bare = create { secret = false, name = "bare" }
    assert.is_nil(bare.secret)
    status, answer = go("PATCH", "/admin/webhooks/" .. bare.id, { secret = "whsec_****" })
    assert.equal(409, status)
    assert.truthy(answer.data.errors.secret)
    status, answer = go("PATCH", target, { secret = "v1," .. secret })
    assert.equal(400, status)
    assert.truthy(answer.data.errors.secret[1]:find("'v1,' belongs to a signature", 1, true))
  end)
end)
