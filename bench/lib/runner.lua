--- Runs a variant of a case: its sides one after the other, round after round, and what comes of it.
local cjson = require "cjson"
local process = require "bench.lib.process"
local statistics = require "bench.lib.statistics"

local runner = {}

-- Runs a side once. Its result, or nil and why not.
local function run_side(side)
  local before = side.sink and side.sink.count()
  local words = side.words
  if type(words) == "function" then words = words() end
  local output, message = process.run(words, side.seconds)
  if not output then return nil, message end
  local ok, result = pcall(cjson.decode, output:match "([^\n]+)%s*$" or "")
  if not ok or type(result) ~= "table" then return nil, ("%s: its last line is no JSON: %s"):format(side.name, output) end
  if before then
    local after = side.sink.count()
    local came = after.requests - before.requests
    result.sink_cpu_seconds = after.cpu_seconds - before.cpu_seconds
    if side.requests_from_sink then result.requests = came end
    if result.requests ~= came then
      return nil, ("%s: reports %d requests, the sink got %d"):format(side.name, result.requests, came)
    end
  end
  if side.finish then
    local finished, why = pcall(side.finish, result)
    if not finished then return nil, tostring(why) end
  end
  return result
end

--- Seconds after which a variant begins no new round.
runner.SECONDS = 150

--- The most that a variant may take: its rounds' time, and one round that began at its end.
function runner.limit(variant)
  local last = 0
  for _, side in ipairs(variant.sides) do last = last + (side.seconds or 0) end
  return runner.SECONDS + last
end

-- The rounds of all sides, side by side: { [side] = { result of round 1, ... } }. The first side of a round alternates.
local function run_rounds(variant, rounds, tell)
  local results, deadline = {}, os.time() + runner.SECONDS
  for i = 1, #variant.sides do results[i] = {} end
  for round = 1, rounds do
    if os.time() > deadline then break end
    for turn = 1, #variant.sides do
      local at = (turn + round - 2) % #variant.sides + 1
      local side = variant.sides[at]
      tell(("%s, round %d of %d: %s"):format(variant.name, round, rounds, side.name))
      local result, message = run_side(side)
      if not result then return nil, message end
      results[at][round] = result
    end
  end
  return results
end

local function values_of(metric, results)
  local values = {}
  for round, result in ipairs(results) do values[round] = metric.of(result) end
  return values
end

-- A side is compared with the last one, round by round.
local function compare(metric, sides, results)
  local base = values_of(metric, results[#sides])
  local rows = {}
  for i = 1, #sides - 1 do
    local own, ratios = values_of(metric, results[i]), {}
    for round, value in ipairs(own) do
      if base[round] > 0 then ratios[#ratios + 1] = value / base[round] end
    end
    rows[i] = {
      metric = metric.name, unit = metric.unit, better = metric.better,
      side = sides[i].name, against = sides[#sides].name,
      value = statistics.summary(own), base = statistics.summary(base),
      ratio = #ratios == #own and statistics.summary(ratios) or nil,
    }
  end
  return rows
end

--- Runs a variant.
---@param variant { name: string, sides: table[], metrics: table[] } sides are compared with the last of them
---@return { name: string, skipped: string?, failed: string?, rounds: integer?, rows: table[]?, results: table[]? }
function runner.run(variant, rounds, tell)
  for _, side in ipairs(variant.sides) do
    if side.skipped then return { name = variant.name, skipped = ("%s: %s"):format(side.name, side.skipped) } end
  end
  local results, message = run_rounds(variant, rounds, tell)
  if not results then return { name = variant.name, failed = message } end
  local outcome = { name = variant.name, rounds = #results[1], rows = {}, results = {} }
  for _, metric in ipairs(variant.metrics) do
    for _, row in ipairs(compare(metric, variant.sides, results)) do outcome.rows[#outcome.rows + 1] = row end
  end
  for i, side in ipairs(variant.sides) do outcome.results[i] = { side = side.name, rounds = results[i] } end
  return outcome
end

return runner
