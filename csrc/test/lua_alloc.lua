-- The host of test_lua_alloc.c. Gets the store's path, the receiver's port and the test's functions: arm() lets
-- calls fail, over() says that none fails any more (over(true) ends it), faulty(true) that this thread's may fail, and
-- keep(path) keeps a module loaded. Only what is in a step fails; the script's own work does not.
local path, port, arm, over, faulty, keep = ...
keep(assert(package.searchpath("cjson", package.cpath))) -- luacheck: ignore
local moonpost = require "moonpost"

local config = { webhooks = {
  store = path,
  events = { "own.event" },
  defaultHeaders = { ["X-Default"] = "d" },
  endpoints = { { name = "c", url = ("http://127.0.0.1:%d/c"):format(port), events = { "*" } } },
  models = { address = { attributes = {
    city = { type = "string" },
    code = { type = "password" },
    images = { collection = "file", plugin = "upload" },
  } } },
  delivery = { retrySchedule = { 0.02, 0.02, 0.02, 0.02, 0.02 } },
  network = { allow = { "127.0.0.0/8" } },
  log = { level = "off" },
} }

local entry = { id = 1, city = "Zürich", code = "x", list = { 1, 2.5, "a\n", true } }
local text = [[{"event":"entry.update","model":"address","entry":{"id":1,"city":"a\u00e9b","code":"1"}}]]
local hooks, id
local emits, accepted = 0, 0

local function open()
  return moonpost.open(config)
end

-- Counts the events of an emit that worked.
local function counted(ids, ...)
  if ids then accepted = accepted + (type(ids) == "table" and #ids or 1) end
  return ids, ...
end

local function emit_own()
  return counted(hooks:emit("own.event", { entry = { id = 2 } }))
end

local steps = {
  function()
    return hooks.webhooks:create {
      name = "a", url = ("http://127.0.0.1:%d/a"):format(port), events = { "entry.*" },
      headers = { ["X-A"] = "b" }, models = { "address" },
    }
  end,
  function() return counted(hooks:emit("entry.create", { model = "address", entry = entry })) end,
  function()
    return counted(hooks:emit("entry.create", { model = "address", entries = { entry, entry, entry } },
      { key = "k", wait = false }))
  end,
  emit_own,
  function()
    emits = emits + 1
    return counted(hooks:emit_json(text, { idempotency_key = "i" .. emits }))
  end,
  function() return hooks.deliveries:list { event_id = id } end,
  function() return hooks.events:list { type = "entry.create", limit = 5 } end,
  function() return hooks.webhooks:list() end,
  function() return hooks:stats() end,
  function() return hooks:wait(30) end,
}

local function is_memory(message)
  return message:find("not enough memory", 1, true) or message:find("out of memory", 1, true)
end

-- Answers what the step answers; nil when it failed as it may.
local function try(name, step)
  local was_over = over()
  faulty(true)
  local ok, value, message, code = pcall(step)
  faulty(false)
  if ok and value then return value end
  message = tostring(ok and message or value)
  if was_over then error(("%s, when the fault was over: %s"):format(name, message), 0) end
  if ok and type(code) ~= "string" then error(("%s: no code: %s"):format(name, message), 0) end
  if not ok and not is_memory(message) then error(("%s: %s"):format(name, message), 0) end
end

arm()
for _ = 1, 20 do hooks = hooks or try("open", open) end
id = try("an emit", emit_own)
for i, step in ipairs(steps) do try("step " .. i, step) end
over(true)
for i, step in ipairs(steps) do try("step " .. i .. " again", step) end

local stats
local limit = os.time() + 60
repeat
  assert(hooks:wait(30))
  stats = assert(hooks:stats()).store
until stats.waiting + stats.leased == 0 or os.time() > limit
assert(stats.events == accepted, "what was refused is stored, or what was accepted is not")
assert(stats.waiting + stats.leased + stats.dead == 0, "something was not delivered")
assert(hooks:close(20))
