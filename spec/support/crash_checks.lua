--- What must hold of a run of the crash spec: the requests that came, in their order, against the events that were
-- accepted and the kills.
local crash_webhooks = require "spec.support.crash_webhooks"
local MARK = require("spec.support.crash_writers").MARK

local checks = {}
checks.__index = checks

-- Problems of one kind that are told in full.
local MOST_TOLD = 5

--- What the checks need to know, all of it read once everything has ended.
---@param run table webhooks (crash_webhooks.list, each with its id), kills and accepted (crash_writers), events
-- (crash_store.events)
function checks.new(run)
  local self = setmetatable({
    run = run, lanes = {}, by_target = {}, accepted = {}, ids_by_body = {},
    marks = 0, problems = {}, totals = {},
  }, checks)
  for _, accepted in ipairs(run.accepted) do
    self.accepted[accepted.id] = accepted
  end
  for i, webhook in ipairs(run.webhooks) do
    local lane = {
      webhook = webhook,
      served = {}, -- event -> the number of kills that were over when it was answered 200
      lines = {}, -- order key -> the line of what goes in order
      requests = 0, failed = 0, repeated = 0, delivered = 0,
    }
    self.lanes[i], self.by_target[webhook.target] = lane, lane
  end
  return self
end

local function problem(self, kind, lane, id, text)
  self.totals[kind] = (self.totals[kind] or 0) + 1
  if self.totals[kind] <= MOST_TOLD then
    table.insert(self.problems, { kind = kind, target = lane and lane.webhook.target, id = id, text = text })
  end
end

-- "event ID (writer 3's 12th)", as far as it is known.
local function event_name(self, id)
  local accepted = self.accepted[id]
  return "event " .. id .. (accepted and (" (number %d of writer %d)"):format(accepted.number, accepted.writer)
    or " (nobody saw its emit return)")
end

-- ---- one request -----------------------------------------------------------------------------------------------------

-- Was the delivery in flight, or its outcome not yet committed, at a kill between the two requests?
local function excused(self, lane, id, marks_before, at)
  for number = marks_before + 1, #self.run.kills do
    local kill = self.run.kills[number]
    if kill.from_us <= at and (not kill.leased or kill.leased[id .. " " .. lane.webhook.id]) then
      return true
    end
  end
  return false
end

local function check_body(self, lane, id, hash)
  local event = self.run.events[id]
  event.body = event.body or hash
  if event.body ~= hash then
    problem(self, "another body", lane, id, ("%s came with the body %s, before with %s"):format(
      event_name(self, id), hash, event.body))
  end
  self.ids_by_body[hash] = self.ids_by_body[hash] or id
  if self.ids_by_body[hash] ~= id then
    problem(self, "another's body", lane, id, ("%s came with the body of %s"):format(
      event_name(self, id), event_name(self, self.ids_by_body[hash])))
  end
end

-- A new event of a line (the whole webhook's, or one key's): the one before has been delivered, it has not had its turn
-- before, and those of its writer come in the order of emission.
local function check_turn(self, lane, line, id)
  local accepted = self.accepted[id]
  if line.id and not lane.served[line.id] then
    problem(self, "overtaken", lane, id, ("%s came before %s was delivered"):format(
      event_name(self, id), event_name(self, line.id)))
  end
  if line.had_turn[id] then
    problem(self, "out of turn", lane, id, ("%s came again after %s"):format(
      event_name(self, id), event_name(self, line.id)))
  elseif accepted then
    if accepted.number < (line.newest[accepted.writer] or 0) then
      problem(self, "out of order", lane, id, ("%s came after number %d"):format(
        event_name(self, id), line.newest[accepted.writer]))
    end
    line.newest[accepted.writer] = accepted.number
  end
  line.had_turn[id] = true
  line.id = id
end

local function check_order(self, lane, id)
  local key = self.run.events[id].key
  if lane.webhook.order == "webhook" then
    key = "*"
  end
  if lane.webhook.order and key then
    lane.lines[key] = lane.lines[key] or { had_turn = {}, newest = {} }
    if lane.lines[key].id ~= id then
      check_turn(self, lane, lane.lines[key], id)
    end
  end
end

local function check_request(self, lane, at, id, hash, status)
  lane.requests = lane.requests + 1
  local event = self.run.events[id]
  if not event then
    problem(self, "not stored", lane, id, ("%s came, but is not in the store"):format(event_name(self, id)))
    return
  end
  if not crash_webhooks.wants(lane.webhook, event.type) then
    problem(self, "not wanted", lane, id, ("%s came, of type %s"):format(event_name(self, id), event.type))
  end
  check_body(self, lane, id, hash)
  check_order(self, lane, id)
  local marks_before = lane.served[id]
  if marks_before then
    lane.repeated = lane.repeated + 1
    if not excused(self, lane, id, marks_before, at) then
      problem(self, "repeated", lane, id, ("%s came again, and no kill interrupted its delivery"):format(
        event_name(self, id)))
    end
  end
  if status == 200 then
    lane.delivered = lane.delivered + (marks_before and 0 or 1)
    lane.served[id] = self.marks
  else
    lane.failed = lane.failed + 1
  end
end

--- Takes the next request of the record.
function checks:request(at, target, id, hash, status)
  local lane = self.by_target[target]
  if lane then
    check_request(self, lane, at, id, hash, status)
  else
    self.marks = self.marks + 1
    assert(target == MARK .. self.marks, "neither a webhook's nor a kill's: " .. target)
  end
end

-- ---- the end ---------------------------------------------------------------------------------------------------------

local function check_stored(self)
  for _, accepted in ipairs(self.run.accepted) do
    if not self.run.events[accepted.id] then
      problem(self, "lost", nil, accepted.id, ("%s is not in the store"):format(event_name(self, accepted.id)))
    end
  end
end

local function check_delivered(self, lane)
  for id, event in pairs(self.run.events) do
    if crash_webhooks.wants(lane.webhook, event.type) and not lane.served[id] then
      problem(self, "lost", lane, id, ("%s was not delivered"):format(event_name(self, id)))
    end
  end
end

local STATES = { "waiting", "leased", "delivered", "dead", "held", "filtered" }

-- How many deliveries are in some state, and which, as text.
local function sum_of(counts)
  local sum, told = 0, {}
  for i, state in ipairs(STATES) do
    sum = sum + (counts[state] or 0)
    told[i] = (counts[state] or 0) .. " " .. state
  end
  return sum, table.concat(told, ", ")
end

-- A webhook has one delivery of each event that it wants, and what was answered 200 is delivered. Answers how many.
local function check_states(self, lane, counts)
  local wanted, sum, told = 0, sum_of(counts)
  for _, event in pairs(self.run.events) do
    wanted = wanted + (crash_webhooks.wants(lane.webhook, event.type) and 1 or 0)
  end
  if sum ~= wanted or (counts.delivered or 0) ~= lane.delivered or counts.leased then
    problem(self, "counts", lane, nil, ("of %d deliveries %d were answered 200; the store has %s"):format(
      wanted, lane.delivered, told))
  end
  return wanted
end

local function check_totals(self, totals, wanted)
  local sum, told = sum_of(totals)
  local events = 0
  for _ in pairs(self.run.events) do
    events = events + 1
  end
  if totals.events ~= events or sum ~= wanted or not totals.adds_up then
    problem(self, "counts", nil, nil, ("%d events with %d deliveries; stats has %d events, %s%s"):format(
      events, wanted, totals.events, told, totals.adds_up and "" or ", and says that they do not add up"))
  end
end

--- What must hold at the end.
---@param totals table hooks:stats().store, when all was delivered
---@param states table<string, table<string, number>> of crash_store.states, when the store was closed
function checks:finish(totals, states)
  assert(self.marks == #self.run.kills, "the record lacks kills")
  check_stored(self)
  local wanted = 0
  for _, lane in ipairs(self.lanes) do
    if lane.webhook.healthy then
      check_delivered(self, lane)
    end
    wanted = wanted + check_states(self, lane, states[lane.webhook.id] or {})
  end
  check_totals(self, totals, wanted)
end

-- ---- what is told ----------------------------------------------------------------------------------------------------

-- What came of one event at one webhook, with the kills from its first request to the first kill after its last.
local function history(found, kills, arrivals)
  local out, first, number = { found.text }, nil, 1
  local function add(at, text)
    out[#out + 1] = ("    %9.1f ms  %s"):format((at - first) / 1000, text)
  end
  local function add_kill()
    local kill = kills[number]
    add(kill.from_us, ("kill %d (writer %d)%s"):format(number, kill.writer, kill.leased and "" or ", which may repeat any"))
  end
  for at, target, id, _, status in arrivals() do
    if target == found.target and id == found.id then
      first = first or at
      while kills[number] and kills[number].from_us < at do
        if kills[number].from_us > first then
          add_kill()
        end
        number = number + 1
      end
      add(at, "came, was answered " .. status)
    end
  end
  if first and kills[number] then
    add_kill()
  elseif found.target and not first then
    out[#out + 1] = "    no request of it came"
  end
  return table.concat(out, "\n")
end

--- The problems that were found, each with the requests and kills around it; nil for none.
---@param arrivals fun(): function goes through the record once more
---@return string?
function checks:report(arrivals)
  local out, names = {}, {}
  for _, lane in ipairs(self.lanes) do
    names[lane.webhook.target] = ("%s (%s)"):format(lane.webhook.name, lane.webhook.kind)
  end
  for _, found in ipairs(self.problems) do
    local text = found.id and history(found, self.run.kills, arrivals) or found.text
    out[#out + 1] = ("%s: %s: %s"):format(found.kind, names[found.target] or "all", text)
  end
  for kind, count in pairs(self.totals) do
    out[#out + 1] = ("%d times: %s"):format(count, kind)
  end
  return #out > 0 and table.concat(out, "\n") or nil
end

--- Totals by kind of webhook, in the webhooks' order: { kind, webhooks, requests, failed, delivered, repeated }.
function checks:summary()
  local rows, by_kind = {}, {}
  for _, lane in ipairs(self.lanes) do
    local kind = lane.webhook.kind
    local row = by_kind[kind] or { kind = kind, webhooks = 0, requests = 0, failed = 0, delivered = 0, repeated = 0 }
    if not by_kind[kind] then
      by_kind[kind], rows[#rows + 1] = row, row
    end
    row.webhooks = row.webhooks + 1
    for _, name in ipairs { "requests", "failed", "delivered", "repeated" } do
      row[name] = row[name] + lane[name]
    end
  end
  return rows
end

return checks
