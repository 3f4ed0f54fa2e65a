--- What a webhook's requests are signed with: its fields secret, signingKey and hubSignature, and their form in the store.
--
-- The store's definition has secrets, a list of { secret } and { secret, until }, newest first; until (milliseconds since 1970):
-- when one that was replaced ends.
local core = require "moonpost.core"
local header_name = require "moonpost.header_name"
local suggest = require "moonpost.suggest"
local time = require "moonpost.time"
local value_of = require "moonpost.value"

local signing = {}

local MAX_SECRETS = 5
local MAX_OVERLAP = 7 * 86400
local DAY = 86400

local kind, list_length = value_of.kind, value_of.list_length

-- ---- the fields: value, where, context -> normalized | nil, message -----------------------------------

local function check_one(value, where, what)
  if type(value) ~= "string" then
    return nil, ("%s: expected %s_ and base64, got %s"):format(where, what, kind(value))
  end
  return core.check_secret(what, where, value)
end

--- A secret, a list of them (newest first), or false: not signed.
function signing.check_secret(value, where)
  if value == false then return false end
  local length = list_length(value)
  if not length then
    local ok, message = check_one(value, where, "whsec")
    if not ok then return nil, message end
    return { value }
  end
  if length == 0 or length > MAX_SECRETS then
    return nil, ("%s: expected a secret, or a list of 1 to %d, got %d"):format(where, MAX_SECRETS, length)
  end
  local result = {}
  for i = 1, length do
    local ok, message = check_one(value[i], ("%s[%d]"):format(where, i), "whsec")
    if not ok then return nil, message end
    result[i] = value[i]
  end
  return result
end

--- An ed25519 key, true (one is made, where the store keeps it), or false: none.
function signing.check_key(value, where, context)
  if value == false or value == true and context.makes_keys then return value end
  local ok, message = check_one(value, where, "whsk")
  if not ok then return nil, message end
  return value
end

local HUB = {
  header = header_name.check,
  prefix = function(value, where)
    if type(value) ~= "string" or #value > 64 or value:find "[^!-~]" then
      return nil, ("%s: expected at most 64 visible ASCII characters, got %s"):format(where, value_of.shown(value))
    end
    return true
  end,
  encoding = function(value, where)
    if value == "hex" or value == "base64" then return true end
    return nil, ('%s: expected "hex" or "base64", got %s'):format(where, value_of.shown(value))
  end,
  secret = function(value, where)
    if type(value) ~= "string" or value == "" or #value > 1024 or value:find "%z" or not core.to_json(value) then
      return nil, ("%s: expected a secret of 1 to 1024 bytes of UTF-8 without NUL, got %s"):format(where,
        type(value) == "string" and #value .. " bytes" or kind(value))
    end
    return true
  end,
}

--- { header = "X-Hub-Signature-256", prefix = "sha256=", encoding = "hex", secret = }, or false: none.
function signing.check_hub(value, where)
  if value == false then return false end
  if type(value) ~= "table" then
    return nil, ("%s: expected a table { secret =, header =, prefix =, encoding = }, got %s"):format(where, kind(value))
  end
  local result = { header = "X-Hub-Signature-256", prefix = "sha256=", encoding = "hex" }
  for _, key in ipairs(suggest.keys(value)) do
    if not HUB[key] then
      return nil, ("%s.%s: unknown key%s"):format(where, tostring(key), suggest.near(key, suggest.keys(HUB)))
    end
    local ok, message = HUB[key](value[key], where .. "." .. key)
    if not ok then return nil, message end
    result[key] = value[key]
  end
  if not result.secret then return nil, ("%s.secret: expected a secret, got none"):format(where) end
  return result
end

-- ---- the store's form -------------------------------------------------------------------------------

--- Puts the checked fields into a definition, in the store's form: what is false goes.
---@param definition table changed
---@return table definition
function signing.store(definition)
  if definition.secret ~= nil then
    definition.secrets = nil
    for i, secret in ipairs(definition.secret or {}) do
      definition.secrets = definition.secrets or {}
      definition.secrets[i] = { secret }
    end
    definition.secret = nil
  end
  if definition.signingKey == true then definition.signingKey = assert(core.new_signing_key()) end
  definition.signingKey = definition.signingKey or nil
  definition.hubSignature = definition.hubSignature or nil
  definition.auth = definition.auth or nil
  return definition
end

--- Puts a definition's secrets into a webhook as it is answered.
---@param webhook table changed
---@return table webhook
function signing.show(webhook)
  local secrets, now = webhook.secrets or {}, os.time() * 1000
  webhook.secrets = nil
  webhook.secret = secrets[1] and secrets[1][1]
  for i = 2, #secrets do
    local ends = secrets[i][2]
    if not ends or ends > now then
      webhook.oldSecrets = webhook.oldSecrets or {}
      table.insert(webhook.oldSecrets, { secret = secrets[i][1], expires_at = ends and time.iso8601(ends) })
    end
  end
  webhook.publicKey = webhook.signingKey and core.public_key(webhook.signingKey)
  return webhook
end

--- The secrets after a rotation: the new one signs from now on, those before it for the overlap too.
---@param secrets table? the definition's
---@param options { secret: string?, overlap: number? } overlap: seconds
---@return table|nil secrets
---@return string? message
---@return string? code EINVAL
function signing.rotate(secrets, options)
  local overlap, now = options.overlap or DAY, os.time() * 1000
  if type(overlap) ~= "number" or not (overlap >= 0 and overlap <= MAX_OVERLAP) then
    return nil, ("overlap: expected a number of seconds between 0 and %d, got %s"):format(MAX_OVERLAP,
      value_of.shown(overlap)), "EINVAL"
  end
  local secret = options.secret
  if secret == nil then
    local made, reason = core.new_secret()
    if not made then return nil, reason, "EIO" end
    secret = made
  end
  local ok, message = check_one(secret, "secret", "whsec")
  if not ok then return nil, message, "EINVAL" end
  local result = { { secret } }
  for i, old in ipairs(overlap > 0 and secrets or {}) do
    if old[1] == secret then return nil, "secret: expected another one than those that sign already", "EBUSY" end
    local ends = i == 1 and now + math.floor(overlap * 1000) or old[2]
    if not ends or ends > now then result[#result + 1] = { old[1], ends } end
  end
  if #result > MAX_SECRETS then
    return nil, ("secret: %d sign already, at most %d may; overlap = 0 ends all but the new one"):format(#result - 1,
      MAX_SECRETS), "EBUSY"
  end
  return result
end

return signing
