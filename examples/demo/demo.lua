-- A tour of moonpost: the eight events, a test trigger and a receiver that fails first. For each it shows what went over the wire,
-- what was held back, and how the delivery went. make demo starts the receiver and runs this.
local cjson = require "cjson"
local moonpost = require "moonpost"
local show = dofile "examples/demo/show.lua"

local RECEIVER, RECORD = assert(os.getenv "RECEIVER"), assert(os.getenv "RECORD")
local PATIENCE = 10 -- seconds for everything that must arrive

local hooks = assert(moonpost.open "examples/demo/config/server.lua")
local failed = false

local address = {
  id = 1,
  city = "Paris",
  postal_code = "75001",
  geolocation = { lat = 48.85, lng = 2.35 },
  category = { id = 3, name = "Capitals", margin = 0.31 },
  images = {},
  contact = { id = 5, phone = "+33 1 23 45", private_line = "+33 6 99 99", pin = "0000" },
  owner = { id = 7, username = "ada", email = "ada@example.com" },
  internal_notes = "sells below the list price",
  door_code = "1234#",
  legacy_ref = "of a column that the model no longer has",
  created_at = "2026-01-10T08:47:36.264Z",
}

local article = {
  id = 12,
  title = "“Moon” rises",
  body = "# It does",
  blocks = { { __component = "default.quote", id = 1, text = "So it goes.", source = "off the record" } },
  review_score = 4.25,
  editor_comment = "not yet",
  published_at = "2026-01-10T09:00:00.000Z",
}

local media = {
  id = 4, name = "moon.png", hash = "moon_353fc98a", ext = ".png", mime = "image/png", size = 228.19,
  url = "/uploads/moon_353fc98a.png", provider = "local", related = {},
}

-- What the receiver was sent so far.
local function requests()
  local list = {}
  for line in io.lines(RECORD) do list[#list + 1] = cjson.decode(line) end
  return list
end

local function request_of(header, value)
  for _, request in ipairs(requests()) do
    for _, field in ipairs(request.headers) do
      if field[1]:lower() == header and field[2] == value then return request end
    end
  end
end

-- Waits until the event's deliveries have ended, one way or the other.
local function deliveries_of(event_id)
  local deadline = os.time() + PATIENCE
  while true do
    assert(hooks:wait(PATIENCE))
    local list, open = assert(hooks.deliveries:list { event_id = event_id }), false
    for _, delivery in ipairs(list) do
      open = open or (delivery.state ~= "delivered" and delivery.state ~= "dead")
    end
    if not open or os.time() > deadline then return list end
    os.execute "sleep 0.05"
  end
end

local names = {}
local function name_of(webhook_id)
  if not names[webhook_id] then names[webhook_id] = assert(hooks.webhooks:get(webhook_id)).name end
  return names[webhook_id]
end

local function show_deliveries(list)
  for _, delivery in ipairs(list) do
    show.delivery(name_of(delivery.webhook_id), delivery, assert(hooks.deliveries:attempts(delivery.id)))
    failed = failed or delivery.state ~= "delivered"
  end
  failed = failed or #list == 0
end

local function emit(event, info)
  show.title(event)
  local id = assert(hooks:emit(event, info))
  local list = deliveries_of(id)
  local request = request_of("webhook-id", id)
  if request then
    show.request(request)
    local key = info.entry and "entry" or "media"
    show.held_back(info[key], cjson.decode(request.body)[key], key)
  end
  show_deliveries(list)
end

show.intro(hooks.config)
emit("entry.create", { model = "address", entry = address })
address.city = "Paris 2"
emit("entry.update", { model = "address", entry = address })
emit("entry.publish", { model = "article", entry = article })
article.published_at = moonpost.null
emit("entry.unpublish", { model = "article", entry = article })
emit("entry.delete", { model = "address", entry = address })
emit("media.create", { media = media })
media.name = "full moon.png"
emit("media.update", { media = media })
emit("media.delete", { media = media })

show.title "trigger-test"
local webhook = assert(hooks.webhooks:list())[1]
local result = assert(hooks.webhooks:trigger(webhook.id))
local request = request_of("x-strapi-event", "trigger-test")
if request then show.request(request) end
show.trigger(webhook.name, result)
failed = failed or result.statusCode ~= 200

show.title("order.paid", "its receiver answers 500 once; the webhook retries after 0.2 s")
assert(hooks.webhooks:create {
  name = "bookkeeping", url = RECEIVER .. "/sequence/500,200", events = { "order.paid" }, retrySchedule = { 0.2 },
})
local id = assert(hooks:emit("order.paid", { entry = { order = 4711, total = 12.5 } }))
local retried = deliveries_of(id)
show_deliveries(retried)
failed = failed or retried[1].attempts ~= 2

-- The last line says that nothing private went out, so it is looked for.
local record = assert(io.open(RECORD)):read "*a"
for _, secret in ipairs { "1234#", "6 99 99", "ada@example.com", "off the record", "not yet", "list price", "no longer has" } do
  if record:find(secret, 1, true) then error("it was sent: " .. secret) end
end

hooks:close()
show.outro(#requests(), not failed)
os.exit(failed and 1 or 0)
