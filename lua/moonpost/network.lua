--- The syntax of address rules: CIDRs (RFC 4632, RFC 4291) and host names (RFC 1123).
local webhook = require "moonpost.webhook"

local network = {}

local function is_v4(text)
  local count = 0
  for part in (text .. "."):gmatch "([^.]*)%." do
    if not part:find "^%d%d?%d?$" or tonumber(part) > 255 then return false end
    count = count + 1
  end
  return count == 4
end

local function is_v6(text)
  local head, tail = text:match "^(.-)::(.*)$"
  if text:find ":::" or (tail and tail:find "::") then return false end
  local groups = 0
  for _, side in ipairs { head or text, tail or "" } do
    if side ~= "" then
      local parts = {}
      for part in (side .. ":"):gmatch "([^:]*):" do parts[#parts + 1] = part end
      for i, part in ipairs(parts) do
        if i == #parts and is_v4(part) and (side == (tail or text)) then
          groups = groups + 2
        elseif part:find "^%x%x?%x?%x?$" then
          groups = groups + 1
        else
          return false
        end
      end
    end
  end
  if head then return groups < 8 end
  return groups == 8
end

local function is_host(text)
  if #text > 253 or text:find "^[%d.]+$" then return false end
  for label in (text:gsub("%.$", "") .. "."):gmatch "([^.]*)%." do
    if #label > 63 or not label:find "^[%w_]" or not label:find "^[%w_-]*$" or label:sub(-1) == "-" then return false end
  end
  return text ~= ""
end

local function is_rule(text)
  local address, prefix = text:match "^(.-)/(%d+)$"
  address = address or text
  if is_v4(address) then return not prefix or (#prefix <= 2 and tonumber(prefix) <= 32) end
  if is_v6(address) then return not prefix or (#prefix <= 3 and tonumber(prefix) <= 128) end
  return not prefix and is_host(address)
end

--- Checks a list of rules.
---@param value any
---@param where string
---@return string[]|nil
---@return string? message
function network.check_list(value, where)
  local length = webhook.list_length(value)
  if not length then
    return nil, ("%s: expected a list of CIDRs and host names, got %s"):format(where, webhook.shown(value))
  end
  for i = 1, length do
    if type(value[i]) ~= "string" or not is_rule(value[i]) then
      return nil, ("%s[%d]: expected a CIDR such as 10.1.0.0/16 or a host name, got %s"):format(where, i,
        webhook.shown(value[i]))
    end
  end
  return value
end

return network
