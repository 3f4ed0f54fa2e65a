--- JSON with the names of objects in order: the same text for the same value, whatever a table's own order is.
local core = require "moonpost.core"
local suggest = require "moonpost.suggest"

local function is_list(value)
  if #value > 0 then return true end
  local mt = getmetatable(value)
  return type(mt) == "table" and mt.__jsontype ~= "object"
end

local function write(value, out)
  if type(value) ~= "table" then
    out[#out + 1] = core.to_json(value)
    return
  end
  local list = is_list(value)
  out[#out + 1] = list and "[" or "{"
  for i, key in ipairs(list and value or suggest.keys(value)) do
    if i > 1 then out[#out + 1] = "," end
    if not list then out[#out + 1] = core.to_json(key) .. ":" end
    write(list and key or value[key], out)
  end
  out[#out + 1] = list and "]" or "}"
end

--- Writes a value that core.to_json would take.
---@param value any
---@return string
return function(value)
  local out = {}
  write(value, out)
  return table.concat(out)
end
