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

-- The set of "EVENT WEBHOOK", two ids.
local function deliveries(path, where)
  local set = {}
  for line in lines(path, "SELECT " .. id_text "event_id" .. ", webhook_id FROM delivery WHERE " .. where) do
    set[line] = true
  end
  return set
end

-- The hexadecimal digits of eight bytes, the lowest first, as of a big-endian number.
local function turned(hex)
  return (hex:gsub("(%x%x)", "%1 "):reverse():gsub(" (%x)(%x)", "%2%1"))
end

local BITS = {}
for i = 0, 15 do
  local bits = ""
  for k = 3, 0, -1 do
    bits = bits .. math.floor(i / 2 ^ k) % 2
  end
  BITS[("%X"):format(i)] = bits
end

-- As id_text, of a number in hexadecimal digits: LuaJIT has no integers of 64 bits.
local function id_of(hex)
  local bits = "0" .. hex:gsub("%x", BITS)
  return "evt_" .. bits:gsub("%d%d%d%d%d", function(digit)
    local n = tonumber(digit, 2)
    return ("0123456789abcdefghjkmnpqrstvwxyz"):sub(n + 1, n + 1)
  end)
end

--- What some engine has, or had when it died: in rows of its own, or in a bundle and not ended (csrc/queue/sqlite_bundle.c).
---@return table<string, boolean> leased by "EVENT WEBHOOK", two ids
function crash_store.leased(path)
  local leased = deliveries(path, "lease IS NOT NULL")
  local ended = deliveries(path, "lease IS NULL AND event_id >= (SELECT min(oldest) FROM bundle WHERE open > 0)")
  for bundle in lines(path, "SELECT hex(deliveries) FROM bundle WHERE open > 0") do
    for event, webhook in bundle:gmatch("(" .. ("%x"):rep(16) .. ")(" .. ("%x"):rep(16) .. ")") do
      local delivery = id_of(turned(event)) .. " " .. tonumber(turned(webhook), 16)
      leased[delivery] = leased[delivery] or not ended[delivery] or nil
    end
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
