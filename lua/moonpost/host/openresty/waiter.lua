--- Waiting for the engine in nginx: the light thread that emits or asks sleeps on a semaphore, and the worker goes on.
--
-- A reader, one light thread of a timer, sleeps on the socket that the engine rings and wakes them. It is there while anyone
-- waits and a second longer, so that it keeps neither a worker that ends nor a Lua state (lua_code_cache off) for long. A reader
-- that cannot run (no connection or timer is left) delays what it would have told: those who wait then look for themselves.
local core = require "moonpost.core"
local semaphore = require "ngx.semaphore"

local waiter = {}
waiter.__index = waiter
waiter.__name = "moonpost.host.openresty.waiter"

-- Seconds that a reader stays when nobody waits any more.
local LINGER = 1
-- Seconds after which one who waits looks for himself: with a reader, and without.
local LOOK, LOOK_ALONE = 1, 0.01
-- What a reader's request has allocated is freed with it.
local READS = 10000
-- Callbacks that may raise in one poll.
local ERRORS = 1000

---@param hooks moonpost.Hooks
function waiter.new(hooks)
  return setmetatable({ _hooks = hooks, _waiting = 0 }, waiter)
end

--- Tells what has come: to those who wait, to the functions of done and of hooks:on. Their errors are logged.
function waiter:poll()
  for _ = 1, ERRORS do
    local ok, message = pcall(self._hooks.poll, self._hooks)
    if ok then return end
    ngx.log(ngx.ERR, "moonpost: ", message)
  end
end

local function connect(hooks)
  local engine = hooks._engine
  local path, message = engine:listen()
  if not path then return nil, message end
  local socket = ngx.socket.tcp()
  -- nginx logs a read that times out: those who wait give up before.
  socket:settimeouts(1000, 1000, (hooks.config.limits.emitTimeout + 10) * 1000)
  local ok
  ok, message = socket:connect("unix:" .. path)
  if ok then ok, message = engine:accept() end
  if ok then return socket end
  return nil, message
end

-- Waits for somebody who waits. On a semaphore: nginx would log it if the socket's time were up.
function waiter:_rest(me)
  if ngx.worker.exiting() then return false end
  me.rests = semaphore.new()
  me.rests:wait(LINGER)
  me.rests = nil
  return self._waiting > 0
end

local function read(premature, self, me)
  local socket, message = connect(self._hooks)
  if not socket then
    if not premature and self._reader == me then ngx.log(ngx.WARN, "moonpost: waiting without a socket: ", message) end
    if self._reader == me then self._reader = nil end
    return
  end
  me.runs = true
  for _ = 1, READS do
    self:poll()
    if self._waiting == 0 and not self:_rest(me) or not socket:receive(8) then break end
  end
  socket:close()
  if self._reader ~= me then return end
  self._reader = nil
  if self._waiting > 0 then self:_read() end
end

-- Has a reader run. One that was started and is not there after a look is given up.
function waiter:_read()
  if self._reader then
    if self._reader.rests then self._reader.rests:post() end
    return
  end
  local me = {}
  if ngx.timer.at(0, read, self, me) then self._reader = me end
end

function waiter:_look()
  self:poll()
  if self._reader and not self._reader.runs then self._reader = nil end
  self:_read()
end

-- Begins what will call back once, whatever it does then.
function waiter:_begin(done)
  self._waiting = self._waiting + 1
  return function(...)
    self._waiting = self._waiting - 1
    return done(...)
  end
end

-- After the hand-over; not begun: there was none, and no callback will come.
function waiter:_begun(begun)
  if begun then
    self:_read()
  else
    self._waiting = self._waiting - 1
  end
  return begun
end

-- A callback, and a function that lets the light thread sleep until it was called, at most so long.
local function sleep()
  local signal = semaphore.new()
  local answer
  local function done(...)
    answer = { ... }
    signal:post()
  end
  return done, function(self, seconds, message)
    local deadline = core.now() + seconds
    while not answer do
      local left = deadline - core.now()
      if left <= 0 then return nil, message, "ETIMEDOUT" end
      local reader = self._reader
      if not signal:wait(math.min(left, reader and LOOK or LOOK_ALONE)) then self:_look() end
    end
    if answer[1] then return answer[1] end
    return nil, answer[2], answer[3]
  end
end

--- Emits, and has done called from a timer.
---@param method "emit"|"emit_json"
---@return string|string[]|nil id
---@return string? message
---@return string? code
function waiter:emit(method, done, ...)
  local results = self._hooks._results
  local id, message, code = results[method](results, self:_begin(done), ...)
  if self:_begun(id ~= nil) then return id end
  return nil, message, code
end

--- Emits, and lets the light thread sleep until it is known what came of it.
---@param method "emit"|"emit_json"
---@return string|string[]|nil id
---@return string? message
---@return string? code
function waiter:wait(method, ...)
  local done, wait = sleep()
  local id, message, code = self:emit(method, done, ...)
  if not id then return nil, message, code end
  return wait(self, self._hooks.config.limits.emitTimeout, "timeout: the store did not answer; the event may be stored yet")
end

--- Calls a method of the engine's handle, and lets the light thread sleep until it is answered.
---@param name string
---@param seconds number at most
---@return string|nil text
---@return string? message
---@return string? code
function waiter:ask(name, seconds, ...)
  local done, wait = sleep()
  local pending, answer, message, code = self._hooks._results:ask(self:_begin(done), name, ...)
  if not self:_begun(pending) then return answer, message, code end
  return wait(self, seconds, "timeout")
end

return waiter
