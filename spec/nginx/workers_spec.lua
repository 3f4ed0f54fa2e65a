-- Several workers of a real nginx under load, while they are reloaded and killed: what was accepted is delivered.
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local nginx = require "spec.support.nginx"
local receivers = require "spec.support.receiver"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local wait_until = require "spec.support.wait_until"

local CONFIG = [[
return { webhooks = { store = "m.db", models = { address = { attributes = { city = { type = "string" } } } },
  network = { allow = { "127.0.0.0/8" } }, endpoints = { { name = "receiver", url = "%s", events = { "*" } } } } }
]]

local SERVER = [[
location = /emit { content_by_lua_block {
  local id, message = require("moonpost.host.openresty").emit("entry.create", { model = "address", entry = { id = 1 } })
  if not id then ngx.status = 503 end
  ngx.say(id or message)
} }
]]

-- Clients at a time, and requests that each makes before it looks whether to stop.
local CLIENTS, TURN = 3, 25

describe("workers of nginx #nginx", function()
  local server, receiver, url
  local missing = nginx.missing()
  if missing then
    pending(missing)
    return
  end

  before_each(function()
    receiver = receivers.start { brief = true }
    url = receiver:url "/ok"
    server = nginx.start { workers = 2, config = CONFIG:format(url), server = SERVER }
  end)

  after_each(function()
    server:stop()
    receiver:stop()
    temp.clean()
  end)

  -- Clients that emit one event after another until they are stopped.
  local function clients()
    local script = ('while [ ! -e %s/stop ]; do curl -s --max-time 20 --unix-socket %s/http.sock "http://moonpost/emit?[1-%d]"; done')
      :format(server.dir, server.dir, TURN)
    local pipes = {}
    for i = 1, CLIENTS do pipes[i] = assert(io.popen(("{ %s; } >%s/ids.%d 2>&1"):format(script, server.dir, i), "w")) end
    return pipes
  end

  local function answers()
    local list = {}
    for i = 1, CLIENTS do
      for line in (temp.read(("%s/ids.%d"):format(server.dir, i)) or ""):gmatch "[^\n]+" do list[#list + 1] = line end
    end
    return list
  end

  -- Waits for so many more answers.
  local function more(count)
    local before = #answers()
    assert(wait_until(30, function() return #answers() >= before + count end), "the clients get no answers")
  end

  local function stop(pipes)
    temp.write(server.dir .. "/stop", "")
    for _, pipe in ipairs(pipes) do pipe:close() end
    return answers()
  end

  -- Ends nginx, and looks at each event that was accepted; those that nobody was told of may be there too.
  local function check(accepted, unheard)
    server:signal "QUIT"
    assert(wait_until(30, function() return server:code() end))
    local hooks = assert(moonpost.open(hooks_support.config { store = server.dir .. "/m.db", models = { address = { attributes = {} } },
      endpoints = { { name = "receiver", url = url, events = { "*" } } } }))
    finally(function() hooks:close(0) end)
    assert(hooks:wait(60))
    local counts = assert(hooks:stats()).store
    assert.is_true(counts.adds_up)
    assert.is_true(counts.events >= #accepted and counts.events <= #accepted + unheard,
      ("%d events of %d accepted, %d unheard"):format(counts.events, #accepted, unheard))
    assert.equal(counts.events, counts.delivered)
    local arrived = {}
    for _, _, id in receiver:arrivals() do arrived[id] = true end
    for _, id in ipairs(accepted) do assert(arrived[id], id .. " did not arrive") end
  end

  local function descriptors(pid)
    return tonumber((shell.run(("ls /proc/%d/fd | wc -l"):format(pid))))
  end

  it("lose nothing when they are reloaded under load, and leave nothing behind", function()
    local pipes = clients()
    more(20)
    local before = descriptors(server.pid)
    for _ = 1, 5 do
      server:reload()
      more(20)
    end
    local ids = stop(pipes)
    for _, id in ipairs(ids) do assert(id:find "^evt_%w+$", id) end
    assert(wait_until(30, function() return #server:workers(true) == 2 end), "an old worker does not end")
    assert(wait_until(10, function() return descriptors(server.pid) == before end), "the master keeps descriptors")
    assert.is_nil(server:log():find "%[error%]", server:log())
    assert.is_nil(server:log():find "%[alert%]", server:log())
    assert.equal("", (shell.run(("ls -A %s | grep '^.moonpost'"):format(server.dir))))
    check(ids, 0)
  end)

  it("lose nothing that was accepted when they are killed", function()
    local pipes = clients()
    more(20)
    local kills = 5
    for i = 1, kills do
      local workers = server:workers()
      shell.run("kill -9 " .. workers[i % #workers + 1])
      more(20)
    end
    local accepted = {}
    for _, answer in ipairs(stop(pipes)) do
      if answer:find "^evt_%w+$" then accepted[#accepted + 1] = answer end
    end
    assert(#accepted > kills * 20)
    -- Each kill may have met one emit of each client between its commit and its answer.
    check(accepted, kills * CLIENTS)
  end)
end)
