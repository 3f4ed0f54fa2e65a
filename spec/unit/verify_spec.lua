-- moonpost.verify, and the checks of what requests are signed with.
local moonpost = require "moonpost"
local signing = require "moonpost.signing"

local SECRET, OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
local PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
local BODY, AT = '{"test": 2432232314}', 1614265330
local V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
local V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="

local function headers(more)
  local result = { ["webhook-id"] = "msg_p5jXN8AQM9LWM0D4loKWxJek", ["webhook-timestamp"] = tostring(AT),
    ["webhook-signature"] = V1 .. " " .. V1A }
  for name, value in pairs(more or {}) do result[name] = value or nil end
  return result
end

local function verify(secret, given, body, options)
  options = options or { now = AT }
  return moonpost.verify(secret, given or headers(), body or BODY, options)
end

describe("moonpost.verify", function()
  it("accepts the published vectors, with a secret, a public key, and one of several", function()
    assert.is_true(verify(SECRET))
    assert.is_true(verify(PUBLIC))
    assert.is_true(verify { OTHER, SECRET })
    assert.is_true(verify({ OTHER, PUBLIC }, headers { ["webhook-signature"] = V1A }))
  end)

  it("takes header names in any case, and values as lists of one", function()
    assert.is_true(verify(SECRET, { ["Webhook-Id"] = "msg_p5jXN8AQM9LWM0D4loKWxJek", ["WEBHOOK-TIMESTAMP"] = { tostring(AT) },
      ["webhook-Signature"] = V1, [1] = "x", ["x"] = { "a", "b" } }))
  end)

  it("refuses what was tampered with", function()
    for what, change in pairs {
      ["another secret"] = { OTHER }, ["another id"] = { SECRET, headers { ["webhook-id"] = "msg_x" } },
      ["another body"] = { SECRET, nil, BODY .. "\n" },
      ["another time"] = { SECRET, headers { ["webhook-timestamp"] = tostring(AT + 1) } },
      ["no signature"] = { SECRET, headers { ["webhook-signature"] = false } },
      ["no time"] = { SECRET, headers { ["webhook-timestamp"] = false } }, ["no id"] = { SECRET, headers { ["webhook-id"] = false } },
      ["two signature fields"] = { SECRET, headers { ["webhook-signature"] = { V1, V1 } } },
      ["two ids"] = { SECRET, headers { ["Webhook-ID"] = "msg_p5jXN8AQM9LWM0D4loKWxJek" } },
      ["a time that is none"] = { SECRET, headers { ["webhook-timestamp"] = "1614265330.0" } },
      ["no secret"] = { {} },
    } do
      local ok, message, code = verify(change[1], change[2], change[3])
      assert.is_nil(ok, what)
      assert.equal("ESIGNATURE", code, what)
      assert.truthy(message:find "webhook%-", what)
    end
  end)

  it("refuses what is too old or of the future", function()
    for _, now in ipairs { AT + 301, AT - 301 } do
      assert.equal("EEXPIRED", (select(3, verify(SECRET, nil, nil, { now = now }))))
      assert.is_true(verify(SECRET, nil, nil, { now = now, tolerance = 301 }))
    end
    assert.equal("EEXPIRED", (select(3, moonpost.verify(SECRET, headers(), BODY))), "by the clock")
    assert.equal("EEXPIRED", (select(3, verify(SECRET, nil, nil, { now = AT + 1, tolerance = 0 }))))
  end)

  it("says what is wrong with a secret, without showing it", function()
    local ok, message, code = verify("v1," .. SECRET)
    assert.is_nil(ok)
    assert.equal("EINVAL", code)
    assert.truthy(message:find("'v1,' belongs to a signature", 1, true))
    assert.falsy(message:find("MfKQ9r8", 1, true))
    assert.equal("EINVAL", (select(3, verify { SECRET, "secret" })))
  end)

  it("raises for a programmer's mistakes", function()
    assert.has_error(function() moonpost.verify(nil, {}, "") end, "moonpost.verify: secret: expected a string or a list, got nil")
    assert.has_error(function() moonpost.verify(SECRET, nil, "") end, "moonpost.verify: headers: expected a table, got nil")
    assert.has_error(function() moonpost.verify(SECRET, {}, nil) end, "moonpost.verify: body: expected a string, got nil")
    assert.has_error(function() moonpost.verify({ 1 }, {}, "") end, "moonpost.verify: secret[1]: expected a string, got number")
  end)
end)

describe("rotation", function()
  local function secrets_after(secrets, options)
    local result, message, code = signing.rotate(secrets, options)
    if not result then return nil, message, code end
    local list = {}
    for i, one in ipairs(result) do list[i] = one[1] end
    return list, result
  end

  it("signs with the old one for the overlap", function()
    local list, whole = secrets_after({ { OTHER } }, { secret = SECRET, overlap = 60 })
    assert.same({ SECRET, OTHER }, list)
    assert.is_nil(whole[1][2])
    assert.is_true(math.abs(whole[2][2] - os.time() * 1000 - 60000) <= 2000)
    assert.same({ SECRET }, (secrets_after({ { OTHER } }, { secret = SECRET, overlap = 0 })))
    assert.same({ SECRET }, (secrets_after(nil, { secret = SECRET })))
  end)

  it("forgets those that have ended, and refuses more than five", function()
    local past, future = os.time() * 1000 - 1, os.time() * 1000 + 60000
    assert.same({ SECRET, "a" }, (secrets_after({ { "a" }, { "b", past } }, { secret = SECRET })))
    local five = { { "a" }, { "b", future }, { "c", future }, { "d", future }, { "e", future } }
    local list, message, code = secrets_after(five, { secret = SECRET })
    assert.is_nil(list)
    assert.equal("EBUSY", code)
    assert.truthy(message:find("overlap = 0", 1, true))
    assert.same({ SECRET }, (secrets_after(five, { secret = SECRET, overlap = 0 })))
  end)

  it("refuses an overlap over seven days, the same secret, and what is none", function()
    for _, overlap in ipairs { -1, 604801, 0 / 0, "1" } do
      assert.equal("EINVAL", (select(3, signing.rotate({}, { overlap = overlap }))))
    end
    assert.equal("EBUSY", (select(3, signing.rotate({ { SECRET } }, { secret = SECRET }))))
    assert.equal("EINVAL", (select(3, signing.rotate({}, { secret = "v1," .. SECRET }))))
  end)
end)

describe("core.sha256", function()
  local sha256 = require "moonpost.core".sha256

  it("is FIPS 180-4's", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", sha256 "")
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", sha256 "abc")
    assert.equal("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
      sha256 "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
    assert.equal("41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3", sha256(("a"):rep(1000)))
  end)

  it("pads every length", function()
    local seen = {}
    for length = 54, 66 do seen[sha256(("\255"):rep(length))] = length end
    local count = 0
    for _ in pairs(seen) do count = count + 1 end
    assert.equal(13, count)
    assert.equal("ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb", sha256(("a"):rep(64)))
  end)
end)
