-- What the engine reports, as events and to the host's functions; disabling, and what becomes of what was held.
local cjson = require "cjson"
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local receivers = require "spec.support.receiver"
local wait_until = require "spec.support.wait_until"

describe("reports", function()
  local receiver, hooks

  before_each(function() receiver, hooks = receivers.start(), nil end)
  after_each(function() hooks_support.done(hooks, receiver) end)

  local function create(name, path, events, extra)
    return hooks_support.create(hooks, { name = name, url = receiver:url(path), events = events }, extra)
  end

  local function emit()
    return assert(hooks:emit("entry.create", { model = "address", entry = { id = 1 } }))
  end

  -- The bodies that came to a path, by event.
  local function received(path)
    local by_event = {}
    for _, request in ipairs(receiver:requests()) do
      if request.path == path then
        local body = cjson.decode(request.body)
        assert.equal(body.event, receivers.header(request, "x-strapi-event"))
        by_event[body.event] = by_event[body.event] or {}
        table.insert(by_event[body.event], body)
      end
    end
    return by_event
  end

  -- Polls until so many reports came.
  local function polled(count)
    local list = {}
    assert(hooks:on("*", function(report) list[#list + 1] = report end))
    wait_until(20, function()
      assert(hooks:poll())
      return #list >= count
    end)
    return list
  end

  it("tell of a delivery that died", function()
    hooks = hooks_support.open { delivery = { retrySchedule = { 0.02 } } }
    local failing = create("crm", "/status/500", { "entry.*" })
    create("operator", "/ok", { "delivery.dead" })
    create("all", "/echo", { "*" })
    local id = emit()
    local report = polled(1)[1]
    assert.is_true(wait_until(20, function() return received("/ok")["delivery.dead"] end) ~= nil)
    local body = received("/ok")["delivery.dead"][1]
    assert.same(report, body)
    assert.same({ id = failing.id, name = "crm" }, body.webhook)
    assert.same({ id = hooks.deliveries:list({ webhook_id = failing.id })[1].id, event_id = id, event = "entry.create",
      model = "application::address.address", attempts = 2 }, body.delivery)
    assert.equal(500, body.status)
    assert.equal("http", body.class)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT", body.created_at)
    assert.equal(0, assert(hooks:poll()))
    assert.is_nil(received("/echo")["delivery.dead"]) -- "*" is the content's events
  end)

  it("are not made of the deliveries of reports, and not sent to the webhook that they are about", function()
    hooks = hooks_support.open { delivery = { retrySchedule = {} } }
    create("operator", "/status/500", { "entry.create", "delivery.dead", "webhook.*" })
    create("second", "/status/503", { "delivery.dead" })
    emit()
    assert(hooks:wait(20))
    -- The first died of entry.create (told to the second only), the second of that report (told to nobody).
    assert.equal(1, #polled(1))
    assert.equal(2, #receiver:requests())
  end)

  it("tell of a circuit that opens", function()
    hooks = hooks_support.open { delivery = { retrySchedule = { 600 } } }
    local failing = create("crm", "/status/500", { "entry.*" })
    create("operator", "/ok", { "webhook.*" })
    for _ = 1, 10 do emit() end
    local report = polled(1)[1]
    assert.equal("webhook.failing", report.event)
    assert.equal(failing.id, report.webhook.id)
    assert.is_true(wait_until(20, function() return received("/ok")["webhook.failing"] end) ~= nil)
    assert.same(report, received("/ok")["webhook.failing"][1])
    local webhook = assert(hooks.webhooks:get(failing.id))
    assert.is_string(webhook.left_alone_until)
    assert.is_string(webhook.failing_since)
  end)

  it("tell of a webhook that recovers", function()
    local schedule = {} -- long enough for none to die
    for i = 1, 20 do schedule[i] = 0.05 end
    hooks = hooks_support.open { delivery = { retrySchedule = schedule, probeAfter = 0.2 } }
    local target = "/sequence/" .. ("500,"):rep(11) .. "200"
    local failing = create("crm", target, { "entry.*" }, { concurrency = 1 })
    create("operator", "/ok", { "webhook.*" })
    for _ = 1, 12 do emit() end
    local list = polled(2)
    assert.equal("webhook.failing", list[1].event)
    assert.equal("webhook.recovered", list[2].event)
    assert.same({ id = failing.id, name = "crm" }, list[2].webhook)
    assert.is_true(wait_until(20, function() return received("/ok")["webhook.recovered"] end) ~= nil)
    assert.is_nil(assert(hooks.webhooks:get(failing.id)).failing_since)
  end)

  it("tell of a webhook that is disabled: gone, or failing for too long", function()
    hooks = hooks_support.open { delivery = { retrySchedule = { 0.1, 0.1, 0.1, 0.1, 0.1, 0.1 }, disableAfter = 0.3 } }
    local gone = create("gone", "/status/410", { "entry.create" })
    local failing = create("failing", "/status/500", { "entry.create" })
    create("operator", "/ok", { "webhook.disabled" })
    emit()
    local list = polled(2)
    local reasons = {}
    for _, report in ipairs(list) do
      assert.equal("webhook.disabled", report.event)
      reasons[report.webhook.name] = report.reason
    end
    assert.same({ gone = "gone", failing = "failing" }, reasons)
    for _, webhook in ipairs { gone, failing } do
      assert.is_false(assert(hooks.webhooks:get(webhook.id)).enabled)
      assert.equal("held", hooks.deliveries:list({ webhook_id = webhook.id })[1].state)
    end
    assert.is_true(wait_until(20, function() return #(received("/ok")["webhook.disabled"] or {}) == 2 end))
  end)

  it("are not of a webhook that succeeds now and then", function()
    hooks = hooks_support.open { delivery = { retrySchedule = { 0.15, 0.15, 0.15, 0.15 }, disableAfter = 0.4 } }
    local webhook = create("flaky", "/sequence/500,500,200", { "entry.create" })
    emit()
    assert(receiver:wait_for(3))
    assert.is_true(wait_until(20, function() return assert(hooks.webhooks:get(webhook.id)).failing_since == nil end))
    receiver:clear()
    assert(hooks.webhooks:update(webhook.id, { url = receiver:url "/sequence/500,200" }))
    emit()
    assert(receiver:wait_for(2))
    assert.is_true(assert(hooks.webhooks:get(webhook.id)).enabled)
  end)

  it("come to each host's handle once, from when it was opened", function()
    hooks = hooks_support.open { delivery = { retrySchedule = {} } }
    create("crm", "/status/500", { "entry.*" })
    emit()
    assert.equal(1, #polled(1))
    local second = assert(moonpost.open({ webhooks = hooks_support.config { store = hooks.config.store,
      delivery = { retrySchedule = {} } }.webhooks }))
    finally(function() second:close(0) end)
    assert.equal(0, assert(second:poll()))
    emit()
    assert.is_true(wait_until(20, function() return assert(second:poll()) == 1 end))
    assert.equal(1, assert(hooks:poll()))
  end)

  it("refuse a pattern that names none", function()
    hooks = hooks_support.open()
    local result, message, code = hooks:on("webhook.falling", function() end)
    assert.is_nil(result)
    assert.matches("webhook.failing", message, 1, true)
    assert.equal("EINVAL", code)
    assert.has_error(function() hooks:on("*") end)
    assert.equal("EINVAL", (select(3, hooks:emit("webhook.failing", {}))))
    assert.equal("EINVAL", (select(3, moonpost.open { webhooks = { store = ":memory:", events = { "delivery.dead" } } })))
  end)

  it("leave what was held to on_enable", function()
    hooks = hooks_support.open()
    local send = create("send", "/ok", { "entry.*" }, { enabled = false })
    local discard = create("discard", "/echo", { "entry.*" }, { enabled = false, on_enable = "discard", order = "webhook" })
    for _ = 1, 5 do emit() end
    assert.equal(10, hooks:stats().store.held)
    assert(hooks.webhooks:update(send.id, { enabled = true }))
    assert(hooks.webhooks:update(discard.id, { enabled = true }))
    assert(receiver:wait_for(5))
    local delivery = hooks.deliveries:list({ webhook_id = discard.id })[1]
    assert.equal("dead", delivery.state)
    assert.equal("discarded", delivery.last.class)
    local id = emit()
    assert(hooks:wait(20))
    assert.equal("delivered", hooks.deliveries:list({ webhook_id = discard.id, event_id = id })[1].state)
    local counts = hooks:stats().store
    assert.same({ 12, 7, 5, 0, 0, true }, { counts.accepted, counts.delivered, counts.dead, counts.held, counts.waiting,
      counts.adds_up })
    -- Said with the change that enables it, it counts for that.
    assert(hooks.webhooks:update(send.id, { enabled = false }))
    emit()
    assert(hooks.webhooks:update(send.id, { enabled = true, on_enable = "discard" }))
    assert.equal("dead", hooks.deliveries:list({ webhook_id = send.id })[1].state)
  end)
end)
