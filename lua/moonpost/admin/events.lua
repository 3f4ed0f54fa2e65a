--- The routes of events: take them in, look at them.
local answer = require "moonpost.admin.answer"
local core = require "moonpost.core"
local json_text = require "moonpost.admin.json_text"
local mask = require "moonpost.mask"
local page = require "moonpost.admin.page"

local events = {}

--- How many events one request may have, entries counted, and how many times limits.eventSize its body may be long.
events.MAX_EVENTS, events.BODY_FACTOR = 1000, 8

local NDJSON = "application/x-ndjson"

-- Bytes of a tracestate that is passed on.
local MAX_TRACESTATE = 512

local function same(event)
  return event
end

function events.list(context)
  local query = context.query
  return page.answer(context.hooks.events, { type = query.type, routing = query.routing, limit = query.limit, before = query.before }, same)
end

function events.get(context)
  local event, message, code = context.hooks.events:get(context.parameters.id)
  if event then return answer.data(event) end
  if code == "ENOENT" then return answer.error(404, "event.notFound") end
  return answer.failure(message, code)
end

-- ---- taking events in -------------------------------------------------------------------------------

-- One JSON text a line; the last line may end without a newline, and an empty line is none.
local function split_lines(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do
    if line:find "[^ \t\r]" then
      list[#list + 1] = line
      local ok, message = core.check_json(line)
      if not ok then return nil, ("event %d: %s"):format(#list, message) end
    end
  end
  return list
end

-- The request's events, each as it is written; many: the request is a list.
local function split(context)
  local text = context.request.body
  if context.media_type == NDJSON then
    local list, message = split_lines(text)
    return list, true, message
  end
  local ok, message = core.check_json(text)
  if not ok then return nil, false, message end
  if json_text.kind(text) == "array" then return json_text.elements(text), true end
  return { text }, false
end

-- One event for each of its entries, or nil when it has none.
local function each_entry(text)
  local head, entries = {}, nil
  for _, member in ipairs(json_text.kind(text) == "object" and json_text.members(text) or {}) do
    if member[1] == "entries" and json_text.kind(member[2]) == "array" then
      entries = json_text.elements(member[2])
    else
      head[#head + 1] = core.to_json(member[1]) .. ":" .. member[2]
    end
  end
  if not entries or #entries == 0 then return nil end
  for i, entry in ipairs(entries) do
    head[#head + 1] = '"entry":' .. entry
    entries[i] = "{" .. table.concat(head, ",") .. "}"
    head[#head] = nil
  end
  return entries
end

-- Every event of the request by itself, entries too: to count and measure them, and because one key names one event.
local function spread(list)
  local result, many = {}, false
  for _, text in ipairs(list) do
    local entries = each_entry(text)
    many = many or entries ~= nil
    for _, entry in ipairs(entries or { text }) do result[#result + 1] = entry end
  end
  return result, many
end

-- The core sees to each body; this is for the text, before anything is taken in.
local function too_long(list, most)
  for i, text in ipairs(list) do
    if #text > most then return ("event %d: is over %d bytes (webhooks.limits.eventSize)"):format(i, most) end
  end
end

-- All zeros name no trace and no span, and ff is no version. A tracestate alone says nothing.
local function trace_of(header)
  local parent, state = header.traceparent, header.tracestate
  if not parent or parent:find "^ff" or parent:find "^..%-0+%-" or parent:find "%-0+%-..$" then return nil end
  return { traceparent = parent, tracestate = state and #state <= MAX_TRACESTATE and state or nil }
end

local function emit_options(context, number)
  local key = context.header["Idempotency-Key"]
  return {
    key = context.query.key, idempotency_key = key and number and ("%s:%d"):format(key, number) or key,
    headers = trace_of(context.header),
  }
end

-- Emits one after another: each is on disk when it is answered, and what was taken in before a failure stays.
local function emit_all(context, list, many)
  local ids = mask.list {}
  for i, text in ipairs(list) do
    local id, message, code = context.hooks:emit_json(text, emit_options(context, many and i))
    if not id then
      if code == "ENOENT" then code = "EINVAL" end
      if many then message = ("event %d: %s"):format(i, message) end
      return answer.failure(message, code, { data = many and { ids = ids, failed = i } or nil })
    end
    for _, one in ipairs(type(id) == "table" and id or { id }) do ids[#ids + 1] = one end
  end
  return answer.data({ ids = ids }, 202)
end

function events.emit(context)
  local list, many, message = split(context)
  if not list then return answer.failure(message, "EINVAL") end
  local each, has_entries = spread(list)
  if #each == 0 or #each > events.MAX_EVENTS then
    return answer.failure(("expected 1 to %d events, got %d"):format(events.MAX_EVENTS, #each), "EINVAL")
  end
  message = too_long(each, context.hooks.config.limits.eventSize)
  if message then return answer.failure(message, "E2BIG") end
  if context.header["Idempotency-Key"] then list, many = each, many or has_entries end
  return emit_all(context, list, many)
end

return events
