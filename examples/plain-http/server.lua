--- moonpost's HTTP API on a plain HTTP/1.1 server: one request after another, for the loopback and for tests. It shows what
-- a host has to do; put a real server in front of what others can reach.
--
--   lua examples/plain-http/server.lua CONFIG [PORT]
local socket = require "socket"
local moonpost = require "moonpost"
local admin = require "moonpost.admin"

local MAX_HEAD, MAX_BODY, PATIENCE = 16384, 16 * 1048576, 5

local hooks = assert(moonpost.open(assert(arg[1], "expected a config")))
local handler = admin.new(hooks, {
  log = function(message) io.stderr:write(message, "\n") end,
  throttle = { failures = tonumber(os.getenv "FAILURES") },
})

-- Bytes of a chunked body (RFC 9112 section 7.1), trailers dropped.
local function read_chunks(client)
  local parts, size = {}, 0
  while true do
    local line = client:receive "*l"
    local length = line and tonumber(line:match "^%x+" or "", 16)
    if not length or size + length > MAX_BODY then return nil end
    if length == 0 then break end
    parts[#parts + 1], size = client:receive(length), size + length
    if not client:receive "*l" then return nil end
  end
  repeat local line = client:receive "*l" until not line or line == ""
  return table.concat(parts)
end

-- The request, as the handler takes it; nil and a status when it is none.
local function read_request(client)
  local line = client:receive "*l"
  if not line then return nil end
  local method, target = line:match "^(%S+) (%S+) HTTP/1%.[01]$"
  if not method then return nil, 400 end
  local headers, size = {}, #line
  while true do
    line = client:receive "*l"
    if not line then return nil end
    if line == "" then break end
    size = size + #line
    local name, value = line:match "^([^%s:]+):%s*(.-)%s*$"
    if not name or size > MAX_HEAD then return nil, size > MAX_HEAD and 431 or 400 end
    name = name:lower()
    headers[name] = headers[name] or {}
    table.insert(headers[name], value)
  end
  local path, query = target:match "^([^?]*)%??(.*)$"
  local length = tonumber(headers["content-length"] and headers["content-length"][1] or "0")
  if not length or length > MAX_BODY then return nil, length and 413 or 400 end
  local body = headers["transfer-encoding"] and read_chunks(client) or length > 0 and client:receive(length) or ""
  return { method = method, path = path, query = query, headers = headers, body = body, remote = (client:getpeername()) }
end

local function answer(client, status, headers, body)
  local lines = { ("HTTP/1.1 %d Status"):format(status) }
  for name, value in pairs(headers) do lines[#lines + 1] = name .. ": " .. value end
  client:send(table.concat(lines, "\r\n") .. "\r\n\r\n" .. body)
end

local server = assert(socket.bind("127.0.0.1", tonumber(arg[2]) or 0, 128))
io.stdout:write(("listening on %s:%s\n"):format(server:getsockname()))
io.stdout:flush()
while true do
  local client = server:accept()
  if client then
    client:settimeout(PATIENCE)
    client:setoption("tcp-nodelay", true)
    -- A connection that says nothing must not hold up the others.
    repeat
      local request, status = read_request(client)
      if request then
        local keep = (request.headers.connection or {})[1] ~= "close" and os.getenv "KEEP_ALIVE"
        local code, headers, body = handler:handle(request)
        if not keep then headers.Connection = "close" end
        answer(client, code, headers, body)
        status = not keep or nil
      elseif status then
        answer(client, status, { Connection = "close", ["Content-Length"] = "0" }, "")
      end
    until not request or status
    client:close()
  end
end
