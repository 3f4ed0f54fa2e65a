--- Who may do what: bearer tokens (RFC 6750) with the scopes read, write and emit, and a brake for who guesses.
local answer = require "moonpost.admin.answer"
local throttle = require "moonpost.admin.throttle"

local auth = {}
auth.__index = auth
auth.__name = "moonpost.admin.auth"

local MAX_TOKEN = 512

---@param tokens { check: fun(self: table, token: string): string[]|nil }
---@param options? { failures: integer?, seconds: number?, clock: function? } of throttle.new
function auth.new(tokens, options)
  return setmetatable({ _tokens = tokens, _throttle = throttle.new(options) }, auth)
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

--- The scopes of a request's token.
---@param request moonpost.admin.Request
---@return table<string, boolean>|nil scopes
---@return moonpost.admin.Answer? refusal
function auth:scopes(request)
  local wait = self._throttle:blocked(request.remote)
  if wait then
    return nil, answer.error(429, "too many failed tries from this address", { headers = { ["Retry-After"] = tostring(wait) } })
  end
  local field = request.headers.authorization
  local scheme, token = (field or ""):match "^%s*(%S+)%s+(%S+)%s*$"
  if not field or not scheme or scheme:lower() ~= "bearer" then
    return nil, refused "expected a bearer token in the Authorization header"
  end
  local known
  if #token <= MAX_TOKEN and not request.repeated.authorization then known = self._tokens:check(token) end
  if not known then
    self._throttle:fail(request.remote)
    return nil, refused("the token is not known", "invalid_token")
  end
  local scopes = {}
  for _, scope in ipairs(known) do scopes[scope] = true end
  return scopes
end

--- What a token without the scope gets.
---@param scope string
---@return moonpost.admin.Answer
function auth.forbidden(scope)
  return answer.error(403, ("the token needs the scope %s"):format(scope), { headers = challenge("insufficient_scope", scope) })
end

return auth
