--- The HTTP API in nginx: from nginx's request to the pure handler's, and back.
local admin = require "moonpost.admin"
local answers = require "moonpost.admin.answer"

local http = {}
http.__index = http
http.__name = "moonpost.host.openresty.http"

---@param hooks moonpost.Hooks whose emit may yield
---@param options? table of admin.new, prefix, and scheme: "https" where a proxy in front of nginx ends TLS
function http.new(hooks, options)
  local given = {}
  for name, value in pairs(options or {}) do given[name] = value end
  given.log = given.log or function(message) ngx.log(ngx.ERR, "moonpost: ", message) end
  return setmetatable({
    _handler = admin.new(hooks, given), _prefix = given.prefix or "", _scheme = given.scheme, _most = admin.max_body(hooks.config),
  }, http)
end

local function send(status, headers, body)
  ngx.status = status
  for name, value in pairs(headers) do ngx.header[name] = value end
  ngx.print(body)
  return ngx.exit(ngx.OK)
end

local function refuse(answer)
  answer.headers["Cache-Control"] = "no-store"
  return send(answer.status, answer.headers, answer.body)
end

--- Answers that moonpost does not run.
function http.unavailable(message)
  return refuse(answers.failure(message, "ECLOSED"))
end

-- A body over client_body_buffer_size is in a file.
local function read_body()
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  if body then return body end
  local path = ngx.req.get_body_file()
  if not path then return "" end
  local file, message = io.open(path, "rb")
  if not file then return nil, message end
  body = file:read "*a"
  file:close()
  return body
end

--- Answers nginx's request.
function http:answer()
  local path, query = ngx.var.request_uri:match "^([^?]*)%??(.*)$"
  if path:sub(1, #self._prefix) == self._prefix then path = path:sub(#self._prefix + 1) end
  local headers = ngx.req.get_headers(0, true)
  -- nginx has its own limit; what is over the handler's is not read at all.
  if (tonumber(headers["Content-Length"]) or 0) > self._most then
    return refuse(answers.failure(("the body is over %d bytes"):format(self._most), "E2BIG"))
  end
  local body, message = read_body()
  if not body then
    ngx.log(ngx.ERR, "moonpost: the request's body: ", message)
    return refuse(answers.error(500, "An internal server error occurred"))
  end
  return send(self._handler:handle {
    method = ngx.req.get_method(), path = path, query = query, headers = headers, body = body, remote = ngx.var.remote_addr,
    scheme = self._scheme or ngx.var.scheme,
  })
end

return http
