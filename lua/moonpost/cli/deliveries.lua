--- moonpost emit, deliveries, events and stats.
local core = require "moonpost.core"
local files = require "moonpost.cli.files"
local mask = require "moonpost.mask"
local output = require "moonpost.cli.output"

local deliveries = {}

-- ---- emit -------------------------------------------------------------------------------------------

-- The JSON text goes into the envelope as it is: numbers keep their digits.
local function envelope(args)
  local slots = {}
  for _, slot in ipairs { "entry", "media" } do
    if args[slot] then slots[#slots + 1] = { slot, args[slot] } end
    local path = args[slot .. "_file"]
    if path then
      local text, message, code = files.read(path)
      if not text then return nil, message, code end
      slots[#slots + 1] = { slot, text }
    end
  end
  local parts = {}
  for _, name in ipairs { "event", "model" } do
    if args[name] then
      local text, _, code = core.to_json(args[name])
      if not text then return nil, ("%s: expected UTF-8"):format(name), code end
      parts[#parts + 1] = ('"%s":%s'):format(name, text)
    end
  end
  for _, slot in ipairs(slots) do
    local ok, message, code = core.check_json(slot[2])
    if not ok then return nil, ("--%s: %s"):format(slot[1], message), code end
    parts[#parts + 1] = ('"%s":%s'):format(slot[1], slot[2])
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function row_of(delivery)
  local last = delivery.last or {}
  return {
    delivery.id, delivery.webhook_id, delivery.state, ("%d"):format(delivery.attempts),
    last.status and ("%d"):format(last.status) or last.class or "", output.duration(last.duration_ms),
  }
end

local TITLES = { "DELIVERY", "WEBHOOK", "STATE", "ATTEMPTS", "ANSWER", "TIME" }

local function undelivered(list)
  local count = 0
  for _, delivery in ipairs(list) do
    if delivery.state ~= "delivered" and delivery.state ~= "filtered" then count = count + 1 end
  end
  return count
end

function deliveries.emit(hooks, args)
  local text, message, code = envelope(args)
  if not text then return nil, message, code end
  local id
  id, message, code = hooks:emit_json(text, { idempotency_key = args.idempotency_key })
  if not id then return nil, message, code end
  -- Accepted: what follows tells how delivery goes, and changes nothing of that. The id is out before the wait, for who
  -- interrupts it.
  if not args.json then
    output.line(id)
    output.flush()
  end
  if args.wait > 0 then hooks:wait(args.wait) end
  local list
  list, message, code = hooks.deliveries:list { event_id = id, limit = 1000 }
  if not list then
    io.stderr:write(("moonpost: %s is accepted; its deliveries: %s (%s)\n"):format(id, message, code))
    list = {}
  end
  if args.json then
    output.json { id = id, deliveries = output.list(list) }
    return true
  end
  if #list > 0 then output.listing(args, list, TITLES, row_of) end
  local open = undelivered(list)
  if open > 0 then
    io.stderr:write(("moonpost: %s is accepted; %d of %d deliveries have not succeeded\n"):format(id, open, #list))
  end
  return true
end

-- ---- deliveries -------------------------------------------------------------------------------------

function deliveries.list(hooks, args)
  local list, message, code = hooks.deliveries:list {
    webhook_id = args.webhook, event_id = args.event, state = args.state, limit = args.limit, before = args.before,
  }
  if not list then return nil, message, code end
  return output.listing(args, list, TITLES, row_of)
end

local function attempt_line(attempt)
  return ("%d  %s  %s  %s%s"):format(attempt.number, attempt.at, output.duration(attempt.duration_ms),
    attempt.status and ("%d"):format(attempt.status) or "no answer",
    attempt.class and ("  %s: %s"):format(attempt.class, attempt.error or "") or "")
end

local function header_lines(headers)
  local names, lines = {}, {}
  for name in pairs(headers) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do lines[i] = { "header", ("%s: %s"):format(name, mask.value(headers[name])) } end
  return lines
end

function deliveries.show(hooks, args)
  local delivery, message, code = hooks.deliveries:get(args.id)
  if not delivery then return nil, message, code end
  local attempts, payload
  attempts, message, code = hooks.deliveries:attempts(args.id)
  if not attempts then return nil, message, code end
  payload, message, code = hooks.deliveries:payload(args.id)
  if not payload then return nil, message, code end
  if args.json then
    delivery.history, delivery.body, delivery.content_type = output.list(attempts), payload.body, payload.content_type
    output.json(delivery)
    return true
  end
  local last = delivery.last
  local lines = {
    { "delivery", delivery.id }, { "event", delivery.event }, { "event id", delivery.event_id },
    { "webhook", delivery.webhook_id }, { "model", delivery.model }, { "state", delivery.state },
    { "due", delivery.due_at }, { "scripts", delivery.scripts },
    { "why", last and not last.at and ("%s: %s"):format(last.class, last.error or "") or nil },
    { "content type", payload.content_type ~= "application/json" and payload.content_type or nil },
  }
  for _, line in ipairs(header_lines(payload.headers)) do lines[#lines + 1] = line end
  lines[#lines + 1] = { "body", payload.body }
  output.fields(lines)
  for _, attempt in ipairs(attempts) do output.line("attempt " .. attempt_line(attempt)) end
  return true
end

function deliveries.resend(hooks, args)
  local delivery, message, code = hooks.deliveries:resend(args.id, { rerun = args.rerun })
  if not delivery then return nil, message, code end
  hooks:wait(args.wait)
  delivery, message, code = hooks.deliveries:get(args.id)
  if not delivery then return nil, message, code end
  if args.json then
    output.json(delivery)
    return true
  end
  return output.listing(args, { delivery }, TITLES, row_of)
end

function deliveries.replay(hooks, args)
  local show = output.progress "%d deliveries ..."
  local result, message, code = hooks.deliveries:replay {
    webhook_id = args.webhook, since = args.since, ["until"] = args["until"], state = args.state, limit = args.limit,
    after = args.after, progress = show,
  }
  show(nil)
  if not result then return nil, message, code end
  hooks:wait(args.wait)
  if args.json then
    output.json(result)
    return true
  end
  output.line(("%d %s will be made again"):format(result.count, result.count == 1 and "delivery" or "deliveries"))
  if result.next then output.line(("there may be more: go on with --after %s"):format(result.next)) end
  return true
end

-- ---- old history --------------------------------------------------------------------------------------

function deliveries.prune(hooks, args)
  if not hooks.prune then return nil, "prune: expected a config: a server forgets by itself", "EINVAL" end
  local show = output.progress "%d events ..."
  local result, message, code = hooks:prune { progress = show }
  show(nil)
  if not result then return nil, message, code end
  if args.json then
    output.json(result)
  else
    output.line(("forgot %d %s"):format(result.count, result.count == 1 and "event" or "events"))
  end
  return true
end

-- ---- events and stats ---------------------------------------------------------------------------------

local function routing_of(event)
  return event.routing and event.routing .. (event.routing_error and ": " .. event.routing_error or "")
end

local function event_row(event)
  return { event.id, event.type, event.created_at, event.model or "", routing_of(event) or "" }
end

function deliveries.events(hooks, args)
  local list, message, code = hooks.events:list { type = args.type, routing = args.routing, limit = args.limit, before = args.before }
  if not list then return nil, message, code end
  return output.listing(args, list, { "EVENT", "TYPE", "CREATED", "MODEL", "ROUTING" }, event_row)
end

function deliveries.event(hooks, args)
  local event, message, code = hooks.events:get(args.id)
  if not event then return nil, message, code end
  if args.json then
    output.json(event)
  else
    output.fields {
      { "event", event.id }, { "type", event.type }, { "model", event.model }, { "created", event.created_at },
      { "key", event.key }, { "routing", routing_of(event) }, { "body", event.body },
    }
  end
  return true
end

function deliveries.metrics(hooks, args)
  local text, message, code = hooks:metrics()
  if not text then return nil, message, code end
  if args.json then
    output.json { metrics = text }
  else
    io.stdout:write(text)
  end
  return true
end

function deliveries.stats(hooks, args)
  local stats, message, code = hooks:stats()
  if not stats then return nil, message, code end
  if args.json then
    output.json(stats)
    return true
  end
  local lines = {}
  for _, name in ipairs { "events", "accepted", "waiting", "leased", "delivered", "dead", "held", "filtered" } do
    lines[#lines + 1] = { name, ("%d"):format(stats.store[name]) }
  end
  if stats.store.routing > 0 then
    lines[#lines + 1] = { "to be routed", ("%d events (%d of them held)"):format(stats.store.routing, stats.store.routing_held) }
  end
  if not stats.store.adds_up then lines[#lines + 1] = { "warning", "the counts do not add up to the accepted" } end
  lines[#lines + 1] = { "webhooks", ("%d"):format(stats.webhooks) }
  output.fields(lines)
  return true
end

return deliveries
