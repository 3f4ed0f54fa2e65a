--- Values as other people wrote them: what they are, and how they look in an error text.
local json = require "moonpost.json"

local value_of = {}

local function type_of(value)
  if value == json.null then return "null" end
  return type(value)
end

--- Shows a value in an error text, a URL without its user name and password. Never for what else may be secret: value_of.kind
-- does for that.
function value_of.shown(value)
  if type(value) == "string" then
    value = value:gsub("://[^/?#]*@", "://***@")
    return ("string '%s'"):format(#value > 60 and value:sub(1, 60) .. "..." or value)
  end
  if type(value) == "number" or type(value) == "boolean" then return ("%s %s"):format(type(value), tostring(value)) end
  return type_of(value)
end

--- What kind of value is it? For error texts about secrets.
value_of.kind = type_of

--- Is it a list 1..n? The number of items, or nil.
function value_of.list_length(value)
  if type(value) ~= "table" then return nil end
  local count = 0
  for key in pairs(value) do
    if type(key) ~= "number" then return nil end
    count = count + 1
  end
  for i = 1, count do
    if value[i] == nil then return nil end
  end
  return count
end

return value_of
