--- Runs a Lua program in the background, with the interpreter and the paths of the specs.
local command = require "spec.support.command"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local wait_until = require "spec.support.wait_until"

local unpack = rawget(_G, "unpack") or table.unpack

local process = {}
process.__index = process
process.__name = "spec.process"

-- Seconds in which the shell must have started it.
local START = 20

-- The program runs in the foreground of its shell, for a background program of sh ignores SIGINT. It is killed
-- when the pipe to the shell is closed: by :stop(), or by the end of this process, however that comes.
local SCRIPT = [[
dir=DIR
exec 3<&0 2>"$dir/shell"
( cat <&3; kill -9 "$(cat "$dir/pid")" ) >&2 &
watcher=$!
sh -c 'echo $$ > "$0/pid.new"; mv "$0/pid.new" "$0/pid"; exec "$@"' "$dir" WORDS \
  3<&- </dev/null >"$dir/out" 2>"$dir/err"
echo $? > "$dir/code.new"
kill $watcher
mv "$dir/code.new" "$dir/code"
]]

--- Starts a program.
---@param options table program (a path) or code (Lua text), args (strings), env (name -> value)
---@return table process with the field pid
function process.start(options)
  local dir = temp.dir()
  if options.code then
    options = { program = temp.write(dir .. "/program.lua", options.code), args = options.args, env = options.env }
  end
  local self = setmetatable({ dir = dir }, process)
  local values = { DIR = shell.quote(dir), WORDS = command.lua(options.env or {}, options.program, unpack(options.args or {})) }
  self.pipe = assert(io.popen((SCRIPT:gsub("%u%u+", values)), "w"))
  wait_until(START, function()
    self.pid = tonumber(temp.read(dir .. "/pid") or "")
    return self.pid
  end)
  assert(self.pid, "the program did not start")
  return self
end

--- Has it ended? The exit code then, 128 + N after signal N; else nil.
function process:code()
  return tonumber(temp.read(self.dir .. "/code") or "")
end

--- Sends a signal ("TERM", "KILL", "HUP").
---@return boolean sent
function process:kill(signal)
  local _, code = shell.run(("kill -%s %d"):format(signal, self.pid))
  return code == 0
end

--- Waits for its end.
---@param seconds number at least; default 10
---@return number|nil code as :code()
---@return string? message
function process:wait(seconds)
  seconds = seconds or 10
  local code = wait_until(seconds, function()
    return self:code()
  end)
  if not code then
    return nil, ("still running after %g seconds"):format(seconds)
  end
  return code
end

--- What it has written so far.
---@return string out
---@return string err
function process:output()
  return temp.read(self.dir .. "/out") or "", temp.read(self.dir .. "/err") or ""
end

--- Kills it if it still runs, and removes its files. May be called again.
function process:stop()
  if not self.pipe then
    return
  end
  if not self:code() then
    self:kill("KILL")
  end
  self.pipe:close()
  self.pipe = nil
  temp.remove(self.dir)
end

return process
