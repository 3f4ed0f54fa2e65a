-- How the demo looks: requests, what was held back, deliveries.
local cjson = require "cjson"

local show = {}

local WIDTH = 96
local COLOR = os.getenv "COLOR" ~= nil
local COLORS = { bold = "1", dim = "2", red = "31", green = "32", yellow = "33", cyan = "36" }

local function paint(color, text)
  return COLOR and ("\27[%sm%s\27[0m"):format(COLORS[color], text) or text
end

local function say(format, ...)
  io.write(format:format(...), "\n")
end

-- The record holds each byte as one code point; here they become bytes again.
local function bytes(text)
  return (text:gsub("([\194\195])([\128-\191])", function(lead, rest)
    return string.char((lead:byte() - 194) * 64 + rest:byte())
  end))
end

-- ---- JSON --------------------------------------------------------------------------------------------

-- The closing quote of the string that opens at the position.
local function string_end(text, at)
  repeat
    at = text:find('["\\]', at + 1)
    local escape = text:sub(at, at) == "\\"
    if escape then at = at + 1 end
  until not escape
  return at
end

-- The parts of an object or array, split at its own commas.
local function split(text)
  local parts, depth, start, at = {}, 0, 2, 2
  while at < #text do
    local c = text:sub(at, at)
    if c == '"' then
      at = string_end(text, at)
    elseif c == "{" or c == "[" then
      depth = depth + 1
    elseif c == "}" or c == "]" then
      depth = depth - 1
    elseif c == "," and depth == 0 then
      parts[#parts + 1] = text:sub(start, at - 1)
      start = at + 1
    end
    at = at + 1
  end
  if start < #text then parts[#parts + 1] = text:sub(start, -2) end
  return parts
end

-- Compact JSON, laid out: what fits into a line stays in one. The text itself is not read and written anew.
local function layout(text, indent, room)
  local key, value = "", text
  if text:sub(1, 1) == '"' then
    local quote = string_end(text, 1)
    if text:sub(quote + 1, quote + 1) == ":" then
      key, value = text:sub(1, quote) .. ": ", text:sub(quote + 2)
    end
  end
  local open = value:sub(1, 1)
  if (open ~= "{" and open ~= "[") or #value < 3 then return key .. value end
  local parts = split(value)
  for i, part in ipairs(parts) do parts[i] = layout(part, indent .. "  ", room - 2) end
  local line = table.concat(parts, ", ")
  if #line + #key + 4 <= room and not line:find("\n", 1, true) then
    return key .. open .. " " .. line .. " " .. value:sub(-1)
  end
  local inner = "\n" .. indent .. "  "
  return key .. open .. inner .. table.concat(parts, "," .. inner) .. "\n" .. indent .. value:sub(-1)
end

-- ---- what was held back ------------------------------------------------------------------------------

local function missing(input, sent, path, found)
  for key, value in pairs(input) do
    local where = type(key) == "number" and ("%s[%d]"):format(path, key) or ("%s.%s"):format(path, key)
    if sent[key] == nil then
      found[#found + 1] = where
    elseif type(value) == "table" and type(sent[key]) == "table" then
      missing(value, sent[key], where, found)
    end
  end
  return found
end

-- ---- the parts of the tour ---------------------------------------------------------------------------

function show.intro(config)
  say("%s", paint("bold", "moonpost: webhooks from inside a Lua program"))
  say("")
  say("An event is on disk when emit returns; the engine's threads deliver it meanwhile. The webhooks of this tour:")
  for _, endpoint in ipairs(config.endpoints) do
    say("  %-14s POST %-40s %s", endpoint.name, endpoint.url, table.concat(endpoint.events, ", "))
  end
end

local count = 0

function show.title(event, remark)
  count = count + 1
  local text = ("%d  %s"):format(count, event) .. (remark and "  (" .. remark .. ")" or "")
  say("\n%s", paint("bold", ("── %s %s"):format(text, ("─"):rep(math.max(3, WIDTH - #text - 4)))))
end

function show.request(request)
  say("  %s", paint("cyan", ("%s %s HTTP/1.1"):format(request.method, request.path)))
  for _, header in ipairs(request.headers) do say("  %s %s", paint("dim", header[1] .. ":"), bytes(header[2])) end
  say("\n  %s\n", layout(bytes(request.body), "  ", WIDTH - 4))
end

--- What of the input did not come out, by name.
function show.held_back(input, sent, path)
  local found = missing(input, sent, path, {})
  if #found == 0 then return end
  table.sort(found)
  local line = "  held back "
  for i, name in ipairs(found) do
    local item = " " .. name .. (i < #found and "," or "")
    if #line + #item > WIDTH then
      say("%s", paint("yellow", line))
      line = "            "
    end
    line = line .. item
  end
  say("%s", paint("yellow", line))
end

local function outcome(attempt)
  local how = attempt.status and attempt.status ~= cjson.null and tostring(attempt.status) or attempt.error
  return ("%s in %.1f ms"):format(how, attempt.duration_ms)
end

function show.delivery(name, delivery, attempts)
  local good = delivery.state == "delivered"
  local mark = paint(good and "green" or "red", good and "✓ delivered to" or "✗ " .. delivery.state .. ":")
  if #attempts == 1 then
    say("  %s %s: %s", mark, name, outcome(attempts[1]))
    return
  end
  for _, attempt in ipairs(attempts) do
    say("    attempt %d at %s: %s", attempt.number, attempt.at, outcome(attempt))
  end
  say("  %s %s with attempt %d", mark, name, #attempts)
end

function show.trigger(name, result)
  local good = result.statusCode == 200
  say("  %s %s: %s in %.1f ms", paint(good and "green" or "red", good and "✓ answered by" or "✗ not answered by"), name,
    tostring(result.statusCode or result.message), result.duration * 1000)
end

function show.outro(received, good)
  say("\n%s", paint("bold", ("─"):rep(WIDTH)))
  if good then
    say("%s", paint("green", ("Everything was delivered: %d requests, none with a private field."):format(received)))
  else
    say("%s", paint("red", "Not everything was delivered."))
  end
end

return show
