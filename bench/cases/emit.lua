--- The host's thread: emit with wait = false (check, sanitize, write the JSON, hand over) against writing the JSON alone.
local metrics = require "bench.lib.metrics"

local INTERPRETERS = { "lua5.4", "luajit" }

return {
  about = "CPU of the host's thread for an emit of a 598-byte entry (wait = false), against lua-cjson.encode of the entry",
  variants = function(bench)
    local sink = bench:sink()
    local count = bench:size(100000, 5000)
    local task = { count = count, size = 598 }
    local figures = {
      metrics.field("host_ns", "ns", "lower", "cpu"),
      metrics.field("wall_ns", "ns", "lower", "wall"),
    }
    local list = {}
    for _, interpreter in ipairs(INTERPRETERS) do
      local encode = bench:worker("cjson.encode", "encode", task, { interpreter = interpreter })
      for _, subscribed in ipairs { false, true } do
        local emit = { count = count, size = 598, inbox = 1000000, url = subscribed and sink.base .. "/e" or nil }
        list[#list + 1] = {
          name = interpreter .. (subscribed and ", one webhook" or ", no webhook"),
          sides = {
            bench:worker("emit", "emit", emit, { interpreter = interpreter, sink = sink }),
            encode,
          },
          metrics = figures,
        }
      end
    end
    return list
  end,
}
