--- The HTTP API and the admin page as a pure function of a request: no sockets, no host. A host calls handler:handle with what it read and
-- sends what it gets.
--
--   local handler = require("moonpost.admin").new(hooks)
--   local status, headers, body = handler:handle {
--     method = "GET", path = "/admin/webhooks", query = "", headers = { Authorization = "Bearer ..." }, body = "",
--     remote = "127.0.0.1" }
local answer = require "moonpost.admin.answer"
local assets = require "moonpost.admin.assets"
local auth = require "moonpost.admin.auth"
local bodies = require "moonpost.admin.body"
local events = require "moonpost.admin.events"
local openapi = require "moonpost.admin.openapi"
local parameters = require "moonpost.admin.parameters"
local requests = require "moonpost.admin.request"
local router = require "moonpost.admin.router"
local routes_of = require "moonpost.admin.routes"
local sessions = require "moonpost.admin.sessions"
local tokens = require "moonpost.admin.tokens"

local admin = {}

---@class moonpost.admin.Handler
local mt = { __name = "moonpost.admin", __index = {} }
local methods = mt.__index

local bound

local function no_tokens()
  return { check = function() return nil end }
end

local function tokens_of(hooks)
  local path = tokens.path(hooks.config)
  return path and tokens.open(path) or no_tokens()
end

local function sessions_of(hooks)
  local path = sessions.path(hooks.config)
  return path and sessions.open(path)
end

--- Makes a handler.
---@param hooks moonpost.Hooks
---@param options? { tokens: table?, sessions: table?, throttle: table?, log: (fun(message: string))?, version: string? } tokens:
-- an object with check(self, token) -> list of scopes or nil, id, and for sessions scopes_of(self, id) -> list of scopes or nil,
-- name (default: the file that "moonpost token" keeps; none for a store in memory); sessions: as moonpost.admin.sessions has
-- them (default: a folder beside the store; none for a store in memory); throttle: { failures = 10, seconds = 60 }, after so
-- many failed tries an address waits; log: is told of errors that are bugs, which answer 500
---@return moonpost.admin.Handler
function admin.new(hooks, options)
  options = options or {}
  local routes = routes_of(hooks.config)
  local handler = setmetatable({
    _hooks = hooks, _router = router.new(routes, assets.routes), _log = options.log,
    _auth = auth.new(options.tokens or tokens_of(hooks), options.sessions or sessions_of(hooks), options.throttle),
  }, mt)
  local description
  function handler._description()
    description = description or openapi.text(routes, {
      version = options.version or require "moonpost"._VERSION, event_types = hooks.webhooks:event_types(),
      models = hooks.config.schema_list, scripts = hooks.config.scripts ~= nil, max_events = events.MAX_EVENTS,
    })
    return description
  end
  bound = handler
  return handler
end

local NOT_FOUND = { webhooks = "webhook.notFound", deliveries = "delivery.notFound", events = "event.notFound" }

local function run(self, route, request, values, identity)
  local may = identity and identity.may or {}
  if route.scope and route.scope ~= "any" and not may[route.scope] then return auth.forbidden(route.scope) end
  local query, message = parameters.query(route, request.query)
  if not query then return answer.failure(message, "EINVAL") end
  local header
  header, message = parameters.header(route, request)
  if not header then return answer.failure(message, "EINVAL") end
  local context = {
    hooks = self._hooks, request = request, parameters = values, query = query, header = header, auth = self._auth,
    identity = identity, description = self._description,
  }
  if query.show_secrets and not may.write then return auth.forbidden "write" end
  if not parameters.path(route, values) then return answer.error(404, NOT_FOUND[route.tag]) end
  if route.body then
    local refused
    context.media_type, refused = bodies.media_type(request, route.body.types, route.body.most)
    if not context.media_type then return refused end
  end
  return route.run(context)
end

local function dispatch(self, given)
  local request, status, message = requests.read(given)
  if not request then return answer.error(status, message) end
  local entry, values = self._router:find(request.segments)
  if not entry then return answer.error(404, "Not Found") end
  local route = entry.methods[request.method == "HEAD" and "GET" or request.method]
  local open, identity = entry.open, nil
  if route then open = not route.scope end
  if not open then
    local refused
    identity, refused = self._auth:identify(request)
    if not identity then return refused end
  end
  if route then return run(self, route, request, values, identity) end
  local allow = { Allow = router.allow(entry) }
  if request.method == "OPTIONS" then return { status = 204, headers = allow, body = "" } end
  return answer.error(405, ("expected %s"):format(allow.Allow), { headers = allow })
end

--- Answers a request. Never raises: what goes wrong is a status.
---@param request { method: string, path: string, query: string?, headers: table<string, string|string[]>?, body: string?,
-- remote: string?, scheme: string? } path: as it came, without the query and not decoded; query: likewise, without "?"; remote:
-- the client's address, by which failed tries are counted; scheme: "https" where the client's connection is by TLS
---@return integer status
---@return table<string, string> headers with Content-Length, which for HEAD is not the body's
---@return string body
function methods:handle(request)
  local ok, result = pcall(dispatch, self, request)
  if not ok then
    if self._log then pcall(self._log, tostring(result)) end
    result = answer.error(500, "An internal server error occurred")
  end
  local headers = result.headers
  headers["Cache-Control"], headers["X-Content-Type-Options"] = headers["Cache-Control"] or "no-store", "nosniff"
  headers["Cross-Origin-Resource-Policy"] = "same-origin"
  if result.status ~= 204 and result.status ~= 304 then headers["Content-Length"] = tostring(#result.body) end
  local head = type(request) == "table" and request.method == "HEAD"
  return result.status, headers, head and "" or result.body
end

--- Bytes of the longest body that any route takes: a host need not read more.
---@param config table of hooks
---@return integer
function admin.max_body(config)
  local most = 0
  for _, route in ipairs(routes_of(config)) do most = math.max(most, route.body and route.body.most or 0) end
  return most
end

--- Answers a request with the handler that new made last; for a program that has one.
---@param request table
---@return integer status
---@return table<string, string> headers
---@return string body
function admin.handle(request)
  if not bound then error("moonpost.admin.handle: expected moonpost.admin.new before", 2) end
  return bound:handle(request)
end

return admin
