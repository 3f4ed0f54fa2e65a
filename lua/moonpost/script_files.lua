--- The scripts that a config names: their folder, their files, what they are given.
local core = require "moonpost.core"
local ordered_json = require "moonpost.ordered_json"
local suggest = require "moonpost.suggest"
local webhook = require "moonpost.webhook"

local script_files = {}

local MAX_CONSTANTS = 65536 -- bytes of JSON

local shown, list_length = webhook.shown, webhook.list_length

-- The scripts of a folder, for a near miss.
local function names_in(folder)
  local names = {}
  for _, entry in ipairs(core.listdir(folder) or {}) do
    local name = entry.name:match "^([%w_-]+)%.lua$"
    if name then names[#names + 1] = name end
  end
  return names
end

--- Is there such a script?
---@param folder string
---@param name string
---@param where string
---@return true|nil
---@return string? message
function script_files.find(folder, name, where)
  local path = ("%s/%s.lua"):format(folder, name)
  local stat = core.stat(path)
  if stat and stat.type == "file" then return true end
  return nil, ("%s: expected a script, %s is %s%s"):format(where, path, stat and "a " .. stat.type or "not there",
    suggest.near(name, names_in(folder)))
end

--- The config's globalScripts: names of scripts, each once.
---@param value any
---@param where string
---@return string[]|nil
---@return string? message
function script_files.global(value, where)
  local length = list_length(value)
  if not length then return nil, ("%s: expected a list of scripts' names, got %s"):format(where, shown(value)) end
  local seen = {}
  for i = 1, length do
    local at = ("%s[%d]"):format(where, i)
    local name, message = webhook.fields.script(value[i], at)
    if not name then return nil, message end
    if seen[name] then return nil, ("%s: '%s' is there already"):format(at, name) end
    seen[name] = true
  end
  return value
end

--- The config's constants, as JSON: an object whose names are in order, so that a script that goes through them finds the
-- same order in every process.
---@param value any
---@param where string
---@return string|nil json
---@return string? message
function script_files.constants(value, where)
  if type(value) ~= "table" or #value > 0 then
    return nil, ("%s: expected a table with names, got %s"):format(where, type(value) == "table" and "a list" or shown(value))
  end
  local text, message = core.to_json(value)
  if not text then return nil, where .. (message:find "^value" and message:sub(6) or ": " .. message) end
  if #text > MAX_CONSTANTS then
    return nil, ("%s: expected at most %d bytes of JSON, got %d"):format(where, MAX_CONSTANTS, #text)
  end
  return next(value) == nil and "{}" or ordered_json(value)
end

return script_files
