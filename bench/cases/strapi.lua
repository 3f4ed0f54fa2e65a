--- Strapi's own sender at a receiver that takes its time: five events at a time, an event's webhooks one after the other.
local metrics = require "bench.lib.metrics"

local WEBHOOKS = 10

return {
  about = "10 webhooks for each event, a receiver that answers after 50 ms; durable",
  variants = function(bench)
    local sink = bench:sink { latency = 50 }
    local few = bench:size(50, 5)
    local fetch = bench:peer("strapi_fetch",
      { "node", "bench/peers/strapi_fetch.mjs", sink.base .. "/s/", few, WEBHOOKS, bench:body_file(598) },
      { node = 18 }, { sink = sink })

    -- Enough events for the rate to settle: the concurrency decides it.
    local function variant(name, events, concurrency)
      return {
        name = name,
        sides = {
          bench:moonpost({ url = sink.base .. "/m/", count = events, webhooks = WEBHOOKS, durable = true,
            concurrency = concurrency, max_concurrency = concurrency and concurrency * WEBHOOKS }, { sink = sink }),
          fetch,
        },
        metrics = { metrics.rate, metrics.cpu },
      }
    end

    return {
      variant("default settings: 10 requests a webhook", bench:size(500, 10), nil),
      variant("100 requests a webhook", bench:size(2000, 40), 100),
    }
  end,
}
