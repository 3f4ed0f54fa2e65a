--- Parameters of paths, queries and header fields: what they may be, for the check of a request and for openapi.json alike.
local suggest = require "moonpost.suggest"

local parameters = {}

---@class moonpost.admin.Parameter
---@field name string
---@field place "path"|"query"|"header"
---@field schema table JSON Schema (string, integer, boolean; enum, minimum, maximum, minLength, maxLength, pattern)
---@field match string? the schema's pattern as Lua's
---@field lenient boolean? of a header field: one that is not what it may be counts as none
---@field description string

local WHOLE = "a whole number between %d and %d"

local function to_integer(schema, text)
  local value = text:find "^%d+$" and #text <= 18 and tonumber(text)
  if value and value >= schema.minimum and value <= schema.maximum and not text:find "^0%d" then return value end
  return nil, WHOLE:format(schema.minimum, schema.maximum)
end

local function to_boolean(_, text)
  if text == "true" or text == "false" then return text == "true" end
  return nil, "true or false"
end

local function to_text(schema, text, match)
  for _, word in ipairs(schema.enum or {}) do
    if text == word then return text end
  end
  if schema.enum then return nil, "one of " .. table.concat(schema.enum, ", ") end
  if #text < (schema.minLength or 0) or #text > (schema.maxLength or math.huge) then
    return nil, ("%d to %d bytes"):format(schema.minLength or 0, schema.maxLength)
  end
  if match and not text:find(match) then return nil, "a text such as " .. tostring(schema.examples[1]) end
  return text
end

local READERS = { integer = to_integer, boolean = to_boolean, string = to_text }

--- A parameter's value.
---@param parameter moonpost.admin.Parameter
---@param text string
---@return any value nil: it is not what it may be
---@return string? expected
function parameters.read(parameter, text)
  return READERS[parameter.schema.type](parameter.schema, text, parameter.match)
end

local function shown(text)
  return #text > 60 and text:sub(1, 60) .. "..." or text
end

--- The values of a request's query, by the route's parameters. A name that is none and one given twice are mistakes.
---@param route { parameters: moonpost.admin.Parameter[] }
---@param fields { [1]: string, [2]: string }[]
---@return table<string, any>|nil
---@return string? message
function parameters.query(route, fields)
  local known, values = {}, {}
  for _, parameter in ipairs(route.parameters) do
    if parameter.place == "query" then known[parameter.name] = parameter end
  end
  for _, field in ipairs(fields) do
    local name, text = field[1], field[2]
    local parameter = known[name]
    if not parameter then
      return nil, ("%s: unknown parameter%s"):format(shown(name), suggest.near(name, suggest.keys(known)))
    end
    if values[name] ~= nil then return nil, name .. ": expected one, got several" end
    local value, expected = parameters.read(parameter, text)
    if value == nil then return nil, ("%s: expected %s, got '%s'"):format(name, expected, shown(text)) end
    values[name] = value
  end
  return values
end

--- The values of the header fields that a route names.
---@param route { parameters: moonpost.admin.Parameter[] }
---@param request moonpost.admin.Request
---@return table<string, any>|nil
---@return string? message
function parameters.header(route, request)
  local values = {}
  for _, parameter in ipairs(route.parameters) do
    local lower = parameter.name:lower()
    local text = parameter.place == "header" and request.headers[lower]
    if text then
      local value, expected = parameters.read(parameter, text)
      if request.repeated[lower] then value, expected = nil, "one" end
      if value == nil and not parameter.lenient then
        return nil, ("%s: expected %s, got %s"):format(parameter.name, expected,
          request.repeated[lower] and "several" or "'" .. shown(text) .. "'")
      end
      values[parameter.name] = value
    end
  end
  return values
end

--- Do the path's parameters look as they must? Else nothing is there.
---@param route { parameters: moonpost.admin.Parameter[] }
---@param values table<string, string>
---@return boolean
function parameters.path(route, values)
  for _, parameter in ipairs(route.parameters) do
    if parameter.place == "path" and parameters.read(parameter, values[parameter.name]) == nil then return false end
  end
  return true
end

return parameters
