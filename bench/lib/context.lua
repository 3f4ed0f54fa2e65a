--- What a case works with: its sizes, its sinks, folders for its stores, and the sides it compares.
local cjson = require "cjson"
local process = require "bench.lib.process"
local sink = require "bench.lib.sink"
local fixture = require "bench.lib.fixture"

local context = {}
context.__index = context

--- Seconds that a side may take where the case does not say.
local SIDE_SECONDS = 60

---@param options { build: string, tmp: string, quick: boolean, rounds: integer }
function context.new(options)
  return setmetatable({
    programs = options.build .. "/bench", build = options.build, tmp = options.tmp, quick = options.quick,
    rounds = options.rounds, folders = 0,
  }, context)
end

--- The size of something: the second one where only a quick look is wanted.
function context:size(full, quick)
  return self.quick and quick or full
end

--- A sink that ends with the case.
function context:sink(options)
  return sink.start(self.programs .. "/sink", options or {})
end

--- A new folder, removed with all others at the end of the run.
function context:folder()
  self.folders = self.folders + 1
  local path = ("%s/%d"):format(self.tmp, self.folders)
  assert(os.execute("mkdir -p " .. process.words { path }))
  return path
end

--- Empties a folder of this context's.
function context.empty(_, path)
  assert(os.execute(process.words { "find", path, "-mindepth", "1", "-delete" }))
end

--- The path of a file with the request body for an entry of that size.
function context:body_file(size)
  local path = ("%s/body-%d.json"):format(self.tmp, size)
  local file = assert(io.open(path, "wb"))
  file:write(fixture.body(size))
  file:close()
  return path
end

-- ---- sides ------------------------------------------------------------------------------------------

--- A side is a program that prints its result as the last line of its output, a JSON object.
---@param name string
---@param words (fun(): string[])|string[] a function is called anew for each round
---@param options { seconds: number?, sink: table?, requests_from_sink: boolean?, finish: fun(result: table)? } seconds:
-- the most that a round may take; with a sink the round fails when it did not get as many requests as the side reports,
-- or its count is the side's; finish may add to a result
function context.side(_, name, words, options)
  options = options or {}
  return { name = name, words = words, seconds = options.seconds or SIDE_SECONDS, sink = options.sink,
    requests_from_sink = options.requests_from_sink, finish = options.finish }
end

--- A side that cannot run here, and why.
function context.skipped(_, name, reason)
  return { name = name, skipped = reason }
end

--- A Lua worker of bench/workers. The task may be a function, called anew for each round.
function context:worker(name, worker, task, options)
  options = options or {}
  local script = ("bench/workers/%s.lua"):format(worker)
  return self:side(name, function()
    return { options.interpreter or "lua5.4", script, cjson.encode(type(task) == "function" and task() or task) }
  end, options)
end

--- moonpost end to end (bench/workers/send.lua). With durable, each round has a new store on the disk.
function context:moonpost(task, options)
  options = options or {}
  local folder = task.durable and self:folder()
  return self:worker(options.name or "moonpost", "send", function()
    local copy = {}
    for key, value in pairs(task) do copy[key] = value end
    copy.webhooks = copy.webhooks or 1
    copy.size = copy.size or 598
    copy.seconds = options.seconds or SIDE_SECONDS
    if folder then
      self:empty(folder)
      copy.store = folder .. "/moonpost.db"
    end
    return copy
  end, options)
end

--- A bare libcurl loop (bench/peers/curl_multi.c).
---@param task { url: string, count: integer, connections: integer, size: integer?, threads: integer?, ca: string? }
function context:curl_multi(task, options)
  return self:side("curl_multi", {
    self.programs .. "/curl_multi", task.url, task.count, task.connections, self:body_file(task.size or 598),
    task.threads or 1, task.ca,
  }, options)
end

-- What a peer needs and this system does not have; nil: nothing.
local function missing(needs)
  if needs.command and not process.has(needs.command) then return "the command " .. needs.command .. " is not here" end
  if needs.lua and not pcall(require, needs.lua) then return "the Lua module " .. needs.lua .. " is not here" end
  if needs.node then
    local major, minor = (process.run({ "node", "--version" }, 10) or ""):match "^v(%d+)%.(%d+)"
    if not major then return "the command node is not here" end
    if major + minor / 1000 < needs.node then
      return ("Node %s.%s is older than %g, which it needs"):format(major, minor, needs.node)
    end
  end
  if needs.file then
    local file = io.open(needs.file, "rb")
    if not file then return needs.file .. " is not here" end
    file:close()
  end
end

--- A peer: a program of bench/peers, or one that the system has.
---@param needs { command: string?, lua: string?, node: number?, file: string? } what must be there: a command, a Lua
-- module, a version of Node (20.018 is 20.18), a file
function context:peer(name, words, needs, options)
  local reason = missing(needs)
  if reason then return self:skipped(name, reason .. " (scripts/bench-deps.sh installs what the bench needs)") end
  return self:side(name, words, options)
end

return context
