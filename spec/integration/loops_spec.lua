-- moonpost in other hosts' event loops: examples/luv and examples/cqueues.
local process = require "spec.support.process"
local receivers = require "spec.support.receiver"
local temp = require "spec.support.temp"
local wait_until = require "spec.support.wait_until"
local has_socket, socket = pcall(require, "socket")

local CONFIG = [[
return { webhooks = {
  store = "m.db", events = { "order.paid" }, network = { allow = { "127.0.0.0/8" } },
  endpoints = { { name = "a", url = %q, events = { "*" } } },
} }
]]

for name, module in pairs { luv = "luv", cqueues = "cqueues" } do
  describe("the example for " .. name, function()
    if not has_socket or not pcall(require, module) then
      pending("install luasocket and " .. module .. " for this Lua")
      return
    end
    local receiver, server

    setup(function()
      receiver = receivers.start()
      local dir = temp.dir()
      temp.write(dir .. "/server.lua", CONFIG:format(receiver:url "/ok"))
      server = process.start { program = ("examples/%s/server.lua"):format(name), args = { dir .. "/server.lua" } }
    end)

    teardown(function()
      server:stop()
      receiver:stop()
      temp.clean()
    end)

    it("answers when an event is on disk, delivers, and ends when it is told to", function()
      local port = wait_until(20, function() return server:output():match "listening on 127%.0%.0%.1:(%d+)\n" end)
      assert(port, (select(2, server:output())))
      local client = assert(socket.connect("127.0.0.1", tonumber(port)))
      client:settimeout(20)
      local ids = {}
      for i = 1, 20 do
        client:send(('{"event":"order.paid","entry":{"n":%d}}\n'):format(i))
        local id = assert(client:receive "*l")
        assert.truthy(id:find "^evt_%w+$", id)
        ids[id] = true
      end
      client:send "{\n"
      assert.truthy((client:receive "*l"):find "^EINVAL ")
      client:send(('{"event":"order.paid"}\n'):rep(30))
      for _ = 1, 30 do ids[assert(client:receive "*l")] = true end
      client:close()
      local count = 0
      for _ in pairs(ids) do count = count + 1 end
      assert.equal(50, count)
      assert.equal(50, #assert(receiver:wait_for(50, 20)))
      server:kill "TERM"
      assert.equal(0, server:wait(20))
      assert.equal("", (select(2, server:output())))
    end)
  end)
end
