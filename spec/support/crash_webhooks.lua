--- The webhooks of the crash spec: twenty, whose receivers are of every kind.
local webhooks = {}

local ALL, UPDATES = { "*" }, { "entry.update" }

-- A healthy webhook's deliveries must not die, however often its receiver fails: 30 % of failures never come a
-- hundred times in a row.
local PATIENT = {}
for i = 1, 100 do
  PATIENT[i] = i <= 5 and 0.02 or 0.1
end

-- healthy: every event gets there in the end.
local KINDS = {
  { name = "fast", healthy = true, each = {
    { path = "/ok" },
    { path = "/ok", concurrency = 1 },
    { path = "/ok", concurrency = 50 },
  } },
  { name = "slow", healthy = true, each = {
    { path = "/delay/0.02" },
    { path = "/delay/0.05", concurrency = 20 },
    { path = "/delay/0.1", concurrency = 50 },
    { path = "/delay/0.3", concurrency = 50, events = UPDATES },
  } },
  { name = "flapping", healthy = true, each = {
    { path = "/flaky/30" },
    { path = "/flaky/10", concurrency = 2, events = UPDATES },
    { path = "/sequence/500,500,200,503" .. (",200,500"):rep(20) .. ",200" },
    { path = "/sequence/503,200?retry-after=1" },
  } },
  { name = "resetting", healthy = true, each = {
    { path = "/flaky-reset/30" },
    { path = "/flaky-reset/10", concurrency = 1, events = UPDATES },
  } },
  { name = "ordered", healthy = true, each = { { path = "/flaky/10", order = "webhook" } } },
  { name = "keyed", healthy = true, each = { { path = "/flaky/20", order = "key" } } },
  { name = "reset", each = { { path = "/reset", retrySchedule = { 0.05, 0.1 } } } },
  { name = "hanging", each = { { path = "/hang", timeout = 0.3, retrySchedule = { 0.1 } } } },
  { name = "garbage", each = { { path = "/garbage", retrySchedule = { 0.05, 0.05, 0.05 } } } },
  { name = "refused", each = { { path = "/ok", refused = true, retrySchedule = { 0.05, 3600 }, events = UPDATES } } },
  { name = "unavailable", each = { { path = "/status/503?retry-after=1" } } },
}

-- Nobody listens there, and nobody but root may.
local CLOSED_PORT = "http://127.0.0.1:1"

--- The webhooks as they are created: { name, kind, healthy, target (as the receiver records it), order, events, fields (for
-- webhooks:create) }.
---@param receiver table of spec.support.receiver
---@return table[]
function webhooks.list(receiver)
  local list = {}
  for _, kind in ipairs(KINDS) do
    for i, given in ipairs(kind.each) do
      local name = #kind.each > 1 and kind.name .. "-" .. i or kind.name
      local fields = { name = name, events = ALL, retrySchedule = PATIENT }
      for key, value in pairs(given) do
        fields[key] = value
      end
      local target = given.path .. (given.path:find("?", 1, true) and "&" or "?") .. "webhook=" .. name
      fields.url = given.refused and CLOSED_PORT .. target or receiver:url(target)
      fields.path, fields.refused = nil, nil
      list[#list + 1] = {
        name = name, kind = kind.name, healthy = kind.healthy, target = target, order = given.order, fields = fields,
        updates_only = fields.events == UPDATES,
      }
    end
  end
  return list
end

--- Does the webhook want events of this type?
function webhooks.wants(webhook, event_type)
  return not webhook.updates_only or event_type == "entry.update"
end

--- The config of every process on the store.
function webhooks.config(store)
  return {
    webhooks = {
      store = store,
      models = { address = { attributes = { city = { type = "string" } } } },
      -- A receiver that keeps failing is soon tried again: the longer it is left alone, the less is under way at a kill.
      delivery = { probeAfter = 0.2 },
      network = { allow = { "127.0.0.0/8" } },
      log = { level = "error" },
    },
  }
end

return webhooks
