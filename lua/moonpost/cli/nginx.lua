--- The nginx of this machine: the program, its Lua module, and LuaJIT's search paths for it.
local core = require "moonpost.core"

local nginx = {}

-- sbin is in no PATH but root's.
local PROGRAMS = { "openresty", "nginx", "/usr/local/openresty/bin/openresty", "/usr/sbin/nginx", "/usr/local/sbin/nginx" }
local MODULES = { "ndk_http_module.so", "ngx_http_lua_module.so" }

--- Quotes a word for sh.
function nginx.quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

--- Runs a shell command to its end.
---@return string output standard output alone
---@return boolean ok
function nginx.run(command)
  local pipe = assert(io.popen("{ " .. command .. "\n}; echo \" $?\"", "r"))
  local text = pipe:read "*a"
  pipe:close()
  local output, status = text:match "^(.*) (%d+)\n$"
  return output or text, status == "0"
end

local function is_file(path)
  local stat = core.stat(path)
  return stat ~= nil and stat.type == "file"
end

-- nil, and why not.
local function look(program)
  local text, ok = nginx.run(nginx.quote(program) .. " -V 2>&1")
  if not ok then return nil end
  local version = text:match "nginx/(%d+%.%d+%.%d+)" or text:match "openresty/([%d.]+)"
  local found = { program = program, version = version, modules = {} }
  if text:find "add%-module=%S*ngx_lua" or text:find "add%-module=%S*lua%-nginx%-module" then return found end
  local folder = text:match "%-%-modules%-path=(%S+)"
  for _, name in ipairs(folder and MODULES or {}) do
    local path = folder .. "/" .. name
    if is_file(path) then found.modules[#found.modules + 1] = path end
  end
  if #found.modules == #MODULES then return found end
  return nil, ("%s has no Lua module (Debian, Ubuntu: libnginx-mod-http-lua)"):format(program)
end

--- The nginx or openresty to start.
---@param program? string default: what is found
---@return { program: string, version: string, modules: string[] }|nil found modules: to be loaded by its config
---@return string? message
---@return string? code ENOENT
function nginx.find(program)
  local message
  for _, candidate in ipairs(program and { program } or PROGRAMS) do
    local found, why = look(candidate)
    if found then return found end
    message = message or why
  end
  return nil, message or ("%s is not here (Debian, Ubuntu: nginx, libnginx-mod-http-lua)"):format(program or "nginx"), "ENOENT"
end

--- The search paths by which nginx's LuaJIT finds moonpost: this one's when it is LuaJIT, else luajit's.
---@return { path: string, cpath: string }|nil nil: nobody knows; nginx's own may do
function nginx.lua_paths()
  if rawget(_G, "jit") then return { path = package.path, cpath = package.cpath } end
  local text, ok = nginx.run [[luajit -e 'require "moonpost.core"; print(package.path); print(package.cpath)' 2>/dev/null]]
  local path, cpath = text:match "^(.-)\n(.-)\n"
  return ok and path and { path = path, cpath = cpath } or nil
end

return nginx
