--- nginx as the receiver for TLS and HTTP/2, with a config and a self-signed certificate of its own, and nginx as moonpost's host;
-- on a free port.
local finder = require "moonpost.cli.nginx"
local process = require "bench.lib.process"
local sink = require "bench.lib.sink"

local nginx = {}

local COMMON = [[
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid %s/nginx.pid;
error_log %s/error.log;
events { worker_connections 8192; }
http {
  access_log off;
  keepalive_requests 100000000;
]]

local CONFIG = COMMON .. [[
  client_body_temp_path %s;
  client_body_buffer_size 128k;
  keepalive_timeout 600s;
  http2_max_concurrent_streams 1024;
  ssl_certificate %s/cert.pem;
  ssl_certificate_key %s/key.pem;
  ssl_protocols TLSv1.3;
  server {
    listen 127.0.0.1:%d ssl %s;
    location / { return 200 "ok"; }
  }
}
]]

-- The kernel's choice: a sink asks for it and lets it go.
local function free_port(sink_program)
  local probe = sink.start(sink_program, {})
  probe.stop()
  return tonumber(probe.base:match "(%d+)$")
end

local function certificate(folder)
  return process.run({
    "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
    "-subj", "/CN=moonpost bench", "-addext", "subjectAltName=IP:127.0.0.1",
    "-keyout", folder .. "/key.pem", "-out", folder .. "/cert.pem",
  }, 30)
end

local HOST = [[
%s
user root root;
]] .. COMMON .. [[
  client_body_temp_path %s/body;
  lua_package_path "%s";
  lua_package_cpath "%s";
  init_worker_by_lua_block { require("moonpost.host.openresty").start("%s/server.lua") }
  exit_worker_by_lua_block { require("moonpost.host.openresty").stop(0) }
  server {
    listen 127.0.0.1:%d;
    %s
  }
}
]]

local function start(folder, base, arguments)
  local started = process.start({
    "sh", "-c", 'echo "pid $$"; exec setpriv --pdeathsig TERM "$1" -p "$0" -e "$0/error.log" -c "$0/nginx.conf"', folder,
    arguments.program or "nginx",
  }, "^pid (%d+)$")
  local words = { "curl", "-sS", "--noproxy", "*", "--retry", "20", "--retry-connrefused", "--retry-delay", "0",
    "--retry-max-time", "10", base .. "/" }
  for _, word in ipairs(arguments) do words[#words + 1] = word end
  local answer, message = process.run(words, 20)
  if answer == "ok" then return started end
  started.stop()
  return nil, message or "nginx does not answer"
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

--- What nginx as a host needs and this system does not have; nil: nothing.
function nginx.host_missing()
  local found, message = finder.find()
  if not found then return message end
  if not finder.lua_paths() then return "luajit does not find moonpost" end
  if not process.has "setpriv" then return "the command setpriv is not here" end
end

--- Starts it as moonpost's host.
---@param folder string for its files and the store
---@param options { sink_program: string, config: string, server: string } config: the text of server.lua; server: locations,
-- beside /
---@return { base: string, stop: fun() }|nil
---@return string? message
function nginx.host(folder, options)
  local found, paths = assert(finder.find()), assert(finder.lua_paths())
  local modules = {}
  for i, path in ipairs(found.modules) do modules[i] = "load_module " .. path .. ";" end
  local port = free_port(options.sink_program)
  write(folder .. "/server.lua", options.config)
  write(folder .. "/nginx.conf", HOST:format(table.concat(modules, "\n"), folder, folder, folder, paths.path, paths.cpath, folder, port,
    options.server .. '\n    location = / { return 200 "ok"; }'))
  local base = ("http://127.0.0.1:%d"):format(port)
  local started, message = start(folder, base, { program = found.program })
  if not started then return nil, message end
  return { base = base, stop = started.stop }
end

--- Starts it as a receiver.
---@param folder string for its files
---@param options { sink_program: string, http2: boolean }
---@return { base: string, ca: string, stop: fun() }|nil
---@return string? message
function nginx.start(folder, options)
  for _, command in ipairs { "nginx", "openssl", "setpriv" } do
    if not process.has(command) then
      return nil, ("the command %s is not here (scripts/bench-deps.sh installs it)"):format(command)
    end
  end
  local made, message = certificate(folder)
  if not made then return nil, message end
  local port = free_port(options.sink_program)
  write(folder .. "/nginx.conf",
    CONFIG:format(folder, folder, folder, folder, folder, port, options.http2 and "http2" or ""))
  local base, ca = ("https://127.0.0.1:%d"):format(port), folder .. "/cert.pem"
  local started
  started, message = start(folder, base, { "--cacert", ca })
  if not started then return nil, message end
  return { base = base, ca = ca, stop = started.stop }
end

return nginx
