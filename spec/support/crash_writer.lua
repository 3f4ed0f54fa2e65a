--- A program of the crash spec: opens the store and emits numbered events, until it is killed.
-- Arguments: the store, the writer's number, how many events, and what it does then (see crash_writers). Prints a line
-- "ID NUMBER TYPE KEY" for each event whose emit has returned.
local core = require "moonpost.core"
local crash_webhooks = require "spec.support.crash_webhooks"
local moonpost = require "moonpost"

local store, writer, count, ending = arg[1], arg[2], tonumber(arg[3]), arg[4]

local hooks = assert(moonpost.open(crash_webhooks.config(store)))
io.stdout:setvbuf("no")
for number = 1, count do
  local event = number % 3 == 0 and "entry.update" or "entry.create"
  local key = number % 4 > 0 and "k" .. number % 5 + 1 or nil
  local entry = { id = number, city = "writer " .. writer }
  local id = assert(hooks:emit(event, { model = "address", entry = entry }, { key = key }))
  io.stdout:write(("%s %d %s %s\n"):format(id, number, event, key or "-"))
  if number % 8 == 0 then -- on a fast disk all would be accepted before the first kill could come
    core.sleep(0.01)
  end
end
if ending == "close" then
  assert(hooks:close(600)) -- so long that nothing under way is cut off
elseif ending == "cut" then
  hooks:close(0)
else
  core.sleep(86400)
end
