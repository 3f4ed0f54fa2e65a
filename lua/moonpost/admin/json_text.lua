--- Takes JSON text apart without decoding it: the parts keep their digits, their order and their spelling.
--
-- The text must be JSON: core.check_json has said so. Nothing here looks for errors.
local json = require "moonpost.json"

local json_text = {}

-- The closing quote of the string that opens at the position.
local function string_end(text, at)
  repeat
    at = text:find('["\\]', at + 1)
    local escape = text:byte(at) == 92
    if escape then at = at + 1 end
  until not escape
  return at
end

-- The comma or bracket after the value that starts at the position.
local function value_end(text, at)
  local depth = 0
  while true do
    local c
    at, c = text:match('()(["{}%[%],])', at)
    if c == '"' then
      at = string_end(text, at)
    elseif c == "{" or c == "[" then
      depth = depth + 1
    elseif depth == 0 then
      return at
    elseif c ~= "," then
      depth = depth - 1
    end
    at = at + 1
  end
end

local function trimmed(text, from, to)
  from = text:find("[^ \t\r\n]", from)
  while text:find("^[ \t\r\n]", to) do to = to - 1 end
  return text:sub(from, to)
end

local KINDS = { ["{"] = "object", ["["] = "array", ['"'] = "string", t = "boolean", f = "boolean", n = "null" }

--- What kind of value a text is.
---@param text string
---@return "object"|"array"|"string"|"boolean"|"null"|"number"
function json_text.kind(text)
  return KINDS[text:match "^[ \t\r\n]*(.)"] or "number"
end

--- The elements of an array, each as it is written.
---@param text string an array
---@return string[]
function json_text.elements(text)
  local result = {}
  local at = text:find("[", 1, true) + 1
  if text:find("^[ \t\r\n]*%]", at) then return result end
  repeat
    local stop = value_end(text, at)
    result[#result + 1] = trimmed(text, at, stop - 1)
    at = stop + 1
  until text:byte(stop) == 93
  return result
end

--- The members of an object, in order, each value as it is written.
---@param text string an object
---@return { [1]: string, [2]: string }[] members name (decoded) and value
function json_text.members(text)
  local result = {}
  local at = text:find("{", 1, true) + 1
  if text:find("^[ \t\r\n]*}", at) then return result end
  local stop
  repeat
    local first = text:find('"', at, true)
    local last = string_end(text, first)
    local name = json.decode("[" .. text:sub(first, last) .. "]")[1]
    local start = text:find(":", last, true) + 1
    stop = value_end(text, start)
    result[#result + 1] = { name, trimmed(text, start, stop - 1) }
    at = stop + 1
  until text:byte(stop) == 125
  return result
end

return json_text
