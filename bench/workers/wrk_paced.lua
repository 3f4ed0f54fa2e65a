-- What a client sees of a server that is not pushed to its limit: each connection of wrk waits between two requests. A wrk script.
--
--   wrk -t 1 -c CONNECTIONS -d SECONDS -s wrk_paced.lua URL -- MILLISECONDS
--
-- MILLISECONDS: the mean of the waits.
local most

local function init(args)
  most = 2 * tonumber(args[1])
  math.randomseed(os.time())
end

local function delay()
  return math.random(0, most)
end

local function done(summary, latency)
  local failed = summary.errors
  assert(failed.connect + failed.read + failed.write + failed.status + failed.timeout == 0, "requests failed")
  print(('{"requests":%d,"seconds":%.6f,"p50_us":%g,"p99_us":%g,"p999_us":%g}'):format(summary.requests, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end

_G.init, _G.delay, _G.done = init, delay, done
