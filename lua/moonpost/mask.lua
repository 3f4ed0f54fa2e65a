--- What is not for everybody's eyes: header values, and the user name and password of a URL.
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
  return copy
end

return mask
