--- From what a host hands over to a checked request: lower-case header names, a decoded query, bounds.
local request = {}

--- Bytes of a path, and of a query, at most.
request.MAX_PATH, request.MAX_QUERY = 1024, 4096

---@class moonpost.admin.Request
---@field method string
---@field path string
---@field segments string[] of the path, decoded
---@field query { [1]: string, [2]: string }[] decoded, in order
---@field headers table<string, string> by lower-case name
---@field repeated table<string, boolean> header fields that came several times
---@field body string
---@field remote string
---@field scheme "http"|"https"

local function unescape(text)
  if text:find "%%%X" or text:find "%%%x?$" or text:find "%%%x%X" then return nil end
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function read_segments(path)
  local segments = {}
  for part in path:gmatch "/([^/]*)" do
    segments[#segments + 1] = unescape(part)
    if not segments[#segments] then return nil end
  end
  return segments
end

local function read_query(text)
  local result = {}
  for pair in text:gmatch "[^&]+" do
    local name, value = pair:match "^([^=]*)=?(.*)$"
    name, value = unescape((name:gsub("+", " "))), unescape((value:gsub("+", " ")))
    if not name or not value then return nil end
    result[#result + 1] = { name, value }
  end
  return result
end

-- A host gives a list for a field that came several times.
local function read_headers(given)
  local headers, repeated = {}, {}
  for name, value in pairs(given) do
    if type(name) == "string" then
      local lower = name:lower()
      if type(value) == "table" then
        -- HTTP/2 may send each cookie by itself (RFC 9113 section 8.2.3).
        if lower == "cookie" then value = { table.concat(value, "; ") } end
        repeated[lower] = #value > 1 or nil
        value = value[1]
      end
      if headers[lower] then repeated[lower] = true end
      if type(value) == "string" or type(value) == "number" then headers[lower] = tostring(value) end
    end
  end
  return headers, repeated
end

--- Checks and decodes what the host hands over.
---@param given any
---@return moonpost.admin.Request|nil
---@return integer? status
---@return string? message
function request.read(given)
  if type(given) ~= "table" then return nil, 400, "expected a request" end
  local method, path, query, body = given.method, given.path, given.query or "", given.body or ""
  if type(method) ~= "string" or type(path) ~= "string" or type(query) ~= "string" or type(body) ~= "string" then
    return nil, 400, "expected method, path, query and body as strings"
  end
  if #path > request.MAX_PATH then return nil, 414, ("the path is over %d bytes"):format(request.MAX_PATH) end
  if #query > request.MAX_QUERY then return nil, 414, ("the query is over %d bytes"):format(request.MAX_QUERY) end
  local segments, fields = read_segments(path), read_query(query)
  if path:sub(1, 1) ~= "/" or not segments then return nil, 400, "the path is not a path" end
  if not fields then return nil, 400, "the query has an escape that is none" end
  local headers, repeated = read_headers(type(given.headers) == "table" and given.headers or {})
  return {
    method = method, path = path, segments = segments, query = fields, headers = headers, repeated = repeated, body = body,
    remote = type(given.remote) == "string" and given.remote or "", scheme = given.scheme == "https" and "https" or "http",
  }
end

--- The media type of a Content-Type, in lower case and without parameters; nil without one.
---@param value string?
---@return string?
function request.media_type(value)
  local type = value and value:match "^%s*([^;%s]+)"
  return type and type:lower()
end

return request
