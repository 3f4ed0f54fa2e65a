--- A webhook as clients send it: Strapi's names, its messages where it has one, moonpost's reason beside it; all mistakes
-- at once.
local answer = require "moonpost.admin.answer"
local auth = require "moonpost.auth"
local body = require "moonpost.admin.body"
local json = require "moonpost.json"
local mask = require "moonpost.mask"

local form = {}

local KINDS = { headers = "object", rate = "object", hubSignature = "object", auth = "object", tls = "object", events = "array",
  models = "array", retrySchedule = "array" }
local NULLABLE = { models = true, timeout = true, connectTimeout = true, concurrency = true, retrySchedule = true, rate = true,
  order = true, on_enable = true, hubSignature = true, auth = true, tls = true, proxy = true, script = true }
-- What is not shown again.
local SECRET = { hubSignature = true, auth = true }
-- What answers have and moonpost alone writes: may be sent back, and changes nothing.
local READ_ONLY = { id = true, source = true, created_at = true, updated_at = true, left_alone_until = true, failing_since = true,
  oldSecrets = true, publicKey = true }

local MASKED = mask.MASKED
local NO_RATE, NO_SECRET = "expected a number, for there is none to keep", "expected a secret, for there is none to keep"
local NO_AUTH = "expected the rest of it, for there is none to keep"
local NO_CERT = "expected the certificate of key, for there is none to keep"
local CONFLICTS = { [MASKED] = true, [NO_RATE] = true, [NO_SECRET] = true, [NO_AUTH] = true, [NO_CERT] = true }

local Mistakes = {}
Mistakes.__index = Mistakes

function Mistakes:add(path, ...)
  if not self.errors[path] then self.errors[path] = mask.list { ... } end
end

local function validation_error(mistakes, status)
  return answer.error(status, "ValidationError", { data = { errors = mistakes.errors } })
end

-- What would be right for another webhook, or for this one as it was, is a conflict with what it is (RFC 5789 section 2.2).
local function refusal(mistakes, stored)
  for _, messages in pairs(mistakes.errors) do
    if not stored or not CONFLICTS[messages[#messages]] then return validation_error(mistakes, 400) end
  end
  return validation_error(mistakes, 409)
end

local function add_required(mistakes, members, required)
  for _, name in ipairs(required) do
    local member = members[name]
    if not member or member.value == "" or member.value == json.null and name ~= "headers" then
      mistakes:add(name, name .. " is a required field")
    end
  end
end

-- Lua's empty table is a list and an object; the text is one of them.
local function add_kinds(mistakes, members)
  for name, kind in pairs(KINDS) do
    local member = members[name]
    if member and member.kind ~= kind and not (member.kind == "null" and NULLABLE[name]) then
      local shown = #member.text > 200 and member.text:sub(1, 200):gsub("[\128-\255]", "?") .. "..." or member.text
      if SECRET[name] then shown = member.kind end
      mistakes:add(name, ("%s must be a `%s` type, but the final value was: `%s`."):format(name, kind, shown))
    end
  end
end

-- "webhook.events[2]: reason" is about events[1]: JSON counts from 0.
local function place_of(key, message)
  local rest, reason = message:match("^webhook%." .. key .. "([^:]-): (.*)$")
  if not rest then return key, message end
  local index = rest:match "^%[(%d+)%]$"
  return key .. (index and ("[%d]"):format(index - 1) or rest), reason
end

local function add_mistake(mistakes, hooks, key, message)
  local path, reason = place_of(key, message)
  if mistakes.errors[key] then return end
  if key == "url" then
    mistakes:add(path, "url must be a valid URL", reason)
  elseif path:find "^events%[" then
    mistakes:add(path, ("%s must be one of the following values: %s"):format(path,
      table.concat(hooks.webhooks:event_types(), ", ")), reason)
  else
    mistakes:add(path, reason)
  end
end

local function fields_of(members)
  local fields = {}
  for name, member in pairs(members) do
    if not READ_ONLY[name] then fields[name] = member.value end
  end
  return fields
end

-- Answers have the flag by both names. Of two that differ, a client has changed one.
local function settle_enabled(fields, stored)
  if not stored or type(fields.enabled) ~= "boolean" or type(fields.isEnabled) ~= "boolean" then return end
  if fields.isEnabled ~= stored.enabled then fields.enabled = fields.isEnabled end
  fields.isEnabled = nil
end

-- A client that sends back what it was shown means what is there.
local function unmask(mistakes, fields, stored)
  if type(fields.url) == "string" and fields.url:find "^%a[%w+.-]*://%*%*%*@" then
    if stored and fields.url == mask.url(stored.url) then
      fields.url = stored.url
    else
      mistakes:add("url", "url must be a valid URL", MASKED)
    end
  end
  if type(fields.headers) ~= "table" then return end
  local known = {}
  for name, value in pairs(stored and stored.headers or {}) do known[name:lower()] = value end
  for name, value in pairs(fields.headers) do
    local old = type(name) == "string" and known[name:lower()]
    if type(value) == "string" and mask.is_masked(value) and value ~= old then
      if old and value == mask.value(old) then
        fields.headers[name] = old
      else
        mistakes:add(("headers['%s']"):format(tostring(name)), MASKED)
      end
    end
  end
end

-- The same for what requests are signed with. Answers the fields.
local function unmask_secrets(mistakes, fields, stored)
  local restored, message = mask.restored(fields, stored)
  if restored then return restored end
  local key, reason = message:match "^(%S+): (.*)$"
  mistakes:add(key, reason)
  return fields
end

-- RFC 7396 for an object: null takes a member away. Header names are the same in any case.
local function merged(old, patch, fold)
  local result = {}
  for name, value in pairs(old or {}) do result[name] = value end
  for name, value in pairs(patch) do
    for other in pairs(fold and result or {}) do
      if other:lower() == tostring(name):lower() then result[other] = nil end
    end
    if value == json.null then value = nil end
    result[name] = value
  end
  return result
end

local function apply_patch(mistakes, fields, members, stored)
  if fields.headers == json.null then
    fields.headers = {}
    members.headers = nil
  elseif type(fields.headers) == "table" and members.headers.kind == "object" then
    fields.headers = merged(stored.headers, fields.headers, true)
  end
  if type(fields.hubSignature) == "table" and members.hubSignature.kind == "object" then
    fields.hubSignature = merged(stored.hubSignature, fields.hubSignature)
    if fields.hubSignature.secret == nil then mistakes:add("hubSignature", NO_SECRET) end
  end
  if type(fields.auth) == "table" and members.auth.kind == "object" then
    local stays = not fields.auth.type or stored.auth and fields.auth.type == stored.auth.type
    fields.auth = merged(stays and stored.auth, fields.auth) -- of another type nothing stays
    if auth.missing(fields.auth) then mistakes:add("auth", NO_AUTH) end
  end
  if type(fields.tls) == "table" and members.tls.kind == "object" then
    fields.tls = merged(stored.tls, fields.tls)
    if fields.tls.key and not fields.tls.cert then mistakes:add("tls", NO_CERT) end
  end
  if type(fields.rate) == "table" and members.rate.kind == "object" then
    fields.rate = merged(stored.rate, fields.rate)
    if fields.rate.perSecond == nil then mistakes:add("rate", NO_RATE) end
  end
end

--- Reads a webhook's fields from a body.
---@param hooks moonpost.Hooks
---@param text string
---@param options { required: string[], stored: moonpost.Webhook?, patch: boolean? } stored: the webhook that is changed;
-- patch: the body is a merge patch (RFC 7396)
---@return table|nil fields for webhooks:create or update
---@return moonpost.admin.Answer? refusal
function form.read(hooks, text, options)
  local mistakes = setmetatable({ errors = {} }, Mistakes)
  local members, message = body.members(text)
  if not members then
    mistakes:add("", message)
    return nil, validation_error(mistakes, 400)
  end
  local stored = options.stored
  local fields = fields_of(members)
  settle_enabled(fields, stored)
  if options.patch then apply_patch(mistakes, fields, members, stored) end
  add_required(mistakes, members, options.required)
  add_kinds(mistakes, members)
  unmask(mistakes, fields, stored)
  fields = unmask_secrets(mistakes, fields, stored)
  local unknown, near = {}, nil
  for _, mistake in ipairs(hooks.webhooks:mistakes(fields, stored ~= nil) or {}) do
    local key, reason = mistake[1], mistake[2]
    if reason:find(("webhook.%s: unknown key"):format(key), 1, true) == 1 then
      unknown[#unknown + 1] = key
      near = near or reason:match "; (did you mean .*)$"
    else
      add_mistake(mistakes, hooks, key == "isEnabled" and "enabled" or key, reason)
    end
  end
  if #unknown > 0 then mistakes:add("", "this field has unspecified keys: " .. table.concat(unknown, ", "), near) end
  if next(mistakes.errors) then return nil, refusal(mistakes, stored) end
  return fields
end

return form
