-- moonpost listen: a receiver for development.
local cjson = require "cjson"
local command = require "spec.support.command"
local core = require "moonpost.core"
local receivers = require "spec.support.receiver"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local wait_until = require "spec.support.wait_until"

if not pcall(require, "socket") then
  pending "install luasocket for this Lua"
  return
end

describe("moonpost listen", function()
  after_each(temp.clean)

  -- Runs it in the background, for at most 30 s.
  local function listen(...)
    local log = temp.dir() .. "/log"
    local line = command.moonpost({}, "listen", "0", "--for", "30", ...)
    shell.run(("%s >%s 2>%s.err & echo $! >%s.pid"):format(line, log, log, log))
    local url = wait_until(20, function() return (temp.read(log .. ".err") or ""):match "listening on (%S+)" end)
    assert(url, temp.read(log .. ".err"))
    return url, function() return temp.read(log) or "" end, function() shell.run(("kill $(cat %s.pid)"):format(log)) end
  end

  local function post(url, body, headers)
    return core.request { method = "POST", url = url .. "/hook?x=1", body = body, headers = headers, timeout = 20 }
  end

  it("prints each request and answers what is asked, over one connection", function()
    local url, text = listen("--status", "503", "--count", "2", "--color", "never")
    assert.equal(503, (post(url, '{"event":"entry.create"}', { ["X-Strapi-Event"] = "entry.create" })))
    assert.equal(503, (post(url, "\27[31mred", { ["X-Other"] = "b" })))
    local all = wait_until(20, function() return text():find "red" and text() end)
    assert.truthy(all:find("POST /hook?x=1 entry.create\n", 1, true), all)
    assert.truthy(all:find('  {"event":"entry.create"}', 1, true), all)
    assert.truthy(all:find("\\x1b[31mred", 1, true), "it must not steer the terminal")
    assert.is_true(wait_until(20, function() return not core.request { url = url, timeout = 1 } end), "it ends after two")
  end)

  it("prints JSON for programs", function()
    local url, text, stop = listen "--json"
    assert.equal(200, (post(url, "hello", { ["X-A"] = "b" })))
    local one = cjson.decode(wait_until(20, function() return text():match "^(.-)\n" end))
    stop()
    assert.equal("hello", one.body)
    assert.equal("b", one.headers["X-A"])
    assert.equal("POST", one.method)
    assert.equal(200, one.status)
  end)

  it("says whether the signature is right", function()
    local secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    local url, text, stop = listen("--secret", secret, "--color", "never")
    local hooks = require("spec.support.hooks").open()
    for _, one in ipairs { secret, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD" } do
      local webhook = assert(hooks.webhooks:create { name = one:sub(-3), url = url, events = { "*" }, secret = one })
      assert.equal(200, assert(hooks.webhooks:trigger(webhook.id)).statusCode)
    end
    hooks:close(0)
    local all = wait_until(20, function() return text():find "none of the" and text() end)
    stop()
    assert.truthy(all:find("  the signature is right\n", 1, true), all)
    assert.truthy(all:find("  webhook-signature: none of the signatures is right\n", 1, true), all)
    assert.falsy(all:find("MfKQ9r8", 1, true))
  end)

  it("waits before it answers, and serves others meanwhile", function()
    local url, _, stop = listen("--delay", "2")
    -- One after another would take 16 s, longer than each has.
    local output = shell.run(("for i in 1 2 3 4 5 6 7 8; do curl -s -w '%%{http_code} ' --max-time 12 -d x %s/ & done; wait"):format(url))
    stop()
    assert.equal(8, select(2, output:gsub("200 ", "")))
  end)

  it("passes requests on", function()
    local target = receivers.start()
    local url, text, stop = listen("--forward", target:url "/status/418", "--color", "never")
    local status = post(url, "body", { ["X-A"] = "b", Host = "elsewhere" })
    stop()
    assert.equal(418, status)
    local request = target:requests()[1]
    assert.equal("body", request.body)
    assert.truthy(text():find "forwarded: 418")
    target:stop()
  end)

  it("refuses what is no HTTP, and goes on", function()
    local url, _, stop = listen()
    local socket = require "socket"
    local client = assert(socket.connect("127.0.0.1", tonumber(url:match ":(%d+)$")))
    client:settimeout(10)
    client:send "nonsense\r\n\r\n"
    assert.truthy((client:receive "*l"):find "^HTTP/1.1 400")
    client:close()
    assert.equal(200, (post(url, "x")))
    stop()
  end)
end)
