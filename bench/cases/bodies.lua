--- The size of what is sent.
local metrics = require "bench.lib.metrics"

local SIZES = { { "600 B", 598, 50000 }, { "6 KB", 6000, 30000 }, { "60 KB", 60000, 5000 } }

return {
  about = "entries of three sizes, durable, 64 connections; against a bare libcurl loop with the same body",
  variants = function(bench)
    local sink = bench:sink()
    local list = {}
    for i, size in ipairs(SIZES) do
      local count = bench:size(size[3], 500)
      list[i] = {
        name = size[1],
        sides = {
          bench:moonpost({ url = sink.base .. "/m", count = count, size = size[2], concurrency = 64, max_concurrency = 64,
            durable = true }, { sink = sink }),
          bench:curl_multi({ url = sink.base .. "/c", count = count, connections = 64, size = size[2] }, { sink = sink }),
        },
        metrics = { metrics.rate, metrics.cpu },
      }
    end
    return list
  end,
}
