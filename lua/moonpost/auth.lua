--- How a webhook's requests show their receiver who sends them: its field auth.
local core = require "moonpost.core"
local header_name = require "moonpost.header_name"
local suggest = require "moonpost.suggest"
local value_of = require "moonpost.value"

local auth = {}

local MAX_TEXT = 4096

-- The fields of each type; true: it must be there.
local TYPES = {
  bearer = { token = true },
  basic = { username = true, password = true },
  header = { name = true, value = true },
  apiKey = { name = true, value = true },
  oauth2 = { tokenUrl = true, clientId = true, clientSecret = true, scope = false, audience = false, clientAuth = false },
}
local TYPE_NAMES = suggest.keys(TYPES)

-- The message never has the value: most of them are secret.
local function check_text(value, where, empty)
  if type(value) ~= "string" or value == "" and not empty or #value > MAX_TEXT or value:find "%z" or not core.to_json(value) then
    return nil, ("%s: expected %d to %d bytes of UTF-8 without NUL, got %s"):format(where, empty and 0 or 1, MAX_TEXT,
      type(value) == "string" and #value .. " bytes" or value_of.kind(value))
  end
  return true
end

local function check_filled(value, where)
  return check_text(value, where)
end

-- Header fields: what they hold cannot have a control character.
local function check_value(value, where)
  local ok, message = check_text(value, where)
  if not ok then return nil, message end
  ok = core.check_header(where, "X", value)
  if not ok then return nil, ("%s: expected no control characters"):format(where) end
  return true
end

local FIELDS = {
  token = check_value, value = check_value,
  password = function(value, where) return check_text(value, where, true) end,
  username = function(value, where)
    local ok, message = check_text(value, where)
    if ok and value:find(":", 1, true) then return nil, ("%s: expected no colon (RFC 7617)"):format(where) end
    return ok, message
  end,
  name = header_name.check,
  tokenUrl = function(value, where, context)
    local ok, message = check_text(value, where)
    if not ok then return nil, message end
    ok, message = core.check_url(value)
    if ok then ok, message = core.guard_url(value, context.network) end
    if not ok then return nil, ("%s: %s"):format(where, message) end
    return true
  end,
  clientAuth = function(value, where)
    if value == "basic" or value == "body" then return true end
    return nil, ('%s: expected "basic" or "body", got %s'):format(where, value_of.shown(value))
  end,
}

--- Checks the field auth: a table, or false: none.
---@return table|false|nil auth a copy
---@return string? message
function auth.check(value, where, context)
  if value == false then return false end
  local fields = type(value) == "table" and TYPES[value.type]
  if not fields then
    local given = type(value) == "table" and value_of.shown(value.type) or value_of.kind(value)
    return nil, ('%s.type: expected "%s", got %s'):format(where, table.concat(TYPE_NAMES, '", "'), given)
  end
  local result = { type = value.type }
  for _, key in ipairs(suggest.keys(value)) do
    if key ~= "type" then
      local place = ("%s.%s"):format(where, tostring(key))
      if fields[key] == nil then
        return nil, ("%s: unknown key for the type %s%s"):format(place, value.type, suggest.near(key, suggest.keys(fields)))
      end
      local ok, message = (FIELDS[key] or check_filled)(value[key], place, context)
      if not ok then return nil, message end
      result[key] = value[key]
    end
  end
  local missing = auth.missing(result)
  if missing then return nil, ("%s.%s: expected text, got none"):format(where, missing) end
  return result
end

--- A field that its type needs and that it has not.
---@param value table
---@return string?
function auth.missing(value)
  local fields = TYPES[value.type]
  for _, key in ipairs(fields and suggest.keys(fields) or {}) do
    if fields[key] and value[key] == nil then return key end
  end
end

--- The header field that it is in.
---@param value table
---@return string
function auth.header(value)
  return value.name or "Authorization"
end

--- One line that tells how, and no secret.
---@param value table
---@return string
function auth.describe(value)
  if value.type == "oauth2" then return ("oauth2: %s, client %s"):format(value.tokenUrl, value.clientId) end
  if value.type == "basic" then return ("basic: %s"):format(value.username) end
  return value.name and ("%s: %s"):format(value.type, value.name) or value.type
end

return auth
