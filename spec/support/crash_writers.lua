--- Starts and kills the writers of the crash spec, and keeps what is known of each kill.
local core = require "moonpost.core"
local crash_store = require "spec.support.crash_store"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local wait_until = require "spec.support.wait_until"

local writers = {}
writers.__index = writers

-- Seconds in which a writer must open its store, or end.
local PATIENCE = 120
-- A fast disk would accept more in a run than a spec can check.
local MOST_EVENTS = 40
-- On one look at the store in so many kills SQLite checks all of it.
local INTEGRITY_EVERY = 10

--- The target that the receiver records when a kill is over. The line stands after all that the killed process sent and,
-- when it was the only one, before anything that is sent again.
writers.MARK = "/killed/"

---@return table writers with the fields accepted (list of { id, writer, number, type, key }) and kills (list of { from_us,
-- writer, closed (it had ended by itself), leased (of crash_store; nil: another process went on) })
function writers.new(store, receiver)
  return setmetatable({
    store = store, receiver = receiver, started = 0, running = {}, accepted = {}, kills = {},
  }, writers)
end

--- Starts one more, which emits a random number of events. Some close their store when they are through: a kill may
-- come in the middle of that, too.
function writers:start()
  self.started = self.started + 1
  local ending = math.random(5) == 1 and "close" or "stay"
  table.insert(self.running, {
    number = self.started,
    process = process.start {
      program = "spec/support/crash_writer.lua",
      args = { self.store, tostring(self.started), tostring(math.random(MOST_EVENTS)), ending },
    },
  })
end

--- Waits until the newest writer has had an event accepted.
function writers:wait_for_event()
  local newest = self.running[#self.running].process
  wait_until(PATIENCE, function()
    return newest:output():find("\n", 1, true) or newest:code()
  end)
end

local function collect(self, writer)
  local output, errors = writer.process:output()
  errors = errors:gsub("Killed\n$", "") -- the shell's own word
  assert(errors == "", ("writer %d: %s"):format(writer.number, errors))
  -- A line that was not written whole is an emit whose return nobody saw.
  for id, number, event_type, key in output:gmatch("(%S+) (%d+) (%S+) (%S+)\n") do
    table.insert(self.accepted, {
      id = id, writer = writer.number, number = tonumber(number), type = event_type, key = key ~= "-" and key or nil,
    })
  end
end

--- Kills one of those that run, and looks at what it left.
function writers:kill()
  local writer = table.remove(self.running, math.random(#self.running))
  local kill = { from_us = core.now() * 1e6, writer = writer.number }
  local number = #self.kills + 1
  if not writer.process:code() then
    writer.process:kill("KILL")
  end
  local code = assert(writer.process:wait(PATIENCE))
  collect(self, writer)
  kill.closed = code == 0
  assert(kill.closed or code == 128 + 9, ("writer %d ended with %d"):format(writer.number, code))
  writer.process:stop()
  local output, curl_code = shell.run("curl --silent --fail " .. self.receiver:url(writers.MARK .. number))
  assert(curl_code == 0, output)
  if #self.running == 0 then
    kill.leased = crash_store.leased(self.store)
  end
  self.kills[number] = kill
  if number % INTEGRITY_EVERY == 0 then
    local found = crash_store.integrity(self.store)
    assert(found == "ok", ("the store after kill %d: %s"):format(number, found))
  end
end

--- Ends all that run, without looking at what they left.
function writers:stop()
  for _, writer in ipairs(self.running) do
    writer.process:stop()
  end
  self.running = {}
end

return writers
