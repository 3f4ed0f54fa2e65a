--- One receiver that hangs and one with a long backlog: what do the 998 others notice?
local delays = require "bench.lib.delays"
local metrics = require "bench.lib.metrics"

local LANES = 998

return {
  about = "1,000 webhooks, one hanging and one with 100,000 due deliveries; the 998 others, against the same without the two",
  variants = function(bench)
    local folder = bench:folder()
    local record, emits = folder .. "/record", folder .. "/emits"
    local sink = bench:sink { record = record, record_prefix = "/" }
    local read = delays.reader(record)
    local store = bench:folder()

    local function side(name, disturbed, events, pause, drain)
      return bench:worker(name, "isolation", function()
        bench:empty(store)
        return { base = sink.base, lanes = LANES, disturbed = disturbed, backlog = bench:size(100000, 40000),
          count = events, pause = pause, drain = drain, emits = emits, store = store .. "/moonpost.db" }
      end, { sink = sink, requests_from_sink = true, finish = function(result)
        local came = read()
        for key, value in pairs(delays.join(emits, came)) do result[key] = value end
        assert(result.requests == events * LANES,
          ("%s: %d of %d deliveries came in time"):format(name, result.requests, events * LANES))
        assert(not disturbed or came[#came].path == "/backlog", "the backlog was done too early: it has to be longer")
      end })
    end

    local steady, burst = bench:size(8, 3), bench:size(40, 3)
    local late = { metrics.field("p50_ms", "ms", "lower", "p50"), metrics.field("p99_ms", "ms", "lower", "p99") }
    return {
      {
        name = "an event each 250 ms",
        sides = { side("disturbed", true, steady, 0.25, 4), side("calm", false, steady, 0.25, 4) },
        metrics = late,
      },
      {
        name = "all events at once",
        sides = { side("disturbed", true, burst, 0, 8), side("calm", false, burst, 0, 8) },
        metrics = { metrics.rate, table.unpack(late) },
      },
    }
  end,
}
