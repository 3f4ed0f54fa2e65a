-- What a Lua program does today: LuaSocket, one request after the other, on one connection that is kept open. (Its
-- http module would close the connection after each request; this is the better case.)
--
--   lua5.4 luasocket.lua HOST PORT PATH REQUESTS BODY-FILE
local socket = require "socket"

local host, port, path, requests, body_file = arg[1], tonumber(arg[2]), arg[3], tonumber(arg[4]), arg[5]
local file = assert(io.open(body_file, "rb"))
local body = file:read "*a"
file:close()

local request = table.concat({
  ("POST %s HTTP/1.1"):format(path),
  ("Host: %s:%d"):format(host, port),
  "Content-Type: application/json",
  "X-Strapi-Event: entry.create",
  "User-Agent: moonpost/0.1.0",
  "webhook-id: evt_0000000000000",
  "webhook-timestamp: 1700000000",
  "webhook-signature: v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
  "Content-Length: " .. #body,
  "", body,
}, "\r\n")

local cpu, at = os.clock(), socket.gettime()
local connection = assert(socket.connect(host, port))
connection:settimeout(10)
assert(connection:setoption("tcp-nodelay", true))
for _ = 1, requests do
  assert(connection:send(request))
  local status = assert(connection:receive "*l")
  assert(status:find "^HTTP/1.1 200", status)
  local length = 0
  while true do
    local line = assert(connection:receive "*l")
    if line == "" then break end
    length = tonumber(line:lower():match "^content%-length:%s*(%d+)") or length
  end
  assert(connection:receive(length))
end
local seconds = socket.gettime() - at
print(('{"requests":%d,"seconds":%.6f,"cpu_seconds":%.6f}'):format(requests, seconds, os.clock() - cpu))
