--- Script files of a spec.
local hooks_support = require "spec.support.hooks"
local temp = require "spec.support.temp"
local wait_until = require "spec.support.wait_until"

local scripts = {}

--- Writes a script in place of the one that is there, whole, as an editor or a deployment does.
function scripts.write(folder, name, text)
  local path = ("%s/%s.lua"):format(folder, name)
  temp.write(path .. ".new", text)
  assert(os.rename(path .. ".new", path))
  return path
end

--- A folder with these scripts.
---@param files table<string, string> text by name
---@return string folder
function scripts.folder(files)
  local folder = temp.dir()
  assert(os.execute(("mkdir %s/lib"):format(folder)))
  for name, text in pairs(files) do scripts.write(folder, name, text) end
  return folder
end

--- Opens moonpost with a folder of scripts. extra: as for hooks.open.
function scripts.open(folder, extra, options)
  extra = extra or {}
  extra.scripts = folder
  return hooks_support.open(extra, options)
end

--- The state of one script.
function scripts.state(hooks, name)
  for _, script in ipairs(assert(hooks:scripts())) do
    if script.name == name then return script end
  end
end

--- Waits until a delivery is in a state.
---@return table delivery as it is then, or at the end of the time
function scripts.settled(hooks, filter, state, seconds)
  local delivery
  wait_until(seconds or 20, function()
    delivery = assert(hooks.deliveries:list(filter))[1]
    return delivery and delivery.state == state
  end)
  return delivery
end

return scripts
