--- A running server's hooks, over its HTTP API: the methods of moonpost.open's handle that a command line needs, with the same
-- answers. Each call is one request, and blocks.
local core = require "moonpost.core"
local json = require "moonpost.json"
local mask = require "moonpost.mask"

local remote = {}

-- moonpost's code for a status that came without one.
local CODES = { [401] = "EACCES", [403] = "EACCES", [404] = "ENOENT", [409] = "EBUSY", [413] = "E2BIG", [429] = "EAGAIN" }

local Server = {}
Server.__index = Server

local function escaped(text)
  return (tostring(text):gsub("[^%w%-._~]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

local function query_of(fields)
  local parts = {}
  for name, value in pairs(fields or {}) do parts[#parts + 1] = ("%s=%s"):format(name, escaped(value)) end
  table.sort(parts)
  return #parts > 0 and "?" .. table.concat(parts, "&") or ""
end

-- Strapi's answers name the mistakes by field.
local function message_of(answer, status)
  if type(answer) ~= "table" then return ("the server answered %d"):format(status) end
  local errors = type(answer.data) == "table" and answer.data.errors
  local lines = {}
  for field, messages in pairs(type(errors) == "table" and errors or {}) do
    lines[#lines + 1] = ("%s: %s"):format(field, tostring(messages[#messages]))
  end
  table.sort(lines)
  return #lines > 0 and table.concat(lines, "; ") or tostring(answer.message or ("the server answered %d"):format(status))
end

--- Makes a request, and answers what the server did.
---@param method string
---@param path string
---@param options? { query: table?, body: any, text: string?, headers: table?, plain: boolean? } body: sent as JSON; text: JSON
-- already; plain: the answer is no JSON
---@return table|string|nil answer
---@return string? message
---@return string? code
function Server:request(method, path, options)
  options = options or {}
  local headers = { Accept = "application/json" }
  if self.token then headers.Authorization = "Bearer " .. self.token end
  for name, value in pairs(options.headers or {}) do headers[name] = value end
  local text = options.text or options.body ~= nil and core.to_json(options.body) or nil
  if text then headers["Content-Type"] = "application/json" end
  local status, answer, code = core.request {
    method = method, url = self.url .. path .. query_of(options.query), headers = headers, body = text, timeout = self.timeout,
  }
  if not status then return nil, ("%s: %s"):format(self.url, answer), code end
  if options.plain and status == 200 then return answer end
  local value = json.decode(answer)
  if status >= 200 and status < 300 and type(value) == "table" then return value end
  if status >= 200 and status < 300 then return nil, ("%s: no JSON came"):format(self.url), "EIO" end
  local known = type(value) == "table" and value.code
  return nil, message_of(value, status), type(known) == "string" and known or CODES[status] or status >= 500 and "EIO" or "EINVAL"
end

function Server:data(method, path, options)
  local answer, message, code = self:request(method, path, options)
  if not answer then return nil, message, code end
  return answer.data
end

-- ---- webhooks ---------------------------------------------------------------------------------------

local Webhooks = {}
Webhooks.__index = Webhooks

-- In the API a webhook's id is a number, and it has Strapi's isEnabled.
local function webhook(value, message, code)
  if not value then return nil, message, code end
  value.id, value.isEnabled = ("%d"):format(value.id), nil
  return value
end

function Webhooks:query()
  return { query = { show_secrets = self.server.show_secrets and "true" or nil } }
end

function Webhooks:list()
  local list, message, code = self.server:data("GET", "/admin/webhooks", self:query())
  if not list then return nil, message, code end
  for i, one in ipairs(list) do list[i] = webhook(one) end
  return list
end

function Webhooks:get(id)
  return webhook(self.server:data("GET", "/admin/webhooks/" .. escaped(id), self:query()))
end

local LISTS = { events = true, models = true, retrySchedule = true }

-- Header fields may be an ordered list of pairs; in JSON they are an object.
local function body_of(fields)
  local body = {}
  for name, value in pairs(fields) do body[name] = LISTS[name] and type(value) == "table" and mask.list(value) or value end
  if fields.headers then
    body.headers = {}
    for name, value in pairs(fields.headers) do
      if type(value) == "table" then name, value = value[1], value[2] end
      body.headers[name] = value
    end
  end
  return body
end

function Webhooks:create(fields)
  local options = self:query()
  options.body = body_of(fields)
  options.body.headers = options.body.headers or {}
  return webhook(self.server:data("POST", "/admin/webhooks", options))
end

-- The API merges (RFC 7396): a field that is to go is sent as null.
local function drop_others(body, current)
  local kept = {}
  for name in pairs(body) do kept[name:lower()] = true end
  for name in pairs(current) do
    if not kept[name:lower()] then body[name] = json.null end
  end
end

function Webhooks:update(id, fields)
  local options = self:query()
  options.body = body_of(fields)
  if fields.headers then
    local current, message, code = self:get(id)
    if not current then return nil, message, code end
    drop_others(options.body.headers, current.headers)
  end
  return webhook(self.server:data("PATCH", "/admin/webhooks/" .. escaped(id), options))
end

function Webhooks:delete(id)
  return webhook(self.server:data("DELETE", "/admin/webhooks/" .. escaped(id), self:query()))
end

function Webhooks:rotate_secret(id, options)
  local query = self:query()
  query.body = { secret = options.secret, overlap = options.overlap }
  return webhook(self.server:data("POST", ("/admin/webhooks/%s/rotate-secret"):format(escaped(id)), query))
end

function Webhooks:trigger(id)
  return self.server:data("POST", ("/admin/webhooks/%s/trigger"):format(escaped(id)))
end

-- ---- deliveries -------------------------------------------------------------------------------------

local Deliveries = {}
Deliveries.__index = Deliveries

local function delivery(value, message, code)
  if not value then return nil, message, code end
  value.webhook_id = ("%d"):format(value.webhook_id)
  return value
end

function Deliveries:list(filter)
  local list, message, code = self.server:data("GET", "/admin/deliveries", { query = filter })
  if not list then return nil, message, code end
  for i, one in ipairs(list) do list[i] = delivery(one) end
  return list
end

function Deliveries:whole(id, query)
  return delivery(self.server:data("GET", "/admin/deliveries/" .. escaped(id), { query = query }))
end

function Deliveries:get(id)
  local one, message, code = self:whole(id)
  if not one then return nil, message, code end
  one.history, one.body, one.content_type, one.headers = nil, nil, nil, nil
  return one
end

function Deliveries:attempts(id)
  local one, message, code = self:whole(id)
  if not one then return nil, message, code end
  return one.history
end

function Deliveries:payload(id)
  local one, message, code = self:whole(id, { show_secrets = self.server.show_secrets and "true" or nil })
  if not one then return nil, message, code end
  if one.body == json.null then return nil, "its event is forgotten", "ENOENT" end
  return { body = one.body, content_type = one.content_type, headers = one.headers }
end

function Deliveries:resend(id, options)
  return delivery(self.server:data("POST", ("/admin/deliveries/%s/resend"):format(escaped(id)),
    { query = { rerun = options and options.rerun and "true" or nil } }))
end

-- A request makes at most so many again.
local REPLAY_STEP = 10000

function Deliveries:replay(options)
  local limit, result = options.limit or REPLAY_STEP, { count = 0, next = options.after }
  repeat
    local step, message, code = self.server:data("POST", "/admin/deliveries/replay", { body = {
      webhook_id = options.webhook_id, since = options.since, ["until"] = options["until"], state = options.state,
      limit = math.min(limit - result.count, REPLAY_STEP), after = result.next,
    } })
    if not step then return nil, message, code end
    result = { count = result.count + step.count, next = step.next ~= json.null and step.next or nil }
    if options.progress then options.progress(result.count) end
  until not result.next or result.count >= limit
  return result
end

-- ---- events -----------------------------------------------------------------------------------------

local Events = {}
Events.__index = Events

function Events:list(filter)
  return self.server:data("GET", "/admin/events", { query = filter })
end

function Events:get(id)
  return self.server:data("GET", "/admin/events/" .. escaped(id))
end

-- ---- the whole --------------------------------------------------------------------------------------

local Hooks = {}
Hooks.__index = Hooks

function Hooks:emit_json(text, options)
  local answer, message, code = self.server:data("POST", "/events", {
    text = text, headers = { ["Idempotency-Key"] = options and options.idempotency_key },
  })
  if not answer then return nil, message, code end
  return #answer.ids == 1 and answer.ids[1] or answer.ids
end

-- Is a delivery on its way, or about to be sent for the first time?
function Hooks:busy()
  local leased, message, code = self.deliveries:list { state = "leased", limit = 1 }
  if not leased then return nil, message, code end
  if #leased > 0 then return true end
  local waiting
  waiting, message, code = self.deliveries:list { state = "waiting", limit = 1000 }
  if not waiting then return nil, message, code end
  for _, one in ipairs(waiting) do
    if one.attempts == 0 then return true end
  end
  return false
end

function Hooks:wait(seconds)
  local deadline = core.now() + seconds
  while true do
    local busy, message, code = self:busy()
    if not busy then
      if busy == nil then return nil, message, code end
      return true
    end
    if core.now() >= deadline then return nil, "timeout", "ETIMEDOUT" end
    core.sleep(0.1)
  end
end

function Hooks:scripts()
  return self.server:data("GET", "/admin/scripts")
end

function Hooks:reload()
  return self.server:data("POST", "/admin/scripts/reload")
end

function Hooks:metrics()
  return self.server:request("GET", "/metrics", { plain = true })
end

function Hooks:stats()
  return self.server:data("GET", "/admin/stats")
end

--- Nothing is held open.
function Hooks.close()
  return true
end

--- Names a server; nothing is asked of it yet.
---@param url string "https://hooks.example.com"
---@param options? { token: string?, show_secrets: boolean?, timeout: number? } timeout: seconds for each request (30)
---@return table|nil hooks
---@return string? message
---@return string? code EINVAL
function remote.open(url, options)
  if type(url) ~= "string" or not url:find "^https?://[^/%s]+" then
    return nil, ("--url: expected a server such as https://hooks.example.com, got '%s'"):format(tostring(url)), "EINVAL"
  end
  options = options or {}
  local server = setmetatable({
    url = url:gsub("/+$", ""), token = options.token, show_secrets = options.show_secrets, timeout = options.timeout or 30,
  }, Server)
  return setmetatable({
    server = server,
    webhooks = setmetatable({ server = server }, Webhooks),
    deliveries = setmetatable({ server = server }, Deliveries),
    events = setmetatable({ server = server }, Events),
  }, Hooks)
end

return remote
