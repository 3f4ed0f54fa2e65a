--- The admin page: the files of the folder beside this one, read once, when this module is loaded.
local core = require "moonpost.core"

local assets = {}

local TYPES = {
  html = "text/html; charset=utf-8", css = "text/css; charset=utf-8", js = "text/javascript; charset=utf-8", svg = "image/svg+xml",
}

-- Scripts, styles and requests to this origin, and nothing else: no markup that gets into the page does anything. Trusted types
-- keep the page's own code from making markup of text.
local POLICY = table.concat({
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self'", "form-action 'self'",
  "frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
}, "; ")

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

-- The folder's files by name; none where Lua has this module from somewhere else than a file.
local function read_all()
  local folder = debug.getinfo(1, "S").source:match "^@(.*)%.lua$"
  local files = {}
  for _, entry in ipairs(folder and core.listdir(folder) or {}) do
    local kind = TYPES[entry.name:match "^%a[%w_]*%.(%l+)$" or ""]
    if kind and entry.type == "file" then
      local text = read(folder .. "/" .. entry.name)
      files[entry.name] = { text = text, type = kind, tag = ('"%s"'):format(core.sha256(text):sub(1, 32)) }
    end
  end
  return files
end

local function answer(file, context)
  local headers = {
    ["Content-Type"] = file.type, ETag = file.tag, ["Cache-Control"] = "no-cache", ["Content-Security-Policy"] = POLICY,
    ["X-Frame-Options"] = "DENY", ["Referrer-Policy"] = "no-referrer", ["Cross-Origin-Opener-Policy"] = "same-origin",
  }
  local known = context.request.headers["if-none-match"]
  if known and (known == "*" or known:find(file.tag, 1, true)) then return { status = 304, headers = headers, body = "" } end
  return { status = 200, headers = headers, body = file.text }
end

-- Browsers show the page where /admin leads, wherever the API is mounted; its own addresses are relative to that.
local function redirect(to)
  return function() return { status = 302, headers = { Location = to }, body = "" } end
end

local routes = {}

local function add(path, run)
  routes[#routes + 1] = { method = "GET", path = path, parameters = {}, run = run }
end

local files = read_all()
if files["index.html"] then
  add("/", redirect "admin")
  add("/admin/", redirect "../admin")
end
for name, file in pairs(files) do
  add(name == "index.html" and "/admin" or "/admin/assets/" .. name, function(context) return answer(file, context) end)
end

--- As those of the API; nobody needs a token for them, and openapi.json has them not.
assets.routes = routes

return assets
