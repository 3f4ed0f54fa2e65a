--- Lines for sh that run this tree's programs, with the interpreter and the paths of the specs.
local paths = require "spec.support.paths"
local shell = require "spec.support.shell"

local command = {}

--- A line that runs a Lua program.
---@param env table<string, string> variables, over the specs' own
---@param program string path
---@param ... string arguments
---@return string
function command.lua(env, program, ...)
  local words = {
    "env", "LUA_PATH=" .. package.path, "LUA_PATH_5_4=" .. package.path, "LUA_CPATH=" .. package.cpath,
    "LUA_CPATH_5_4=" .. package.cpath,
  }
  for name, value in pairs(env) do words[#words + 1] = name .. "=" .. value end
  for _, word in ipairs { paths.interpreter, program, ... } do words[#words + 1] = word end
  for i, word in ipairs(words) do words[i] = shell.quote(word) end
  return table.concat(words, " ")
end

--- A line that runs the command moonpost.
function command.moonpost(env, ...)
  return command.lua(env, "bin/moonpost", ...)
end

return command
