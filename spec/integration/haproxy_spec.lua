-- examples/haproxy: a real HAProxy whose Lua emits over the HTTP API.
local cjson = require "cjson"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local tokens = require "moonpost.admin.tokens"
local wait_until = require "spec.support.wait_until"

local has_socket, socket = pcall(require, "socket")

describe("the example for HAProxy", function()
  if select(2, shell.run "command -v haproxy") ~= 0 or not has_socket then
    pending "install haproxy and luasocket"
    return
  end
  local server, pipe, port, address, token

  local function free_port()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local _, number = listener:getsockname()
    listener:close()
    return number
  end

  setup(function()
    local store = temp.dir() .. "/moonpost.db"
    token = assert(tokens.open(store .. "-tokens.json"):add("haproxy", { "emit", "read" })).token
    server = process.start {
      program = "examples/plain-http/server.lua", args = { "examples/plain-http/config/server.lua" }, env = { MOONPOST_STORE = store },
    }
    address = wait_until(20, function() return server:output():match "listening on (%S+)\n" end)
    port = free_port()
    -- It ends with the pipe.
    pipe = assert(io.popen(("exec 3<&0; MOONPOST_URL=http://%s MOONPOST_TOKEN=%s MOONPOST_LUA=$PWD/examples/haproxy/moonpost.lua PORT=%d "
      .. "haproxy -q -db -f examples/haproxy/haproxy.cfg 3<&- </dev/null >%s/out 2>&1 & pid=$!; cat <&3 >/dev/null; kill $pid")
      :format(address, token, port, temp.dir()), "w"))
  end)

  teardown(function()
    pipe:close()
    server:stop()
    temp.clean()
  end)

  local function get(path, ...)
    local words = { "curl", "-s", "--max-time", "20", ("http://127.0.0.1:%d%s"):format(port, path), ... }
    for i, word in ipairs(words) do words[i] = shell.quote(word) end
    return (shell.run(table.concat(words, " ")))
  end

  it("emits before the request goes on", function()
    assert(wait_until(20, function() return get("/", "-w", "%{http_code}") == "200" end))
    assert.equal("202", get "/orders/1%22x")
    local events = shell.run(("curl -s -H 'Authorization: Bearer %s' 'http://%s/admin/events?type=order.paid'"):format(token, address))
    local body = cjson.decode(events).data[1].body
    assert.truthy(body:find('"entry":{"method":"GET","path":"/orders/1%22x"}', 1, true), body)
  end)
end)
