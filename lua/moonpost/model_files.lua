--- Finds and reads the model files of a folder: a Strapi project of v3, v4 or v5, or files side by side.
local core = require "moonpost.core"
local json = require "moonpost.json"

local model_files = {}

local MAX_DEPTH, MAX_FILES, MAX_SIZE = 8, 10000, 1048576
local SKIPPED = { node_modules = true, [".git"] = true, [".cache"] = true, build = true, dist = true, public = true }

-- Which model is in a file, by its path below the folder: uid, version; nil for files that are none.
local function uid_of(path)
  local folder, name, where
  folder, name = path:match "([^/]+)/content%-types/([^/]+)/schema%.json$"
  if folder then
    where = path:match "([^/]+)/[^/]+/content%-types/"
    if where == "extensions" or where == "plugins" then return ("plugin::%s.%s"):format(folder, name) end
    if folder == "admin" then return "admin::" .. name end
    return ("api::%s.%s"):format(folder, name)
  end
  folder, name = path:match "components/([^/]+)/([^/]+)%.json$"
  if folder then return ("%s.%s"):format(folder, name) end
  where, folder, name = path:match "([^/]+)/([^/]+)/models/([^/]+)%.settings%.json$"
  if where == "api" or where == "extensions" or where == "plugins" then
    name = name:lower()
    if folder == "admin" then return "strapi::" .. name end
    return (where == "api" and "application::%s.%s" or "plugins::%s.%s"):format(folder, name)
  end
  name = path:match "([^/]+)$"
  folder, where = name:match "^component%.([^.]+)%.([^.]+)%.json$"
  if folder then return ("%s.%s"):format(folder, where) end
  folder, where = name:match "^plugin%.([^.]+)%.([^.]+)%.settings%.json$"
  if folder then return ("plugins::%s.%s"):format(folder, where:lower()) end
  where = name:match "^admin%.([^.]+)%.settings%.json$"
  if where then return "strapi::" .. where:lower() end
  where = name:match "^([^.]+)%.settings%.json$"
  if where then return ("application::%s.%s"):format(where:lower(), where:lower()) end
end

local function collect(folder, below, depth, found)
  local entries, message, code = core.listdir(folder)
  if not entries then return nil, message, code end
  for _, entry in ipairs(entries) do
    local path, relative = folder .. "/" .. entry.name, below .. entry.name
    if entry.type == "directory" and not SKIPPED[entry.name] and depth < MAX_DEPTH then
      local ok
      ok, message, code = collect(path, relative .. "/", depth + 1, found)
      if not ok then return nil, message, code end
    elseif entry.type == "file" and uid_of(relative) then
      found[#found + 1] = { path = path, uid = uid_of(relative) }
      if #found > MAX_FILES then return nil, ("%s: more than %d model files"):format(folder, MAX_FILES), "EINVAL" end
    end
  end
  return true
end

local function read(path)
  local file, message = io.open(path, "rb")
  if not file then return nil, message end
  local text = file:read(MAX_SIZE + 1) or ""
  file:close()
  if #text > MAX_SIZE then return nil, ("%s: over %d bytes"):format(path, MAX_SIZE) end
  local ok
  ok, message = core.check_json(text)
  if not ok then return nil, ("%s: %s"):format(path, message) end
  local settings = json.decode(text)
  if type(settings) ~= "table" or settings[1] ~= nil then
    return nil, ("%s: expected a JSON object"):format(path)
  end
  return settings
end

--- Reads a folder's model files.
---@param folder string
---@return { uid: string, where: string, settings: table }[]|nil in the order of their paths
---@return string? message
---@return string? code EINVAL
function model_files.read(folder)
  local stat = core.stat(folder)
  if not stat then return nil, ("%s: no such folder"):format(folder), "EINVAL" end
  if stat.type ~= "directory" then return nil, ("%s: expected a folder of models, got a file"):format(folder), "EINVAL" end
  local root, found = core.realpath(folder) or folder, {}
  -- Folders above count too: "models" may itself be a project's "api", "components" or "src".
  local ok, message = collect(folder, root:gsub("^/", "") .. "/", 0, found)
  if not ok then return nil, message, "EINVAL" end
  local seen, result = {}, {}
  for i, file in ipairs(found) do
    if seen[file.uid] then
      return nil, ("%s: the model %s is already in %s"):format(file.path, file.uid, seen[file.uid]), "EINVAL"
    end
    seen[file.uid] = file.path
    local settings
    settings, message = read(file.path)
    if not settings then return nil, message, "EINVAL" end
    result[i] = { uid = file.uid, where = file.path, settings = settings }
  end
  return result
end

return model_files
