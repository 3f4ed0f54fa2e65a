--- An nginx that answers 200 over TLS in many ways: a server for each, with certificates made for this run.
local finder = require "moonpost.cli.nginx"
local receivers = require "spec.support.receiver"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local wait_until = require "spec.support.wait_until"

local tls_server = {}
tls_server.__index = tls_server

local PATIENCE = 30

local KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

-- The CAs, and what each server has; DIR is the folder. "other" is a CA that no server has a certificate of but its own.
local SCRIPT = [[
set -e
cd DIR
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' >good.ext
printf 'subjectAltName=DNS:another.example' >host.ext
for ca in ca other; do openssl req -x509 KEY -keyout $ca.key -out $ca.pem -days 30 -subj "/CN=spec $ca"; done
sign() { # NAME EXTENSIONS DAYS CA
  openssl req KEY -keyout $1.key -out $1.csr -subj "/CN=$1"
  openssl x509 -req -in $1.csr -CA $4.pem -CAkey $4.key -CAcreateserial -days $3 -extfile $2.ext -out $1.pem
}
sign good good 30 ca
sign expired good -1 ca
sign host host 30 ca
sign client good 30 ca
sign stranger good 30 other
openssl req -x509 KEY -keyout self.key -out self.pem -days 30 -subj /CN=self -addext subjectAltName=IP:127.0.0.1
openssl pkey -in client.key -aes128 -passout pass:secret -out client.locked
cat client.pem client.key >client.both
]]

local SERVERS = {
  good = "", expired = "", host = "", self = "",
  old = "ssl_protocols TLSv1; ssl_ciphers DEFAULT:@SECLEVEL=0;",
  ["1.2"] = "ssl_protocols TLSv1.2;",
  client = "ssl_client_certificate DIR/ca.pem; ssl_verify_client on;",
  http2 = "keepalive_requests 50; http2_max_concurrent_streams 8;",
}

local CONFIG = [[
daemon off;
master_process off;
pid DIR/nginx.pid;
error_log DIR/error.log notice;
events { worker_connections 256; }
http {
  ssl_protocols TLSv1.2 TLSv1.3;
  log_format spec "$server_port $connection $request_length $ssl_client_s_dn";
  access_log DIR/access.log spec;
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi;
  scgi_temp_path DIR/scgi;
  SERVERS
}
]]

--- nil, or why it cannot be started here.
function tls_server.missing()
  local found, message = finder.find()
  if not found then return message end
end

local function free_ports(count)
  local taken, ports = {}, {}
  for i = 1, count do
    taken[i] = receivers.start()
    ports[i] = taken[i].port
  end
  for _, one in ipairs(taken) do one:stop() end
  return ports
end

local function servers(ports)
  local names, text = {}, {}
  for name in pairs(SERVERS) do names[#names + 1] = name end
  for i, name in ipairs(names) do
    local certificate = (name == "expired" or name == "host" or name == "self") and name or "good"
    text[i] = ([[server { listen 127.0.0.1:%d %s; ssl_certificate DIR/%s.pem; ssl_certificate_key DIR/%s.key; %s
      location / { return 200 "ok"; } }]]):format(ports[i], name == "http2" and "ssl http2" or "ssl", certificate, certificate,
      SERVERS[name])
    names[name] = ports[i]
  end
  return names, table.concat(text, "\n")
end

--- Starts it; its fields: dir (ca.pem, client.pem, client.key, ...) and ports by the server's name.
function tls_server.start()
  local self = setmetatable({ dir = temp.dir() }, tls_server)
  local function fill(text, more) return (text:gsub("SERVERS", more or ""):gsub("DIR", self.dir):gsub("KEY", KEY)) end
  local output, code = shell.run(fill(SCRIPT))
  assert(code == 0, output)
  local count = 0
  for _ in pairs(SERVERS) do count = count + 1 end
  local ports, text = servers(free_ports(count))
  self.ports = ports
  temp.write(self.dir .. "/nginx.conf", fill(CONFIG, text))
  local program = shell.quote(assert(finder.find()).program)
  -- It ends with this process: when the pipe is closed.
  self.pipe = assert(io.popen(("exec 3<&0; ( %s -p %s -c %s/nginx.conf -e stderr 3<&- </dev/null >%s/out 2>&1; echo $? >%s/code ) & "
    .. "cat <&3; read pid 2>/dev/null <%s/nginx.pid && kill -TERM $pid"):format(program, self.dir, self.dir, self.dir, self.dir,
    self.dir), "w"))
  assert(wait_until(PATIENCE, function() return temp.read(self.dir .. "/nginx.pid") or temp.read(self.dir .. "/code") end))
  assert(not temp.read(self.dir .. "/code"), temp.read(self.dir .. "/out"))
  return self
end

--- The requests that came: a list of { port, connection, client } (client: the subject of its certificate).
function tls_server:requests()
  local list = {}
  for port, connection, client in (temp.read(self.dir .. "/access.log") or ""):gmatch "(%d+) (%d+) %d+ ([^\n]*)\n" do
    list[#list + 1] = { port = tonumber(port), connection = connection, client = client ~= "-" and client or nil }
  end
  return list
end

--- "sha256//..." of a certificate's public key.
function tls_server:pin(name)
  return "sha256//" .. shell.run(("openssl x509 -in %s/%s.pem -noout -pubkey | openssl pkey -pubin -outform der | "
    .. "openssl dgst -sha256 -binary | base64"):format(self.dir, name)):gsub("%s", "")
end

function tls_server:stop()
  self.pipe:close()
  wait_until(PATIENCE, function() return temp.read(self.dir .. "/code") end)
  temp.remove(self.dir)
end

return tls_server
