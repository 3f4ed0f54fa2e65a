--- config/server.lua: loading and checking. Every mistake is one error that names the file, the key, what was
-- expected and what was there.
local core = require "moonpost.core"
local mask = require "moonpost.mask"
local models = require "moonpost.models"
local network = require "moonpost.network"
local reports = require "moonpost.reports"
local script_files = require "moonpost.script_files"
local suggest = require "moonpost.suggest"
local tls = require "moonpost.tls"
local webhook = require "moonpost.webhook"

local config = {}

local EVENTS = {
  "entry.create", "entry.update", "entry.delete", "entry.publish", "entry.unpublish",
  "media.create", "media.update", "media.delete",
}

-- What Strapi's own config/server.js may hold beside webhooks; the host's business.
local HOST_KEYS = {
  "admin", "app", "cron", "dirs", "emitErrors", "globalProxy", "host", "http", "logger", "port", "proxy", "socket",
  "transfer", "url",
}

local shown, list_length, one_of = webhook.shown, webhook.list_length, webhook.one_of

-- ---- loading the file -------------------------------------------------------------------------------

local function env(name, default)
  if type(name) ~= "string" then error("env: expected a variable's name, got " .. type(name), 2) end
  local value = os.getenv(name)
  if value ~= nil then return value end
  if default ~= nil then return default end
  error(("env: the environment variable %s is not set"):format(name), 2)
end

local function environment()
  local pure = {
    env = env,
    os = { getenv = os.getenv, time = os.time, date = os.date },
    require = function(name) error(("require '%s': a config file cannot load modules"):format(tostring(name)), 2) end,
  }
  for _, name in ipairs { "assert", "error", "ipairs", "next", "pairs", "pcall", "select", "tonumber", "tostring",
    "type" } do
    pure[name] = _G[name]
  end
  pure.unpack = rawget(_G, "unpack") or table.unpack
  for _, name in ipairs { "string", "table", "math" } do
    pure[name] = {}
    for key, value in pairs(_G[name]) do pure[name][key] = value end
  end
  return pure
end

local function compile(text, name)
  if rawget(_G, "setfenv") then
    if text:sub(1, 1) == "\27" then return nil, "expected Lua source, got bytecode" end
    local chunk, message = loadstring(text, "=" .. name) -- luacheck: globals loadstring
    if chunk then setfenv(chunk, environment()) end -- luacheck: globals setfenv
    return chunk, message
  end
  return load(text, "=" .. name, "t", environment())
end

local function read_file(path)
  local stat, message, code = core.stat(path)
  if not stat then
    return nil, code == "ENOENT" and ("%s: no such file"):format(path) or ("%s: %s"):format(path, message)
  end
  if stat.type ~= "file" then return nil, ("%s: expected a file, got a %s"):format(path, stat.type) end
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local text = file:read "*a"
  file:close()
  return text
end

local function run_file(path)
  local text, message = read_file(path)
  if not text then return nil, message end
  local chunk
  chunk, message = compile(text, path)
  if not chunk then return nil, message:find(path, 1, true) and message or ("%s: %s"):format(path, message) end
  local ok, result = pcall(chunk)
  if not ok then
    result = tostring(result)
    return nil, result:find(path, 1, true) and result or ("%s: %s"):format(path, result)
  end
  if type(result) ~= "table" then
    return nil, ("%s: expected the file to return a table, got %s"):format(path, shown(result))
  end
  return result
end

-- ---- checkers: value, where, context -> checked | nil, message ----------------------------------------

local function seconds(value, where)
  return webhook.fields.timeout(value, where)
end

local function strings(value, where)
  local length = list_length(value)
  if not length then return nil, ("%s: expected a list of strings, got %s"):format(where, shown(value)) end
  for i = 1, length do
    if type(value[i]) ~= "string" then
      return nil, ("%s[%d]: expected a string, got %s"):format(where, i, shown(value[i]))
    end
  end
  return value
end

local function any_table(value, where)
  if type(value) ~= "table" then return nil, ("%s: expected a table, got %s"):format(where, shown(value)) end
  return value
end

local function user_agent(value, where)
  if type(value) ~= "string" or value == "" or #value > 255 or value:find "[%c]" then
    return nil, ("%s: expected 1 to 255 printable bytes, got %s"):format(where, shown(value))
  end
  return value
end

local function path_of(value, where, context)
  if type(value) ~= "string" or value == "" or value:find "%z" then
    return nil, ("%s: expected a path, got %s"):format(where, shown(value))
  end
  local path = value:sub(1, 1) == "/" and value or context.dir .. "/" .. value
  local count
  repeat -- "/a/config/../data" reads better as "/a/data"
    path, count = path:gsub("/%.?[^/.][^/]*/%.%./", "/", 1)
  until count == 0
  return path
end

local function store(value, where, context)
  if value == ":memory:" then return value end
  if type(value) == "string" and value:find "^%a[%w+.-]*://" then
    return nil, ("%s: expected a file's path or \":memory:\"; '%s' is not supported by this version"):format(where,
      value:match "^[^:]+")
  end
  return path_of(value, where, context)
end

local function scripts(value, where, context)
  local path, message = path_of(value, where, context)
  if not path then return nil, message end
  local stat = core.stat(path)
  if not stat or stat.type ~= "directory" then
    return nil, ("%s: expected a folder, %s is %s"):format(where, path, stat and "a " .. stat.type or "not there")
  end
  return path
end

local function extra_events(value, where)
  local list, message = strings(value, where)
  if not list then return nil, message end
  for i, event in ipairs(list) do
    for _, own in ipairs { EVENTS, reports.TYPES } do
      for _, known in ipairs(own) do
        if event == known then return nil, ("%s[%d]: '%s' is one of moonpost's own events"):format(where, i, event) end
      end
    end
    if event == "trigger-test" or not event:find "%." or not event:find "^[%w_]+[%w_.]*$" or event:find "%.%."
      or event:sub(-1) == "." then
      return nil, ("%s[%d]: expected words of letters, digits and _ joined by dots (order.paid), got '%s'"):format(where,
        i, event)
    end
  end
  if #list > 200 then return nil, ("%s: expected at most 200 events, got %d"):format(where, #list) end
  return list
end

local function section(shape)
  return function(value, where, context)
    if type(value) ~= "table" then return nil, ("%s: expected a table, got %s"):format(where, shown(value)) end
    local result = {}
    for key, item in pairs(value) do
      if type(key) ~= "string" or not shape[key] then
        return nil, ("%s.%s: unknown key%s"):format(where, tostring(key), suggest.near(key, suggest.keys(shape)))
      end
      local message
      result[key], message = shape[key].check(item, where .. "." .. key, context)
      if message then return nil, message end
    end
    for key, entry in pairs(shape) do
      if result[key] == nil then result[key] = entry.default end
    end
    return result
  end
end

local function models_or_folder(value, where, context)
  if type(value) == "table" then return value end
  return path_of(value, where, context)
end

local function age(value, where)
  if type(value) ~= "number" or value ~= value or value < 0 or value > 315360000 then
    return nil, ("%s: expected a number of seconds between 0 and 315360000, got %s"):format(where, shown(value))
  end
  return value
end

local SCHEDULE = { 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400 }

local DELIVERY = {
  timeout = { check = seconds, default = 15 },
  connectTimeout = { check = seconds, default = 5 },
  concurrency = { check = webhook.fields.concurrency, default = 10 },
  maxConcurrency = { check = webhook.integer(1, 10000), default = 256 },
  threads = { check = webhook.integer(1, 8) }, -- as many as settings.h's MP_DELIVERY_THREADS
  retrySchedule = { check = webhook.fields.retrySchedule, default = SCHEDULE },
  probeAfter = { check = seconds, default = 30 },
  disableAfter = { check = age, default = 5 * 86400 },
  proxy = { check = tls.check_proxy_url },
  userAgent = { check = user_agent },
}

local SANITIZE = {
  unknownAttributes = { check = one_of("drop", "keep"), default = "drop" },
  embeddedUsers = { check = one_of("id", "keep"), default = "id" },
  privateAttributes = { check = strings, default = {} },
}

local LIMITS = {
  eventSize = { check = webhook.integer(256, 67108864), default = 1048576 },
  inbox = { check = webhook.integer(1, 1000000), default = 10000 },
  inboxBytes = { check = webhook.integer(1024, 4294967296), default = 67108864 },
  emitTimeout = { check = seconds, default = 30 },
  scriptTime = { check = webhook.number(0.001, 60), default = 0.05 },
  scriptInstructions = { check = webhook.integer(1000, 1000000000000), default = 10000000 },
  scriptMemory = { check = webhook.integer(262144, 1073741824), default = 16777216 },
}

local RETENTION = {
  delivered = { check = age, default = 7 * 86400 },
  dead = { check = age, default = 30 * 86400 },
  size = { check = webhook.integer(0, 9007199254740992), default = 0 },
}

local NETWORK = {
  allow = { check = network.check_allow, default = {} },
  deny = { check = network.check_deny, default = {} },
  ports = { check = network.check_ports, default = {} },
}

local LOG = {
  level = { check = one_of("off", "error", "warn", "info", "debug"), default = "warn" },
  format = { check = one_of("text", "json"), default = "text" },
}

local WEBHOOKS = {
  defaultHeaders = { check = function(value, where) return webhook.headers(value, where) end },
  store = { check = store },
  keyFile = { check = path_of },
  models = { check = models_or_folder },
  scripts = { check = scripts },
  globalScripts = { check = script_files.global },
  endpoints = { check = any_table },
  events = { check = extra_events },
  delivery = { check = section(DELIVERY) },
  sanitize = { check = section(SANITIZE) },
  network = { check = section(NETWORK) },
  limits = { check = section(LIMITS) },
  retention = { check = section(RETENTION) },
  log = { check = section(LOG) },
  constants = { check = script_files.constants },
}

-- ---- the whole --------------------------------------------------------------------------------------

local function check_top(source)
  for key in pairs(source) do
    local known = key == "webhooks"
    for _, name in ipairs(HOST_KEYS) do known = known or key == name end
    if not known then
      local names = { "webhooks" }
      for i, name in ipairs(HOST_KEYS) do names[i + 1] = name end
      return nil, ("%s: unknown key%s"):format(tostring(key), suggest.near(key, names))
    end
  end
  if source.webhooks ~= nil and type(source.webhooks) ~= "table" then
    return nil, ("webhooks: expected a table, got %s"):format(shown(source.webhooks))
  end
  return true
end

-- The scripts that are named are there.
local function check_scripts(folder, global)
  if #global > 0 and not folder then
    return nil, "webhooks.globalScripts: expected webhooks.scripts, the folder of scripts, as well"
  end
  for i, name in ipairs(global) do
    local ok, message = script_files.find(folder, name, ("webhooks.globalScripts[%d]"):format(i))
    if not ok then return nil, message end
  end
  return true
end

-- The webhooks kept as code. Their models are checked against the compiled ones.
local function check_endpoints(list, context)
  local length = list_length(list)
  if not length then return nil, ("webhooks.endpoints: expected a list, got %s"):format(shown(list)) end
  local result, names = {}, {}
  for i = 1, length do
    local where = ("webhooks.endpoints[%d]"):format(i)
    local endpoint, message = webhook.check(list[i], where, context)
    if not endpoint then return nil, message end
    if names[endpoint.name] then
      return nil, ("%s.name: '%s' is there already, as webhooks.endpoints[%d]"):format(where, endpoint.name,
        names[endpoint.name])
    end
    names[endpoint.name] = i
    result[i] = endpoint
  end
  return result
end

local function event_sets(extra)
  local set, list = {}, {}
  for _, names in ipairs { EVENTS, extra } do
    for _, name in ipairs(names) do
      if not set[name] then list[#list + 1] = name end
      set[name] = true
    end
  end
  return set, list
end

local function build(source, file, dir)
  local ok, message = check_top(source)
  if not ok then return nil, message end
  local checked
  checked, message = section(WEBHOOKS)(source.webhooks or {}, "webhooks", { dir = dir })
  if not checked then return nil, message end
  local result = {
    file = file, dir = dir,
    store = checked.store or dir .. "/data/moonpost.db",
    key_file = checked.keyFile,
    models_source = checked.models,
    default_headers = checked.defaultHeaders or {},
    scripts = checked.scripts,
    global_scripts = checked.globalScripts or {},
    constants = checked.constants or "{}", -- JSON
  }
  for name, shape in pairs {
    delivery = DELIVERY, sanitize = SANITIZE, network = NETWORK, limits = LIMITS, retention = RETENTION, log = LOG,
  } do
    result[name] = checked[name] or section(shape)({}, name, { dir = dir })
  end
  if result.delivery.connectTimeout > result.delivery.timeout then
    result.delivery.connectTimeout = result.delivery.timeout
  end
  ok, message = check_scripts(result.scripts, result.global_scripts)
  if not ok then return nil, message end
  result.events, result.event_list = event_sets(checked.events or {})
  result.schema_list, message = models.compile(checked.models, {
    privateAttributes = result.sanitize.privateAttributes, where = "webhooks.models",
  })
  if not result.schema_list then return nil, message end
  local schema
  schema, message = core.schema(result.schema_list)
  if not schema then return nil, message end
  result.endpoints, message = check_endpoints(checked.endpoints or {}, {
    events = result.events, event_list = result.event_list, network = result.network, own_files = true, dir = dir,
    model = function(name)
      local model, why = schema:model(name)
      if not model then return nil, why end
      return model.uid
    end,
    script = function(name, where)
      if result.scripts then return script_files.find(result.scripts, name, where) end
      return nil, ("%s: expected webhooks.scripts, the folder of scripts, as well"):format(where)
    end,
  })
  if not result.endpoints then return nil, message end
  return result
end

--- Loads a config.
---@param source string|table the path of config/server.lua, or its table (relative paths are then the working directory's)
---@return table|nil config with every default filled in and every path made whole
---@return string? message
---@return string? code EINVAL
function config.load(source)
  local file, dir = "config", core.realpath "." or "."
  if type(source) == "string" then
    file = source
    local message
    source, message = run_file(file)
    if not source then return nil, message, "EINVAL" end
    dir = core.realpath(file:match "^(.*)/[^/]*$" or ".") or file:match "^(.*)/[^/]*$" or "."
  elseif type(source) ~= "table" then
    return nil, ("config: expected a path or a table, got %s"):format(shown(source)), "EINVAL"
  end
  local result, message = build(source, file, dir)
  if not result then return nil, ("%s: %s"):format(file, message), "EINVAL" end
  return result
end

--- What a config says, in lines for people. Header values are masked.
---@param loaded table as config.load returns it
---@return string[]
function config.describe(loaded)
  local lines, own = {}, 0
  local function add(name, format, ...) lines[#lines + 1] = ("%-16s"):format(name) .. format:format(...) end
  for _, model in ipairs(loaded.schema_list) do
    if not model.builtin then own = own + 1 end
  end
  add("config", "%s", loaded.file)
  add("store", "%s", loaded.store)
  add("models", "%d (and %d built in)", own, #loaded.schema_list - own)
  add("events", "%s", table.concat(loaded.event_list, ", "))
  if loaded.scripts then add("scripts", "%s", loaded.scripts) end
  if #loaded.global_scripts > 0 then add("global scripts", "%s", table.concat(loaded.global_scripts, ", ")) end
  for _, header in ipairs(loaded.default_headers) do add("default header", "%s: %s", header[1], mask.value(header[2])) end
  for _, endpoint in ipairs(loaded.endpoints) do
    add("endpoint", "%s -> %s (%s)%s%s", endpoint.name, mask.url(endpoint.url), table.concat(endpoint.events, ", "),
      endpoint.script and " by " .. endpoint.script or "", endpoint.enabled and "" or " disabled")
  end
  return lines
end

return config
