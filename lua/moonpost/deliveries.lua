--- Deliveries: one event for one webhook, with its attempts.
local json = require "moonpost.json"
local time = require "moonpost.time"

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
---@field scripts string? the versions of the scripts that it went through: "redact@0f3a… crm@9a41…"
---@field last { at: string?, duration_ms: number?, status: integer?, class: string?, error: string? }? the last attempt; without at
-- it ended or is held without one: class "script" says which script failed, and where

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
---@return { number: integer, at: string, duration_ms: number, status: integer?, class: string?, error: string?, response: string?,
-- scripts: string? }[]|nil attempts scripts: the versions that made what was sent
---@return string? message
---@return string? code ENOENT
function methods:attempts(id)
  return json.answer(self._engine:attempts(id))
end

--- What is sent to the webhook: the event's body, or what scripts made of it.
---@param id string
---@return { body: string, content_type: string, headers: table<string, string> }|nil payload headers: those that scripts added
---@return string? message
---@return string? code ENOENT (also when its event is forgotten)
function methods:payload(id)
  local row, message, code = json.answer(self._engine:payload(id))
  if not row then return nil, message, code end
  local payload = { body = row.body, content_type = row.content_type or "application/json", headers = {} }
  for _, header in ipairs(row.headers or {}) do payload.headers[header[1]] = header[2] end
  return payload
end

--- Sends a delivery again, now: the same bytes, the same webhook-id; with rerun its event goes through the scripts as they
-- are now. Its retry schedule starts anew; a pending
-- automatic attempt is replaced. It waits while its webhook is disabled or left alone, and where the webhook has an order
-- behind what is under way.
---@param id string
---@param options? { rerun: boolean? }
---@return moonpost.Delivery|nil
---@return string? message
---@return string? code ENOENT, EBUSY (an attempt is under way)
function methods:resend(id, options)
  return json.answer(self._engine:resend(id, options ~= nil and options.rerun == true))
end

local MAX_REPLAY = 1000000

local function range_of(options)
  local range = { state = options.state or "dead" }
  local message
  if range.state ~= "all" and range.state ~= "dead" and range.state ~= "held" then
    return nil, ("state: expected \"dead\", \"held\" or \"all\", got '%s'"):format(tostring(options.state))
  end
  for name, default in pairs { since = -62135596800000, ["until"] = 253402300800000 } do -- the years 1 to 9999
    if options[name] == nil then
      range[name] = default
    else
      range[name], message = time.to_ms(options[name], name)
      if not range[name] then return nil, message end
    end
  end
  range.limit = options.limit or 10000
  if type(range.limit) ~= "number" or range.limit < 1 or range.limit > MAX_REPLAY then
    return nil, ("limit: expected a number between 1 and %d, got %s"):format(MAX_REPLAY, tostring(range.limit))
  end
  return range
end

-- What a disabled webhook holds goes when it is enabled; an enabled one holds what its scripts failed of.
local function check_held(self, webhook_id)
  local webhook, message, code = json.answer(self._engine:webhook(webhook_id))
  if not webhook then return nil, message, code end
  if webhook.enabled then return true end
  return nil, ("webhook %s is disabled: what it holds is sent when it is enabled"):format(webhook_id), "EBUSY"
end

--- Sends the events of a time again to one webhook: the same bytes, the same webhook-id; what is not yet sent is not sent
-- twice. With state "held" what a script failed of goes through it again; with "all" also events that came before the webhook
-- was there, if it wants them now. It goes in steps, each of them on disk when it is done, oldest first; after a failure, or at
-- the limit, next is where to go on.
---@param options { webhook_id: string, since: string|number?, until: string|number?, state: "dead"|"held"|"all"?, limit: integer?,
-- after: string?, progress: fun(count: integer)? } since, until (which is outside): ISO 8601 or seconds since 1970, of the
-- events' created_at; state: default "dead"; limit: how many at most, default 10,000; after: the next of an earlier call;
-- progress: called after each step
---@return { count: integer, next: string? }|nil result next: there may be more
---@return string? message
---@return string? code EINVAL, ENOENT, EBUSY (with state "held": the webhook is disabled)
function methods:replay(options)
  if type(options) ~= "table" then error("deliveries:replay: expected a table", 2) end
  local range, message = range_of(options)
  if not range then return nil, message, "EINVAL" end
  local webhook_id = type(options.webhook_id) == "number" and ("%d"):format(options.webhook_id) or options.webhook_id
  if type(webhook_id) ~= "string" then return nil, "webhook_id: expected a webhook's id", "EINVAL" end
  if range.state == "held" then
    local ok, why, code = check_held(self, webhook_id)
    if not ok then return nil, why, code end
  end
  local result = { count = 0, next = options.after }
  repeat
    local step, code
    step, message, code = json.answer(self._engine:replay(webhook_id, range.since, range["until"], range.state,
      range.limit - result.count, result.next))
    if not step then
      return nil, ("%s (after %d, up to %s)"):format(message, result.count, result.next or "the first"), code
    end
    result = { count = result.count + step.count, next = step.next }
    if options.progress then options.progress(result.count) end
  until not result.next or result.count >= range.limit
  return result
end

return deliveries
