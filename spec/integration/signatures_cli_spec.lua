-- The command line about signatures: webhooks add, get and rotate-secret, and verify.
local cjson = require "cjson"
local command = require "spec.support.command"
local receivers = require "spec.support.receiver"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"

local SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

describe("the command line about signatures", function()
  local dir, receiver

  setup(function()
    dir = temp.dir()
    receiver = receivers.start()
    temp.write(dir .. "/server.lua", [[return { webhooks = {
      store = "moonpost.db", models = { address = { attributes = { city = { type = "string" } } } }, log = { level = "off" },
      network = { allow = { "127.0.0.0/8" } },
    } }]])
  end)

  teardown(function()
    receiver:stop()
    temp.clean()
  end)

  -- Runs it with MOONPOST_SECRET set.
  local function run(secret, ...)
    return shell.run(command.moonpost({ MOONPOST_CONFIG = dir .. "/server.lua", MOONPOST_SECRET = secret }, ...))
  end

  local function ok(...)
    local output, code = run("", ...)
    assert.equal(0, code, output)
    return output
  end

  it("shows secrets to who asks, rotates them, and verifies what was sent", function()
    local made = cjson.decode(ok("webhooks", "add", "--name", "crm", "--url", receiver:url "/ok", "--event", "*", "--secret", SECRET,
      "--ed25519", "--json"))
    assert.equal("whsec_****", made.secret)
    assert.truthy(ok("webhooks", "get", made.id):find "\nsecret +whsec_%*%*%*%*\n")
    assert.truthy(ok("webhooks", "get", made.id, "--show-secrets"):find("  " .. SECRET .. "\n", 1, true))
    local rotated = ok("webhooks", "rotate-secret", made.id, "--overlap", "3600", "--show-secrets")
    assert.truthy(rotated:find("  " .. SECRET .. " until 2", 1, true), rotated)
    local new = rotated:match "\nsecret +(whsec_%S+)"
    assert.falsy(ok("webhooks", "list"):find "whsec")
    ok("webhooks", "trigger", made.id)

    local request, lines = assert(receiver:wait_for(1))[1], {}
    for i, header in ipairs(request.headers) do lines[i] = header[1] .. ": " .. header[2] end
    local headers = temp.write(dir .. "/headers", "POST /ok HTTP/1.1\r\n" .. table.concat(lines, "\r\n") .. "\r\n")
    local body = temp.write(dir .. "/body", request.body)
    for _, secret in ipairs { SECRET, new, made.publicKey } do
      assert.equal("the signature is right\n", ok("verify", "--secret", secret, "--headers", headers, "--body", body))
    end
    assert.equal("the signature is right\n", (run("whpk_x " .. new, "verify", "--secret", new, "--headers", headers, "--body", body)))
    assert.equal("the signature is right\n", (run(new .. " " .. SECRET, "verify", "--headers", headers, "--body", body)))
    local output, code = run("", "verify", "--secret", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "--headers", headers, "--body", body)
    assert.equal(1, code)
    assert.truthy(output:find("none of the signatures is right (ESIGNATURE)", 1, true), output)
    output, code = run("", "verify", "--secret", new, "--headers", headers, "--body", body, "--now", "1614265330", "--json")
    assert.equal(1, code)
    assert.truthy(output:find('"code":"EEXPIRED"', 1, true), output)
    assert.truthy(output:find('"ok":false', 1, true), output)

    assert.truthy(ok("webhooks", "set", made.id, "--no-secret"):find "secret +none: requests are not signed")
    assert.equal(2, (select(2, run("", "webhooks", "rotate-secret", made.id, "--overlap", "604801"))))
  end)

  it("verifies header fields from its arguments and a body from standard input", function()
    local line = command.moonpost({ MOONPOST_SECRET = SECRET }, "verify", "--now", "1614265330",
      "--header", "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek", "--header", "webhook-timestamp: 1614265330",
      "--header", "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    local output, code = shell.run("printf '%s' '{\"test\": 2432232314}' | " .. line)
    assert.equal("the signature is right\n", output)
    assert.equal(0, code)
    output, code = run("", "verify", "--body", dir .. "/body")
    assert.equal(1, code)
    assert.truthy(output:find("expected --secret or $MOONPOST_SECRET", 1, true), output)
    assert.equal(1, (select(2, run(SECRET, "verify", "--body", dir .. "/missing"))))
  end)
end)
