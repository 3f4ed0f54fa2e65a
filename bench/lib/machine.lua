--- On what it ran: the machine, the kernel, and the versions of everything that takes part.
local process = require "bench.lib.process"
local moonpost = require "moonpost"

local machine = {}

local function first_line(words)
  local output = process.run(words, 10)
  return output and output:match "^[^\n]*" or "not installed"
end

local function file_match(path, pattern)
  local file = io.open(path, "rb")
  local text = file and file:read "a" or ""
  if file then file:close() end
  return text:match(pattern)
end

local function processors()
  local count = 0
  for _ in (file_match("/proc/cpuinfo", "^.*$") or ""):gmatch "\nmodel name" do count = count + 1 end
  return count
end

--- The facts in the order in which they are shown: { name, value } pairs.
---@param tmp string the folder of the stores: its file system decides what an fsync costs
function machine.describe(tmp)
  local memory = tonumber(file_match("/proc/meminfo", "MemTotal:%s+(%d+)") or 0)
  local commit = process.run({ "git", "describe", "--always", "--dirty" }, 10)
  return {
    { "moonpost", moonpost._VERSION .. (commit and " (" .. commit:gsub("%s", "") .. ")" or "") },
    { "cpu", ("%d x %s"):format(processors(), file_match("/proc/cpuinfo", "model name%s*: ([^\n]*)") or "?") },
    { "memory", ("%.1f GiB"):format(memory / 1048576) },
    { "kernel", first_line { "uname", "-srm" } },
    { "stores on", first_line { "sh", "-c", 'df --output=fstype,source "$1" | tail -n 1', "sh", tmp } },
    { "lua", first_line { "sh", "-c", "lua5.4 -v 2>&1" } },
    { "luajit", first_line { "sh", "-c", "luajit -v 2>&1" } },
    { "libcurl", first_line { "sh", "-c", "curl --version | cut -d' ' -f4-" } },
    { "sqlite", first_line { "sh", "-c", "sqlite3 --version | cut -d' ' -f1" } },
    { "node", first_line { "node", "--version" } },
    { "undici", file_match("bench/peers/node_modules/undici/package.json", '"version": "([^"]*)"') or "not installed" },
    { "nginx", first_line { "sh", "-c", "nginx -v 2>&1 | sed 's/.*: //'" } },
    { "wrk", first_line { "sh", "-c", "wrk -v 2>&1 | head -n 1 | cut -d' ' -f1,2" } },
  }
end

return machine
