--- Checks a webhook's definition: for the config's endpoints and for the API alike.
local auth = require "moonpost.auth"
local core = require "moonpost.core"
local json = require "moonpost.json"
local reports = require "moonpost.reports"
local signing = require "moonpost.signing"
local suggest = require "moonpost.suggest"
local tls = require "moonpost.tls"
local value_of = require "moonpost.value"

local webhook = {}

local MAX_NAME, MAX_HEADER_BYTES, MAX_SECONDS = 255, 8192, 30 * 24 * 3600

local shown, list_length = value_of.shown, value_of.list_length
webhook.shown, webhook.list_length = shown, list_length

-- The store keeps definitions as JSON.
local function is_utf8(text)
  return core.to_json(text) ~= nil
end

-- ---- one checker a field: value, where, context -> normalized | nil, message -------------------------

local fields = {}

function fields.name(value, where)
  if type(value) ~= "string" or value == "" or #value > MAX_NAME then
    return nil, ("%s: expected a name of 1 to %d bytes, got %s"):format(where, MAX_NAME, shown(value))
  end
  if value:find "[%z\1-\31\127]" then return nil, ("%s: expected a name without control characters"):format(where) end
  if not is_utf8(value) then return nil, ("%s: expected UTF-8"):format(where) end
  return value
end

function fields.url(value, where, context)
  if type(value) ~= "string" then return nil, ("%s: expected a URL, got %s"):format(where, shown(value)) end
  local ok, message = core.check_url(value)
  if not ok then return nil, ("%s: %s"):format(where, message) end
  if not is_utf8(value) then return nil, ("%s: expected UTF-8 (or %%-escapes)"):format(where) end
  ok, message = core.guard_url(value, context.network)
  if not ok then return nil, ("%s: %s"):format(where, message) end
  return value
end

local function header_pairs(value, where)
  local result = {}
  local length = list_length(value)
  if not length then
    for name, item in pairs(value) do result[#result + 1] = { name, item } end
    table.sort(result, function(a, b)
      local x, y = tostring(a[1]):lower(), tostring(b[1]):lower()
      if x ~= y then return x < y end
      return tostring(a[1]) < tostring(b[1])
    end)
    return result
  end
  for i = 1, length do
    local item = value[i]
    if type(item) ~= "table" then
      return nil, ("%s[%d]: expected { name, value }, got %s"):format(where, i, value_of.kind(item))
    end
    result[i] = { item[1] or item.name, item[2] or item.value }
  end
  return result
end

--- Checks header fields: a map, or an ordered list of { name, value }.
---@param value any
---@param where string
---@return { [1]: string, [2]: string }[]|nil headers ordered
---@return string? message
function webhook.headers(value, where)
  if type(value) ~= "table" then
    return nil, ("%s: expected a table of header fields, got %s"):format(where, value_of.kind(value))
  end
  local list, message = header_pairs(value, where)
  if not list then return nil, message end
  local seen, bytes = {}, 0
  for _, header in ipairs(list) do
    local name, content = header[1], header[2]
    if type(name) ~= "string" then
      return nil, ("%s: expected header names, got %s"):format(where, shown(name))
    end
    if type(content) ~= "string" then
      return nil, ("%s['%s']: expected a string, got %s"):format(where, name, value_of.kind(content))
    end
    local ok
    ok, message = core.check_header(where, name, content)
    if not ok then return nil, message end
    if not is_utf8(content) then return nil, ("%s['%s']: expected UTF-8"):format(where, name) end
    if core.header_reserved(name) then
      return nil, ("%s['%s']: is moonpost's own header and cannot be set"):format(where, name)
    end
    local lower = name:lower()
    if seen[lower] then
      return nil, ("%s['%s']: is there already, as '%s'"):format(where, name, seen[lower])
    end
    seen[lower] = name
    bytes = bytes + #name + #content
  end
  if bytes > MAX_HEADER_BYTES then
    return nil, ("%s: expected at most %d bytes of names and values, got %d"):format(where, MAX_HEADER_BYTES, bytes)
  end
  return list
end

function fields.headers(value, where)
  return webhook.headers(value, where)
end

local function known_event(pattern, context)
  if pattern == "*" then return true end
  local prefix = pattern:match "^([%w_.]+%.)%*$"
  for _, list in ipairs { context.event_list, reports.TYPES } do
    for _, event in ipairs(list) do
      if event == pattern or prefix and event:sub(1, #prefix) == prefix then return true end
    end
  end
  return false
end

function fields.events(value, where, context)
  local length = list_length(value)
  if not length then return nil, ("%s: expected a list of events, got %s"):format(where, shown(value)) end
  if length == 0 then return nil, ("%s: expected at least one event"):format(where) end
  local result, seen = {}, {}
  for i, pattern in ipairs(value) do
    if type(pattern) ~= "string" then
      return nil, ("%s[%d]: expected an event, got %s"):format(where, i, shown(pattern))
    end
    if not known_event(pattern, context) then
      local near = suggest.near(pattern, context.event_list)
      return nil, ("%s[%d]: expected one of %s, a report (%s), a pattern such as entry.*, or *; got '%s'%s"):format(where, i,
        table.concat(context.event_list, ", "), table.concat(reports.TYPES, ", "), pattern, near)
    end
    if not seen[pattern] then result[#result + 1] = pattern end
    seen[pattern] = true
  end
  return result
end

function fields.models(value, where, context)
  local length = list_length(value)
  if not length or length == 0 then
    return nil, ("%s: expected a list of models, got %s"):format(where, length and "an empty one" or shown(value))
  end
  local result = {}
  for i, name in ipairs(value) do
    if type(name) ~= "string" then
      return nil, ("%s[%d]: expected a model's name, got %s"):format(where, i, shown(name))
    end
    local uid, message = context.model(name)
    if not uid then return nil, ("%s[%d]: %s"):format(where, i, message) end
    result[i] = uid
  end
  return result
end

function fields.enabled(value, where)
  if type(value) ~= "boolean" then return nil, ("%s: expected a boolean, got %s"):format(where, shown(value)) end
  return value
end

local function seconds_up_to(most)
  return function(value, where)
    if type(value) ~= "number" or value ~= value or value < 0.001 or value > most then
      return nil, ("%s: expected a number of seconds between 0.001 and %d, got %s"):format(where, most, shown(value))
    end
    return value
  end
end

fields.timeout = seconds_up_to(600)
fields.connectTimeout = seconds_up_to(600)

--- A whole number between two others.
function webhook.integer(least, most)
  return function(value, where)
    if type(value) ~= "number" or value ~= math.floor(value) or value < least or value > most then
      return nil, ("%s: expected a whole number between %d and %d, got %s"):format(where, least, most, shown(value))
    end
    return value
  end
end

fields.concurrency = webhook.integer(1, 1000)

function fields.retrySchedule(value, where)
  local length = list_length(value)
  if not length or length > 100 then
    return nil, ("%s: expected a list of at most 100 waits in seconds, got %s"):format(where,
      length and length .. " of them" or shown(value))
  end
  for i, wait in ipairs(value) do
    if type(wait) ~= "number" or wait ~= wait or wait < 0 or wait > MAX_SECONDS then
      return nil, ("%s[%d]: expected a number of seconds between 0 and %d, got %s"):format(where, i, MAX_SECONDS, shown(wait))
    end
  end
  return value
end

--- A number between two others.
function webhook.number(least, most)
  return function(value, where)
    if type(value) ~= "number" or value ~= value or value < least or value > most then
      return nil, ("%s: expected a number between %g and %d, got %s"):format(where, least, most, shown(value))
    end
    return value
  end
end

local RATE = { perSecond = webhook.number(0.001, 100000), burst = webhook.integer(1, 100000) }

function fields.rate(value, where)
  if type(value) ~= "table" then
    return nil, ("%s: expected a table { perSecond =, burst = }, got %s"):format(where, shown(value))
  end
  for key, item in pairs(value) do
    if not RATE[key] then
      return nil, ("%s.%s: unknown key%s"):format(where, tostring(key), suggest.near(key, suggest.keys(RATE)))
    end
    local ok, message = RATE[key](item, where .. "." .. key)
    if not ok then return nil, message end
  end
  if not value.perSecond then return nil, ("%s.perSecond: expected a number, got none"):format(where) end
  return { perSecond = value.perSecond, burst = value.burst or 1 }
end

--- One of some words.
function webhook.one_of(...)
  local words = { ... }
  return function(value, where)
    for _, word in ipairs(words) do
      if value == word then return value end
    end
    return nil, ("%s: expected \"%s\", got %s"):format(where, table.concat(words, '" or "'), shown(value))
  end
end

fields.secret = signing.check_secret
fields.signingKey = signing.check_key
fields.hubSignature = signing.check_hub
fields.auth = auth.check
fields.tls = tls.check
fields.proxy = tls.check_proxy

fields.order = webhook.one_of("none", "webhook", "key")
fields.on_enable = webhook.one_of("send", "discard")

--- A script by its name: words of its folder's files.
function fields.script(value, where, context)
  if type(value) ~= "string" or #value > 100 or not value:find "^[%w_-]+$" then
    return nil, ("%s: expected a script's name of letters, digits, _ and -, without .lua; got %s"):format(where, shown(value))
  end
  if context and context.script then
    local ok, message = context.script(value, where)
    if not ok then return nil, message end
  end
  return value
end

--- The field checkers that the config's delivery section shares.
webhook.fields = fields

local OPTIONAL = {
  models = true, timeout = true, connectTimeout = true, concurrency = true, retrySchedule = true, rate = true, order = true,
  on_enable = true, secret = true, signingKey = true, hubSignature = true, auth = true, tls = true, proxy = true, script = true,
}
local NAMES = suggest.keys(fields)

local function check_key(key, where)
  if type(key) ~= "string" or not fields[key] then
    return nil, ("%s.%s: unknown key%s"):format(where, tostring(key), suggest.near(key, NAMES))
  end
  return true
end

-- Is a header that moonpost has of its own for this webhook among its headers, too? The message, or nil.
local function clash(result, where)
  local own = {}
  if result.hubSignature and result.hubSignature ~= json.null then own[result.hubSignature.header:lower()] = "hubSignature" end
  if result.auth and result.auth ~= json.null then
    local name = auth.header(result.auth)
    if own[name:lower()] then return ("%s.hubSignature.header: '%s' is that of auth"):format(where, name) end
    own[name:lower()] = "auth"
  end
  for _, header in ipairs(result.headers ~= json.null and result.headers or {}) do
    local what = own[header[1]:lower()]
    if what then return ("%s.headers['%s']: is that of %s"):format(where, header[1], what) end
  end
end

--- Checks one webhook, whole.
---@param definition table as for check
---@param where string
---@param context table as for check
---@param options? { partial: boolean? }
---@return table|nil normalized
---@return { [1]: string, [2]: string }[]? mistakes every one: the key, and a message
function webhook.examine(definition, where, context, options)
  local partial = options and options.partial
  local result, given, mistakes = {}, {}, {}
  for _, key in ipairs(suggest.keys(definition)) do
    local value = definition[key]
    local name = key == "isEnabled" and "enabled" or key
    local ok, message = check_key(name, where)
    if ok and given[name] ~= nil and given[name] ~= value then
      ok, message = nil, ("%s.enabled: expected one of enabled and isEnabled, got both"):format(where)
    end
    if not ok then mistakes[#mistakes + 1] = { key, message } end
    given[name] = value
  end
  for _, key in ipairs(NAMES) do
    local value, message = given[key], nil
    if value == json.null and OPTIONAL[key] then
      result[key] = partial and json.null or nil
    elseif value ~= nil then
      result[key], message = fields[key](value, where .. "." .. key, context)
    elseif not partial and (key == "name" or key == "url" or key == "events") then
      message = ("%s.%s: expected %s, got none"):format(where, key, key == "events" and "a list of events" or "a " .. key)
    end
    if message then mistakes[#mistakes + 1] = { key, message } end
  end
  if #mistakes == 0 then
    local message = clash(result, where)
    if message then mistakes[1] = { "headers", message } end
  end
  if #mistakes > 0 then return nil, mistakes end
  if not partial then
    result.headers = result.headers or {}
    if result.enabled == nil then result.enabled = true end
  end
  return result
end

--- Checks one webhook.
---@param definition any { name, url, headers?, events, models?, enabled? (or isEnabled), timeout?, connectTimeout?,
-- concurrency?, retrySchedule?, rate?, order?, on_enable?, secret?, signingKey?, hubSignature?, auth?, tls?, proxy?, script? }
---@param where string the place in messages ("webhooks.endpoints[2]")
---@param context { events: table<string, boolean>, event_list: string[], network: table, model: fun(name: string): string?, string?,
-- script: (fun(name: string, where: string): true?, string?)? } network: the rules of the guard; own_files, dir: tls may
-- name any file, relative to the folder dir, and they are looked at; script: is there such a script?
---@param options? { partial: boolean? } partial: only the given fields; null takes an optional one away
---@return table|nil normalized headers as an ordered list of pairs, models as uids, events without repetitions, secret as a
-- list (false: none)
---@return string? message of the first mistake
---@return string? code EINVAL
function webhook.check(definition, where, context, options)
  if type(definition) ~= "table" then
    return nil, ("%s: expected a table { name =, url =, events = }, got %s"):format(where, shown(definition)), "EINVAL"
  end
  local result, mistakes = webhook.examine(definition, where, context, options)
  if not result then return nil, mistakes[1][2], "EINVAL" end
  return result
end

return webhook
