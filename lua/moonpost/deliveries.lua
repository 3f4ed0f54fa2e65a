--- Deliveries: one event for one webhook, with its attempts.
local json = require "moonpost.json"

local deliveries = {}

---@class moonpost.Deliveries
local mt = { __name = "moonpost.deliveries", __index = {} }
local methods = mt.__index

---@class moonpost.Delivery
---@field id string
---@field event_id string
---@field webhook_id string
---@field event string the event's type
---@field model string?
---@field state "waiting"|"leased"|"delivered"|"dead"|"held"|"filtered"
---@field attempts integer made so far
---@field created_at string of the event, ISO 8601
---@field due_at string? when a waiting one is due
---@field last { at: string, duration_ms: number, status: integer?, class: string?, error: string? }? the last attempt

--- For moonpost.open alone.
function deliveries.new(engine)
  return setmetatable({ _engine = engine }, mt)
end

--- Lists deliveries, newest first.
---@param filter? { webhook_id: string?, event_id: string?, state: string?, limit: integer?, before: string? } limit: 1 to 1000,
-- default 100; before: the id of the last delivery of the page before
---@return moonpost.Delivery[]|nil
---@return string? message
---@return string? code EINVAL, ENOENT
function methods:list(filter)
  return json.answer(self._engine:deliveries(filter or {}))
end

---@param id string
---@return moonpost.Delivery|nil
---@return string? message
---@return string? code ENOENT
function methods:get(id)
  return json.answer(self._engine:delivery(id))
end

--- The attempts of a delivery, oldest first.
---@param id string
---@return { number: integer, at: string, duration_ms: number, status: integer?, class: string?, error: string?, response: string? }[]|nil
---@return string? message
---@return string? code ENOENT
function methods:attempts(id)
  return json.answer(self._engine:attempts(id))
end

--- Sends a delivery again, now: the same bytes, the same webhook-id. Its retry schedule starts anew; a pending
-- automatic attempt is replaced.
---@param id string
---@return moonpost.Delivery|nil
---@return string? message
---@return string? code ENOENT, EBUSY (an attempt is under way)
function methods:resend(id)
  return json.answer(self._engine:resend(id))
end

return deliveries
