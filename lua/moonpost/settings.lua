--- From a checked config to the settings that moonpost.core.open takes.
local core = require "moonpost.core"
local signing = require "moonpost.signing"

local settings = {}

local levels = { off = 0, error = 1, warn = 2, info = 3, debug = 4 }

local function milliseconds(seconds)
  return math.ceil(seconds * 1000)
end

local LISTS = { headers = true, events = true, models = true, retrySchedule = true }
local list_mt = { __jsontype = "array" }

local function as_list(value)
  local list = setmetatable({}, list_mt)
  for i, item in ipairs(value) do list[i] = item end
  return list
end

--- The JSON definition of a webhook, as the store keeps it.
---@param webhook table as webhook.check returns it
---@return string
function settings.definition(webhook)
  local definition = {}
  for name, value in pairs(webhook) do
    if name ~= "enabled" then definition[name] = LISTS[name] and as_list(value) or value end
  end
  local text, message, code = core.to_json(signing.store(definition))
  if not text then error(code == "ENOMEM" and "not enough memory" or message, 0) end -- it was checked before
  return text
end

-- A text that is equal for equal settings: keys in order, every value with its type.
local function canonical(value, out)
  if type(value) ~= "table" then
    out[#out + 1] = type(value):sub(1, 1) .. ("%q"):format(tostring(value))
    return
  end
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) ~= type(b) then return type(a) < type(b) end
    return a < b
  end)
  out[#out + 1] = "{"
  for _, key in ipairs(keys) do
    canonical(key, out)
    out[#out + 1] = "="
    canonical(value[key], out)
    out[#out + 1] = ","
  end
  out[#out + 1] = "}"
end

local function fingerprint(value)
  local out = {}
  canonical(value, out)
  return table.concat(out)
end

local function scripts_of(config)
  local limits = config.limits
  return {
    folder = config.scripts,
    global = config.global_scripts,
    constants = config.constants,
    time_us = math.ceil(limits.scriptTime * 1e6),
    instructions = limits.scriptInstructions,
    memory = limits.scriptMemory,
    max_output = limits.eventSize,
  }
end

--- The settings of a config.
---@param config table as config.load returns it
---@param version string for the User-Agent
---@return table
function settings.of(config, version)
  local delivery, limits = config.delivery, config.limits
  local endpoints, retry, hooks = {}, {}, {}
  for i, endpoint in ipairs(config.endpoints) do
    endpoints[i] = {
      name = endpoint.name,
      definition = settings.definition(endpoint),
      enabled = endpoint.enabled,
    }
    hooks[i] = endpoint
  end
  for i, seconds in ipairs(delivery.retrySchedule) do retry[i] = milliseconds(seconds) end
  local result = {
    events = config.event_list,
    default_headers = config.default_headers,
    retry_ms = retry,
    timeout_ms = milliseconds(delivery.timeout),
    connect_timeout_ms = milliseconds(delivery.connectTimeout),
    concurrency = delivery.concurrency,
    max_concurrency = delivery.maxConcurrency,
    delivery_threads = delivery.threads or 0,
    proxy = delivery.proxy,
    network = config.network,
    folder = config.dir,
    user_agent = delivery.userAgent or "moonpost/" .. version,
    inbox_count = limits.inbox,
    inbox_bytes = limits.inboxBytes,
    emit_timeout_ms = milliseconds(limits.emitTimeout),
    keep_delivered_ms = milliseconds(config.retention.delivered),
    keep_dead_ms = milliseconds(config.retention.dead),
    max_store_bytes = config.retention.size,
    probe_ms = milliseconds(delivery.probeAfter),
    disable_after_ms = milliseconds(delivery.disableAfter),
    log_level = levels[config.log.level],
    log_json = config.log.format == "json",
    scripts = scripts_of(config),
  }
  result.fingerprint = fingerprint({ result, hooks })
  result.store = config.store -- one store may be spelt in many ways
  result.key = os.getenv "MOONPOST_KEY"
  result.key_file = config.key_file or config.store .. ".key"
  result.endpoints = endpoints
  result.give_way = false
  return result
end

return settings
