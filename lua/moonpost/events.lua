--- Events: what was accepted, with the exact body.
local json = require "moonpost.json"

local events = {}

---@class moonpost.Events
local mt = { __name = "moonpost.events", __index = {} }
local methods = mt.__index

---@class moonpost.Event
---@field id string also the webhook-id header of its deliveries
---@field type string
---@field model string? the uid
---@field created_at string ISO 8601
---@field key string? by which it is ordered
---@field body string the JSON text that is sent
---@field routing "waiting"|"held"? a script has yet to say where it goes, or failed of it; nil: that is settled
---@field routing_error string? what the script failed of last

--- For moonpost.open alone.
function events.new(engine)
  return setmetatable({ _engine = engine }, mt)
end

---@param id string
---@return moonpost.Event|nil
---@return string? message
---@return string? code ENOENT
function methods:get(id)
  return json.answer(self._engine:event(id))
end

--- Lists events, newest first.
---@param filter? { type: string?, routing: "held"?, limit: integer?, before: string? } routing: only those of whose routing a
-- script failed; limit: 1 to 1000, default 100
---@return moonpost.Event[]|nil
---@return string? message
---@return string? code ENOENT, EINVAL
function methods:list(filter)
  return json.answer(self._engine:events(filter or {}))
end

return events
