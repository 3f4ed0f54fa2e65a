--- Request bodies: the media type, the size, JSON that is JSON.
local answer = require "moonpost.admin.answer"
local core = require "moonpost.core"
local json = require "moonpost.json"
local json_text = require "moonpost.admin.json_text"
local request_parts = require "moonpost.admin.request"

local body = {}

--- Bytes of a body that holds no events.
body.MAX = 65536

--- Is the body of one of a route's media types, and not too long? Without a Content-Type it is taken for the first.
---@param request moonpost.admin.Request
---@param types string[]
---@param most integer bytes
---@return string|nil media_type
---@return moonpost.admin.Answer? refusal
function body.media_type(request, types, most)
  if #request.body > most then return nil, answer.failure(("the body is over %d bytes"):format(most), "E2BIG") end
  local given = request_parts.media_type(request.headers["content-type"])
  if request.headers["content-encoding"] and request.headers["content-encoding"]:lower() ~= "identity" then
    return nil, answer.error(415, "Content-Encoding: expected none")
  end
  if not request.headers["content-type"] then return types[1] end
  for _, known in ipairs(types) do
    if given == known then return known end
  end
  return nil, answer.error(415, ("Content-Type: expected %s"):format(table.concat(types, " or ")),
    { headers = { Accept = table.concat(types, ", ") } })
end

--- A value as it is written.
---@class moonpost.admin.Raw
---@field text string
---@field kind string json_text.kind
---@field value any decoded; json.null for null

--- The members of a body that is a JSON object.
---@param text string
---@return table<string, moonpost.admin.Raw>|nil members
---@return string? message
function body.members(text)
  local ok, message = core.check_json(text)
  if not ok then return nil, message end
  local kind = json_text.kind(text)
  if kind ~= "object" then return nil, ("expected an object, got %s"):format(kind) end
  local members = {}
  for _, member in ipairs(json_text.members(text)) do
    members[member[1]] = {
      text = member[2], kind = json_text.kind(member[2]), value = json.decode("[" .. member[2] .. "]")[1],
    }
  end
  return members
end

--- A webhook's id in a body: a whole number, or its digits.
---@param value any
---@return string|nil id
function body.webhook_id(value)
  if type(value) == "number" then
    return value >= 1 and value < 1e15 and value == math.floor(value) and ("%d"):format(value) or nil
  end
  return type(value) == "string" and #value <= 15 and value:match "^[1-9]%d*$" or nil
end

return body
