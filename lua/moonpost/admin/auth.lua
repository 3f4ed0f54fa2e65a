--- Who may do what: bearer tokens (RFC 6750) with the scopes read, write and emit, sessions that a token began, and a brake
-- for who guesses.
local answer = require "moonpost.admin.answer"
local cookie = require "moonpost.admin.cookie"
local csrf = require "moonpost.admin.csrf"
local throttle = require "moonpost.admin.throttle"

local auth = {}
auth.__index = auth
auth.__name = "moonpost.admin.auth"

local MAX_TOKEN = 512

---@class moonpost.admin.Identity
---@field scopes string[]
---@field may table<string, boolean> the scopes as a set
---@field name string? the token's
---@field session { csrf: string, ends: integer, value: string? }? nil: the request came with the token itself; value: of a new one

---@param tokens { check: function, scopes_of: function? } as moonpost.admin.tokens; without scopes_of there are no sessions
---@param sessions table? as moonpost.admin.sessions
---@param options? { failures: integer?, seconds: number?, clock: function? } of throttle.new
function auth.new(tokens, sessions, options)
  return setmetatable({
    _tokens = tokens, _sessions = tokens.scopes_of and sessions, _throttle = throttle.new(options),
  }, auth)
end

local function challenge(error, scope)
  local value = 'Bearer realm="moonpost"'
  if error then value = value .. (', error="%s"'):format(error) end
  if scope then value = value .. (', scope="%s"'):format(scope) end
  return { ["WWW-Authenticate"] = value }
end

local function refused(message, error)
  return answer.error(401, message, { headers = challenge(error) })
end

local function identity_of(scopes, name, session)
  local may = {}
  for _, scope in ipairs(scopes) do may[scope] = true end
  return { scopes = scopes, may = may, name = name, session = session }
end

local function blocked(self, request)
  local wait = self._throttle:blocked(request.remote)
  return wait and answer.error(429, "too many failed tries from this address", { headers = { ["Retry-After"] = tostring(wait) } })
end

-- The token's scopes, and its id for a session. A token that is not known is a failed try.
local function check(self, request, token)
  local scopes, id
  if token and #token <= MAX_TOKEN then scopes, id = self._tokens:check(token) end
  if scopes then return scopes, id end
  self._throttle:fail(request.remote)
  return nil, refused("the token is not known", "invalid_token")
end

local function by_token(self, request)
  local scheme, token = request.headers.authorization:match "^%s*(%S+)%s+(%S+)%s*$"
  if not scheme or scheme:lower() ~= "bearer" then return nil, refused "expected a bearer token in the Authorization header" end
  if request.repeated.authorization then token = nil end
  local scopes, id = check(self, request, token)
  if not scopes then return nil, id end
  return identity_of(scopes, self._tokens.scopes_of and select(2, self._tokens:scopes_of(id)))
end

-- A session is as good as its token is now.
local function by_cookie(self, request, value)
  local session = self._sessions and self._sessions:find(value)
  local scopes, name
  if session then scopes, name = self._tokens:scopes_of(session.token) end
  if not scopes then return nil, refused "the session is over: sign in again" end
  local mistake = csrf.mistake(request, session)
  if mistake then return nil, answer.error(403, mistake) end
  return identity_of(scopes, name, session)
end

--- Who a request is from: by its token, or else by its session's cookie.
---@param request moonpost.admin.Request
---@return moonpost.admin.Identity|nil
---@return moonpost.admin.Answer? refusal
function auth:identify(request)
  local refusal = blocked(self, request)
  if refusal then return nil, refusal end
  if request.headers.authorization then return by_token(self, request) end
  local value = cookie.read(request)
  if value then return by_cookie(self, request, value) end
  return nil, refused "expected a bearer token in the Authorization header"
end

--- Begins a session with a token.
---@param request moonpost.admin.Request
---@param token string
---@return moonpost.admin.Identity|nil
---@return moonpost.admin.Answer? refusal
function auth:sign_in(request, token)
  local refusal = blocked(self, request)
  if refusal then return nil, refusal end
  local scopes, id = check(self, request, token)
  if not scopes then return nil, id end
  if not self._sessions then
    return nil, answer.error(501, "there are no sessions: they need the tokens that \"moonpost token\" keeps beside a store")
  end
  self:sign_out(request)
  local session, message, code = self._sessions:start(id)
  if not session then return nil, answer.failure(message, code) end
  return identity_of(scopes, select(2, self._tokens:scopes_of(id)), session)
end

--- Ends the session that a request has a cookie of.
---@param request moonpost.admin.Request
function auth:sign_out(request)
  local value = cookie.read(request)
  if value and self._sessions then self._sessions:finish(value) end
end

--- What a token without the scope gets.
---@param scope string
---@return moonpost.admin.Answer
function auth.forbidden(scope)
  return answer.error(403, ("the token needs the scope %s"):format(scope), { headers = challenge("insufficient_scope", scope) })
end

return auth
