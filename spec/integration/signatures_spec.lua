-- What requests are signed with: made, shown, changed, rotated; and the signatures themselves.
local core = require "moonpost.core"
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local receivers = require "spec.support.receiver"

local SECRET, OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
local KEY = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
local PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
local INFO = { model = "address", entry = { id = 1, city = "Paris" } }

describe("signatures", function()
  local receiver, hooks

  before_each(function() receiver, hooks = receivers.start(), nil end)
  after_each(function() hooks_support.done(hooks, receiver) end)

  local function create(fields)
    hooks = hooks or hooks_support.open()
    return hooks_support.create(hooks, { name = "spec", url = receiver:url "/ok", events = { "*" } }, fields)
  end

  -- The next request that an event makes.
  local function sent()
    receiver:clear()
    assert(hooks:emit("entry.create", INFO))
    return assert(receiver:wait_for(1))[1]
  end

  local function headers_of(request)
    local map = {}
    for _, header in ipairs(request.headers) do map[header[1]] = header[2] end
    return map
  end

  local function verified(secret, request)
    return moonpost.verify(secret, headers_of(request), request.body)
  end

  local function versions_of(request)
    local list, field = {}, receivers.header(request, "webhook-signature")
    assert.falsy(field:find "^ " or field:find " $" or field:find "  ")
    for version in (field .. " "):gmatch "([^,]+),%S+ " do list[#list + 1] = version end
    return table.concat(list, " ")
  end

  it("are made with a secret of the webhook's own, which only those see who ask for it", function()
    local webhook = create()
    assert.equal("whsec_****", webhook.secret)
    assert.equal("whsec_****", hooks.webhooks:get(webhook.id).secret)
    assert.equal("whsec_****", hooks.webhooks:list()[1].secret)
    local secret = assert(hooks.webhooks:secret(webhook.id))
    assert.is_true(core.check_secret("whsec", "secret", secret))
    assert.equal(secret, hooks.webhooks:get(webhook.id, { show_secrets = true }).secret)
    local request = sent()
    assert.is_true(verified(secret, request))
    assert.equal("v1", versions_of(request))
    assert.equal("ESIGNATURE", (select(3, verified(OTHER, request))))
    assert.not_equal(secret, hooks.webhooks:secret(create({ name = "other" }).id))
  end)

  it("have the id of the event and the time of the attempt, which is another at each", function()
    create { secret = SECRET, url = receiver:url "/sequence/503,200?retry-after=1" }
    local id = assert(hooks:emit("entry.create", INFO))
    local requests = assert(receiver:wait_for(2, 20))
    local first, second = headers_of(requests[1]), headers_of(requests[2])
    assert.equal(id, first["webhook-id"])
    assert.equal(id, second["webhook-id"])
    assert.is_true(tonumber(second["webhook-timestamp"]) > tonumber(first["webhook-timestamp"]))
    assert.is_true(verified(SECRET, requests[1]))
    assert.is_true(verified(SECRET, requests[2]))
  end)

  it("are made of ed25519 too where there is a key", function()
    local webhook = create { secret = SECRET, signingKey = KEY }
    assert.equal("whsk_****", webhook.signingKey)
    assert.equal(PUBLIC, webhook.publicKey)
    local request = sent()
    assert.equal("v1 v1a", versions_of(request))
    assert.is_true(verified(SECRET, request))
    assert.is_true(verified(PUBLIC, request))
    local made = assert(hooks.webhooks:update(webhook.id, { signingKey = true, secret = false }))
    assert.is_nil(made.secret)
    assert.not_equal(PUBLIC, made.publicKey)
    request = sent()
    assert.equal("v1a", versions_of(request))
    assert.is_true(verified(made.publicKey, request))
    assert.is_nil(hooks.webhooks:update(webhook.id, { signingKey = false }).publicKey)
  end)

  it("can be switched off, and on", function()
    local webhook = create { secret = false }
    assert.is_nil(webhook.secret)
    local secret, message, code = hooks.webhooks:secret(webhook.id)
    assert.is_nil(secret)
    assert.truthy(message:find "not signed")
    assert.equal("ENOENT", code)
    local request = sent()
    assert.is_nil((receivers.header(request, "webhook-signature")))
    assert.truthy((receivers.header(request, "webhook-id")))
    assert(hooks.webhooks:update(webhook.id, { secret = SECRET }))
    assert.is_true(verified(SECRET, sent()))
    assert(hooks.webhooks:update(webhook.id, { secret = moonpost.null }))
    assert.is_nil((receivers.header(sent(), "webhook-signature")))
  end)

  it("are made with the old secret too for the overlap of a rotation, and outlive a restart", function()
    local config = hooks_support.config()
    hooks = assert(moonpost.open(config))
    local webhook = create { secret = OTHER }
    local rotated = assert(hooks.webhooks:rotate_secret(webhook.id, { secret = SECRET, overlap = 3600 }))
    assert.equal("whsec_****", rotated.secret)
    assert.equal("whsec_****", rotated.oldSecrets[1].secret)
    assert.truthy(rotated.oldSecrets[1].expires_at:find "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$")
    hooks:close()
    hooks = assert(moonpost.open(config))
    local request = sent()
    assert.equal("v1 v1", versions_of(request))
    assert.is_true(verified(SECRET, request))
    assert.is_true(verified(OTHER, request))
    assert(hooks.webhooks:update(webhook.id, { name = "renamed", secret = "whsec_****" }))
    assert.equal("v1 v1", versions_of(sent()))
    local made = assert(hooks.webhooks:rotate_secret(webhook.id, { overlap = 0 }))
    assert.is_nil(made.oldSecrets)
    request = sent()
    assert.equal("v1", versions_of(request))
    assert.is_true(verified(hooks.webhooks:secret(webhook.id), request))
    assert.equal("ENOENT", (select(3, hooks.webhooks:rotate_secret "77")))
    assert.same({ "secret: expected whsec_ and base64, got boolean", "EINVAL" },
      { select(2, hooks.webhooks:rotate_secret(webhook.id, { secret = false })) })
  end)

  it("end with the overlap", function()
    local webhook = create { secret = OTHER }
    assert(hooks.webhooks:rotate_secret(webhook.id, { secret = SECRET, overlap = 0.001 }))
    core.sleep(1.1)
    local request = sent()
    assert.is_true(verified(SECRET, request))
    assert.equal("ESIGNATURE", (select(3, verified(OTHER, request))))
    assert.is_nil(hooks.webhooks:get(webhook.id).oldSecrets)
  end)

  it("are on the test trigger too", function()
    local webhook = create { secret = SECRET, enabled = false }
    assert.equal(200, assert(hooks.webhooks:trigger(webhook.id)).statusCode)
    assert.is_true(verified(SECRET, assert(receiver:wait_for(1))[1]))
  end)

  it("of webhooks kept in the config need a secret there, or several", function()
    local function endpoint(name, secret)
      return { name = name, url = receiver:url("/ok?" .. name), events = { "*" }, secret = secret }
    end
    hooks = hooks_support.open { endpoints = { endpoint("a", nil), endpoint("b", SECRET), endpoint("c", { SECRET, OTHER }) } }
    assert(hooks:emit("entry.create", INFO))
    for _, request in ipairs(assert(receiver:wait_for(3))) do
      local name = request.path:match "%?(.)"
      if name == "a" then
        assert.is_nil((receivers.header(request, "webhook-signature")))
      else
        assert.is_true(verified(SECRET, request))
        assert.equal(name == "b" and "v1" or "v1 v1", versions_of(request))
      end
    end
    assert.equal("EROFS", (select(3, hooks.webhooks:rotate_secret(hooks.webhooks:list()[2].id))))
  end)

  it("in the older way are of the body alone, in a header that nothing else can set", function()
    create { secret = false, hubSignature = { secret = "It's a Secret" }, name = "github" }
    local request = sent()
    local output = io.popen(("printf %%s %s | openssl dgst -sha256 -hmac \"It's a Secret\" -r"):format(
      require("spec.support.shell").quote(request.body))):read "*a"
    assert.equal("sha256=" .. output:match "^%x+", (receivers.header(request, "X-Hub-Signature-256")))
    hooks:close()
    hooks = hooks_support.open { defaultHeaders = { ["x-sign"] = "forged" } }
    local webhook = create { hubSignature = { secret = "s", header = "X-Sign", prefix = "", encoding = "base64" } }
    assert.equal("****", webhook.hubSignature.secret)
    receiver:clear()
    assert(hooks:emit("entry.create", INFO, { headers = { ["X-SIGN"] = "forged" } }))
    request = assert(receiver:wait_for(1))[1]
    local value, count = receivers.header(request, "x-sign")
    assert.equal(1, count)
    assert.equal(44, #value)
    local ok, message, code = hooks.webhooks:update(webhook.id, { headers = { ["x-SIGN"] = "forged" } })
    assert.is_nil(ok)
    assert.equal("EINVAL", code)
    assert.truthy(message:find "hubSignature")
    assert(hooks.webhooks:update(webhook.id, { hubSignature = { secret = "****", header = "X-Sign" } }))
    assert.equal("s", hooks.webhooks:get(webhook.id, { show_secrets = true }).hubSignature.secret)
    assert.is_nil(hooks.webhooks:update(webhook.id, { hubSignature = moonpost.null }).hubSignature)
  end)

  it("are refused with what is wrong, and without what was given", function()
    hooks = hooks_support.open()
    for message, fields in pairs {
      ["webhook.secret: expected whsec_ and the base64 of 24 to 64 bytes; 'v1,' belongs"] = { secret = "v1," .. SECRET },
      ["webhook.secret: expected whsec_ and base64, got number"] = { secret = 1 },
      ["webhook.secret[2]: expected whsec_ and the base64 of 24 to 64 bytes; whsk_ is a private"] = { secret = { SECRET, KEY } },
      ["webhook.secret: expected a secret, or a list of 1 to 5, got 0"] = { secret = {} },
      ["webhook.signingKey: expected whsk_ and the base64 of an ed25519 key (64 bytes); whpk_ is"] = { signingKey = PUBLIC },
      ["webhook.hubSignature.secret: expected a secret, got none"] = { hubSignature = {} },
      ["webhook.hubSignature.header: 'webhook-id' is moonpost's own"] = { hubSignature = { secret = "s", header = "webhook-id" } },
      ["webhook.hubSignature.header['a b']: not a valid header name"] = { hubSignature = { secret = "s", header = "a b" } },
      ["webhook.hubSignature.headr: unknown key; did you mean 'header'?"] = { hubSignature = { secret = "s", headr = "X" } },
      ['webhook.hubSignature.encoding: expected "hex" or "base64", got'] = { hubSignature = { secret = "s", encoding = "x" } },
      ["webhook.hubSignature.prefix: expected at most 64 visible"] = { hubSignature = { secret = "s", prefix = "a\r\nb" } },
      ["webhook.headers['X-Hub-Signature-256']: is that of hubSignature"] =
        { hubSignature = { secret = "s" }, headers = { ["X-Hub-Signature-256"] = "s" } },
    } do
      fields.name, fields.url, fields.events = "a", receiver:url "/ok", { "*" }
      local webhook, told, code = hooks.webhooks:create(fields)
      assert.is_nil(webhook)
      assert.equal("EINVAL", code)
      assert.equal(message, told:sub(1, #message))
      assert.falsy(told:find("MfKQ9r8", 1, true) or told:find("6Xb/dCc", 1, true))
    end
    local conf = hooks_support.config { endpoints = {
      { name = "a", url = receiver:url "/ok", events = { "*" }, signingKey = true },
    } }
    local opened, message = moonpost.open(conf)
    assert.is_nil(opened)
    assert.truthy(message:find("signingKey: expected whsk_ and base64, got boolean", 1, true))
  end)
end)
