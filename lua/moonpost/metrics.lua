--- Metrics in Prometheus' text format (exposition format 0.0.4), made of what the engine counts.
--
-- Every figure is of this process's engine since it was opened, but for moonpost_store_*, which are of the store, whoever uses
-- it. Label sets are bounded: 1,000 webhooks by id and name (the others count together, as id "other") and the loaded scripts.
local json = require "moonpost.json"

local metrics = {}

--- The Content-Type of the text.
metrics.CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

local ESCAPES = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

local function label(value)
  return '"' .. tostring(value):gsub('[\\"\n]', ESCAPES) .. '"'
end

-- Whole numbers without an exponent, as far as doubles hold them; a decimal point, whatever the host's locale has.
local function number(value)
  if value == math.floor(value) and math.abs(value) < 2 ^ 53 then return ("%.0f"):format(value) end
  return (("%.9g"):format(value):gsub("[^%de+-]+", "."))
end

local function line(out, name, labels, value)
  out[#out + 1] = name .. (labels ~= "" and "{" .. labels .. "}" or "") .. " " .. number(value)
end

local function flag(value)
  return value and 1 or 0
end

-- ---- what there is -----------------------------------------------------------------------------------
-- Each: name, type, help, and a function that calls add(labels, value) for each sample.

local function of_engine(field)
  return function(data, add) add("", data[field]) end
end

local function of_store(field)
  return function(data, add) add("", data.store[field]) end
end

local function labels_of(webhook)
  return "id=" .. label(webhook.id) .. ",name=" .. label(webhook.name)
end

local OTHERS = 'id="other",name=""'

local function of_webhooks(value)
  return function(data, add)
    for _, webhook in ipairs(data.by_webhook) do
      local figure = value(webhook)
      if figure then add(labels_of(webhook), figure) end
    end
  end
end

local function of_all_webhooks(field)
  return function(data, add)
    for _, webhook in ipairs(data.by_webhook) do add(labels_of(webhook), webhook[field]) end
    add(OTHERS, data.others[field])
  end
end

local function failures(data, add)
  local function add_classes(labels, failed)
    local classes = {}
    for class in pairs(failed) do classes[#classes + 1] = class end
    table.sort(classes)
    for _, class in ipairs(classes) do add(labels .. ",class=" .. label(class), failed[class]) end
  end
  for _, webhook in ipairs(data.by_webhook) do add_classes(labels_of(webhook), webhook.failed) end
  add_classes(OTHERS, data.others.failed)
end

local function histogram(field, bounds, scale)
  return function(data, add)
    local counts, below = data[field].counts, 0
    for i, bound in ipairs(data[bounds]) do
      below = below + counts[i]
      add("le=" .. label(number(bound / scale)), below, "_bucket")
    end
    below = below + counts[#counts]
    add('le="+Inf"', below, "_bucket")
    add("", data[field].sum / scale, "_sum")
    add("", below, "_count")
  end
end

local function seconds(field) return histogram(field, "bounds_us", 1e6) end

local function of_scripts(value)
  return function(data, add)
    for _, script in ipairs(data.scripts) do add("script=" .. label(script.name), value(script)) end
  end
end

local STATES = { "delivered", "dead", "filtered", "leased", "unsent" }

local function states(data, add)
  local store = data.store
  local counts = {
    delivered = store.delivered, dead = store.dead, filtered = store.filtered, leased = store.leased,
    unsent = store.accepted - store.delivered - store.dead - store.filtered - store.leased,
  }
  for _, state in ipairs(STATES) do add("state=" .. label(state), counts[state]) end
end

local function build(data, add)
  add(("version=%s,lua=%s"):format(label(data.version), label(rawget(_G, "jit") and "LuaJIT" or _VERSION)), 1)
end

local FAMILIES = {
  { "moonpost_build_info", "gauge", "Version of moonpost and of Lua.", build },
  { "moonpost_events_accepted_total", "counter", "Events that were committed.", of_engine "accepted" },
  { "moonpost_emits_rejected_total", "counter", "Emits that the store refused.", of_engine "rejected" },
  { "moonpost_attributes_dropped_total", "counter", "Keys that their model does not have.", of_engine "dropped_keys" },
  { "moonpost_events_pruned_total", "counter", "Events that were forgotten, by age or size.", of_engine "pruned" },
  { "moonpost_commits_total", "counter", "Transactions.", of_engine "commits" },
  { "moonpost_inbox_events", "gauge", "Events handed over and not yet committed.", of_engine "inbox" },
  { "moonpost_inbox_bytes", "gauge", "Their bodies.", of_engine "inbox_bytes" },
  { "moonpost_webhooks", "gauge", "Webhooks that there are.", of_engine "webhooks" },
  { "moonpost_deliveries_delivered_total", "counter", "Deliveries answered with 2xx.", of_all_webhooks "delivered" },
  { "moonpost_deliveries_dead_total", "counter", "Deliveries given up.", of_all_webhooks "dead" },
  { "moonpost_deliveries_filtered_total", "counter", "Deliveries that a script filtered.", of_all_webhooks "filtered" },
  { "moonpost_deliveries_held_total", "counter", "Times that a failing script held a delivery.", of_all_webhooks "held" },
  { "moonpost_attempts_failed_total", "counter", "Failed attempts, by what failed.", failures },
  { "moonpost_deliveries_in_flight", "gauge", "Deliveries that this engine has leased: being sent, or about to be.",
    of_webhooks(function(webhook) return webhook.leased end) },
  { "moonpost_webhook_waiting", "gauge", "Deliveries that wait in the store; no more than 1000 are counted.",
    of_webhooks(function(webhook) return webhook.waiting end) },
  { "moonpost_webhook_held", "gauge",
    "Deliveries that are held: for their webhook is disabled, or a script failed; no more than 1000 are counted.",
    of_webhooks(function(webhook) return webhook.held_now end) },
  { "moonpost_webhook_enabled", "gauge", "1: enabled.", of_webhooks(function(webhook) return flag(webhook.enabled) end) },
  { "moonpost_webhook_circuit_open", "gauge", "1: left alone but for probes, for its receiver keeps failing.",
    of_webhooks(function(webhook) return flag(webhook.open) end) },
  { "moonpost_accept_seconds", "histogram", "From an emit's hand-over to its commit.", seconds "accept" },
  { "moonpost_wait_seconds", "histogram", "From an event's acceptance to its delivery's first attempt.", seconds "wait" },
  { "moonpost_send_seconds", "histogram", "Duration of attempts.", seconds "send" },
  { "moonpost_commit_seconds", "histogram", "Duration of commits.", seconds "commit" },
  { "moonpost_commit_rows", "histogram", "Events and outcomes of one transaction.", histogram("batch", "bounds_rows", 1) },
  { "moonpost_script_calls_total", "counter", "Calls of a script's phases.",
    of_scripts(function(script) return script.calls end) },
  { "moonpost_script_errors_total", "counter", "Those that failed.", of_scripts(function(script) return script.errors end) },
  { "moonpost_script_cpu_seconds_total", "counter", "CPU time of scripts.",
    of_scripts(function(script) return script.cpu_ms / 1000 end) },
  { "moonpost_script_paused", "gauge", "1: not run any more, for it failed too often in a row.",
    of_scripts(function(script) return flag(script.paused) end) },
  { "moonpost_store_events", "gauge", "Events in the store.", of_store "events" },
  { "moonpost_store_bytes", "gauge", "Bytes in use in the store's file.", of_store "bytes" },
  { "moonpost_store_deliveries_accepted_total", "counter", "Deliveries that the store ever accepted.", of_store "accepted" },
  { "moonpost_store_deliveries", "gauge", "Of those, how many ended so, are leased, or wait and are held (unsent).", states },
}

--- The names of all metrics, in their order.
---@return string[]
function metrics.names()
  local names = {}
  for i, family in ipairs(FAMILIES) do names[i] = family[1] end
  return names
end

--- Makes the text.
---@param data table what the engine's metrics() answers, with scripts and version
---@return string
function metrics.render(data)
  local out = {}
  for _, family in ipairs(FAMILIES) do
    local name, kind, help, samples = family[1], family[2], family[3], family[4]
    out[#out + 1] = "# HELP " .. name .. " " .. help
    out[#out + 1] = "# TYPE " .. name .. " " .. kind
    samples(data, function(labels, value, suffix) line(out, name .. (suffix or ""), labels, value) end)
  end
  out[#out + 1] = ""
  return table.concat(out, "\n")
end

--- Reads an engine's metrics.
---@param engine userdata
---@param version string
---@return string|nil text
---@return string? message
---@return string? code
function metrics.read(engine, version)
  local data, message, code = json.answer(engine:metrics())
  if not data then return nil, message, code end
  data.scripts, message, code = json.answer(engine:scripts(false))
  if not data.scripts then return nil, message, code end
  data.version = version
  return metrics.render(data)
end

return metrics
