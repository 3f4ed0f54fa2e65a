--- moonpost in a luv loop: a server that takes events, one a line as JSON, and answers each with its id once it is on disk.
--
--   lua examples/luv/server.lua CONFIG [PORT]
local moonpost = require "moonpost"
local uv = require "luv"

local MAX_LINE = 1048576

local hooks = assert(moonpost.open(assert(arg[1], "expected a config"), {
  log = function(_, line) io.stderr:write(line, "\n") end,
}))

-- The whole of it: when there is something to tell, the descriptor is readable.
local bell = assert(uv.new_poll(assert(hooks:fd())))
bell:start("r", function() hooks:poll() end)

local function emit(client, line)
  local function answer(id, message, code)
    if not client:is_closing() then client:write((id or ("%s %s"):format(code, message)) .. "\n") end
  end
  local id, message, code = hooks:emit_json(line, { done = answer })
  if not id then answer(nil, message, code) end
end

local function serve(client)
  local rest = ""
  client:read_start(function(_, chunk)
    rest = rest .. (chunk or "")
    for line in rest:gmatch "([^\n]*)\n" do emit(client, line) end
    rest = rest:match "[^\n]*$"
    if not chunk or #rest > MAX_LINE then client:close() end
  end)
end

local server = uv.new_tcp()
assert(server:bind("127.0.0.1", tonumber(arg[2]) or 0))
assert(server:listen(128, function()
  local client = uv.new_tcp()
  server:accept(client)
  serve(client)
end))

-- Close waits for requests under way, and tells what came until then.
local function stop()
  hooks:close()
  uv.stop()
end
for _, name in ipairs { "sigint", "sigterm" } do uv.new_signal():start(name, stop) end

print("listening on 127.0.0.1:" .. server:getsockname().port)
io.stdout:flush()
uv.run()
