--- The sink (bench/sink.c), and nginx for TLS and HTTP/2.
local cjson = require "cjson"
local process = require "bench.lib.process"

local sink = {}

--- Starts a sink on a free port.
---@param program string
---@param options { latency: integer?, record: string?, record_prefix: string? } latency in milliseconds
function sink.start(program, options)
  local words = { program }
  for name, value in pairs(options) do
    words[#words + 1] = "--" .. name:gsub("_", "-")
    words[#words + 1] = value
  end
  local started = process.start(words, "pid (%d+)$")
  local self = { stop = started.stop, base = "http://127.0.0.1:" .. started.line:match "^listening on (%d+)" }

  --- What came so far: { requests, connections, cpu_seconds, paths }. Writes out the record.
  function self.count()
    return cjson.decode(assert(process.run({ "curl", "-sS", "--noproxy", "*", self.base .. "/count" }, 10)))
  end

  return self
end

return sink
