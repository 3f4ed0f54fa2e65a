--- Compares JSON texts exactly: numbers digit for digit, arrays and objects apart, objects in any order. lua-cjson
--- serves for neither (1700000000000123 becomes 1.7000000000001e+15, [] and {} are the same).
local json = {}

local ESCAPES = {
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}
local MAX_DEPTH = 1000

local function fail(at, expected)
  error({ message = ("at byte %d: expected %s"):format(at, expected) }, 0)
end

local function skip(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

local function utf8_bytes(code)
  if code < 0x80 then
    return string.char(code)
  end
  if code < 0x800 then
    return string.char(0xC0 + math.floor(code / 0x40), 0x80 + code % 0x40)
  end
  if code < 0x10000 then
    return string.char(0xE0 + math.floor(code / 0x1000), 0x80 + math.floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
  end
  return string.char(
    0xF0 + math.floor(code / 0x40000), 0x80 + math.floor(code / 0x1000) % 0x40,
    0x80 + math.floor(code / 0x40) % 0x40, 0x80 + code % 0x40
  )
end

local function parse_unicode(text, at)
  local hex = text:match("^\\u(%x%x%x%x)", at)
  if not hex then
    fail(at, "four hexadecimal digits")
  end
  local code = tonumber(hex, 16)
  if code < 0xD800 or code > 0xDFFF then
    return utf8_bytes(code), at + 6
  end
  local low = text:match("^\\u([dD][c-fC-F]%x%x)", at + 6)
  if code > 0xDBFF or not low then
    fail(at, "a surrogate pair")
  end
  return utf8_bytes(0x10000 + (code - 0xD800) * 0x400 + tonumber(low, 16) - 0xDC00), at + 12
end

local function parse_string(text, at)
  local parts = {}
  at = at + 1
  while true do
    local stop = text:find('[%c"\\]', at)
    if not stop then
      fail(#text + 1, "the end of a string")
    end
    parts[#parts + 1] = text:sub(at, stop - 1)
    local c = text:sub(stop, stop)
    if c == '"' then
      return table.concat(parts), stop + 1
    elseif c == "\\" and text:sub(stop + 1, stop + 1) == "u" then
      parts[#parts + 1], at = parse_unicode(text, stop)
    elseif c == "\\" then
      parts[#parts + 1] = ESCAPES[text:sub(stop + 1, stop + 1)] or fail(stop, "an escape")
      at = stop + 2
    elseif c == "\127" then
      parts[#parts + 1] = c
      at = stop + 1
    else
      fail(stop, "no control character")
    end
  end
end

local function parse_number(text, at)
  local stop = select(2, text:find("^-?0", at)) or select(2, text:find("^-?[1-9]%d*", at))
  if not stop then
    fail(at, "a value")
  end
  stop = select(2, text:find("^%.%d+", stop + 1)) or stop
  stop = select(2, text:find("^[eE][+-]?%d+", stop + 1)) or stop
  return { kind = "number", text = text:sub(at, stop) }, stop + 1
end

local parse_value

local function parse_array(text, at, depth)
  local items = {}
  at = skip(text, at + 1)
  if text:sub(at, at) == "]" then
    return { kind = "array", items = items }, at + 1
  end
  while true do
    items[#items + 1], at = parse_value(text, at, depth)
    at = skip(text, at)
    local c = text:sub(at, at)
    if c == "]" then
      return { kind = "array", items = items }, at + 1
    elseif c ~= "," then
      fail(at, "a comma or ]")
    end
    at = at + 1
  end
end

local function parse_object(text, at, depth)
  local object = { kind = "object", keys = {}, values = {} }
  at = skip(text, at + 1)
  if text:sub(at, at) == "}" then
    return object, at + 1
  end
  while true do
    local key, colon
    at = skip(text, at)
    if text:sub(at, at) ~= '"' then
      fail(at, "a key")
    end
    key, colon = parse_string(text, at)
    if object.values[key] then
      fail(at, "each key once, got " .. key .. " again")
    end
    at = skip(text, colon)
    if text:sub(at, at) ~= ":" then
      fail(at, "a colon")
    end
    object.keys[#object.keys + 1] = key
    object.values[key], at = parse_value(text, at + 1, depth)
    at = skip(text, at)
    local c = text:sub(at, at)
    if c == "}" then
      return object, at + 1
    elseif c ~= "," then
      fail(at, "a comma or }")
    end
    at = at + 1
  end
end

function parse_value(text, at, depth)
  if depth > MAX_DEPTH then
    fail(at, "at most " .. MAX_DEPTH .. " levels")
  end
  at = skip(text, at)
  local c = text:sub(at, at)
  if c == "{" then
    return parse_object(text, at, depth + 1)
  elseif c == "[" then
    return parse_array(text, at, depth + 1)
  elseif c == '"' then
    local value, after = parse_string(text, at)
    return { kind = "string", text = value }, after
  end
  local word = text:match("^%a+", at)
  if word == "true" or word == "false" or word == "null" then
    return { kind = word }, at + #word
  end
  return parse_number(text, at)
end

--- Parses a text of RFC 8259, strictly.
---@return table|nil value { kind = "object", keys, values }, { kind = "array", items }, { kind = "number" or "string",
--- text } or { kind = "true", "false" or "null" }
---@return string? message
function json.parse(text)
  local ok, value, after = pcall(parse_value, text, 1, 0)
  if ok and skip(text, after) <= #text then
    ok, value = false, { message = ("at byte %d: expected the end"):format(after) }
  end
  if ok then
    return value
  end
  return nil, type(value) == "table" and value.message or value
end

local function shown(value)
  if value == nil then
    return "nothing"
  end
  return value.text and value.kind .. " " .. value.text or value.kind
end

-- The first difference, as text; nil when there is none.
local function difference(a, b, path)
  if a == nil or b == nil or a.kind ~= b.kind or a.text ~= b.text then
    return ("%s: %s, %s"):format(path, shown(a), shown(b))
  end
  if a.kind == "array" then
    for i = 1, math.max(#a.items, #b.items) do
      local found = difference(a.items[i], b.items[i], ("%s[%d]"):format(path, i))
      if found then
        return found
      end
    end
  elseif a.kind == "object" then
    for _, key in ipairs(a.keys) do
      local found = difference(a.values[key], b.values[key], path .. "." .. key)
      if found then
        return found
      end
    end
    for _, key in ipairs(b.keys) do
      if not a.values[key] then
        return difference(nil, b.values[key], path .. "." .. key)
      end
    end
  end
end

--- Are two JSON texts equal?
---@return boolean equal
---@return string? message the first difference, as "$.entry.items[2].price: number 1.0, number 1"
function json.equal(a, b)
  local left, left_error = json.parse(a)
  if not left then
    return false, "the first text: " .. left_error
  end
  local right, right_error = json.parse(b)
  if not right then
    return false, "the second text: " .. right_error
  end
  local found = difference(left, right, "$")
  return found == nil, found
end

return json
