--- One event for many webhooks: deliveries are rows, lanes and requests of their own.
local metrics = require "bench.lib.metrics"

return {
  about = "1 to 1,000 webhooks for an event, durable, 64 connections in all; against as many requests by libcurl",
  variants = function(bench)
    local sink = bench:sink()
    local deliveries = bench:size(50000, 2000)
    local list = {}
    for i, webhooks in ipairs { 1, 10, 100, 1000 } do
      list[i] = {
        name = webhooks == 1 and "1 webhook" or webhooks .. " webhooks",
        sides = {
          bench:moonpost({ url = ("%s/f%d/"):format(sink.base, webhooks), count = deliveries // webhooks,
            webhooks = webhooks, concurrency = 64, max_concurrency = 64, durable = true }, { sink = sink }),
          bench:curl_multi({ url = sink.base .. "/c", count = deliveries, connections = 64 }, { sink = sink }),
        },
        metrics = { metrics.rate, metrics.cpu },
      }
    end
    return list
  end,
}
