--- For a receiver written in Lua: is a request what its sender signed? (Standard Webhooks 1.0.0)
local core = require "moonpost.core"

local FIELDS = { "webhook-id", "webhook-timestamp", "webhook-signature" }
local TOLERANCE = 300

-- The three fields, by names in any case. Two of one name are none: who could say which one was signed?
local function fields_of(headers)
  local found = {}
  for name, value in pairs(headers) do
    local lower = type(name) == "string" and name:lower() or ""
    if type(value) == "table" then value = #value == 1 and value[1] or false end
    if found[lower] ~= nil then value = false end
    found[lower] = value
  end
  local result = {}
  for i, name in ipairs(FIELDS) do
    local value = found[name]
    if value == false then return nil, ("%s: expected one header field, got several"):format(name), "ESIGNATURE" end
    result[i] = type(value) == "string" and value or nil
  end
  return result
end

--- Verifies a request. Takes as long for a wrong signature as for a right one.
---@param secret string|string[] "whsec_...", or an ed25519 public key "whpk_..."; of several one must be right
---@param headers table<string, string|string[]> by names in any case
---@param body string exactly the bytes that came
---@param options? { tolerance: number?, now: number? } tolerance: seconds that the timestamp may be from now, both ways (300);
-- now: seconds since 1970 (the clock's)
---@return true|nil
---@return string? message
---@return string? code ESIGNATURE: the signature, or one of the three header fields, is missing or wrong; EEXPIRED: the
-- timestamp is too far from now (who has seen a request could send it again for ever); EINVAL: the secret is none
local function verify(secret, headers, body, options)
  if type(secret) == "string" then secret = { secret } end
  if type(secret) ~= "table" then error("moonpost.verify: secret: expected a string or a list, got " .. type(secret), 2) end
  if type(headers) ~= "table" then error("moonpost.verify: headers: expected a table, got " .. type(headers), 2) end
  if type(body) ~= "string" then error("moonpost.verify: body: expected a string, got " .. type(body), 2) end
  options = options or {}
  for i, one in ipairs(secret) do
    if type(one) ~= "string" then error(("moonpost.verify: secret[%d]: expected a string, got %s"):format(i, type(one)), 2) end
  end
  local fields, message, code = fields_of(headers)
  if not fields then return nil, message, code end
  return core.verify(secret, fields[1], fields[2], fields[3], body, options.tolerance or TOLERANCE,
    math.floor(options.now or os.time()))
end

return verify
