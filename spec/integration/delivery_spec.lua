-- Deliveries against a real receiver: what is sent, and what comes of each kind of answer.
local hooks_support = require "spec.support.hooks"
local json = require "spec.support.json"
local receivers = require "spec.support.receiver"
local time = require "moonpost.time"
local wait_until = require "spec.support.wait_until"

describe("delivery", function()
  local receiver, hooks

  before_each(function() receiver, hooks = receivers.start(), nil end)
  after_each(function() hooks_support.done(hooks, receiver) end)

  local function webhook(path, fields)
    fields = fields or {}
    fields.name = fields.name or "spec"
    fields.url = receiver:url(path)
    fields.events = fields.events or { "*" }
    return assert(hooks.webhooks:create(fields))
  end

  local function emit(info, options)
    return assert(hooks:emit("entry.create", info or { model = "address", entry = { id = 1, city = "Paris" } }, options))
  end

  local function delivery_of(id, webhook_id)
    local list = assert(hooks.deliveries:list { event_id = id, webhook_id = webhook_id })
    assert.equal(1, #list)
    return list[1]
  end

  it("sends the documented request", function()
    hooks = hooks_support.open({ defaultHeaders = { { "X-Default", "d" }, { "x-own", "default" } } },
      { clock = function() return 1578646056649 end })
    webhook("/ok?x=1#fragment", { headers = { { "X-Own", "own" }, { "X-Empty", "" } } })
    local id = emit { model = "address", entry = {
      id = 1, city = "Paris", notes = "secret", door_code = "1234#", owner = { id = 7, email = "a@b" }, images = {},
    } }
    local requests = assert(receiver:wait_for(1))
    local request = requests[1]
    assert.equal("POST", request.method)
    assert.equal("/ok?x=1", request.path)
    local body = '{"event":"entry.create","created_at":"2020-01-10T08:47:36.649Z","model":"address",'
      .. '"entry":{"id":1,"city":"Paris","owner":{"id":7},"images":[]}}'
    local same, difference = json.equal(body, request.body)
    assert(same, difference)
    assert.truthy(request.body:find('^{"event":"entry.create","created_at":"2020%-01%-10T08:47:36.649Z","model":"address","entry":{'))
    local function header(name)
      local value, count = receivers.header(request, name)
      assert.equal(1, count, name)
      return value
    end
    assert.equal("entry.create", header "X-Strapi-Event")
    assert.equal("application/json", header "Content-Type")
    assert.equal(tostring(#request.body), header "Content-Length")
    assert.equal("d", header "X-Default")
    assert.equal("own", header "X-Own")
    assert.equal("", header "X-Empty")
    assert.equal(id, header "webhook-id")
    assert.equal("*/*", header "Accept")
    assert.truthy(header "User-Agent":find "^moonpost/")
    assert.equal(("127.0.0.1:%d"):format(receiver.port), header "Host")
    local names = {}
    for _, field in ipairs(request.headers) do names[#names + 1] = field[1] end
    local text = table.concat(names, " ")
    assert.truthy(text:find("X-Default X-Own X-Empty X-Strapi-Event Content-Type", 1, true), text)
    assert.is_nil(text:find("Expect", 1, true))
  end)

  it("records a delivery and its attempt", function()
    hooks = hooks_support.open()
    local w = webhook "/ok"
    local id = emit()
    assert(hooks:wait(10))
    local delivery = delivery_of(id)
    assert.equal("delivered", delivery.state)
    assert.equal(1, delivery.attempts)
    assert.equal(w.id, delivery.webhook_id)
    assert.equal("entry.create", delivery.event)
    assert.equal(200, delivery.last.status)
    local attempts = assert(hooks.deliveries:attempts(delivery.id))
    assert.equal(1, #attempts)
    assert.equal(200, attempts[1].status)
    assert.equal("ok\n", attempts[1].response)
    local event = assert(hooks.events:get(id))
    assert.equal(receiver:requests()[1].body, event.body)
  end)

  it("tries again on the schedule, with the same id and bytes", function()
    hooks = hooks_support.open()
    webhook "/sequence/500,503,200"
    local id = emit()
    local requests = assert(receiver:wait_for(3))
    for i = 1, 3 do
      assert.equal(id, (receivers.header(requests[i], "webhook-id")))
      assert.equal(requests[1].body, requests[i].body)
    end
    assert(wait_until(10, function() return delivery_of(id).state == "delivered" end))
    local attempts = assert(hooks.deliveries:attempts(delivery_of(id).id))
    assert.same({ 500, 503, 200 }, { attempts[1].status, attempts[2].status, attempts[3].status })
    assert.equal("http", attempts[1].class)
    assert.is_nil(attempts[3].class)
  end)

  it("is dead after the last attempt, and kept; a resend starts anew", function()
    hooks = hooks_support.open()
    webhook "/sequence/500,500,500,500,200"
    local id = emit()
    assert(wait_until(10, function() return delivery_of(id).state == "dead" end))
    assert.equal(4, delivery_of(id).attempts)
    assert.equal(4, #receiver:requests())
    assert(hooks.deliveries:resend(delivery_of(id).id))
    assert(wait_until(10, function() return delivery_of(id).state == "delivered" end))
    assert.equal(5, #assert(hooks.deliveries:attempts(delivery_of(id).id)))
    assert.equal(id, (receivers.header(receiver:requests()[5], "webhook-id")))
  end)

  describe("to a receiver that", function()
    -- path, class, status
    local cases = {
      { "answers 500", "/status/500", "http", 500 },
      { "answers 404", "/status/404", "http", 404 },
      { "redirects", "/redirect?to=/ok", "http", 302 },
      { "redirects with 301", "/redirect/301?to=/ok", "http", 301 },
      { "resets", "/reset", "reset" },
      { "closes without an answer", "/close", "reset" },
      { "answers garbage", "/garbage", "response" },
      { "closes half-way through the body", "/half", "response" },
      { "closes half-way through the head", "/half-head", nil },
      { "sends header fields for ever", "/headers-forever", nil },
      { "sends nothing until the timeout", "/hang", "timeout" },
    }
    for _, case in ipairs(cases) do
      it(case[1] .. " fails the attempt", function()
        hooks = hooks_support.open { delivery = { timeout = 1, retrySchedule = { 3600 } } }
        webhook(case[2])
        local id = emit()
        assert(hooks:wait(20))
        local delivery = delivery_of(id)
        assert.equal("waiting", delivery.state)
        assert.equal(1, delivery.attempts)
        assert.truthy(delivery.due_at)
        local attempt = assert(hooks.deliveries:attempts(delivery.id))[1]
        assert.truthy(attempt.class)
        assert.truthy(attempt.error ~= "")
        if case[3] then assert.equal(case[3], attempt.class) end
        if case[4] then assert.equal(case[4], attempt.status) end
        assert.equal(1, #receiver:requests())
      end)
    end

    it("refuses the connection fails the attempt", function()
      hooks = hooks_support.open { delivery = { retrySchedule = { 3600 } } }
      local other = receivers.start()
      local url = other:url "/"
      other:stop()
      assert(hooks.webhooks:create { name = "gone", url = url, events = { "*" } })
      local id = emit()
      assert(hooks:wait(20))
      assert.equal("connect", delivery_of(id).last.class)
    end)

    it("has a name that does not resolve fails the attempt", function()
      hooks = hooks_support.open { delivery = { retrySchedule = { 3600 } } }
      assert(hooks.webhooks:create { name = "nowhere", url = "http://no-such-host.invalid/", events = { "*" } })
      local id = emit()
      assert(hooks:wait(20))
      assert.equal("dns", delivery_of(id).last.class)
    end)

    local fine = {
      { "answers 204", "/no-content", 204 },
      { "answers 201", "/status/201", 201 },
      { "answers 1xx first", "/continue", 200 },
      { "answers a body of 100 KB", "/big/100000", 200 },
      { "answers a body without end", "/big/60000000", 200 },
    }
    for _, case in ipairs(fine) do
      it(case[1] .. " is delivered to", function()
        hooks = hooks_support.open()
        webhook(case[2])
        local id = emit()
        assert(hooks:wait(20))
        local delivery = delivery_of(id)
        assert.equal("delivered", delivery.state)
        assert.equal(case[3], delivery.last.status)
        local attempt = assert(hooks.deliveries:attempts(delivery.id))[1]
        assert.is_true(#(attempt.response or "") <= 8192)
      end)
    end
  end)

  it("leaves a receiver alone for as long as it asks, with every delivery", function()
    hooks = hooks_support.open { delivery = { concurrency = 1 } }
    local w = webhook "/sequence/503,200?retry-after=2"
    local first = emit()
    assert(receiver:wait_for(1))
    assert(wait_until(10, function() return delivery_of(first).attempts == 1 end))
    local second = emit()
    assert(hooks:wait(10)) -- nothing is due
    assert.equal("waiting", delivery_of(second).state)
    assert.equal(1, #receiver:requests())
    assert(wait_until(20, function()
      return #assert(hooks.deliveries:list { webhook_id = w.id, state = "delivered" }) == 2
    end))
    local requests = receiver:requests()
    assert.equal(3, #requests)
    for i = 2, 3 do assert.is_true(requests[i].at_us - requests[1].at_us >= 1900000) end
  end)

  it("takes a date for that too, and no more than a day", function()
    hooks = hooks_support.open()
    local now = os.time()
    local function asked(date)
      local text = os.date("!%a, %d %b %Y %H:%M:%S GMT", date):gsub(" ", "%%20")
      local w = webhook("/status/429?retry-after=" .. text, { events = { "entry.delete" } })
      assert(hooks:emit("entry.delete", { model = "address", entry = { id = 1 } }))
      assert(wait_until(10, function() return assert(hooks.webhooks:get(w.id)).left_alone_until end))
      local iso = assert(hooks.webhooks:get(w.id)).left_alone_until
      hooks.webhooks:delete(w.id)
      return time.to_ms(iso, "left_alone_until") / 1000
    end
    local soon = asked(now + 60)
    assert.is_true(soon >= now + 60 and soon < now + 90, soon - now)
    local late = asked(now + 10 * 86400)
    assert.is_true(late >= now + 86400 and late < now + 86430, late - now)
  end)

  it("leaves a receiver that keeps failing alone, until its webhook is changed", function()
    local schedule = {}
    for i = 1, 50 do schedule[i] = 0.01 end
    hooks = hooks_support.open { delivery = { concurrency = 2, retrySchedule = schedule } }
    local w = webhook "/status/500"
    local ids = {}
    for i = 1, 5 do ids[i] = emit() end
    assert(receiver:wait_for(10))
    assert(hooks:wait(20)) -- nothing is due while it is left alone
    local attempts = 0
    for _, id in ipairs(ids) do
      assert.equal("waiting", delivery_of(id).state)
      attempts = attempts + delivery_of(id).attempts
    end
    -- Ten open it; a few more may have begun before that was on disk. Without it there would be 255.
    assert.is_true(attempts >= 10 and attempts <= 40, attempts)
    assert.equal(attempts, #receiver:requests())
    assert.truthy(assert(hooks.webhooks:get(w.id)).left_alone_until)
    assert.is_nil(assert(hooks.webhooks:update(w.id, { url = receiver:url "/ok" })).left_alone_until)
    assert(wait_until(20, function()
      return #assert(hooks.deliveries:list { webhook_id = w.id, state = "delivered" }) == 5
    end))
  end)

  it("disables a webhook whose receiver is gone for good", function()
    hooks = hooks_support.open()
    local w = webhook "/status/410"
    local id = emit()
    assert(wait_until(10, function() return delivery_of(id).state == "held" end))
    assert.is_false(assert(hooks.webhooks:get(w.id)).enabled)
    assert.equal(1, #receiver:requests())
    local later = emit()
    assert.equal("held", delivery_of(later).state)
    assert(hooks.webhooks:update(w.id, { url = receiver:url "/ok", enabled = true }))
    assert(wait_until(10, function() return delivery_of(id).state == "delivered" end))
    assert(wait_until(10, function() return delivery_of(later).state == "delivered" end))
  end)

  it("uses a connection again", function()
    hooks = hooks_support.open { delivery = { concurrency = 1 } }
    webhook "/ok"
    for _ = 1, 5 do emit() end
    local requests = assert(receiver:wait_for(5))
    for i = 2, 5 do assert.equal(requests[1].connection, requests[i].connection) end
  end)

  it("does not let a hanging receiver delay another", function()
    hooks = hooks_support.open { delivery = { timeout = 60, concurrency = 2 } }
    webhook("/hang", { name = "hanging" })
    local quick = webhook("/ok", { name = "quick" })
    for _ = 1, 50 do emit() end
    assert(wait_until(30, function()
      return #assert(hooks.deliveries:list { webhook_id = quick.id, state = "delivered" }) == 50
    end))
    local hanging, ok = 0, 0
    for _, request in ipairs(receiver:requests()) do
      if request.path == "/hang" then hanging = hanging + 1 else ok = ok + 1 end
    end
    assert.equal(50, ok)
    assert.is_true(hanging <= 2)
  end)

  it("does not let hanging receivers that take every slot delay another", function()
    hooks = hooks_support.open { delivery = { timeout = 60, maxConcurrency = 4 } }
    webhook("/hang?a", { name = "a", concurrency = 2 })
    webhook("/hang?b", { name = "b", concurrency = 2 })
    for _ = 1, 5 do emit() end
    assert(receiver:wait_for(4))
    local quick = webhook("/ok", { name = "quick" })
    for _ = 1, 20 do emit() end
    assert(wait_until(30, function()
      return #assert(hooks.deliveries:list { webhook_id = quick.id, state = "delivered" }) == 20
    end))
  end)

  it("sends userinfo as Basic authentication, but a webhook's own Authorization before it", function()
    hooks = hooks_support.open()
    local url = ("http://u:p@127.0.0.1:%d/basic"):format(receiver.port)
    assert(hooks.webhooks:create { name = "basic", url = url, events = { "*" } })
    emit()
    assert.equal("Basic dTpw", (receivers.header(assert(receiver:wait_for(1))[1], "Authorization")))
    assert(hooks.webhooks:create { name = "own", url = url, events = { "*" }, headers = { Authorization = "Bearer t" } })
    receiver:clear()
    emit()
    local seen = {}
    for _, request in ipairs(assert(receiver:wait_for(2))) do
      seen[(receivers.header(request, "Authorization"))] = true
    end
    assert.same({ ["Basic dTpw"] = true, ["Bearer t"] = true }, seen)
  end)
end)
