--- Runs programs: to their end within a time, or beside this one until they are stopped. By sh and by their own ids.
local shell = require "spec.support.shell"

local process = {}

local running = {}

--- Quotes a list of words for sh.
function process.words(list)
  local quoted = {}
  for i, word in ipairs(list) do quoted[i] = shell.quote(tostring(word)) end
  return table.concat(quoted, " ")
end

--- Runs a command to its end, at most that many seconds.
---@param words string[]
---@param seconds number
---@return string|nil output its standard output
---@return string? message how it failed, with what it wrote to standard error
function process.run(words, seconds)
  local errors = os.tmpname()
  local output, code = shell.run(("timeout --foreground -k 3 %g %s 2>%s"):format(seconds, process.words(words), shell.quote(errors)))
  local file = io.open(errors, "rb")
  local text = file and file:read "a" or ""
  if file then file:close() end
  os.remove(errors)
  if code == 0 then return output end
  local why = code == 124 and ("not done after %g seconds"):format(seconds) or ("exit status %d"):format(code)
  return nil, ("%s: %s %s"):format(words[1], why, text:gsub("%s+$", ""))
end

--- Starts a program beside this one and answers its first line. It has to end when this process does, or be stopped.
---@param words string[]
---@param pattern string with one capture, the process's id, in the first line
---@return { line: string, stop: fun() }
function process.start(words, pattern)
  local pipe = assert(io.popen("exec " .. process.words(words), "r"))
  local line = pipe:read "l"
  local pid = line and line:match(pattern)
  if not pid then
    pipe:close()
    error(("%s did not start: %s"):format(words[1], line or "it wrote nothing"))
  end
  local self = { line = line }
  running[self] = true
  function self.stop()
    if not running[self] then return end
    running[self] = nil
    os.execute("kill " .. pid)
    pipe:close()
  end
  return self
end

--- Stops everything that was started and still runs.
function process.stop_all()
  for started in pairs(running) do started.stop() end
end

--- Is there such a command?
function process.has(name)
  local _, code = shell.run("command -v " .. shell.quote(name))
  return code == 0
end

return process
