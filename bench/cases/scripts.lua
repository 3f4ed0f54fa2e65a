--- What a script costs: a delivery through one against the same without.
local metrics = require "bench.lib.metrics"

local SCRIPTS = { "filter", "transform" }
local LUAS = { { "Lua 5.4", "lua5.4" }, { "LuaJIT", "luajit" } }

return {
  about = "durable, 64 connections, a host in step; a trivial filter, and a transform of the 598-byte payload; against no script",
  variants = function(bench)
    local sink = bench:sink()
    local count = bench:size(30000, 1000)
    local list = {}
    for _, lua in ipairs(LUAS) do
      for _, script in ipairs(SCRIPTS) do
        local function side(name, own)
          return bench:moonpost({ url = sink.base .. "/m", count = count, concurrency = 64, max_concurrency = 64, durable = true,
            most = 1000, scripts = "bench/scripts", script = own }, { sink = sink, name = name, interpreter = lua[2] })
        end
        list[#list + 1] = {
          name = ("%s, %s"):format(script, lua[1]),
          sides = { side(script, script), side "no script" },
          metrics = { metrics.cpu, metrics.rate },
        }
      end
    end
    return list
  end,
}
