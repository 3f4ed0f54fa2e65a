--- moonpost in a cqueues loop: a server that takes events, one a line as JSON, and answers each with its id once it is on disk.
--
--   lua examples/cqueues/server.lua CONFIG [PORT]
local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local moonpost = require "moonpost"
local signal = require "cqueues.signal"
local socket = require "cqueues.socket"

local hooks = assert(moonpost.open(assert(arg[1], "expected a config"), {
  log = function(_, line) io.stderr:write(line, "\n") end,
}))
local loop = cqueues.new()

-- The whole of it: when there is something to tell, the descriptor is readable.
local bell = { pollfd = assert(hooks:fd()), events = "r" }
loop:wrap(function()
  while true do
    cqueues.poll(bell)
    hooks:poll()
  end
end)

-- Lets the coroutine sleep until the event is on disk.
local function emit(text)
  local told, answer = condition.new(), nil
  local id, message, code = hooks:emit_json(text, { done = function(...)
    answer = { ... }
    told:signal()
  end })
  if not id then return nil, message, code end
  while not answer do told:wait() end
  return answer[1], answer[2], answer[3]
end

local function serve(client)
  client:setmode("b", "bl")
  client:setmaxline(1048576)
  for line in client:lines() do
    local id, message, code = emit(line)
    client:write(id or ("%s %s"):format(code, message), "\n")
  end
  client:close()
end

local server = socket.listen("127.0.0.1", tonumber(arg[2]) or 0)
assert(server:listen())
loop:wrap(function()
  for client in server:clients() do loop:wrap(serve, client) end
end)

signal.block(signal.SIGINT, signal.SIGTERM)
loop:wrap(function()
  signal.listen(signal.SIGINT, signal.SIGTERM):wait()
  hooks:close()
  os.exit(0)
end)

print("listening on 127.0.0.1:" .. select(3, server:localname()))
io.stdout:flush()
assert(loop:loop())
