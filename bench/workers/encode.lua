-- What lua-cjson's encode of the same entry costs: the least that a host pays to send it itself. Task: { count, size }
local cjson = require "cjson"
local engine = require "bench.lib.engine"
local fixture = require "bench.lib.fixture"
local proc = require "bench.lib.proc"

local job = engine.job()
local entry = fixture.entry(job.size)
local length = 0

local before
local result = engine.measured(function()
  before = proc.thread_ns()
  for _ = 1, job.count do length = length + #cjson.encode(entry) end
end)
result.host_ns = (proc.thread_ns() - before) / job.count
result.wall_ns = result.seconds / job.count * 1e9
result.bytes = length / job.count
engine.report(result)
