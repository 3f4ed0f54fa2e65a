--- What is sent: an address as a Strapi deployment has it, in the sizes that the cases ask for. Every key of it is in
-- the models, so that the bytes a peer sends are those that moonpost sends.
local cjson = require "cjson"

local fixture = {}

--- The models, as webhooks.models takes them.
fixture.models = {
  address = { attributes = {
    city = { type = "string" },
    postal_code = { type = "string" },
    description = { type = "text" },
    geolocation = { type = "json" },
    category = { model = "category" },
    contact = { type = "component", component = "default.contact" },
    notes = { type = "component", component = "default.note", repeatable = true },
    images = { collection = "file", plugin = "upload" },
    internal_notes = { type = "text", private = true },
    door_code = { type = "password" },
  } },
  category = { attributes = { name = { type = "string" }, slug = { type = "string" } } },
  ["default.contact"] = { attributes = { name = { type = "string" }, phone = { type = "string" } } },
  ["default.note"] = { attributes = {
    title = { type = "string" }, text = { type = "text" }, stars = { type = "integer" },
  } },
}

local NOTE = '{"id":%d,"title":"Visit %d","text":"The door is on the left, the bell is broken; call first.","stars":%d}'

local ENTRY = '{"id":1,"city":"Paris","postal_code":"75004","description":"%s",'
  .. '"geolocation":{"lat":48.8566,"lng":2.3522},"category":{"id":3,"name":"Restaurant","slug":"restaurant"},'
  .. '"contact":{"id":5,"name":"Reception","phone":"+33 1 23 45 67 89"},"notes":[%s],'
  .. '"images":[{"id":7,"name":"front.jpg","url":"/uploads/front_1b2c.jpg","mime":"image/jpeg","size":123.4}],'
  .. '"created_at":"2020-01-10T08:47:36.264Z","updated_at":"2020-01-10T08:47:36.264Z"}'

--- An entry's JSON text of exactly that many bytes (at least 500): more notes, and a description for the rest.
function fixture.entry_text(size)
  local notes, length = {}, #ENTRY:format("", "")
  while true do
    local i = #notes + 1
    local note = NOTE:format(i, i, i % 5 + 1)
    if length + #note + 1 > size - 120 then break end
    notes[i] = note
    length = length + #note + 1
  end
  local list = table.concat(notes, ",")
  local text = ENTRY:format(("x"):rep(size - #ENTRY:format("", list)), list)
  assert(#text == size, "the entry has another size than was asked for")
  return text
end

--- The same as a Lua value.
function fixture.entry(size)
  return cjson.decode(fixture.entry_text(size))
end

--- The request body that moonpost makes of it.
function fixture.body(size)
  return ('{"event":"entry.create","created_at":"2020-01-10T08:47:36.264Z","model":"address","entry":%s}'):format(
    fixture.entry_text(size))
end

return fixture
