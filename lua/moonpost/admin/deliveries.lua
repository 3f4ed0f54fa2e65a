--- The routes of deliveries: look, send again.
local answer = require "moonpost.admin.answer"
local body = require "moonpost.admin.body"
local json = require "moonpost.json"
local mask = require "moonpost.mask"
local page = require "moonpost.admin.page"
local suggest = require "moonpost.suggest"

local deliveries = {}

-- How many deliveries one request may have made again: next goes on.
local MAX_REPLAY = 10000

local function shown(delivery)
  delivery.webhook_id = tonumber(delivery.webhook_id)
  return delivery
end

local function failure(message, code)
  if code == "ENOENT" then return answer.error(404, "delivery.notFound") end
  return answer.failure(message, code)
end

function deliveries.list(context)
  local query = context.query
  local webhook_id = query.webhook_id and ("%d"):format(query.webhook_id)
  return page.answer(context.hooks.deliveries, {
    webhook_id = webhook_id, event_id = query.event_id, state = query.state, limit = query.limit, before = query.before,
  }, shown)
end

-- What is sent; it is gone when the event is.
local function add_payload(context, delivery)
  local payload = context.hooks.deliveries:payload(delivery.id)
  delivery.body = payload and payload.body or json.null
  if not payload then return end
  delivery.content_type, delivery.headers = payload.content_type, {}
  for name, value in pairs(payload.headers) do
    delivery.headers[name] = context.query.show_secrets and value or mask.value(value)
  end
end

--- One with its attempts and what is sent.
function deliveries.get(context)
  local hooks, id = context.hooks, context.parameters.id
  local delivery, message, code = hooks.deliveries:get(id)
  if not delivery then return failure(message, code) end
  local attempts
  attempts, message, code = hooks.deliveries:attempts(id)
  if not attempts then return failure(message, code) end
  delivery.history = mask.list(attempts)
  add_payload(context, delivery)
  return answer.data(shown(delivery))
end

function deliveries.resend(context)
  local delivery, message, code = context.hooks.deliveries:resend(context.parameters.id, { rerun = context.query.rerun })
  if not delivery then return failure(message, code) end
  return answer.data(shown(delivery), 202)
end

local REPLAY = {
  webhook_id = { body.webhook_id, "the id of a webhook" },
  since = { function(value) return type(value) == "string" or type(value) == "number" end, "a time" },
  state = { function(value) return value == "dead" or value == "held" or value == "all" end, '"dead", "held" or "all"' },
  limit = {
    function(value) return type(value) == "number" and value == math.floor(value) and value >= 1 and value <= MAX_REPLAY end,
    ("a whole number between 1 and %d"):format(MAX_REPLAY),
  },
  after = { function(value) return type(value) == "string" and value:find "^evt_%w+$" ~= nil end, "the next of an earlier answer" },
}
REPLAY["until"] = REPLAY.since

-- A body's members as replay's options.
local function read_replay(text)
  local members, message = body.members(text)
  if not members then return nil, message end
  local options = {}
  for name, member in pairs(members) do
    local rule = REPLAY[name]
    if not rule then return nil, ("%s: unknown key%s"):format(name, suggest.near(name, suggest.keys(REPLAY))) end
    if not rule[1](member.value) then return nil, ("%s: expected %s, got %s"):format(name, rule[2], member.kind) end
    options[name] = member.value
  end
  if not options.webhook_id then return nil, "webhook_id: expected the id of a webhook, got none" end
  return options
end

function deliveries.replay(context)
  local options, message = read_replay(context.request.body)
  if not options then return answer.failure(message, "EINVAL") end
  local result, code
  result, message, code = context.hooks.deliveries:replay(options)
  if not result then
    return code == "ENOENT" and answer.error(404, "webhook.notFound") or answer.failure(message, code)
  end
  return answer.data({ count = result.count, next = result.next or json.null }, 202)
end

return deliveries
