--- Finds the route of a method and a path. A route's path is segments between slashes; ":name" takes one segment that
-- is not empty; what it may look like is the matter of its parameter.
local router = {}
router.__index = router
router.__name = "moonpost.admin.router"

local function split(path)
  local segments = {}
  for part in path:gmatch "/([^/]*)" do segments[#segments + 1] = part end
  return segments
end

---@param ... table[] lists of routes { method, path, ... }
---@return table
function router.new(...)
  local paths, by_path = {}, {}
  local function add(route)
    local entry = by_path[route.path]
    if not entry then
      entry = { segments = split(route.path), methods = {}, fixed = not route.path:find ":", open = true }
      by_path[route.path], paths[#paths + 1] = entry, entry
    end
    entry.open = entry.open and not route.scope
    entry.methods[route.method] = route
  end
  for _, routes in ipairs { ... } do
    for _, route in ipairs(routes) do add(route) end
  end
  return setmetatable({ _paths = paths }, router)
end

local function match(entry, segments)
  if #entry.segments ~= #segments then return nil end
  local parameters = {}
  for i, part in ipairs(entry.segments) do
    if part:sub(1, 1) == ":" then
      if segments[i] == "" then return nil end
      parameters[part:sub(2)] = segments[i]
    elseif part ~= segments[i] then
      return nil
    end
  end
  return parameters
end

--- The methods that a path has, as Allow lists them.
---@param entry table
---@return string
function router.allow(entry)
  local names = { "OPTIONS" }
  for method in pairs(entry.methods) do
    names[#names + 1] = method
    if method == "GET" then names[#names + 1] = "HEAD" end
  end
  table.sort(names)
  return table.concat(names, ", ")
end

--- The path that the segments are; one without parameters goes before one with them.
---@param segments string[]
---@return table|nil entry { methods: table<string, table>, open: boolean } open: no method needs a token; nil: there is no such path
---@return table<string, string>? parameters
function router:find(segments)
  local found, values
  for _, entry in ipairs(self._paths) do
    local parameters = match(entry, segments)
    if parameters and (entry.fixed or not found) then found, values = entry, parameters end
  end
  return found, values
end

return router
