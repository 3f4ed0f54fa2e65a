-- Strapi's v3 webhooks page: each of its eight example payloads (spec/fixtures/documentation) comes out exactly so.
local cjson = require "cjson"
local hooks_support = require "spec.support.hooks"
local json = require "spec.support.json"
local receivers = require "spec.support.receiver"
local temp = require "spec.support.temp"

local EVENTS = {
  "entry.create", "entry.update", "entry.delete", "entry.publish", "entry.unpublish",
  "media.create", "media.update", "media.delete",
}

local MODELS = {
  address = {
    options = { draftAndPublish = true },
    attributes = {
      geolocation = { type = "json" },
      city = { type = "string" },
      postal_code = { type = "string" },
      category = { model = "category" },
      full_name = { type = "string" },
      cover = { model = "file", plugin = "upload" },
      images = { collection = "file", plugin = "upload" },
      notes = { type = "text", private = true },
      door_code = { type = "password" },
    },
  },
  category = { attributes = { name = { type = "string" } } },
}

-- Milliseconds since 1970 of "2020-01-10T08:47:36.649Z". The days are counted as in a year that starts in March.
local function milliseconds(iso)
  local year, month, day, hour, minute, second, ms = iso:match "^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)%.(%d+)Z$"
  local y = month + 0 < 3 and year - 1 or year + 0
  local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400)
    + math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 719469
  return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms
end

-- The example without the white space between its parts.
local function compact(text)
  return (text:gsub("\n *", ""):gsub('": ', '":'))
end

describe("the documentation", function()
  local receiver, hooks, now

  setup(function() receiver = receivers.start() end)
  teardown(function()
    receiver:stop()
    temp.clean()
  end)

  before_each(function()
    hooks = hooks_support.open({
      models = MODELS,
      defaultHeaders = { ["Custom-Header"] = "my-custom-header" },
    }, { clock = function() return now end })
    assert(hooks.webhooks:create { name = "all", url = receiver:url "/hook", events = { "entry.*", "media.*" } })
  end)

  after_each(function()
    if hooks then hooks:close(0) end
    hooks = nil
    receiver:clear()
  end)

  local function header(request, name)
    local value, count = receivers.header(request, name)
    assert.equal(1, count, name)
    return value
  end

  local function check_request(request, event)
    assert.equal("POST", request.method)
    assert.equal("/hook", request.path)
    assert.equal(event, header(request, "X-Strapi-Event"))
    assert.equal("application/json", header(request, "Content-Type"))
    assert.equal(tostring(#request.body), header(request, "Content-Length"))
    assert.equal("my-custom-header", header(request, "Custom-Header"))
  end

  for _, event in ipairs(EVENTS) do
    local example = assert(temp.read("spec/fixtures/documentation/" .. event .. ".json"))
    local payload = cjson.decode(example)

    it("shows " .. event .. ", and so it arrives", function()
      now = milliseconds(payload.created_at)
      local entry = payload.entry
      if entry then entry.notes, entry.door_code = "not for you", "1234#" end
      assert(hooks:emit(event, { model = payload.model, entry = entry, media = payload.media }))
      local request = assert(receiver:wait_for(1))[1]
      check_request(request, event)
      local equal, difference = json.equal(request.body, example)
      assert(equal, difference)
      assert.same(json.parse(example).keys, json.parse(request.body).keys)
    end)

    it("shows " .. event .. ", and as JSON text it arrives byte for byte", function()
      now = milliseconds(payload.created_at)
      local text = compact(example)
      assert(hooks:emit_json((text:gsub('"created_at":"[^"]*",', "", 1))))
      local request = assert(receiver:wait_for(1))[1]
      check_request(request, event)
      assert.equal(text, request.body)
    end)
  end

  it("has publish and unpublish only where draftAndPublish is enabled", function()
    for _, event in ipairs { "entry.publish", "entry.unpublish" } do
      local id, message, code = hooks:emit(event, { model = "category", entry = { id = 1 } })
      assert.is_nil(id)
      assert.equal("EINVAL", code)
      assert.truthy(message:find("draftAndPublish", 1, true), message)
    end
    assert.same({}, hooks.events:list())
  end)

  it("lets nothing out for the User content type", function()
    for _, model in ipairs { "user", "plugins::users-permissions.user", "strapi::user" } do
      local id, _, code = hooks:emit("entry.delete", { model = model, entry = { id = 1, email = "a@b.org" } })
      assert.is_nil(id)
      assert.equal("EPRIVATE", code)
    end
    assert.same({}, hooks.events:list())
  end)

  it("lets a webhook's own header overwrite the default one", function()
    now = 0
    local webhook = assert(hooks.webhooks:create {
      name = "own", url = receiver:url "/own", events = { "entry.create" }, headers = { ["custom-header"] = "own" },
    })
    assert(hooks.webhooks:trigger(webhook.id))
    assert.equal("own", header(assert(receiver:wait_for(1))[1], "Custom-Header"))
  end)
end)
