--- What an engine costs that has nothing to do, and what its webhooks hold in memory.
local metrics = require "bench.lib.metrics"

return {
  about = "an idle durable engine over 10 s: CPU, wake-ups, memory",
  variants = function(bench)
    local seconds = bench:size(10, 1)
    local store = bench:folder()
    local settle = bench:size(9, 1)
    local function engine_with(webhooks, name, length)
      return bench:worker(name, "idle", function()
        bench:empty(store)
        return { webhooks = webhooks, url = "http://127.0.0.1:9/", settle = length > 1 and settle or 1.2, seconds = length,
          store = store .. "/moonpost.db" }
      end)
    end
    local memory = {
      metrics.field("resident_kib", "KiB", "lower", "memory"),
      metrics.field("anonymous_kib", "KiB", "lower", "anon"),
    }
    return { {
      name = "10 webhooks",
      sides = {
        engine_with(10, "engine", seconds), bench:worker("no engine", "idle", { seconds = seconds }),
      },
      metrics = { metrics.field("cpu_ms", "ms", "lower", "cpu"), metrics.field("switches", "", "lower", "wakes"),
        table.unpack(memory) },
    }, {
      name = "1,000 webhooks",
      sides = { engine_with(1000, "1,000", 0.5), engine_with(1, "1", 0.5) },
      metrics = memory,
    } }
  end,
}
