--- TLS with connections that are kept, and HTTP/2 to one host.
local metrics = require "bench.lib.metrics"
local nginx = require "bench.lib.nginx"

local function variant(bench, name, http2)
  local receiver, message = nginx.start(bench:folder(), { sink_program = bench.programs .. "/sink", http2 = http2 })
  if not receiver then return { name = name, sides = { bench:skipped("nginx", message) } } end
  local count = bench:size(50000, 2000)
  return {
    name = name,
    sides = {
      bench:moonpost { url = receiver.base .. "/m", count = count, concurrency = 64, max_concurrency = 64,
        durable = true, ca = receiver.ca },
      bench:curl_multi { url = receiver.base .. "/c", count = count, connections = 64, ca = receiver.ca },
    },
    metrics = { metrics.rate, metrics.cpu },
  }
end

return {
  about = "to nginx: 64 kept TLS connections, and 64 requests at a time by HTTP/2; durable, against a bare libcurl loop",
  variants = function(bench)
    return { variant(bench, "TLS, HTTP/1.1", false), variant(bench, "HTTP/2", true) }
  end,
}
