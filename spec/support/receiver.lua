--- Starts the test receiver and reads what it recorded. csrc/test/receiver/receiver.h lists its paths.
local cjson = require "cjson"
local paths = require "spec.support.paths"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local wait_until = require "spec.support.wait_until"

local receiver = {}
receiver.__index = receiver
receiver.__name = "spec.receiver"

-- Seconds in which it must listen.
local START = 20

--- Starts a receiver. It ends with :stop(), or when this process ends.
---@param options table? bind (an address of the loopback, default 127.0.0.1), port (default: a free one), brief (true:
-- it records what :arrivals() reads, and nothing for :requests())
---@return table receiver with the fields port and pid
function receiver.start(options)
  options = options or {}
  local dir = temp.dir()
  local self = setmetatable({ dir = dir, offset = 0, recorded = {} }, receiver)
  -- The receiver lives as long as the other end of its standard input is open here.
  self.pipe = assert(io.popen(table.concat({
    "echo $$ > ", shell.quote(dir .. "/pid"),
    "; exec ", shell.quote(paths.receiver), " --stdin-lifetime",
    " --bind ", shell.quote(options.bind or "127.0.0.1"),
    " --port ", tostring(options.port or 0),
    options.brief and " --record-brief " or " --record ", shell.quote(dir .. "/record"),
    " > ", shell.quote(dir .. "/out"), " 2> ", shell.quote(dir .. "/err"),
  }), "w"))
  local address, port
  wait_until(START, function()
    address, port = (temp.read(dir .. "/out") or ""):match("^listening on (%S+):(%d+)\n")
    return port or (temp.read(dir .. "/err") or "") ~= ""
  end)
  if not port then
    local reason = temp.read(dir .. "/err") or ""
    self:stop()
    error("the receiver (" .. paths.receiver .. ") does not listen: " .. reason)
  end
  self.address = address
  self.port = tonumber(port)
  self.pid = tonumber(temp.read(dir .. "/pid"))
  return self
end

--- The URL of a path ("/status/503").
function receiver:url(path)
  return ("http://%s:%d%s"):format(self.address, self.port, path)
end

-- The record's code points U+0080 to U+00FF are bytes; cjson made them UTF-8.
local function to_bytes(value)
  if type(value) == "table" then
    for key, item in pairs(value) do
      value[key] = to_bytes(item)
    end
    return value
  end
  if type(value) ~= "string" then
    return value
  end
  return (value:gsub("([\194\195])([\128-\191])", function(lead, rest)
    return string.char((lead:byte() - 194) * 64 + rest:byte())
  end))
end

--- The requests since the start or the last :clear(), in order: { n, at_us (monotonic microseconds), connection,
--- method, path, headers = { { name, value }, ... }, body, raw_head }. Text as sent, byte for byte.
---@return table[]
function receiver:requests()
  local file = io.open(self.dir .. "/record", "rb")
  if file then
    file:seek("set", self.offset)
    local new = file:read("*a"):match("^.*\n") or ""
    file:close()
    self.offset = self.offset + #new
    for line in new:gmatch("[^\n]+") do
      self.recorded[#self.recorded + 1] = to_bytes(cjson.decode(line))
    end
  end
  return self.recorded
end

--- Goes through the brief record, a line at a time, whatever its length: for at_us (monotonic microseconds), target,
-- webhook_id ("-" for none), body_hash (64-bit FNV-1a, 16 hexadecimal digits), status (as answered; 0: no whole answer).
---@return fun(): number?, string, string, string, number
function receiver:arrivals()
  local file = assert(io.open(self.dir .. "/record", "rb"))
  return function()
    local line = file:read("*l")
    if not line then
      file:close()
      return nil
    end
    local at, target, id, hash, status = line:match("^(%d+) (%S+) (%S+) (%x+) (%d+)$")
    assert(at, "not a line of a brief record: " .. line)
    return tonumber(at), target, id, hash, tonumber(status)
  end
end

--- A request's header, by name in any case.
---@return string|nil value of the first field of that name
---@return number count fields of that name
function receiver.header(request, name)
  local first
  local count = 0
  for _, field in ipairs(request.headers) do
    if field[1]:lower() == name:lower() then
      first = first or field[2]
      count = count + 1
    end
  end
  return first, count
end

--- Waits until at least count requests have come.
---@param seconds number at least; default 10
---@return table[]|nil requests
---@return string? message
function receiver:wait_for(count, seconds)
  seconds = seconds or 10
  local came = wait_until(seconds, function()
    return #self:requests() >= count
  end)
  if not came then
    return nil, ("expected %d requests within %g seconds, got %d"):format(count, seconds, #self.recorded)
  end
  return self.recorded
end

--- Forgets the requests so far.
function receiver:clear()
  self:requests()
  self.recorded = {}
end

--- Ends the receiver and removes its files. May be called again.
function receiver:stop()
  if not self.pipe then
    return
  end
  -- The end of its input would do, but a program that was started since may hold the pipe open.
  shell.run("kill " .. (temp.read(self.dir .. "/pid") or ""))
  self.pipe:close()
  self.pipe = nil
  temp.remove(self.dir)
end

return receiver
