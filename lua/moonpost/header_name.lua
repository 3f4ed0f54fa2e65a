--- The name of a header field that a webhook's own settings put its secrets into.
local core = require "moonpost.core"
local value_of = require "moonpost.value"

local header_name = {}

local MAX = 255

--- Is it a field's name, and none that moonpost sets?
---@param value any
---@param where string
---@return true|nil
---@return string? message
function header_name.check(value, where)
  if type(value) ~= "string" then return nil, ("%s: expected a header name, got %s"):format(where, value_of.kind(value)) end
  local ok, message = core.check_header(where, value, "")
  if not ok then return nil, message end
  local lower = value:lower()
  if core.header_reserved(value) or lower == "x-strapi-event" or lower == "content-type" then
    return nil, ("%s: '%s' is moonpost's own header and cannot be set"):format(where, value)
  end
  if #value > MAX then return nil, ("%s: expected at most %d bytes, got %d"):format(where, MAX, #value) end
  return true
end

return header_name
