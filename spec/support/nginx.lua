--- Starts a real nginx with moonpost's host in it, on a unix socket, and asks it with curl.
local core = require "moonpost.core"
local finder = require "moonpost.cli.nginx"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local wait_until = require "spec.support.wait_until"

local nginx = {}
nginx.__index = nginx
nginx.__name = "spec.nginx"

-- Seconds in which it must start, or end.
local PATIENCE = 30

local CONFIG = [[
MODULES
daemon off;
user root root;
worker_processes WORKERS;
pid DIR/nginx.pid;
error_log DIR/error.log notice;
worker_shutdown_timeout 20s;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi;
  scgi_temp_path DIR/scgi;
  lua_package_path "ROOT/lua/?.lua;ROOT/lua/?/init.lua;;";
  lua_package_cpath "ROOT/build/luajit/?.so;;";
  HTTP
  init_worker_by_lua_block { INIT }
  exit_worker_by_lua_block { require("moonpost.host.openresty").stop() }
  server {
    listen unix:DIR/http.sock;
    SERVER
  }
}
]]

--- nil, or why no nginx can be started here.
function nginx.missing()
  local found, message = finder.find()
  if not found then return message end
  if not core.stat "build/luajit/moonpost/core.so" then return "moonpost is not built for LuaJIT" end
end

--- Starts one. What it starts has DIR in it replaced by its folder.
---@param options { workers: integer?, config: string?, init: string?, http: string?, server: string? } config: the text of
-- server.lua; init: Lua of init_worker (default: it starts with this config); http, server: more of those blocks
---@return table nginx with the fields dir and pid
function nginx.start(options)
  local found = assert(finder.find())
  local self = setmetatable({ dir = temp.dir() }, nginx)
  local modules = {}
  for i, path in ipairs(found.modules) do modules[i] = "load_module " .. path .. ";" end
  if options.config then temp.write(self.dir .. "/server.lua", options.config) end
  local values = {
    MODULES = table.concat(modules, "\n"), WORKERS = tostring(options.workers or 1), ROOT = core.realpath ".",
    HTTP = options.http or "", SERVER = options.server or "",
    INIT = options.init or 'require("moonpost.host.openresty").start("DIR/server.lua")',
  }
  local text = CONFIG:gsub("%f[%w]%u%u+%f[%W]", values):gsub("%f[%w]DIR%f[%W]", self.dir)
  temp.write(self.dir .. "/nginx.conf", text)
  -- It ends with this process: when the pipe is closed.
  self.pipe = assert(io.popen(("exec 3<&0; ( %s -p %s -c %s/nginx.conf -e stderr 3<&- </dev/null >%s/out 2>&1; echo $? >%s/code ) & "
    .. "cat <&3; read pid 2>/dev/null <%s/nginx.pid && kill -TERM $pid"):format(shell.quote(found.program), self.dir, self.dir, self.dir,
    self.dir, self.dir), "w"))
  wait_until(PATIENCE, function()
    self.pid = tonumber(temp.read(self.dir .. "/nginx.pid") or "")
    return self.pid and core.stat(self.dir .. "/http.sock") or self:code()
  end)
  assert(self.pid and not self:code(), temp.read(self.dir .. "/out") or "nginx did not start")
  return self
end

--- The exit code, when it has ended.
function nginx:code()
  return tonumber(temp.read(self.dir .. "/code") or "")
end

--- What is in its error log.
function nginx:log()
  return temp.read(self.dir .. "/error.log") or ""
end

--- Asks it; arguments are curl's.
---@return integer status 0: no answer
---@return string body
function nginx:get(path, ...)
  local words = { "curl", "-s", "--max-time", "20", "-w", "\n%{http_code}", "--unix-socket", self.dir .. "/http.sock",
    "http://moonpost" .. path, ... }
  for i, word in ipairs(words) do words[i] = shell.quote(word) end
  local body, status = shell.run(table.concat(words, " ")):match "^(.*)\n(%d+)$"
  return tonumber(status), body
end

--- Sends the master a signal ("HUP", "QUIT").
function nginx:signal(name)
  local output, code = shell.run(("kill -%s %d"):format(name, self.pid))
  assert(code == 0, output)
end

--- The pids of its workers; those that are ending too when all is true.
function nginx:workers(all)
  local output = shell.run(("ps -o pid=,args= --ppid %d"):format(self.pid))
  local list = {}
  for pid, args in output:gmatch "%s*(%d+)%s+(nginx: worker process[^\n]*)" do
    if all or not args:find "shutting down" then list[#list + 1] = tonumber(pid) end
  end
  return list
end

--- Reloads, and waits until other workers serve.
function nginx:reload()
  local old = {}
  for _, pid in ipairs(self:workers(true)) do old[pid] = true end
  self:signal "HUP"
  assert(wait_until(PATIENCE, function()
    local fresh = self:workers()
    for _, pid in ipairs(fresh) do
      if old[pid] then return false end
    end
    return #fresh > 0
  end), "no new workers")
end

--- Ends it as told ("QUIT", "TERM") and removes its files. May be called again.
---@return integer|nil code
function nginx:stop(signal)
  if not self.pipe then return nil end
  if not self:code() then self:signal(signal or "TERM") end
  local code = wait_until(PATIENCE, function() return self:code() end)
  self.pipe:close()
  self.pipe = nil
  temp.remove(self.dir)
  return code
end

return nginx
