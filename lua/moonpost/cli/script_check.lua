--- Loads every script that a config names, as an engine would, and tries its phases on a sample event.
local core = require "moonpost.core"
local json = require "moonpost.json"
local moonpost = require "moonpost"
local settings = require "moonpost.settings"

local function names_of(conf)
  local names, seen = {}, {}
  local function add(name)
    if name and not seen[name] then names[#names + 1] = name end
    if name then seen[name] = true end
  end
  for _, name in ipairs(conf.global_scripts) do add(name) end
  for _, endpoint in ipairs(conf.endpoints) do add(endpoint.script) end
  return names
end

---@param conf table as config.load returns it
---@return { name: string, version: string }[]|nil scripts
---@return string? message of the first that cannot be loaded
---@return string? code
return function(conf)
  local list = {}
  local schema, message, code = core.schema(conf.schema_list)
  if not schema then return nil, message, code end
  for i, name in ipairs(names_of(conf)) do
    local own = settings.of(conf, moonpost._VERSION)
    own.scripts.global = { name }
    local scripts
    scripts, message, code = json.answer(core.check_scripts(own, schema, {}))
    if not scripts then return nil, ("%s: %s/%s"):format(conf.file, conf.scripts, message), code end
    list[i] = { name = name, version = scripts[1].version }
  end
  return list
end
