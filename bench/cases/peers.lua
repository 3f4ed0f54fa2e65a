--- Durable delivery against what people use today, and against what the socket could do.
local metrics = require "bench.lib.metrics"

local FOLDER = "bench/peers/"

return {
  about = "durable deliveries on 64 connections, against senders that store nothing",
  variants = function(bench)
    local sink = bench:sink()
    local count = bench:size(50000, 2000)
    local body = bench:body_file(598)
    local host, port = sink.base:match "//([%d.]+):(%d+)"
    local moonpost = bench:moonpost({
      url = sink.base .. "/m", count = count, concurrency = 64, max_concurrency = 64, durable = true,
      most = 1000,
    }, { sink = sink })
    local peers = {
      bench:peer("undici", { "node", FOLDER .. "undici.mjs", sink.base .. "/u", count, 64, body },
        { node = 20.018, file = FOLDER .. "node_modules/undici/package.json" }, { sink = sink }),
      bench:peer("luasocket", { "lua5.4", FOLDER .. "luasocket.lua", host, port, "/l", count, body },
        { lua = "socket" }, { sink = sink }),
      bench:peer("wrk", { "wrk", "-t", 1, "-c", 64, "-d", bench:size(2, 1), "-s", FOLDER .. "wrk.lua", sink.base .. "/w",
        "--", body }, { command = "wrk" }),
    }
    local list = {}
    for i, peer in ipairs(peers) do
      list[i] = { name = peer.name, sides = { moonpost, peer }, metrics = { metrics.rate, metrics.cpu } }
    end
    return list
  end,
}
