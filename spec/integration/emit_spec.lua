-- emit: what is accepted, what is refused and how.
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local receivers = require "spec.support.receiver"

describe("emit", function()
  local receiver, hooks

  before_each(function() receiver, hooks = receivers.start(), nil end)
  after_each(function() hooks_support.done(hooks, receiver) end)

  local function refused(expected_code, expected_text, ...)
    local result, message, code = hooks:emit(...)
    assert.is_nil(result)
    assert.equal(expected_code, code)
    assert.truthy(message:find(expected_text, 1, true), message)
    assert.same({}, assert(hooks.events:list()))
  end

  local function deep(levels)
    local value = {}
    for _ = 1, levels do value = { a = value } end
    return value
  end

  it("refuses what is wrong, naming it, and stores nothing", function()
    hooks = hooks_support.open { limits = { eventSize = 10000 } }
    local entry = { id = 1 }
    refused("EINVAL", "entry.creat", "entry.creat", { model = "address", entry = entry })
    refused("EINVAL", "entry.create", "entry.creat", { model = "address", entry = entry })
    refused("EINVAL", "adress", "entry.create", { model = "adress", entry = entry })
    refused("EINVAL", "address", "entry.create", { model = "adress", entry = entry })
    refused("EINVAL", "needs a model", "entry.create", { entry = entry })
    refused("EINVAL", "needs an entry", "entry.delete", { model = "address" })
    refused("EINVAL", "needs an entry", "entry.delete", { model = "address", entry = moonpost.null })
    refused("EINVAL", "needs media", "media.create", {})
    refused("EINVAL", "draftAndPublish", "entry.publish", { model = "address", entry = entry })
    refused("EINVAL", "draftAndPublish", "entry.unpublish", { model = "address", entry = entry })
    refused("EINVAL", "entries", "entry.delete", { model = "address", entry = { entry, entry } })
    refused("EINVAL", "entry", "entry.create", { model = "address", entry = "Paris" })
    refused("EINVAL", "colour", "entry.create", { model = "address", entry = entry, colour = "red" })
    refused("EINVAL", "table", "entry.create")
    refused("EINVAL", "string", 7, {})
    refused("EINVAL", "entry.rating", "entry.create", { model = "address", entry = { rating = 0 / 0 } })
    refused("EINVAL", "entry.geolocation.far", "entry.create",
      { model = "address", entry = { geolocation = { far = math.huge } } })
    refused("EINVAL", "entry.geolocation.items[3].price", "entry.create",
      { model = "address", entry = { geolocation = { items = { {}, {}, { price = print } } } } })
    refused("EINVAL", "entry.city", "entry.create", { model = "address", entry = { city = "\255" } })
    refused("EINVAL", "100", "entry.create", { model = "address", entry = { geolocation = deep(101) } })
    local cycle = {}
    cycle.self = cycle
    refused("EINVAL", "cycle", "entry.create", { model = "address", entry = { geolocation = cycle } })
    refused("E2BIG", "10000", "entry.create", { model = "address", entry = { city = ("x"):rep(10000) } })
    refused("EINVAL", "options.colour", "entry.create", { model = "address", entry = entry }, { colour = 1 })
    refused("EINVAL", "options.wait", "entry.create", { model = "address", entry = entry }, { wait = 1 })
    refused("EINVAL", "entries", "entry.create", { model = "address", entries = {} })
    assert.equal("string", type(assert(hooks:emit("entry.create", { model = "address", entry = entry }))))
  end)

  it("never sends users, whatever the caller asks", function()
    hooks = hooks_support.open { sanitize = { embeddedUsers = "keep", unknownAttributes = "keep" } }
    assert(hooks.webhooks:create { name = "all", url = receiver:url "/", events = { "*" } })
    for _, uid in ipairs { "user", "plugins::users-permissions.user", "strapi::user" } do
      for _, event in ipairs { "entry.create", "entry.update", "entry.delete" } do
        refused("EPRIVATE", "users are never sent", event, { model = uid, entry = { id = 1, email = "a@b" } })
      end
      local result, message, code = hooks:emit_json(
        ('{"event":"entry.delete","model":"%s","entry":{"id":1}}'):format(uid))
      assert.is_nil(result)
      assert.equal("EPRIVATE", code)
      assert.truthy(message:find("users are never sent", 1, true))
    end
    assert.equal(0, #receiver:requests())
  end)

  it("of entries makes one event each, all or none", function()
    hooks = hooks_support.open()
    assert(hooks.webhooks:create { name = "all", url = receiver:url "/", events = { "*" } })
    local ids = assert(hooks:emit("entry.delete", { model = "address", entries = { { id = 1 }, { id = 2 }, { id = 3 } } }))
    assert.equal(3, #ids)
    assert(hooks:wait(10))
    assert.equal(3, #receiver:requests())
    local result, message = hooks:emit("entry.delete", { model = "address", entries = { { id = 1 }, { city = print } } })
    assert.is_nil(result)
    assert.truthy(message:find("entries[2].city", 1, true), message)
    assert.equal(3, #assert(hooks.events:list()))
  end)

  it("takes JSON text as it is", function()
    hooks = hooks_support.open()
    local id = assert(hooks:emit_json([[ {"model":"address", "event":"entry.create", "entry":
      {"rating": 1e400, "city":"\u00e9", "geolocation":{"big":9007199254740993,"z":1,"a":[],"o":{}, "x":0.10},
       "notes":"n", "door_\u0063ode":"d"}} ]]))
    local body = assert(hooks.events:get(id)).body
    assert.equal('{"rating":1e400,"city":"\\u00e9","geolocation":{"big":9007199254740993,"z":1,"a":[],"o":{},"x":0.10}}',
      body:match('"entry":(.*)}$'))
    local ids = assert(hooks:emit_json('{"event":"entry.delete","model":"address","entries":[{"id":1},{"id":2}]}'))
    assert.equal(2, #ids)
    for _, case in ipairs {
      { "", "EINVAL" }, { "{", "EINVAL" }, { '{"event":"entry.create"}', "EINVAL" },
      { '{"event":"entry.create","model":"address","entry":{"id":1}} x', "EINVAL" },
      { '{"event":"entry.create","model":"address","entry":{"id":1,"id":2}}', "EINVAL" },
      { '{"event":"entry.create","model":"address","entry":{"city":"\\ud800"}}', "EINVAL" },
      { '{"event":"entry.create","model":"address","entry":{"city":"\255"}}', "EINVAL" },
      { '{"event":"entry.create","model":"address","entry":{"rating":01}}', "EINVAL" },
      { '{"event":"entry.create","model":"address","entry":null}', "EINVAL" },
      { '{"event":"entry.create","model":"address","entry":{},"foo":1}', "EINVAL" },
    } do
      local result, message, code = hooks:emit_json(case[1])
      assert.is_nil(result, case[1])
      assert.equal(case[2], code)
      assert.equal("string", type(message))
    end
    assert.is_nil((hooks:emit_json(nil)))
  end)

  it("with an idempotency key stores an event once", function()
    hooks = hooks_support.open()
    local info = { model = "address", entry = { id = 1 } }
    local first = assert(hooks:emit("entry.create", info, { idempotency_key = "k1" }))
    assert.equal(first, assert(hooks:emit("entry.create", info, { idempotency_key = "k1" })))
    assert.are_not.equal(first, assert(hooks:emit("entry.create", info, { idempotency_key = "k2" })))
    assert.equal(2, #assert(hooks.events:list()))
  end)

  it("passes headers such as traceparent on with the event's requests", function()
    hooks = hooks_support.open { defaultHeaders = { traceparent = "default" } }
    assert(hooks.webhooks:create { name = "a", url = receiver:url "/a", events = { "*" } })
    local trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    local info = { model = "address", entry = { id = 1 } }
    assert(hooks:emit("entry.create", info, { headers = { Traceparent = trace } }))
    assert(hooks:emit("entry.create", info))
    local seen = {}
    for _, request in ipairs(assert(receiver:wait_for(2))) do
      local value, count = receivers.header(request, "traceparent")
      assert.equal(1, count)
      seen[value] = true
    end
    assert.same({ [trace] = true, default = true }, seen)
    for name, value in pairs { ["X A"] = "b", ["X-A"] = "b\n", ["Content-Length"] = "1" } do
      local result, message, code = hooks:emit("entry.create", info, { headers = { [name] = value } })
      assert.is_nil(result)
      assert.equal("EINVAL", code)
      assert.truthy(message:find(name, 1, true), message)
    end
  end)

  it("with wait = false hands over, and the event is delivered", function()
    hooks = hooks_support.open()
    assert(hooks.webhooks:create { name = "a", url = receiver:url "/a", events = { "*" } })
    for i = 1, 200 do
      assert(hooks:emit("entry.create", { model = "address", entry = { id = i } }, { wait = false }))
    end
    assert(hooks:wait(20))
    assert.equal(200, #assert(receiver:wait_for(200)))
  end)

  it("answers EAGAIN when the inbox is full, and loses nothing it accepted", function()
    hooks = hooks_support.open { limits = { inbox = 50 } }
    assert(hooks.webhooks:create { name = "a", url = receiver:url "/a", events = { "*" } })
    local accepted, full = 0, 0
    for i = 1, 20000 do
      local id, message, code = hooks:emit("entry.create", { model = "address", entry = { id = i } }, { wait = false })
      if id then
        accepted = accepted + 1
      else
        assert.equal("EAGAIN", code)
        assert.equal("inbox full", message)
        full = full + 1
        if full > 100 then break end
      end
    end
    assert.is_true(full > 0)
    assert(hooks:wait(60))
    assert.equal(accepted, assert(hooks:stats()).accepted)
    assert.equal(accepted, assert(hooks:stats()).store.delivered)
  end)

  it("counts keys that the model does not have", function()
    hooks = hooks_support.open()
    assert(hooks:emit("entry.create", { model = "address", entry = { id = 1, mystery = 2, other = 3 } }))
    assert.equal(2, assert(hooks:stats()).dropped_keys)
  end)
end)
