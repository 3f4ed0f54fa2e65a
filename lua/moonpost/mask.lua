--- What is not for everybody's eyes: header values, the user name and password of a URL, and what requests are signed with.
local mask = {}

local LISTS = { "events", "models", "retrySchedule" }
local list_mt = { __jsontype = "array" }

--- Marks a list, so that an empty one is [] in JSON.
---@param items table
---@return table items
function mask.list(items)
  return setmetatable(items, list_mt)
end

--- A header value, masked. Its first two characters help to tell one secret from another; half a character is none.
---@param value string
---@return string
function mask.value(value)
  return #value > 8 and (value:match "^[\32-\126][\32-\126]" or "") .. "****" or "****"
end

--- A URL without its user name and password.
---@param url string
---@return string
function mask.url(url)
  return (url:gsub("^(%a[%w+.-]*://)[^/?#]*@", "%1***@"))
end

--- Could it be what mask.value made of something?
---@param value string
---@return boolean
function mask.is_masked(value)
  return value:find "^[\32-\126]?[\32-\126]?%*%*%*%*$" ~= nil
end

--- A secret, masked: its kind is left ("whsec_****").
---@param secret string
---@return string
function mask.secret(secret)
  return (secret:match "^wh%l%l%l?_" or "") .. "****"
end

-- The secrets in tables of a webhook.
local WITHIN = { hubSignature = { "secret" }, auth = { "token", "password", "value", "clientSecret" } }

-- A copy of a table with the masks in it.
local function masked_within(value, names)
  local copy = {}
  for key, item in pairs(value) do copy[key] = item end
  for _, name in ipairs(names) do
    if copy[name] then copy[name] = mask.secret(copy[name]) end
  end
  if copy.tokenUrl and #names > 0 then copy.tokenUrl = mask.url(copy.tokenUrl) end
  return copy
end

--- Masks what a webhook's requests are signed with.
---@param webhook moonpost.Webhook changed
---@return moonpost.Webhook webhook
function mask.secrets(webhook)
  webhook.secret = webhook.secret and mask.secret(webhook.secret)
  webhook.signingKey = webhook.signingKey and mask.secret(webhook.signingKey)
  if webhook.oldSecrets then
    local old = {}
    for i, one in ipairs(webhook.oldSecrets) do old[i] = { secret = mask.secret(one.secret), expires_at = one.expires_at } end
    webhook.oldSecrets = old
  end
  for name, names in pairs(WITHIN) do
    if webhook[name] then webhook[name] = masked_within(webhook[name], names) end
  end
  return webhook
end

-- A secret that is sent back masked means what is there: is it that?
local function is_mask_of(value, stored)
  return type(value) == "string" and type(stored) == "string" and value ~= stored and value == mask.secret(stored)
end

local function looks_masked(value)
  return type(value) == "string" and (mask.is_masked(value) or value:find "^wh%l%l%l?_%*%*%*%*$" ~= nil)
end

local MASKED = "is masked, and not as what is there: write the value itself"
mask.MASKED = MASKED

--- The fields that somebody sends back, with the secrets that are there for those that are masked as they were shown.
---@param fields table
---@param stored moonpost.Webhook? with its secrets in full; nil: there is none
---@return table|nil fields a copy
---@return string? message "KEY: ..."
function mask.restored(fields, stored)
  local copy = {}
  stored = stored or {}
  for key, value in pairs(fields) do copy[key] = value end
  for _, key in ipairs { "secret", "signingKey" } do
    if is_mask_of(copy[key], stored[key]) then
      copy[key] = nil
    elseif looks_masked(copy[key]) then
      return nil, key .. ": " .. MASKED
    end
  end
  for key, names in pairs(WITHIN) do
    local value, old = copy[key], type(stored[key]) == "table" and stored[key] or {}
    for _, name in ipairs(type(value) == "table" and names or {}) do
      if is_mask_of(value[name], old[name]) then
        copy[key] = masked_within(copy[key], {})
        copy[key][name] = old[name]
      elseif looks_masked(value[name]) then
        return nil, ("%s.%s: %s"):format(key, name, MASKED)
      end
    end
    if type(value) == "table" and type(value.tokenUrl) == "string" and value.tokenUrl:find "^%a[%w+.-]*://%*%*%*@" then
      if not old.tokenUrl or value.tokenUrl ~= mask.url(old.tokenUrl) then return nil, key .. ".tokenUrl: " .. MASKED end
      copy[key] = masked_within(copy[key], {})
      copy[key].tokenUrl = old.tokenUrl
    end
  end
  return copy
end

--- A copy of a webhook that may be shown.
---@param webhook moonpost.Webhook
---@param show_secrets boolean? true: nothing is masked
---@return table
function mask.webhook(webhook, show_secrets)
  local copy = { headers = {} }
  for key, value in pairs(webhook) do
    if key ~= "headers" then copy[key] = value end
  end
  if not show_secrets then copy.url = mask.url(copy.url) end
  for _, key in ipairs(LISTS) do
    if copy[key] then mask.list(copy[key]) end
  end
  for name, value in pairs(webhook.headers) do
    copy.headers[name] = show_secrets and value or mask.value(value)
  end
  if copy.oldSecrets then mask.list(copy.oldSecrets) end
  return show_secrets and copy or mask.secrets(copy)
end

return mask
