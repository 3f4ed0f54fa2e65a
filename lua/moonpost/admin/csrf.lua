--- Was a request with a session's cookie made by the page? A browser sends the cookie along whoever has it make the request;
-- SameSite keeps other sites from that, and this what SameSite leaves: other ports and hosts of the same site.
local equal = require "moonpost.admin.equal"

local csrf = {}

--- The header field that has what signing in answered.
csrf.FIELD = "X-CSRF-Token"

local SAFE = { GET = true, HEAD = true, OPTIONS = true }

-- Browsers say so by Sec-Fetch-Site, to servers they trust (https, loopback), or else by Origin.
local function same_origin(request)
  local site, origin = request.headers["sec-fetch-site"], request.headers.origin
  if request.repeated["sec-fetch-site"] or request.repeated.origin or request.repeated.host then return false end
  if site then return site == "same-origin" or site == "none" end
  if not origin then return true end
  local scheme, host = origin:match "^(https?)://(.+)$"
  if not scheme or request.scheme == "https" and scheme ~= "https" then return false end
  return host:lower() == (request.headers.host or ""):lower()
end

--- Is the request from another origin?
---@param request moonpost.admin.Request
---@return string? mistake nil: it is not, as far as can be told
function csrf.foreign(request)
  if same_origin(request) then return nil end
  return "the request comes from another origin"
end

--- Does the request change something without the session's word for it?
---@param request moonpost.admin.Request
---@param session { csrf: string }
---@return string? mistake nil: it may
function csrf.mistake(request, session)
  if SAFE[request.method] then return nil end
  local given = request.headers[csrf.FIELD:lower()]
  if not given or request.repeated[csrf.FIELD:lower()] or not equal(given, session.csrf) then
    return ("expected the header %s with the session's csrf"):format(csrf.FIELD)
  end
  return csrf.foreign(request)
end

return csrf
