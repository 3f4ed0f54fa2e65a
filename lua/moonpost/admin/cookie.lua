--- The cookie that a session is known by (RFC 6265). By TLS its name has the prefix __Host-, so that no other host and no
-- plain connection can have set it.
local cookie = {}

--- Its names.
cookie.NAME, cookie.SECURE_NAME = "moonpost", "__Host-moonpost"

-- Bytes of a Cookie field that is looked at: other programs on the host have their cookies in it too.
local MAX_FIELD = 8192

local function name_of(request)
  return request.scheme == "https" and cookie.SECURE_NAME or cookie.NAME
end

--- The cookie's value. Two of the name are none: one of them is somebody else's.
---@param request moonpost.admin.Request
---@return string?
function cookie.read(request)
  local field = request.headers.cookie
  if not field or #field > MAX_FIELD or request.repeated.cookie then return nil end
  local wanted, found = name_of(request), nil
  for pair in field:gmatch "[^;]+" do
    -- Whoever sends it: what a pattern tries grows with its length, no faster.
    local name, value = pair:match "^%s*([^=%s]*)=%s*(.*)$"
    if name == wanted then
      if found then return nil end
      found = value:match "^.*%S" or ""
    end
  end
  return found
end

--- The Set-Cookie field.
---@param request moonpost.admin.Request
---@param value string
---@param seconds integer 0: the browser deletes it
---@return string
function cookie.set(request, value, seconds)
  local secure = request.scheme == "https" and "; Secure" or ""
  return ("%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s"):format(name_of(request), value, seconds, secure)
end

return cookie
