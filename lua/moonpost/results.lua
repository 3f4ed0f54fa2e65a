--- What came of emits and calls that were not waited for, told to their callbacks. Callbacks run in poll, on the host's own
-- thread.
local results = {}
results.__index = results
results.__name = "moonpost.results"

--- For moonpost.open alone.
function results.new(engine)
  return setmetatable({ _engine = engine, _pending = {} }, results)
end

local function keep(self, done, id, ticket, code)
  if not id then return nil, ticket, code end
  self._pending[ticket] = { id, done }
  return id
end

--- Emits, and has done called with what a waiting emit would have returned.
function results:emit(done, event, info, options, created_ms)
  return keep(self, done, self._engine:emit(event, info, options, created_ms, true))
end

function results:emit_json(done, text, options, created_ms)
  return keep(self, done, self._engine:emit_json(text, options, created_ms, true))
end

--- Calls a method of the engine's handle, and has done called with what it answers: a text, or nil, message, code.
---@return boolean pending false: it was answered at once, with what follows; done is not called
function results:ask(done, name, ...)
  return self:_asked(done, self._engine:ask(name, ...))
end

function results:_asked(done, pending, ticket, ...)
  if not pending then return false, ticket, ... end
  self._pending[ticket] = { "", done }
  return true
end

local function tell(pending, existing, message, code)
  if message then
    pending[2](nil, message, code)
  else
    pending[2](existing or pending[1])
  end
end

--- Tells what has come. A callback's error is the caller's; the results after it are told by the next poll.
---@return integer count
function results:poll()
  local count = 0
  while true do
    local ticket, existing, message, code = self._engine:take()
    if not ticket then return count end
    local pending = self._pending[ticket]
    self._pending[ticket] = nil
    count = count + 1
    if pending then tell(pending, existing, message, code) end
  end
end

--- After the engine's close: tells what came until its end, and the others (the engine goes on under another handle) that
-- they will not hear of it.
function results:close()
  self:poll()
  for ticket, pending in pairs(self._pending) do
    self._pending[ticket] = nil
    pending[2](nil, "closed; it may be done yet", "ECLOSED")
  end
end

return results
