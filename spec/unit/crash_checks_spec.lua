-- The crash spec's checks, where an error in them would let a broken moonpost pass: each finds what it is for.
local checks = require "spec.support.crash_checks"

-- A list of requests, { target, webhook-id, body, status }, or { "/killed/1" }: what the record says of a run without
-- faults, in which two events of one writer and one key went to each webhook, and a kill interrupted one delivery.
local function good()
  return {
    { "/ok", "a", "A", 200 },
    { "/ordered", "a", "A", 500 },
    { "/keyed", "a", "A", 200 },
    { "/reset", "a", "A", 0 },
    { "/killed/1" },
    { "/ok", "a", "A", 200 },
    { "/ok", "b", "B", 200 },
    { "/ordered", "a", "A", 200 },
    { "/ordered", "b", "B", 200 },
    { "/keyed", "b", "B", 200 },
  }
end

local function check(requests, change)
  local run = {
    webhooks = {
      { id = "1", name = "fast", kind = "fast", healthy = true, target = "/ok" },
      { id = "2", name = "ordered", kind = "ordered", healthy = true, target = "/ordered", order = "webhook" },
      { id = "3", name = "keyed", kind = "keyed", healthy = true, target = "/keyed", order = "key" },
      { id = "4", name = "reset", kind = "reset", target = "/reset" },
    },
    accepted = {
      { id = "a", writer = 1, number = 1, type = "entry.create", key = "k" },
      { id = "b", writer = 1, number = 2, type = "entry.create", key = "k" },
    },
    events = { a = { type = "entry.create", key = "k" }, b = { type = "entry.create", key = "k" } },
    kills = { { from_us = 4500, writer = 1, leased = { ["a 1"] = true } } },
    totals = { events = 2, waiting = 2, leased = 0, delivered = 6, dead = 0, held = 0, filtered = 0, adds_up = true },
    states = { ["1"] = { delivered = 2 }, ["2"] = { delivered = 2 }, ["3"] = { delivered = 2 }, ["4"] = { waiting = 2 } },
  }
  if change then
    change(run)
  end
  local function arrivals()
    local i = 0
    return function()
      i = i + 1
      if requests[i] then
        return i * 1000, requests[i][1], requests[i][2] or "-", requests[i][3] or "-", requests[i][4] or 200
      end
    end
  end
  local self = checks.new(run)
  for at, target, id, hash, status in arrivals() do
    self:request(at, target, id, hash, status)
  end
  self:finish(run.totals, run.states)
  return self:report(arrivals)
end

describe("support.crash_checks", function()
  it("find nothing where nothing is wrong", function()
    assert.is_nil(check(good()))
  end)

  -- Each: what is done to the good run, and a line of the report.
  for name, case in pairs {
    ["an event that was not delivered"] = {
      function(requests) table.remove(requests, 7) end, "lost: fast %(fast%): event b %(number 2 of writer 1%) was not deliv",
    },
    ["an event that only failed"] = {
      function(requests) requests[7][4] = 500 end, "lost: fast .* was not delivered\n +0.0 ms  came, was answered 500",
    },
    ["an accepted event that is not in the store"] = {
      function(_, run) run.events.b = nil end, "lost: all: event b .* is not in the store",
    },
    ["an event that came and is not in the store"] = {
      function(requests) table.insert(requests, { "/ok", "c", "C", 200 }) end, "not stored: fast .*event c %(nobody saw",
    },
    ["an event that was not asked for"] = {
      function(_, run) run.webhooks[1].updates_only = true end, "not wanted: fast .* of type entry.create",
    },
    ["a repetition without a kill"] = {
      function(requests) table.insert(requests, 8, requests[7]) end, "repeated: fast .*event b .*\n +1.0 ms  came",
    },
    ["a repetition of what was not in flight at the kill"] = {
      function(_, run) run.kills[1].leased = {} end, "repeated: fast .*event a .*kill 1 %(writer 1%)\n",
    },
    ["another body"] = { function(requests) requests[6][3] = "C" end, "another body: fast .*event a" },
    ["another event's body"] = { function(requests) requests[7][3] = "A" end, "another's body: fast .*event b" },
    ["one that overtakes a failed one"] = {
      function(requests) requests[8], requests[9] = requests[9], requests[8] end,
      "overtaken: ordered .*event b .* before event a .*was delivered",
    },
    ["one that comes again after a later one"] = {
      function(requests)
        table.insert(requests, 5, { "/keyed", "b", "B", 200 })
        table.insert(requests, 7, { "/keyed", "a", "A", 200 })
      end,
      "out of turn: keyed .*event a .* after event b",
    },
    ["a wrong order"] = {
      function(requests)
        requests[3] = { "/keyed", "b", "B", 200 }
        requests[10] = { "/keyed", "a", "A", 200 }
      end,
      "out of order: keyed .*event a .*after number 2",
    },
    ["a delivery too few"] = { function(_, run) run.states["4"].waiting = 1 end, "counts: reset .*has 1 waiting" },
    ["a lease after the end"] = {
      function(_, run) run.states["4"] = { waiting = 1, leased = 1 } end, "counts: reset .*1 waiting, 1 leased",
    },
    ["a delivery that did not become delivered"] = {
      function(_, run) run.states["1"] = { delivered = 1, dead = 1 } end, "counts: fast .* 2 were answered 200; .*1 dead",
    },
    ["totals that do not add up"] = {
      function(_, run) run.totals.waiting, run.totals.adds_up = 3, false end, "counts: all: 2 events with 8 .*not add up",
    },
  } do
    it("find " .. name, function()
      local requests = good()
      local report = check(requests, function(run) case[1](requests, run) end)
      assert.matches(case[2], report or "nothing")
    end)
  end

  it("tell a few of many in full, and how many there were", function()
    local requests = good()
    for _ = 1, 20 do
      table.insert(requests, requests[7])
    end
    local report = check(requests)
    assert.matches("\n20 times: repeated$", report)
    assert.equal(6, select(2, report:gsub("repeated", "")))
  end)

  it("take a kill of one of two processes for any repetition", function()
    assert.is_nil(check(good(), function(run) run.kills[1].leased = nil end))
  end)
end)
