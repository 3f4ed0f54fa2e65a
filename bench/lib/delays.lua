--- How long it took from an emit to its requests' arrival: a worker's list of emits, joined with the sink's record. Both
-- have the monotonic clock's time.
local statistics = require "bench.lib.statistics"

local delays = {}

--- Writes a worker's emits: an event's id and when its emit began, in seconds. Runs on both Luas.
function delays.write_emits(path, emits)
  local file = assert(io.open(path, "wb"))
  for _, emit in ipairs(emits) do file:write(("%s %.6f\n"):format(emit.id, emit.at)) end
  file:close()
end

--- Reads a sink's record, of which only what came since the last call is looked at.
---@param path string
---@return fun(): { us: integer, path: string, id: string }[]
function delays.reader(path)
  local offset = 0
  return function()
    local file = assert(io.open(path, "rb"))
    file:seek("set", offset)
    local list = {}
    for us, target, id in file:read("a"):gmatch "(%d+) (%S+) (%S+)\n" do
      list[#list + 1] = { us = tonumber(us), path = target, id = id }
    end
    offset = file:seek "end"
    file:close()
    return list
  end
end

--- Joins them. Requests of events that are not in the list are left out.
---@param emits_path string
---@param record table[] of a reader
---@return { requests: integer, seconds: number, p50_ms: number, p99_ms: number } seconds: first emit to last arrival
function delays.join(emits_path, record)
  local emitted, first, last = {}, math.huge, 0
  for line in io.lines(emits_path) do
    local id, at = line:match "^(%S+) (%S+)$"
    emitted[id] = tonumber(at)
    first = math.min(first, emitted[id])
  end
  local values = {}
  for _, request in ipairs(record) do
    local at = emitted[request.id]
    if at then
      values[#values + 1] = (request.us / 1e6 - at) * 1e3
      last = math.max(last, request.us / 1e6)
    end
  end
  return {
    requests = #values, seconds = last - first,
    p50_ms = statistics.percentile(values, 0.5), p99_ms = statistics.percentile(values, 0.99),
  }
end

return delays
