--- Receivers that take their time: is every connection kept busy?
local metrics = require "bench.lib.metrics"

local LATENCIES = { { 0, 50000, 1000 }, { 50, 10000, 1000 }, { 500, 2048, 512 } }

return {
  about = "receivers that answer after 0, 50 and 500 ms, durable, 256 connections; against a bare libcurl loop",
  variants = function(bench)
    local sink = bench:sink()
    local list = {}
    for i, latency in ipairs(LATENCIES) do
      local count = bench:size(latency[2], latency[3])
      local path = ("%s/lat/%d/"):format(sink.base, latency[1])
      list[i] = {
        name = latency[1] .. " ms",
        sides = {
          bench:moonpost({ url = path .. "m", count = count, concurrency = 256, max_concurrency = 256, durable = true },
            { sink = sink }),
          bench:curl_multi({ url = path .. "c", count = count, connections = 256 }, { sink = sink }),
        },
        metrics = { metrics.rate, metrics.cpu },
      }
    end
    return list
  end,
}
