--- End to end with a store on the disk: an event and its delivery are committed, sent, and the outcome committed,
-- against a loop that only sends.
local metrics = require "bench.lib.metrics"

-- A host in step with its receiver, and one that emits all it has at once, so that most of it waits in the store: with as many
-- delivery threads as usual against one loop, and with as many threads on both sides.
local LOADS = {
  { name = "64 connections, 1,000 waiting at most", most = 1000 },
  { name = "64 connections, all at once" },
  { name = "1,000 waiting at most, 1 thread to 1", most = 1000, threads = 1, loops = 1 },
  { name = "1,000 waiting at most, 2 threads to 2", most = 1000, threads = 2, loops = 2 },
}

local function variants(bench, durable)
  local sink = bench:sink()
  local count = bench:size(100000, 2000)
  local list = {}
  for i, load in ipairs(LOADS) do
    list[i] = {
      name = load.name,
      sides = {
        bench:moonpost({ url = sink.base .. "/m", count = count, concurrency = 64, max_concurrency = 64, durable = durable,
          most = load.most, threads = load.threads }, { sink = sink }),
        bench:curl_multi({ url = sink.base .. "/c", count = count, connections = 64, threads = load.loops }, { sink = sink }),
      },
      metrics = { metrics.rate, metrics.cpu },
    }
  end
  return list
end

return {
  about = "events emitted, stored (fsync), delivered and their outcomes stored; against a bare libcurl loop",
  variants = function(bench) return variants(bench, true) end,
  --- The same without a disk, for bench.cases.in_memory.
  in_memory = function(bench) return variants(bench, nil) end,
}
