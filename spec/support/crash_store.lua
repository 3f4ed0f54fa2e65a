--- Looks into a store of the crash spec from outside, with the sqlite3 command.
local shell = require "spec.support.shell"

local crash_store = {}

-- Seconds for which it waits while a process writes.
local BUSY = 60
local STATES = { [0] = "waiting", "leased", "delivered", "dead", "held", "filtered" } -- of csrc/queue/store.h

-- An event's id as the API shows it: 13 digits of base 32 (csrc/base/id.c).
local function id_text(column)
  local digits = {}
  for i = 1, 13 do
    digits[i] = ("substr('0123456789abcdefghjkmnpqrstvwxyz', ((%s >> %d) & 31) + 1, 1)"):format(column, 5 * (13 - i))
  end
  return "'evt_' || " .. table.concat(digits, " || ")
end

-- Runs one statement. The log stays as it is: bringing it into the store would do the recovery that moonpost is to do.
local function lines(path, sql)
  local output, code = shell.run(table.concat({
    "sqlite3 -batch -separator ' ' -cmd '.timeout " .. BUSY * 1000 .. "'",
    "-cmd '.output /dev/null' -cmd '.dbconfig no_ckpt_on_close on' -cmd '.output stdout'",
    shell.quote(path), shell.quote(sql),
  }, " "))
  assert(code == 0, output)
  return output:gmatch("[^\n]+")
end

--- What SQLite's own check finds.
---@return string "ok", or what is wrong
function crash_store.integrity(path)
  local found = {}
  for line in lines(path, "PRAGMA integrity_check") do
    found[#found + 1] = line
  end
  return table.concat(found, "\n")
end

--- What some engine has, or had when it died.
---@return table<string, boolean> leased by "EVENT WEBHOOK", two ids
function crash_store.leased(path)
  local leased = {}
  for line in lines(path, "SELECT " .. id_text "event_id" .. ", webhook_id FROM delivery WHERE lease IS NOT NULL") do
    leased[line] = true
  end
  return leased
end

--- The events.
---@return table<string, table> events { type, key } by id
function crash_store.events(path)
  local events = {}
  for line in lines(path, "SELECT " .. id_text "id" .. ", type, coalesce(order_key, '-') FROM event") do
    local id, event_type, key = line:match("^(%S+) (%S+) (%S+)$")
    events[id] = { type = event_type, key = key ~= "-" and key or nil }
  end
  return events
end

--- How many deliveries each webhook has in each state.
---@return table<string, table<string, number>> counts by the webhook's id, by state
function crash_store.states(path)
  local counts = {}
  for line in lines(path, "SELECT webhook_id, state, count(*) FROM delivery GROUP BY 1, 2") do
    local id, state, count = line:match("^(%d+) (%d+) (%d+)$")
    counts[id] = counts[id] or {}
    counts[id][STATES[tonumber(state)]] = tonumber(count)
  end
  return counts
end

return crash_store
