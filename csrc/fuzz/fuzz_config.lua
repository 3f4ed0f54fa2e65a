-- The other half of fuzz_config.c: makes a config of bytes, step by step, and loads it. A config is taken, or refused with one
-- message that names the key; never an error.
local config = require "moonpost.config"
local webhook = require "moonpost.webhook"

local WORDS = {
  "webhooks", "defaultHeaders", "store", "models", "endpoints", "events", "delivery", "sanitize", "network", "limits",
  "retention", "log", "scripts", "globalScripts", "constants", "keyFile", "timeout", "connectTimeout", "concurrency",
  "maxConcurrency", "retrySchedule", "probeAfter", "disableAfter", "proxy", "userAgent", "unknownAttributes", "embeddedUsers",
  "privateAttributes", "allow", "deny", "ports", "eventSize", "inbox", "inboxBytes", "emitTimeout", "delivered", "dead",
  "size", "level", "name", "url", "headers", "enabled", "isEnabled", "rate", "perSecond", "burst", "order", "on_enable", "script",
  "secret", "signingKey", "hubSignature", "auth", "tls", "attributes", "type", "options", "address", "entry.*", "*",
  "http://example.com/", "127.0.0.0/8", "X-A", "none", "keep", "drop", "string", "bearer", "oauth2", "token",
}

local function reader(bytes)
  local at = 0
  return function(count)
    at = at + 1
    return (bytes:byte(at) or 0) % count
  end
end

local function value(choose, depth)
  local kind = choose(depth > 6 and 6 or 9)
  if kind == 0 then return nil end
  if kind == 1 then return choose(2) == 1 end
  if kind == 2 then return choose(256) - 20 end
  if kind == 3 then return ({ 0 / 0, math.huge, -1, 1e300, 0.5 })[choose(5) + 1] end
  if kind == 4 then return WORDS[choose(#WORDS) + 1] end
  if kind == 5 then return string.char(choose(256), choose(256)) end
  local result = {}
  for i = 1, choose(6) do
    local key = WORDS[choose(#WORDS) + 1]
    if kind == 6 then key = i end
    result[key] = value(choose, depth + 1)
  end
  return result
end

local CONTEXT = {
  events = { ["entry.create"] = true }, event_list = { "entry.create" }, model = function(name) return name end, dir = "/tmp",
  network = { allow = {}, deny = {}, ports = {} },
}

return function(bytes)
  local choose = reader(bytes)
  local whole = value(choose, 0)
  local source = choose(2) == 0 and { webhooks = whole } or whole
  if type(source) == "table" then
    local loaded, message, code = config.load(source)
    assert(type(loaded) == "table" or (loaded == nil and type(message) == "string" and #message > 0 and code == "EINVAL"),
      tostring(message))
  end
  local checked, why = webhook.check(value(choose, 0), "webhook", CONTEXT)
  assert(type(checked) == "table" or (checked == nil and type(why) == "string" and #why > 0))
end
