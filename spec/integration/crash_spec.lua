-- kill -9 at random moments: an event whose emit returned is delivered, always.
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local process = require "spec.support.process"
local receivers = require "spec.support.receiver"
local temp = require "spec.support.temp"
local core = require "moonpost.core"

-- 200 runs; fewer where a sanitizer makes each slow.
local KILLS = tonumber(os.getenv "MOONPOST_KILLS" or "200")

local WRITER = [[
local moonpost = require "moonpost"
local store, run = arg[1], arg[2]
local hooks = assert(moonpost.open { webhooks = {
  store = store, log = { level = "off" },
  models = { address = { attributes = { city = { type = "string" } } } },
  delivery = { retrySchedule = { 0.05, 0.05, 0.05, 0.05, 0.05 } },
} })
io.stdout:setvbuf "no"
for i = 1, 300 do -- a fast disk would accept more than a spec can check
  local id = assert(hooks:emit("entry.create", { model = "address", entry = { id = i, city = run } }))
  io.stdout:write(id, "\n")
end
require("moonpost.core").sleep(60)
]]

describe("after kill -9", function()
  it(("nothing accepted is lost (%d runs)"):format(KILLS), function()
    local receiver = receivers.start()
    finally(function()
      receiver:stop()
      temp.clean()
    end)
    local config = hooks_support.config()
    local hooks = assert(moonpost.open(config))
    assert(hooks.webhooks:create { name = "a", url = receiver:url "/ok", events = { "*" } })
    assert(hooks.webhooks:create { name = "b", url = receiver:url "/flaky/30", events = { "entry.*" } })
    assert(hooks:close())

    local program = temp.write(temp.dir() .. "/writer.lua", WRITER)
    local accepted, count = {}, 0
    for run = 1, KILLS do
      local writer = process.start { program = program, args = { config.webhooks.store, tostring(run) } }
      core.sleep(math.random() * 0.12)
      writer:kill "KILL"
      assert.equal(137, writer:wait(20), (select(2, writer:output())))
      -- A line that was not written whole is an emit whose return nobody saw.
      for id in writer:output():gmatch "(evt_%w+)\n" do
        accepted[id] = true
        count = count + 1
      end
      writer:stop()
    end
    assert.is_true(count > KILLS, "too few events were accepted to tell anything: " .. count)

    hooks = assert(moonpost.open(config))
    assert(hooks:wait(300))
    while assert(hooks:stats()).store.waiting > 0 do
      core.sleep(0.1)
      assert(hooks:wait(300))
    end
    local stats = assert(hooks:stats()).store
    assert(hooks:close())

    local seen = { ["/ok"] = {}, ["/flaky/30"] = {} }
    for _, request in ipairs(receiver:requests()) do
      seen[request.path][receivers.header(request, "webhook-id")] = true
    end
    local lost, dead = 0, 0
    for id in pairs(accepted) do
      if not seen["/ok"][id] then lost = lost + 1 end
      if not seen["/flaky/30"][id] then dead = dead + 1 end
    end
    assert.equal(0, lost)
    assert.equal(0, dead)
    assert.equal(0, stats.leased)
    assert.is_true(stats.events >= count)
    assert.equal(2 * stats.events, stats.delivered + stats.dead)
  end)
end)
