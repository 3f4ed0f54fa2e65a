--- The shell, alike on Lua 5.4 and LuaJIT (whose io.popen tells no exit codes).
local shell = {}

--- Quotes an argument for sh.
function shell.quote(argument)
  return "'" .. argument:gsub("'", "'\\''") .. "'"
end

--- Runs a command to its end.
---@return string output standard output and standard error
---@return number code exit code; 128 + N after signal N
function shell.run(command)
  local pipe = assert(io.popen("( " .. command .. "\n) 2>&1; printf '[%d]' $?", "r"))
  local text = pipe:read("*a")
  pipe:close()
  local output, code = text:match("^(.*)%[(%d+)%]$")
  return output, tonumber(code)
end

return shell
