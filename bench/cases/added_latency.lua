--- How late the receiver hears of an event when nothing else goes on, against what the disk alone takes.
local delays = require "bench.lib.delays"
local metrics = require "bench.lib.metrics"

local COMMIT_BYTES = 32960 -- eight pages of SQLite's WAL, as a commit of one event with one delivery writes
local PAUSE = 0.005

return {
  about = "emit to the request's first byte at the receiver, on an idle durable engine; against a commit's write and fdatasync",
  variants = function(bench)
    local folder = bench:folder()
    local record, emits = folder .. "/record", folder .. "/emits"
    local sink = bench:sink { record = record }
    local read = delays.reader(record)
    local count = bench:size(400, 50)
    local store = bench:folder()
    return { {
      name = "idle engine",
      sides = {
        bench:worker("moonpost", "latency", function()
          bench:empty(store)
          return { url = sink.base .. "/a", count = count, pause = PAUSE, emits = emits, store = store .. "/moonpost.db" }
        end, { sink = sink, finish = function(result)
          for name, value in pairs(delays.join(emits, read())) do result[name] = value end
        end }),
        bench:side("fsync", {
          bench.programs .. "/fsync", bench:folder(), count, COMMIT_BYTES, ("%d"):format(PAUSE * 1e6),
        }),
      },
      metrics = { metrics.field("p50_ms", "ms", "lower", "p50"), metrics.field("p99_ms", "ms", "lower", "p99") },
    } }
  end,
}
