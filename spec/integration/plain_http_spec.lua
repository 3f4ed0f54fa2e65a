-- The HTTP API behind examples/plain-http/server.lua: real requests.
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local tokens = require "moonpost.admin.tokens"
local wait_until = require "spec.support.wait_until"

if not pcall(require, "socket") then
  pending "install luasocket for this Lua"
  return
end

describe("the plain HTTP server", function()
  local server, address, token

  setup(function()
    local store = temp.dir() .. "/moonpost.db"
    token = assert(tokens.open(store .. "-tokens.json"):add("spec", { "read", "emit" })).token
    server = process.start {
      program = "examples/plain-http/server.lua", args = { "examples/plain-http/config/server.lua" }, env = { MOONPOST_STORE = store },
    }
    address = wait_until(20, function() return server:output():match "listening on (%S+)\n" end)
    assert(address, (select(2, server:output())))
  end)

  teardown(function()
    server:stop()
    temp.clean()
  end)

  local function curl(path, ...)
    local words = { "curl", "-s", "--max-time", "20", "-w", "\n%{http_code}", "-H", "Authorization: Bearer " .. token,
      "http://" .. address .. path, ... }
    for i, word in ipairs(words) do words[i] = shell.quote(word) end
    local output = shell.run(table.concat(words, " "))
    local body, status = output:match "^(.*)\n(%d+)$"
    return tonumber(status), body
  end

  it("answers health, and what a token may see", function()
    assert.same({ 200, '{"status":"ok"}' }, { curl "/healthz" })
    assert.equal(200, (curl "/admin/events?limit=1"))
    assert.equal(403, (curl("/admin/webhooks", "-d", "{}")))
    assert.equal(200, (curl("/admin/stats", "-I")))
  end)

  it("takes events, also in chunks", function()
    local event = '{"event":"entry.create","model":"article","entry":{"id":12345678901234567890}}'
    local status, body = curl("/events", "-H", "Content-Type: application/json", "-d", event)
    assert.equal(202, status)
    local id = body:match "evt_%w+"
    assert.truthy(select(2, curl("/admin/events/" .. id)):find("12345678901234567890", 1, true))
    status, body = curl("/events", "-H", "Content-Type: application/x-ndjson", "-H", "Transfer-Encoding: chunked", "--data-binary",
      event .. "\n" .. event .. "\n")
    assert.equal(202, status)
    assert.equal(2, select(2, body:gsub("evt_", "")))
  end)

  it("refuses what is no HTTP", function()
    local port = address:match ":(%d+)$"
    local socket = require "socket"
    local client = assert(socket.connect("127.0.0.1", tonumber(port)))
    client:settimeout(10)
    client:send "nonsense\r\n\r\n"
    assert.truthy((client:receive "*l"):find "^HTTP/1.1 400")
    client:close()
    assert.equal(200, (curl "/healthz"))
  end)
end)
