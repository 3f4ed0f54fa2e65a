-- Emits entries that hold a canary in all that is private, through scripts that copy what they can reach. Run by
-- spec/integration/scripts_leak_spec.lua with: folder of scripts, store, receiver's URL, the canary.
local moonpost = require "moonpost"

local folder, store, url, canary = arg[1], arg[2], arg[3], arg[4]

local private = { type = "string", private = true }
local models = {
  address = { attributes = {
    city = { type = "string" }, notes = private, door_code = { type = "password" }, extra = { type = "json" },
    owner = { model = "user", plugin = "users-permissions" }, related = { collection = "address" },
    contact = { type = "component", component = "default.contact" },
    zone = { type = "dynamiczone", components = { "default.contact" } },
  } },
  ["default.contact"] = { kind = "component", attributes = { phone = { type = "string" }, secret = private } },
}

local function entry(depth)
  return {
    id = 1, city = "Paris", notes = canary, door_code = canary, unknown = canary, created_by = { id = 1, email = canary },
    extra = { a = { 1, 2 } }, owner = { id = 7, username = canary, email = canary, password = canary },
    contact = { phone = "1", secret = canary },
    zone = { { __component = "default.contact", phone = "2", secret = canary } },
    related = depth < 3 and { entry(depth + 1) } or nil,
  }
end

local hooks = assert(moonpost.open { webhooks = {
  store = store, models = models, scripts = folder, globalScripts = { "routing" }, constants = { harmless = true },
  defaultHeaders = { ["X-Default"] = canary .. "-header" },
  delivery = { retrySchedule = { 0.05 } }, network = { allow = { "127.0.0.0/8" } }, log = { level = "debug" },
} })
for _, name in ipairs { "dump", "text", "headers", "raise", "put_back" } do
  assert(hooks.webhooks:create { name = name, url = url:gsub("//", "//user:" .. canary .. "-url@") .. "?" .. name, events = { "entry.*" },
    script = name, headers = { Authorization = "Bearer " .. canary .. "-header" } })
end
for _ = 1, 3 do assert(hooks:emit("entry.create", { model = "address", entry = entry(1) })) end
assert(hooks:wait(30))
for _, delivery in ipairs(assert(hooks.deliveries:list { limit = 1000 })) do
  print(delivery.webhook_id, delivery.state, delivery.last and delivery.last.error or "")
end
for _, script in ipairs(assert(hooks:scripts())) do print(script.name, script.calls, script.errors, script.error) end
hooks:close(5)
