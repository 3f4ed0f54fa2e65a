--- A small HTTP/1.1 server for development, on LuaSocket: one coroutine a connection, none blocks another.
local core = require "moonpost.core"

local MAX_HEAD, PATIENCE = 32768, 60

local Server = {}
Server.__index = Server

local http_server = {}

-- ---- one connection ---------------------------------------------------------------------------------

-- Reads with pattern or count; waits while nothing comes. nil: the other end is gone, or says too much.
local function receive(client, pattern, most)
  local parts = ""
  while true do
    local text, message, partial
    if type(pattern) == "number" then
      text, message, partial = client:receive(pattern - #parts)
    else
      text, message, partial = client:receive(pattern)
    end
    parts = parts .. (text or partial or "")
    if #parts > most then return nil, "too large" end
    if text then return parts end
    if message ~= "timeout" then return nil, message end
    coroutine.yield "read"
  end
end

local function send(client, text)
  local at = 1
  while at <= #text do
    local last, message, partial = client:send(text, at)
    at = (last or partial or at - 1) + 1
    if not last then
      if message ~= "timeout" then return nil, message end
      coroutine.yield "write"
    end
  end
  return true
end

-- RFC 9112 section 7.1; trailers are passed over.
local function read_chunks(client, most)
  local parts, size = {}, 0
  while true do
    local line = receive(client, "*l", MAX_HEAD)
    local length = line and tonumber(line:match "^%x+" or "", 16)
    if not length or size + length > most then return nil end
    if length == 0 then break end
    parts[#parts + 1], size = receive(client, length, length), size + length
    if not parts[#parts] or not receive(client, "*l", MAX_HEAD) then return nil end
  end
  repeat
    local line = receive(client, "*l", MAX_HEAD)
    if not line then return nil end
  until line == ""
  return table.concat(parts)
end

local function read_headers(client)
  local headers, list, size = {}, {}, 0
  while true do
    local line = receive(client, "*l", MAX_HEAD)
    if not line then return nil end
    if line == "" then return headers, list end
    size = size + #line
    local name, value = line:match "^([^%s:]+):%s*(.*)$"
    if not name or size > MAX_HEAD then return nil end
    value = value:match "^.*%S" or ""
    headers[name:lower()] = value
    list[#list + 1] = { name, value }
  end
end

local function read_request(client, most)
  local line = receive(client, "*l", MAX_HEAD)
  if not line then return nil end
  local method, target, version = line:match "^(%S+) (%S+) HTTP/1%.([01])$"
  if not method then return nil, 400 end
  local headers, list = read_headers(client)
  if not headers then return nil, 400 end
  local length = tonumber(headers["content-length"] or "0")
  if not length or length < 0 then return nil, 400 end
  if length > most then return nil, 413 end
  if headers.expect then send(client, "HTTP/1.1 100 Continue\r\n\r\n") end
  local body
  if headers["transfer-encoding"] then body = read_chunks(client, most) else
    body = length == 0 and "" or receive(client, length, length)
  end
  if not body then return nil, 400 end
  local last = version == "0" or (headers.connection or ""):lower() == "close"
  return { method = method, target = target, headers = headers, header_list = list, body = body, last = last }
end

local function answer(client, status, headers, body, last)
  local lines = { ("HTTP/1.1 %d Answer"):format(status), ("Content-Length: %d"):format(#body) }
  for name, value in pairs(headers) do lines[#lines + 1] = name .. ": " .. value end
  if last then lines[#lines + 1] = "Connection: close" end
  return send(client, table.concat(lines, "\r\n") .. "\r\n\r\n" .. body)
end

local function serve(server, client)
  repeat
    local request, status = read_request(client, server.max_body)
    if not request then
      if status then answer(client, status, {}, "", true) end
      return
    end
    local code, headers, body, delay = server.handle(request)
    if delay and delay > 0 then
      local at = core.now() + delay
      while core.now() < at do coroutine.yield("sleep", at) end
    end
    if not answer(client, code, headers or {}, body or "", request.last) then return end
    server.answered = server.answered + 1
  until request.last
end

-- ---- all connections --------------------------------------------------------------------------------

function Server:drop(client)
  self.connections[client] = nil
  client:close()
end

function Server:resume(client)
  local connection = self.connections[client]
  local ok, what, at = coroutine.resume(connection.thread)
  if not ok then self.log(("%s"):format(what)) end
  if not ok or coroutine.status(connection.thread) == "dead" then return self:drop(client) end
  connection.waits, connection.at = what, at or core.now() + PATIENCE
end

function Server:accept()
  local client = self.listener:accept()
  if not client then return end
  client:settimeout(0)
  client:setoption("tcp-nodelay", true)
  self.connections[client] = { thread = coroutine.create(function() serve(self, client) end) }
  self:resume(client)
end

-- What is waited for, and until when at most.
function Server:waits(deadline)
  local reading, writing, at = { self.listener }, {}, deadline
  for client, connection in pairs(self.connections) do
    if connection.waits == "read" then reading[#reading + 1] = client end
    if connection.waits == "write" then writing[#writing + 1] = client end
    if not at or connection.at < at then at = connection.at end
  end
  return reading, writing, at and math.max(0, at - core.now())
end

--- Serves until the deadline (of core.now's seconds), or until so many requests are answered.
---@param deadline number?
---@param count integer?
function Server:run(deadline, count)
  while not (count and self.answered >= count) and not (deadline and core.now() >= deadline) do
    local reading, writing, timeout = self:waits(deadline)
    local readable, writable = self.socket.select(reading, writing, timeout)
    for _, ready in ipairs { readable, writable } do
      for _, client in ipairs(ready) do
        if client == self.listener then self:accept() elseif self.connections[client] then self:resume(client) end
      end
    end
    local now, late = core.now(), {}
    for client, connection in pairs(self.connections) do
      if connection.at <= now then late[client] = connection end
    end
    for client, connection in pairs(late) do
      if connection.waits == "sleep" then self:resume(client) else self:drop(client) end
    end
  end
end

function Server:close()
  for client in pairs(self.connections) do self:drop(client) end
  self.listener:close()
end

--- Listens. handle(request) answers status, headers, body and seconds to wait before; request has method, target, headers (by
-- lower-case name), header_list (as they came) and body.
---@param options { host: string, port: integer, max_body: integer?, handle: function, log: fun(message: string)? }
---@return table|nil server with host and port
---@return string? message
---@return string? code
function http_server.listen(options)
  local found, socket = pcall(require, "socket")
  if not found then return nil, "listening needs LuaSocket (Debian: lua-socket; luarocks: luasocket)", "ENOENT" end
  local listener, message = socket.bind(options.host, options.port, 128)
  if not listener then return nil, ("%s:%d: %s"):format(options.host, options.port, message), "EIO" end
  listener:settimeout(0)
  local host, port = listener:getsockname()
  return setmetatable({
    socket = socket, listener = listener, connections = {}, answered = 0, handle = options.handle,
    max_body = options.max_body or 16 * 1048576,
    log = options.log or function() end, host = host, port = tonumber(port),
  }, Server)
end

return http_server
