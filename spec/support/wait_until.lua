--- Polling, for what another process does.

-- In nginx ngx.sleep lets timers and other light threads run meanwhile.
local function pause()
  local ngx = rawget(_G, "ngx")
  if ngx then
    ngx.sleep(0.01)
  else
    os.execute("sleep 0.01")
  end
end

--- Calls condition until it returns something true.
---@param seconds number how long to go on, at least; whole seconds
---@return any # what condition returned; false or nil when the time was over
local function wait_until(seconds, condition)
  local deadline = os.time() + seconds + 1
  local result = condition()
  while not result and os.time() <= deadline do
    pause()
    result = condition()
  end
  return result
end

return wait_until
