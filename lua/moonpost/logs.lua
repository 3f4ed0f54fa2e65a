--- The engine's log, told to the host's function. It runs in poll, on the host's own thread.
local json = require "moonpost.json"

local logs = {}
logs.__index = logs
logs.__name = "moonpost.logs"

--- For moonpost.open alone.
function logs.new(engine, fn)
  return setmetatable({ _engine = engine, _fn = fn }, logs)
end

--- Tells the lines that have come. An error of the function is the caller's; the lines after it are told by the next poll.
function logs:poll()
  while true do
    local level, line, fields = self._engine:log_take()
    if not level then return end
    self._fn(level, line, json.decode(fields))
  end
end

--- After the engine's close.
function logs:close()
  self:poll()
  self._engine:log_end()
end

return logs
