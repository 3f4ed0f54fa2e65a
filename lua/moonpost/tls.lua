--- A webhook's fields tls and proxy.
local core = require "moonpost.core"
local suggest = require "moonpost.suggest"
local value_of = require "moonpost.value"

local tls = {}

local kind, shown = value_of.kind, value_of.shown
local MAX_PATH, MAX_PINS = 1024, 10

-- Whoever manages webhooks names files of the config's folder; the config itself, any.
local function path(value, where, context)
  if type(value) ~= "string" or value == "" or #value > MAX_PATH or value:find "[%z\1-\31\127]" or not core.to_json(value) then
    return nil, ("%s: expected a path, got %s"):format(where, shown(value))
  end
  if context.own_files then return true end
  if value:sub(1, 1) == "/" or ("/" .. value .. "/"):find "/%.%./" then
    return nil, ("%s: expected a path within the config's folder, got '%s'"):format(where, value)
  end
  return true
end

local function pin(value, where)
  local count = 0
  for one in type(value) == "string" and (value .. ";"):gmatch "([^;]*);" or function() end do
    count = count + 1
    -- 32 bytes are 43 characters, of whose last the two lowest bits are 0.
    if not one:find("^sha256//" .. ("[%w+/]"):rep(42) .. "[AEIMQUYcgkosw048]=$") or count > MAX_PINS then count = nil break end
  end
  if count and count > 0 then return true end
  return nil, ("%s: expected \"sha256//\" and the base64 of the public key's SHA-256 (several with ; between), got %s"):format(where,
    shown(value))
end

local function version(value, where)
  if value == "1.2" or value == "1.3" then return true end
  return nil, ('%s: expected "1.2" or "1.3", got %s'):format(where, shown(value))
end

local function flag(value, where)
  if type(value) == "boolean" then return true end
  return nil, ("%s: expected a boolean, got %s"):format(where, shown(value))
end

local FIELDS = { ca = path, cert = path, key = path, pin = pin, minVersion = version, insecure = flag }

local function resolved(value, dir)
  if not value or value:sub(1, 1) == "/" then return value end
  return dir .. "/" .. value
end

--- { ca =, cert =, key =, pin =, minVersion =, insecure = }, each optional.
function tls.check(value, where, context)
  if type(value) ~= "table" then
    return nil, ("%s: expected a table { ca =, cert =, key =, pin =, minVersion =, insecure = }, got %s"):format(where, kind(value))
  end
  local result = {}
  for _, key in ipairs(suggest.keys(value)) do
    if not FIELDS[key] then
      return nil, ("%s.%s: unknown key%s"):format(where, tostring(key), suggest.near(key, suggest.keys(FIELDS)))
    end
    local ok, message = FIELDS[key](value[key], where .. "." .. key, context)
    if not ok then return nil, message end
    result[key] = value[key]
  end
  if result.key and not result.cert then return nil, ("%s.cert: expected the certificate of key, got none"):format(where) end
  if context.own_files then -- the store's are looked at on the engine's thread
    local ok, message = core.check_certificate(where, resolved(result.ca, context.dir), resolved(result.cert, context.dir),
      resolved(result.key, context.dir))
    if not ok then return nil, message end
  end
  return result
end

local PROXIES = { http = true, https = true, socks4 = true, socks4a = true, socks5 = true, socks5h = true }

--- The URL of a proxy.
function tls.check_proxy_url(value, where)
  if type(value) ~= "string" or #value > 2048 or not value:find "^%a[%w+.-]*://[^/%s%c]+/?$" then
    return nil, ("%s: expected a proxy's URL such as http://proxy:3128, got %s"):format(where, kind(value))
  end
  local scheme = value:match "^(%a[%w+.-]*)":lower()
  if PROXIES[scheme] then return value end
  return nil, ("%s: expected http, https or socks5, got '%s'"):format(where, scheme)
end

--- A webhook's own proxy: it is judged by the network guard, as receivers are, and says no secrets.
function tls.check_proxy(value, where, context)
  local ok, message = tls.check_proxy_url(value, where)
  if not ok then return nil, message end
  if value:find("@", 1, true) then
    return nil, ("%s: expected no user name and password (webhooks.delivery.proxy may have them)"):format(where)
  end
  ok, message = core.guard_url(value, context.network)
  if not ok then return nil, ("%s: %s"):format(where, message) end
  return value
end

--- The warning that goes with a webhook whose receiver is not verified; nil: it is.
function tls.warning(webhook)
  if not webhook.tls or not webhook.tls.insecure then return nil end
  return ("%s is NOT VERIFIED: whoever answers is taken for the receiver (tls.insecure)"):format(webhook.name)
end

--- What it says, for people.
function tls.describe(value)
  local parts = {}
  for _, key in ipairs { "ca", "cert", "key", "pin" } do
    if value[key] then parts[#parts + 1] = ("%s %s"):format(key, value[key]) end
  end
  if value.minVersion then parts[#parts + 1] = value.minVersion .. " or newer" end
  return table.concat(parts, ", ")
end

return tls
