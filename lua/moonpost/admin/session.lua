--- The routes of a session: sign in with a token, see who is signed in, sign out.
local answer = require "moonpost.admin.answer"
local body = require "moonpost.admin.body"
local cookie = require "moonpost.admin.cookie"
local csrf = require "moonpost.admin.csrf"
local json = require "moonpost.json"
local mask = require "moonpost.mask"
local sessions = require "moonpost.admin.sessions"
local time = require "moonpost.time"

local session = {}

local function shown(identity)
  local scopes = {}
  for i, scope in ipairs(identity.scopes) do scopes[i] = scope end
  local found = identity.session
  return {
    name = identity.name or json.null, scopes = mask.list(scopes), csrf = found and found.csrf or json.null,
    expires_at = found and time.iso8601(found.ends * 1000) or json.null,
  }
end

local function read_token(text)
  local members, message = body.members(text)
  if not members then return nil, message end
  for name in pairs(members) do
    if name ~= "token" then return nil, ("%s: expected token alone"):format(name) end
  end
  if not members.token or members.token.kind ~= "string" then return nil, "token: expected a text" end
  return members.token.value
end

--- Signs in. One that the browser had before ends.
function session.create(context)
  local foreign = csrf.foreign(context.request)
  if foreign then return answer.error(403, foreign) end
  local token, message = read_token(context.request.body)
  if not token then return answer.failure(message, "EINVAL") end
  local identity, refusal = context.auth:sign_in(context.request, token)
  if not identity then return refusal end
  local made = answer.data(shown(identity), 201)
  made.headers["Set-Cookie"] = cookie.set(context.request, identity.session.value, sessions.LIFE)
  return made
end

function session.get(context)
  return answer.data(shown(context.identity))
end

--- Signs out. Who came with a token has no session, and none afterwards.
function session.delete(context)
  context.auth:sign_out(context.request)
  return { status = 204, headers = { ["Set-Cookie"] = cookie.set(context.request, "", 0) }, body = "" }
end

return session
