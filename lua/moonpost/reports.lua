--- Reports: what the engine has to say of webhooks and deliveries, told to the host's callbacks.
--
-- The engine's threads never touch the host's Lua state: callbacks run in poll, on the host's own thread.
local json = require "moonpost.json"

local reports = {}
reports.__index = reports
reports.__name = "moonpost.reports"

--- The types, which are also event types that a webhook may subscribe to by name.
reports.TYPES = { "webhook.disabled", "webhook.failing", "webhook.recovered", "delivery.dead", "script.paused" }

-- Larger than any report's number.
local LAST = 2 ^ 53

--- For moonpost.open alone.
function reports.new(engine)
  local state = json.answer(engine:reports(LAST))
  return setmetatable({ _engine = engine, _seen = state and state.last or 0, _callbacks = {} }, reports)
end

local function matches(pattern, type)
  return pattern == "*" or pattern == type or pattern:sub(-2) == ".*" and type:sub(1, #pattern - 1) == pattern:sub(1, -2)
end

--- Calls fn(report) for each report of a type, or of all that a pattern ("webhook.*", "*") names.
function reports:on(pattern, fn)
  local known = false
  for _, type in ipairs(reports.TYPES) do known = known or matches(pattern, type) end
  if not known then
    return nil, ("expected one of %s, webhook.*, or *; got '%s'"):format(table.concat(reports.TYPES, ", "), pattern), "EINVAL"
  end
  self._callbacks[#self._callbacks + 1] = { pattern, fn }
  return true
end

--- Tells the callbacks what happened since the last poll. A callback's error is the caller's; the reports after it are told
-- by the next poll.
function reports:poll()
  local state, message, code = json.answer(self._engine:reports(self._seen))
  if not state then return nil, message, code end
  local missed = state.last - #state.reports - self._seen
  self._seen = self._seen + missed
  for _, report in ipairs(state.reports) do
    self._seen = self._seen + 1
    for _, callback in ipairs(self._callbacks) do
      if matches(callback[1], report.event) then callback[2](report) end
    end
  end
  return #state.reports, missed
end

return reports
