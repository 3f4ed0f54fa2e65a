--- What a request to nginx notices of the emit that it makes: wrk on a location that emits, against the same without.
local metrics = require "bench.lib.metrics"
local nginx = require "bench.lib.nginx"
local process = require "bench.lib.process"

local CONNECTIONS, RATE = 64, 1000
-- Deliveries that hang, and the webhooks that have them: a webhook has at most 256 requests under way.
local HANGING, WEBHOOKS = 2000, 8

local CONFIG = [[
return { webhooks = {
  store = "moonpost.db", log = { level = "error" }, limits = { inbox = 100000 },
  models = { address = { attributes = { street = { type = "string" }, city = { type = "string" }, notes = { type = "text", private = true },
    tags = { type = "json" }, zip = { type = "string" } } } },
  network = { allow = { "127.0.0.0/8" } },
  delivery = { timeout = 600, maxConcurrency = 4096 },
  endpoints = { { name = "sink", url = "%s/a", events = { "entry.create" }, concurrency = 64 }%s },
} }
]]

local SERVER = [[
    location ~ ^/(plain|handed|waited)$ {
      content_by_lua_block {
        local entry = { id = 7, street = "1 Example Street", city = "Paris", notes = "private", tags = { "a", "b", "c" }, zip = "75001" }
        local mode = ngx.var[1]
        if mode ~= "plain" then
          local id, message = require("moonpost.host.openresty").emit("entry.create", { model = "address", entry = entry },
            mode == "handed" and { wait = false } or nil)
          if not id then
            ngx.log(ngx.ERR, message)
            return ngx.exit(503)
          end
        end
        ngx.print("ok")
      }
    }
    location = /hang {
      content_by_lua_block {
        local entries = {}
        for i = 1, %d do entries[i] = { id = i } end
        assert(require("moonpost.host.openresty").emit("entry.update", { model = "address", entries = entries }))
        ngx.print("ok")
      }
    }
]]

local function hanging(base)
  local list = {}
  for i = 1, WEBHOOKS do
    list[i] = (', { name = "hang %d", url = "%s/hang/%d", events = { "entry.update" }, concurrency = 250 }'):format(i, base, i)
  end
  return table.concat(list)
end

return {
  about = ("%d requests/s on %d connections of one nginx worker, each with an emit that is delivered, against none"):format(RATE,
    CONNECTIONS),
  variants = function(bench)
    local missing = nginx.host_missing() or not process.has "wrk" and "the command wrk is not here" or nil
    if missing then return { { name = "nginx", sides = { bench:skipped("wrk", missing) }, metrics = {} } } end
    local sink = bench:sink()
    local each = HANGING / WEBHOOKS

    local function host(extra)
      return assert(nginx.host(bench:folder(), {
        sink_program = bench.programs .. "/sink", config = CONFIG:format(sink.base, extra), server = SERVER:format(each),
      }))
    end

    local calm, busy = host "", host(hanging(sink.base))
    assert(process.run({ "curl", "-sS", "--noproxy", "*", busy.base .. "/hang" }, 20) == "ok")

    local seconds = bench:size(10, 1)
    local function side(name, server, path)
      return bench:side(name, {
        "wrk", "-t", 1, "-c", CONNECTIONS, "-d", seconds, "-s", "bench/workers/wrk_paced.lua", server.base .. path, "--",
        CONNECTIONS * 1000 / RATE,
      }, { seconds = seconds + 20 })
    end

    local seen = { metrics.field("p50_us", "us", "lower", "p50"), metrics.field("p99_us", "us", "lower", "p99"), metrics.rate }
    return {
      { name = "wait = false", sides = { side("emit", calm, "/handed"), side("none", calm, "/plain") }, metrics = seen },
      { name = "wait", sides = { side("emit", calm, "/waited"), side("none", calm, "/plain") }, metrics = seen },
      {
        name = ("%d deliveries hang"):format(HANGING), metrics = seen,
        sides = { side("emit", busy, "/handed"), side("none, no delivery hangs", calm, "/plain") },
      },
    }
  end,
}
