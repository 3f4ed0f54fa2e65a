--- What the kernel knows about this process: memory, CPU of the calling thread, switches. Runs on both Luas.
local core = require "moonpost.core"

local proc = {}

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

--- Nanoseconds of CPU that the calling thread has used. The kernel brings the count up to date when the thread goes to
-- sleep, so it does.
function proc.thread_ns()
  core.sleep(1e-6)
  return tonumber(read("/proc/thread-self/schedstat"):match "^(%d+)")
end

--- Resident memory in KiB: all of it, and what is this process's own (no mapped files).
---@return number resident
---@return number anonymous
function proc.memory()
  local text = read "/proc/self/smaps_rollup"
  return tonumber(text:match "\nRss:%s+(%d+)"), tonumber(text:match "\nAnonymous:%s+(%d+)")
end

--- Voluntary context switches of all threads: how often one went to sleep, so how often one was woken.
function proc.switches()
  local sum = 0
  for _, thread in ipairs(assert(core.listdir "/proc/self/task")) do
    sum = sum + tonumber(read("/proc/self/task/" .. thread.name .. "/status"):match "\nvoluntary_ctxt_switches:%s+(%d+)")
  end
  return sum
end

return proc
