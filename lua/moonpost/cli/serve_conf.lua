--- The nginx.conf of moonpost serve.
local serve_conf = {}

-- A word of nginx's config.
local function word(text)
  return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

-- What nginx answers itself, in the API's words.
local REFUSALS = {
  { 400, "Bad Request", "not an HTTP request" },
  { 408, "Request Timeout", "the request did not come in time" },
  { 413, "Content Too Large", "the body is over %d bytes", "E2BIG" },
  { 414, "URI Too Long", "the request line is too long" },
  { 494, "Bad Request", "the header fields are too long", nil, 400 },
}

local function refusals(most)
  local lines = {}
  for _, refusal in ipairs(REFUSALS) do
    local status, reason, message, code, shown = refusal[1], refusal[2], refusal[3]:format(most), refusal[4], refusal[5]
    local body = ('{"statusCode":%d,"error":"%s","message":"%s"%s}'):format(shown or status, reason, message,
      code and (',"code":"%s"'):format(code) or "")
    lines[#lines + 1] = ("    error_page %d @refused_%d;"):format(status, status)
    lines[#lines + 1] = ("    location @refused_%d { return %d '%s'; }"):format(status, shown or status, body)
  end
  return table.concat(lines, "\n")
end

local CONF = [[
# moonpost serve wrote this and will write it again.
# config: $(config)
$(modules)
daemon off;
$(user)worker_processes $(workers);
pid $(pid);
error_log stderr notice;
worker_shutdown_timeout 60s;
$(environment)
events { worker_connections 1024; }
http {
  access_log off;
  server_tokens off;
  default_type application/json;
  client_body_temp_path $(body); proxy_temp_path $(proxy); fastcgi_temp_path $(fastcgi); uwsgi_temp_path $(uwsgi);
  scgi_temp_path $(scgi);
$(search)
  lua_socket_log_errors off;

  # A client that is slow, or sends too much, holds nothing up for long.
  client_header_timeout 10s; client_body_timeout 10s; send_timeout 10s; keepalive_timeout 60s;
  reset_timedout_connection on;
  client_header_buffer_size 4k; large_client_header_buffers 4 8k;
  client_body_buffer_size 64k; client_max_body_size $(most);

  # A config that is wrong ends the start, or the reload, before anything else does.
  init_by_lua_block { require("moonpost.host.openresty").check($(source)) }
  init_worker_by_lua_block { require("moonpost.host.openresty").start($(source), { log = false }) }
  exit_worker_by_lua_block { require("moonpost.host.openresty").stop() }

  server {
    listen $(listen)$(ssl);
$(tls)
    location / { content_by_lua_block { require("moonpost.host.openresty").content$(content) } }
$(refusals)
  }
}
]]

local function tls(options)
  if not options.tls_cert then return "" end
  return ("    ssl_certificate %s; ssl_certificate_key %s;\n    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:moonpost:1m;\n")
    :format(word(options.tls_cert), word(options.tls_key))
end

local function search(paths)
  if not paths then return "" end
  return ("  lua_package_path %s;\n  lua_package_cpath %s;"):format(word(paths.path), word(paths.cpath))
end

--- The text.
---@param options { config: string, run_dir: string, listen: string, workers: integer, modules: string[], environment: string[],
-- paths: table?, most: integer, user: string?, tls_cert: string?, tls_key: string?, behind_tls: boolean? } paths are absolute;
-- environment: the names of the variables that nginx passes on; behind_tls: a proxy in front ends TLS
---@return string
function serve_conf.text(options)
  local values = {
    config = options.config, source = ("%q"):format(options.config), workers = tostring(options.workers),
    user = options.user and ("user %s;\n"):format(options.user) or "", pid = word(options.run_dir .. "/nginx.pid"),
    listen = options.listen, ssl = options.tls_cert and " ssl" or "", tls = tls(options), search = search(options.paths),
    content = options.behind_tls and ' { scheme = "https" }' or "()", most = tostring(options.most), refusals = refusals(options.most),
  }
  local lines = {}
  for i, path in ipairs(options.modules) do lines[i] = ("load_module %s;"):format(word(path)) end
  values.modules = table.concat(lines, "\n")
  lines = {}
  for i, name in ipairs(options.environment) do lines[i] = ("env %s;"):format(name) end
  values.environment = table.concat(lines, "\n")
  for _, name in ipairs { "body", "proxy", "fastcgi", "uwsgi", "scgi" } do values[name] = word(options.run_dir .. "/" .. name) end
  return (CONF:gsub("%$%((%a+)%)", values))
end

return serve_conf
