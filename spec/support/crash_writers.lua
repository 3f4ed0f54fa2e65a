--- Starts and kills the writers of the crash spec, and keeps what is known of each kill.
local core = require "moonpost.core"
local crash_store = require "spec.support.crash_store"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local wait_until = require "spec.support.wait_until"

local writers = {}
writers.__index = writers

-- What a writer does when it is through: it delivers until it is killed, or closes its store, with time for what is under
-- way or without. A kill may come in the middle of that, too.
local ENDINGS = { "stay", "stay", "stay", "close", "cut" }
-- Seconds in which a writer must open its store, or end.
local PATIENCE = 120
-- A fast disk would accept more in a run than a spec can check.
local MOST_EVENTS = 40
-- On one look at the store in so many kills SQLite checks all of it.
local INTEGRITY_EVERY = 10

--- The target that the receiver records when a kill is over. The line stands after all that the killed process sent and,
-- when it was the only one, before anything that is sent again.
writers.MARK = "/killed/"

---@return table writers with the fields accepted (list of { id, writer, number, type, key }), kills (list of { from_us
-- (deliveries may be repeated from then on), writer, closed (it had ended by itself), leased (of crash_store: those that
-- may; nil: any) }), killed (how many of them found it alive)
function writers.new(store, receiver)
  return setmetatable({
    store = store, receiver = receiver, started = 0, running = {}, accepted = {}, kills = {}, killed = 0,
  }, writers)
end

--- Starts one more, which emits a random number of events.
function writers:start()
  self.started = self.started + 1
  local ending = ENDINGS[math.random(#ENDINGS)]
  for _, other in ipairs(self.running) do
    other.alone = false
  end
  table.insert(self.running, {
    number = self.started,
    from_us = core.now() * 1e6,
    ending = ending,
    alone = #self.running == 0,
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

-- When nobody runs: what does the store tell of the kill?
local function inspect(self, writer, kill)
  local leased = crash_store.leased(self.store)
  local first = next(leased)
  if kill.closed and writer.alone then -- else they may be another's, killed when this one had closed
    assert(not first, ("writer %d closed its store and left a lease: %s"):format(writer.number, first))
  end
  if writer.ending ~= "cut" then
    kill.leased = leased
  end
end

--- Kills one of those that run, and looks at what it left.
function writers:kill()
  local writer = table.remove(self.running, math.random(#self.running))
  local number = #self.kills + 1
  -- What a close cut off is given back, and may be sent again by another writer before this kill.
  local kill = { from_us = writer.ending == "cut" and writer.from_us or core.now() * 1e6, writer = writer.number }
  if not writer.process:code() then
    writer.process:kill("KILL")
  end
  local code = assert(writer.process:wait(PATIENCE))
  collect(self, writer)
  kill.closed = code == 0
  self.killed = self.killed + (kill.closed and 0 or 1)
  assert(kill.closed or code == 128 + 9, ("writer %d ended with %d"):format(writer.number, code))
  writer.process:stop()
  local output, curl_code = shell.run("curl --silent --fail " .. self.receiver:url(writers.MARK .. number))
  assert(curl_code == 0, output)
  if #self.running == 0 then
    inspect(self, writer, kill)
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
