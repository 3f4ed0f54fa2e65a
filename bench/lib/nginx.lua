--- nginx as the receiver for TLS and HTTP/2: a config and a self-signed certificate of its own, on a free port.
local process = require "bench.lib.process"
local sink = require "bench.lib.sink"

local nginx = {}

local CONFIG = [[
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid %s/nginx.pid;
error_log %s/error.log;
events { worker_connections 8192; }
http {
  access_log off;
  client_body_temp_path %s;
  client_body_buffer_size 128k;
  keepalive_requests 100000000;
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

--- Starts it.
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
  local file = assert(io.open(folder .. "/nginx.conf", "wb"))
  file:write(CONFIG:format(folder, folder, folder, folder, folder, port, options.http2 and "http2" or ""))
  file:close()
  local started = process.start({
    "sh", "-c", 'echo "pid $$"; exec setpriv --pdeathsig TERM nginx -p "$0" -e "$0/error.log" -c "$0/nginx.conf"', folder,
  }, "^pid (%d+)$")
  local self = { base = ("https://127.0.0.1:%d"):format(port), ca = folder .. "/cert.pem", stop = started.stop }
  local answer
  answer, message = process.run({
    "curl", "-sS", "--noproxy", "*", "--cacert", self.ca, "--retry", "20", "--retry-connrefused", "--retry-delay", "0",
    "--retry-max-time", "10", self.base .. "/",
  }, 20)
  if answer == "ok" then return self end
  started.stop()
  return nil, message or "nginx does not answer"
end

return nginx
