--- Slows down who fails to name a token: after a number of failures within a minute an address is not listened to until
-- the minute is over. The table of addresses is bounded.
local core = require "moonpost.core"

local throttle = {}
throttle.__index = throttle
throttle.__name = "moonpost.admin.throttle"

local MAX_ADDRESSES = 4096

---@param options? { failures: integer?, seconds: number?, clock: (fun(): number)? } failures in so many seconds (10 in 60);
-- clock answers seconds that only grow
---@return table
function throttle.new(options)
  options = options or {}
  return setmetatable({
    _failures = options.failures or 10, _seconds = options.seconds or 60, _clock = options.clock or core.now,
    _addresses = {}, _count = 0,
  }, throttle)
end

--- Seconds for which the address is not listened to; nil: it is.
---@param address string
---@return integer?
function throttle:blocked(address)
  local entry = self._addresses[address]
  if not entry or entry.count < self._failures then return nil end
  local left = entry.start + self._seconds - self._clock()
  if left > 0 then return math.max(1, math.ceil(left)) end
  self._addresses[address], self._count = nil, self._count - 1
end

-- Makes room: what is over goes, and if nothing is, the address that began first.
local function prune(self, now)
  local oldest
  for address, entry in pairs(self._addresses) do
    if now >= entry.start + self._seconds then
      self._addresses[address], self._count = nil, self._count - 1
    elseif not oldest or entry.start < self._addresses[oldest].start then
      oldest = address
    end
  end
  if self._count >= MAX_ADDRESSES and oldest then self._addresses[oldest], self._count = nil, self._count - 1 end
end

--- Notes a failure.
---@param address string
function throttle:fail(address)
  local now = self._clock()
  local entry = self._addresses[address]
  if entry and now < entry.start + self._seconds then
    entry.count = entry.count + 1
    return
  end
  if not entry then
    if self._count >= MAX_ADDRESSES then prune(self, now) end
    self._count = self._count + 1
  end
  self._addresses[address] = { start = now, count = 1 }
end

return throttle
