--- Strapi's own sender at a receiver that takes its time: five events at a time, an event's webhooks one after the other.
local metrics = require "bench.lib.metrics"

local WEBHOOKS = 10

return {
  about = "10 webhooks for each event, a receiver that answers after 50 ms; durable, default settings",
  variants = function(bench)
    local sink = bench:sink { latency = 50 }
    local events = bench:size(50, 5)
    return { {
      name = "50 ms",
      sides = {
        bench:moonpost({ url = sink.base .. "/m/", count = events, webhooks = WEBHOOKS, durable = true }, { sink = sink }),
        bench:peer("strapi_fetch",
          { "node", "bench/peers/strapi_fetch.mjs", sink.base .. "/s/", events, WEBHOOKS, bench:body_file(598) },
          { node = 18 }, { sink = sink }),
      },
      metrics = { metrics.rate, metrics.cpu },
    } }
  end,
}
