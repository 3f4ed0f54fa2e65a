--- lua-cjson at moonpost's edge: answers of the core, webhook definitions, model files. Payloads never pass
-- through it (it has no 64-bit integers and no empty lists).
local cjson = require "cjson"

local json = {
  null = cjson.null,
}

-- An instance of our own, where there is one: the host may set options on the shared one. lua-cjson asks for the locale's
-- decimal point when an instance is made; the host may set another locale at any time.
local own, locale

local function instance()
  local now = os.setlocale(nil, "numeric")
  if not own or now ~= locale then
    own, locale = cjson.new and cjson.new() or cjson, now
  end
  return own
end

local to_integer = rawget(math, "tointeger")

-- cjson makes every number a float; on Lua 5.4 whole ones become integers again.
local function whole_numbers(value)
  for key, item in pairs(value) do
    if type(item) == "table" then
      whole_numbers(item)
    elseif type(item) == "number" then
      value[key] = to_integer(item) or item
    end
  end
  return value
end

---@param text string
---@return any|nil value
---@return string? message
function json.decode(text)
  local ok, value = pcall(instance().decode, text)
  -- Raised as by any other call: it is not the text that is wrong.
  if not ok and value == "not enough memory" then error(value, 0) end
  if not ok then return nil, (tostring(value):gsub("^.-:%d+: ", "")) end
  if to_integer and type(value) == "table" then whole_numbers(value) end
  return value
end

--- Decodes an answer of the core; passes its failure on.
---@param text string|nil
---@param message string?
---@param code string?
---@return any|nil
---@return string? message
---@return string? code
function json.answer(text, message, code)
  if not text then return nil, message, code end
  return json.decode(text)
end

--- Tells the core which values lua-cjson (OpenResty's has more) uses for null and lists.
function json.register(core, array_mt)
  core.register {
    null = cjson.null,
    empty_array = cjson.empty_array,
    array_mt = cjson.array_mt or array_mt,
    empty_array_mt = cjson.empty_array_mt,
  }
end

return json
