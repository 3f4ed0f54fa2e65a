-- The webhooks' API: create, get, list, update, delete, trigger; who gets which event.
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local receivers = require "spec.support.receiver"
local wait_until = require "spec.support.wait_until"

describe("webhooks", function()
  local receiver, hooks

  before_each(function() receiver, hooks = receivers.start(), nil end)
  after_each(function() hooks_support.done(hooks, receiver) end)

  local function create(fields)
    fields.name = fields.name or "spec"
    fields.url = fields.url or receiver:url "/ok"
    fields.events = fields.events or { "*" }
    return assert(hooks.webhooks:create(fields))
  end

  it("are created, read, listed, changed and deleted", function()
    hooks = hooks_support.open()
    local made = create { name = "crm", headers = { ["X-A"] = "1" }, events = { "entry.*" }, models = { "address" } }
    assert.equal("string", type(made.id))
    assert.same({ ["X-A"] = "1" }, made.headers)
    assert.same({ "application::address.address" }, made.models)
    assert.is_true(made.enabled)
    assert.equal("api", made.source)
    assert.same(made, assert(hooks.webhooks:get(made.id)))
    assert.same({ made }, assert(hooks.webhooks:list()))
    local changed = assert(hooks.webhooks:update(made.id, { name = "CRM", models = moonpost.null, enabled = false }))
    assert.equal("CRM", changed.name)
    assert.is_nil(changed.models)
    assert.is_false(changed.enabled)
    assert.same({ ["X-A"] = "1" }, changed.headers)
    assert.same(changed, assert(hooks.webhooks:get(made.id)))
    assert.equal("CRM", assert(hooks.webhooks:delete(made.id)).name)
    assert.same({}, assert(hooks.webhooks:list()))
    for _, method in ipairs { "get", "delete", "trigger" } do
      local result, message, code = hooks.webhooks[method](hooks.webhooks, made.id)
      assert.is_nil(result)
      assert.truthy(message:find(made.id, 1, true))
      assert.equal("ENOENT", code)
    end
    assert.equal("ENOENT", (select(3, hooks.webhooks:update(made.id, { name = "x" }))))
    assert.equal("ENOENT", (select(3, hooks.webhooks:get("nonsense"))))
  end)

  it("survive a restart, with their ids never given twice", function()
    local config = hooks_support.config()
    hooks = assert(moonpost.open(config))
    local first, second = create { name = "one" }, create { name = "two" }
    assert(hooks.webhooks:delete(second.id))
    hooks:close()
    hooks = assert(moonpost.open(config))
    assert.same({ first }, assert(hooks.webhooks:list()))
    assert.is_true(tonumber(create({ name = "three" }).id) > tonumber(second.id))
  end)

  it("of the config appear beside those of the store, and are read-only", function()
    hooks = hooks_support.open { endpoints = { { name = "code", url = receiver:url "/code", events = { "entry.*" } } } }
    create { name = "stored" }
    local list = assert(hooks.webhooks:list())
    assert.equal(2, #list)
    local code = list[1].source == "config" and list[1] or list[2]
    assert.equal("config", code.source)
    assert.equal("EROFS", (select(3, hooks.webhooks:update(code.id, { enabled = false }))))
    assert.equal("EROFS", (select(3, hooks.webhooks:delete(code.id))))
    assert(hooks:emit("entry.create", { model = "address", entry = { id = 1 } }))
    local paths = {}
    for _, request in ipairs(assert(receiver:wait_for(2))) do paths[request.path] = true end
    assert.same({ ["/code"] = true, ["/ok"] = true }, paths)
  end)

  it("get the events they asked for, once", function()
    hooks = hooks_support.open { events = { "order.paid" } }
    create { name = "exact", url = receiver:url "/exact", events = { "entry.create", "entry.create", "entry.*" } }
    create { name = "media", url = receiver:url "/media", events = { "media.*" } }
    create { name = "all", url = receiver:url "/all", events = { "*" } }
    create { name = "articles", url = receiver:url "/articles", events = { "*" }, models = { "article" } }
    create { name = "orders", url = receiver:url "/orders", events = { "order.paid" } }
    local entry = { id = 1 }
    assert(hooks:emit("entry.create", { model = "address", entry = entry }))
    assert(hooks:emit("entry.publish", { model = "article", entry = entry }))
    assert(hooks:emit("media.create", { media = entry }))
    assert(hooks:emit("order.paid", {}))
    assert(hooks:wait(10))
    local counts = {}
    for _, request in ipairs(receiver:requests()) do
      local key = request.path .. " " .. receivers.header(request, "X-Strapi-Event")
      counts[key] = (counts[key] or 0) + 1
    end
    assert.same({
      ["/exact entry.create"] = 1, ["/exact entry.publish"] = 1,
      ["/media media.create"] = 1,
      ["/all entry.create"] = 1, ["/all entry.publish"] = 1, ["/all media.create"] = 1, ["/all order.paid"] = 1,
      ["/articles entry.publish"] = 1,
      ["/orders order.paid"] = 1,
    }, counts)
  end)

  it("hold their deliveries while disabled, and send them when enabled", function()
    hooks = hooks_support.open()
    local webhook = create { enabled = false }
    local id = assert(hooks:emit("entry.create", { model = "address", entry = { id = 1 } }))
    assert(hooks:wait(10))
    assert.equal("held", assert(hooks.deliveries:list { event_id = id })[1].state)
    assert.equal(0, #receiver:requests())
    assert(hooks.webhooks:update(webhook.id, { enabled = true }))
    assert(receiver:wait_for(1))
    assert(wait_until(10, function()
      return assert(hooks.deliveries:list { event_id = id })[1].state == "delivered"
    end))
  end)

  it("that are deleted leave dead deliveries", function()
    hooks = hooks_support.open { delivery = { retrySchedule = { 3600 } } }
    local webhook = create { url = receiver:url "/status/500" }
    local id = assert(hooks:emit("entry.create", { model = "address", entry = { id = 1 } }))
    assert(hooks:wait(10))
    assert(hooks.webhooks:delete(webhook.id))
    local delivery = assert(hooks.deliveries:list { event_id = id })[1]
    assert.equal("dead", delivery.state)
    assert.equal(1, #assert(hooks.deliveries:attempts(delivery.id)))
  end)

  it("trigger a test, also when disabled, and tell an answer from a failure", function()
    hooks = hooks_support.open({}, { clock = function() return 1578646056649 end })
    local webhook = create { enabled = false, headers = { ["X-Secret"] = "s" } }
    local result = assert(hooks.webhooks:trigger(webhook.id))
    assert.equal(200, result.statusCode)
    assert.is_nil(result.error)
    assert.is_nil(result.message)
    local request = receiver:requests()[1]
    assert.equal('{"event":"trigger-test","created_at":"2020-01-10T08:47:36.649Z"}', request.body)
    assert.equal("trigger-test", (receivers.header(request, "X-Strapi-Event")))
    assert.equal("s", (receivers.header(request, "X-Secret")))
    assert(hooks.webhooks:update(webhook.id, { url = receiver:url "/status/503" }))
    result = assert(hooks.webhooks:trigger(webhook.id))
    assert.equal(503, result.statusCode)
    assert.equal("string", type(result.message))
    assert(hooks.webhooks:update(webhook.id, { url = receiver:url "/reset" }))
    result = assert(hooks.webhooks:trigger(webhook.id))
    assert.is_nil(result.statusCode)
    assert.equal("reset", result.error)
    assert.truthy(result.message ~= "")
    assert.same({}, assert(hooks.events:list()))
  end)

  it("refuse bad definitions, naming what is wrong", function()
    hooks = hooks_support.open()
    local good = { name = "a", url = "http://127.0.0.1/", events = { "entry.create" } }
    local cases = {
      { { name = moonpost.null }, "name" }, { { name = "" }, "name" },
      { { url = "not a url" }, "url" }, { { url = "ftp://127.0.0.1/" }, "ftp" },
      { { headers = { ["X A"] = "b" } }, "X A" }, { { headers = { ["X-A"] = "b\r\nX-Evil: 1" } }, "X-A" },
      { { name = "\255" }, "webhook.name: expected UTF-8" }, { { url = "http://127.0.0.1/\255" }, "webhook.url" },
      { { headers = { ["X-A"] = "\255" } }, "X-A" }, { { headers = { ["X-A"] = "b\0" } }, "X-A" },
      { { headers = { ["Content-Length"] = "7" } }, "Content-Length" },
      { { headers = { ["Webhook-Id"] = "7" } }, "Webhook-Id" },
      { { events = { "entry.nope" } }, "entry.nope" }, { { events = {} }, "events" },
      { { models = { "nope" } }, "nope" }, { { concurrency = 0 }, "concurrency" }, { { colour = "red" }, "colour" },
    }
    for _, case in ipairs(cases) do
      local fields = {}
      for key, value in pairs(good) do fields[key] = value end
      for key, value in pairs(case[1]) do fields[key] = value end
      local result, message, code = hooks.webhooks:create(fields)
      assert.is_nil(result, case[2])
      assert.equal("EINVAL", code)
      assert.truthy(message:find(case[2], 1, true), message)
    end
    for _, missing in ipairs { "name", "url", "events" } do
      local fields = { name = good.name, url = good.url, events = good.events }
      fields[missing] = nil
      local result, message, code = hooks.webhooks:create(fields)
      assert.is_nil(result)
      assert.equal("EINVAL", code)
      assert.truthy(message:find(missing, 1, true), message)
    end
    assert.same({}, assert(hooks.webhooks:list()))
  end)

  it("get what they ask for after a change", function()
    hooks = hooks_support.open()
    local webhook = create { events = { "entry.create" } }
    assert(hooks.webhooks:update(webhook.id, { events = { "entry.update" } }))
    assert(hooks:emit("entry.create", { model = "address", entry = { id = 1 } }))
    assert(hooks:emit("entry.update", { model = "address", entry = { id = 1 } }))
    assert(hooks:wait(10))
    local requests = receiver:requests()
    assert.equal(1, #requests)
    assert.equal("entry.update", (receivers.header(requests[1], "X-Strapi-Event")))
  end)
end)
