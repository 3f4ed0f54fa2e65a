-- The other half of fuzz_config.c: a config that has every key, changed here and there as the bytes say, is loaded. It is taken, or
-- refused with one message that names the place; never an error, and neither the message nor what is shown of it tells a secret.
local config = require "moonpost.config"
local suggest = require "moonpost.suggest"
local webhook = require "moonpost.webhook"

local CANARY = "Y2FuYXJ5IGNhbmFyeSBjYW5hcnkgY2FuYXJ5" -- base64: a part of every secret
local SIGNING_KEY = "whsk_" .. CANARY .. "MTIzNDX7jWkaY4y3E4fICMB8v7DmhYjOrSwJP6IqXi0x3ZHaxg=="
local PIN = "sha256//" .. ("A"):rep(43) .. "="

local function endpoints()
  return {
    {
      name = "first", url = "https://user:" .. CANARY .. "@example.com/a?b#c",
      headers = { { "X-B", CANARY }, { name = "X-C", value = "c" } },
      events = { "entry.*", "media.create", "order.paid" }, models = { "address", "application::place.place" }, enabled = true,
      timeout = 10, connectTimeout = 2.5, concurrency = 3, retrySchedule = { 0, 1.5, 60 }, rate = { perSecond = 5, burst = 2 },
      order = "key", on_enable = "discard", secret = { "whsec_" .. CANARY, "whsec_AAAA" .. CANARY }, signingKey = SIGNING_KEY,
      hubSignature = { header = "X-Hub", prefix = "sha256=", encoding = "base64", secret = CANARY },
      auth = { type = "bearer", token = CANARY }, tls = { pin = PIN .. ";" .. PIN, minVersion = "1.3", insecure = false },
      proxy = "http://proxy.example.com:3128",
    },
    {
      name = "zweite ü", url = "http://[2001:db9::1]:8080/", headers = { ["X-D"] = "d" }, events = { "*" }, isEnabled = false,
      secret = false, signingKey = false, hubSignature = false,
      auth = {
        type = "oauth2", tokenUrl = "https://example.com/token", clientId = "me", clientSecret = CANARY, scope = "a b",
        audience = "you", clientAuth = "body",
      },
    },
    {
      name = "3", url = "https://example.com", events = { "webhook.failing" },
      auth = { type = "basic", username = "me", password = CANARY },
    },
    { name = "4", url = "https://example.com", events = { "*" }, auth = { type = "apiKey", name = "X-Key", value = CANARY } },
  }
end

local function models()
  return {
    address = {
      attributes = {
        name = { type = "string" }, code = { type = "password" }, place = { model = "place", via = "addresses" },
        owner = { model = "user", plugin = "users-permissions" }, picture = { model = "file", via = "related", plugin = "upload" },
        parts = { type = "component", component = "default.part", repeatable = true },
        zone = { type = "dynamiczone", components = { "default.part" } },
      },
      options = { timestamps = { "made", "changed" }, draftAndPublish = true, privateAttributes = { "code" } },
    },
    ["application::place.place"] = {
      info = { name = "place" }, globalId = "Place",
      attributes = {
        addresses = { collection = "address", via = "place" }, any = { collection = "*" }, hidden = { type = "json", private = true },
      },
    },
    ["api::thing.thing"] = {
      kind = "collectionType", info = { singularName = "thing", pluralName = "things" },
      attributes = {
        one = { type = "relation", relation = "oneToOne", target = "api::thing.thing" },
        any = { type = "relation", relation = "morphToMany" }, media = { type = "media", multiple = true },
      },
    },
    ["default.part"] = { modelType = "component", attributes = { label = { type = "text" } } },
  }
end

local function whole()
  return {
    host = "127.0.0.1",
    webhooks = {
      defaultHeaders = { ["X-A"] = CANARY, ["X-E"] = "" }, store = "data/../moonpost.db", keyFile = "key", models = models(),
      globalScripts = {}, endpoints = endpoints(), events = { "order.paid", "a.b" },
      delivery = {
        timeout = 15, connectTimeout = 5, concurrency = 10, maxConcurrency = 256, retrySchedule = { 5, 300 }, probeAfter = 30,
        disableAfter = 432000, proxy = "socks5h://me:" .. CANARY .. "@localhost:1080/", userAgent = "fuzz/1",
      },
      sanitize = { unknownAttributes = "keep", embeddedUsers = "id", privateAttributes = { "pin" } },
      network = { allow = { "10.1.0.0/16", "localhost", "fd00::/8" }, deny = { "8.8.8.8" }, ports = { 80, 443, 3128, 8080 } },
      limits = {
        eventSize = 1024, inbox = 10, inboxBytes = 65536, emitTimeout = 1, scriptTime = 0.5, scriptInstructions = 10000,
        scriptMemory = 1048576,
      },
      retention = { delivered = 60, dead = 0, size = 1e9 }, log = { level = "info", format = "json" },
      constants = { base = "https://example.com", list = { 1, 2 }, deep = { on = true } },
    },
  }
end

local WORDS = {
  "webhooks", "models", "attributes", "type", "model", "collection", "target", "component", "components", "plugin", "private",
  "options", "privateAttributes", "populateCreatorFields", "timestamps", "modelType", "user", "address", "Place", "*", "entry.*", "entry.",
  "trigger-test", ":memory:", "redis://x", "http://127.0.0.1/", "http://0x7f.1/", "ftp://example.com", "http://example.com:99999/",
  "127.0.0.0/8", "::ffff:10.0.0.1", "Content-Length", "Host", "X-A", "x-b", "none", "keep", "drop", "string", "bearer", "basic",
  "header", "apiKey", "oauth2", "token", "whsec_", "v1,whsec_", "whpk_", "1.1", "hex", "base64", "", "length", "isEnabled", "secret",
}

local function reader(bytes)
  local at = 0
  return function(count)
    at = at + 1
    return (bytes:byte(at) or 0) % count
  end
end

local NUMBERS = { 0 / 0, 1 / 0, -1 / 0, -1, 0, 1, 0.5, 1e300, 2 ^ 53, 65536 }

local function value(choose, depth)
  local kind = choose(depth > 3 and 6 or 9)
  if kind == 0 then return nil end
  if kind == 1 then return choose(2) == 1 end
  if kind == 2 then return choose(256) - 20 end
  if kind == 3 then return NUMBERS[choose(#NUMBERS) + 1] end
  if kind == 4 then return WORDS[choose(#WORDS) + 1] end
  if kind == 5 then return string.char(choose(256), choose(256)) end
  local result = {}
  for i = 1, choose(4) do
    local key = i
    if kind == 6 then key = WORDS[choose(#WORDS) + 1] end
    result[key] = value(choose, depth + 1)
  end
  return result
end

-- A value that is nearly the one it was.
local function near(choose, old)
  local kind = choose(3)
  if type(old) == "number" then return ({ -old, old + 0.5, old * 1e6 })[kind + 1] end
  if type(old) ~= "string" then return { old } end
  local at = choose(#old + 1)
  if kind == 0 then return old:sub(1, at) .. string.char(choose(256)) .. old:sub(at + 1) end
  if kind == 1 then return old:sub(1, at) end
  return old:sub(1, at) .. WORDS[choose(#WORDS) + 1]
end

-- Changes one place in a table.
local function change(choose, t)
  local keys = suggest.keys(t)
  local key = keys[choose(#keys + 1)]
  if key == nil then
    t[choose(4) == 0 and #t + 1 or WORDS[choose(#WORDS) + 1]] = value(choose, 0)
  elseif type(t[key]) == "table" and choose(8) > 0 then
    change(choose, t[key])
  elseif choose(2) == 0 then
    t[key] = near(choose, t[key])
  else
    t[key] = value(choose, 0)
  end
end

local function refused(message, code)
  assert(type(message) == "string" and #message > 0 and code == "EINVAL", tostring(message))
  assert(not message:find(CANARY, 1, true), message)
end

local function load_config(source)
  if type(source.webhooks) == "table" and type(source.webhooks.models) == "string" then
    source.webhooks.models = "none" -- any other might be a folder of this machine
  end
  local loaded, message, code = config.load(source)
  if not loaded then return refused(message, code) end
  for _, line in ipairs(config.describe(loaded)) do assert(not line:find(CANARY, 1, true), line) end
end

-- A config that nothing was changed in is taken.
assert(config.load(whole()))

local CONTEXT = {
  events = { ["entry.create"] = true }, event_list = { "entry.create" }, model = function(name) return name end, dir = "/tmp",
  network = { allow = {}, deny = {}, ports = {} },
}

return function(bytes)
  local choose = reader(bytes)
  local only_webhook = choose(4)
  local source = only_webhook == 0 and endpoints()[choose(4) + 1] or whole()
  for _ = 1, choose(8) do change(choose, source) end
  if only_webhook > 0 then return load_config(source) end
  local checked, message, code = webhook.check(source, "webhook", CONTEXT, { partial = choose(2) == 1 })
  if not checked then refused(message, code) end
end
