-- The HTTP API: taking events in, and what became of them.
local cjson = require "cjson"
local hooks_support = require "spec.support.hooks"
local receivers = require "spec.support.receiver"
local support = require "spec.support.admin"

describe("the HTTP API's events and deliveries", function()
  local receiver, hooks, handler

  setup(function()
    receiver = receivers.start()
    hooks = support.open(receiver)
    handler = support.handler(hooks)
  end)

  teardown(function() hooks_support.done(hooks, receiver) end)

  local function go(...)
    return support.go(handler, ...)
  end

  local function create(fields)
    return support.create(handler, receiver, fields)
  end

  local ENTRY = '{"event":"entry.create","model":"article","entry":{"id":12345678901234567890,"title":%q}}'

  local function emit(body, options)
    options = options or {}
    options.token = options.token or "emit"
    local status, answer, headers = go("POST", "/events" .. (options.query or ""), body, options)
    return status, answer.data and answer.data.ids, answer, headers
  end

  local function body_of(id)
    local _, answer = go("GET", "/admin/events/" .. id)
    return answer.data.body
  end

  it("takes one event; numbers keep their digits", function()
    local status, ids = emit(ENTRY:format "a", { type = "application/json; charset=utf-8" })
    assert.equal(202, status)
    assert.equal(1, #ids)
    assert.truthy(body_of(ids[1]):find('"entry":{"id":12345678901234567890,"title":"a"}', 1, true))
  end)

  it("takes a list, and lines", function()
    local status, ids = emit(("[%s , %s]"):format(ENTRY:format "a]", ENTRY:format "b"))
    assert.equal(202, status)
    assert.equal(2, #ids)
    assert.truthy(body_of(ids[1]):find('"title":"a]"', 1, true))
    assert.truthy(body_of(ids[2]):find "12345678901234567890")
    status, ids = emit(ENTRY:format "a" .. "\r\n\n" .. ENTRY:format "b" .. "\n", { type = "application/x-ndjson" })
    assert.equal(202, status)
    assert.equal(2, #ids)
    status, ids = emit('{"event":"entry.create","model":"article","entries":[{"title":"a"},{"title":"b"},{"title":"c"}]}')
    assert.equal(202, status)
    assert.equal(3, #ids)
  end)

  it("takes a key once, and for each event of a list", function()
    local _, first = emit(ENTRY:format "a", { key = "k1" })
    local _, again = emit(ENTRY:format "a", { key = "k1" })
    assert.same(first, again)
    local list = ("[%s,%s]"):format(ENTRY:format "a", ENTRY:format "b")
    _, first = emit(list, { key = "k2" })
    _, again = emit(list, { key = "k2" })
    assert.equal(2, #first)
    assert.same(first, again)
    local many = '{"event":"entry.create","model":"article","entries":[{"title":"a"},{"title":"b"}]}'
    _, first = emit(many, { key = "k3" })
    _, again = emit(many, { key = "k3" })
    assert.equal(2, #first)
    assert.same(first, again)
    assert.truthy(body_of(first[2]):find '"entry":{"title":"b"}')
    assert.equal(400, (emit(list, { key = ("k"):rep(201) })))
    assert.equal(400, (emit(list, { key = "" })))
  end)

  it("takes a key for the order", function()
    local _, ids = emit(ENTRY:format "a", { query = "?key=order-7" })
    assert.equal("order-7", hooks.events:get(ids[1]).key)
  end)

  it("has the requests carry the trace on that it came with", function()
    local parent, state = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=1,b=2"
    create { url = receiver:url "/trace", events = { "order.paid" } }
    local function sent(headers)
      headers.Authorization = "Bearer emit"
      local status = handler:handle { method = "POST", path = "/events", headers = headers, body = '{"event":"order.paid"}' }
      assert.equal(202, status)
      assert(hooks:wait(20))
      local last
      for _, request in ipairs(assert(receiver:requests())) do
        if request.path == "/trace" then last = request end
      end
      return { receivers.header(last, "traceparent") }, { receivers.header(last, "tracestate") }
    end
    local got, got_state = sent { traceparent = parent, tracestate = state }
    assert.same({ { parent, 1 }, { state, 1 } }, { got, got_state })
    for _, headers in ipairs {
      { tracestate = state }, { traceparent = { parent, parent } }, { traceparent = parent:upper() }, { traceparent = parent .. "-x" },
      { traceparent = "ff" .. parent:sub(3) }, { traceparent = "00-" .. ("0"):rep(32) .. parent:sub(36), tracestate = state },
      { traceparent = parent:sub(1, 36) .. ("0"):rep(16) .. "-01" }, { traceparent = "" },
    } do
      got, got_state = sent(headers)
      assert.same({ { nil, 0 }, { nil, 0 } }, { got, got_state })
    end
    got, got_state = sent { traceparent = parent, tracestate = ("a"):rep(513) }
    assert.same({ { parent, 1 }, { nil, 0 } }, { got, got_state })
  end)

  it("says what is wrong with which event, and what was taken in before", function()
    local function mistake(body, expected, message, options)
      local status, _, answer = emit(body, options)
      assert.equal(expected, status, body)
      if message then assert.equal(message, answer.message) end
      return answer
    end
    mistake('{"event":"entry.craete"}', 400, "unknown event 'entry.craete'; did you mean 'entry.create'?")
    mistake('{"event":"entry.create","model":"user","entry":{}}', 422)
    mistake('{"event":"entry.create","model":"nothing","entry":{}}', 400)
    mistake("", 400)
    mistake("[]", 400, "expected 1 to 1000 events, got 0")
    mistake(("[%s]"):format(("1,"):rep(1000) .. "1"), 400, "expected 1 to 1000 events, got 1001")
    mistake("\n \n", 400, "expected 1 to 1000 events, got 0", { type = "application/x-ndjson" })
    mistake("3", 400)
    local entries = '{"event":"entry.create","model":"article","entries":[' .. ("{},"):rep(600) .. "{}]}"
    mistake(("[%s,%s]"):format(entries, entries), 400, "expected 1 to 1000 events, got 1202")
    mistake(("["):rep(200) .. ("]"):rep(200), 400)
    mistake(ENTRY:format "a", 415, nil, { type = "text/plain" })
    mistake(ENTRY:format(("a"):rep(5000)), 413)
    mistake((" "):rep(8 * 4096 + 1), 413)
    local answer = mistake(("[%s,3,%s]"):format(ENTRY:format "a", ENTRY:format "b"), 400)
    assert.equal(1, #answer.data.ids)
    assert.equal(2, answer.data.failed)
    -- Lines are all read before the first is taken in.
    local before = hooks:stats().store.events
    mistake(ENTRY:format "a" .. "\n{", 400, nil, { type = "application/x-ndjson" })
    assert.equal(before, hooks:stats().store.events)
  end)

  it("answers what the store is short of in HTTP's words", function()
    local failing = { config = hooks.config, webhooks = hooks.webhooks, deliveries = hooks.deliveries, events = hooks.events }
    local own = support.handler(failing)
    for code, expected in pairs { EAGAIN = 429, ENOSPC = 507, EIO = 503, ETIMEDOUT = 503, ECLOSED = 503, E2BIG = 413, EFORK = 500 } do
      function failing:emit_json() return nil, "no", code end -- luacheck: ignore 212
      local status, _, answer, headers = emit(ENTRY:format "a", { handler = own })
      assert.equal(expected, status, code)
      assert.equal(code, answer.code)
      assert.equal(expected == 429 or expected == 503 or expected == 507, headers["Retry-After"] ~= nil, code)
    end
  end)

  it("lists deliveries by pages, shows one whole, sends it again and replays", function()
    local webhook = create { url = receiver:url "/status/500?deliveries", models = { "article" } }
    assert(hooks.webhooks:update(webhook.id, { retrySchedule = {} })) -- fails nine times in all: its circuit stays closed
    for i = 1, 5 do emit(ENTRY:format("page " .. i)) end
    hooks:wait(10)
    local seen, before = {}, nil
    repeat
      local target = ("/admin/deliveries?webhook_id=%d&limit=2"):format(webhook.id) .. (before and "&before=" .. before or "")
      local status, answer = go("GET", target)
      assert.equal(200, status)
      for _, delivery in ipairs(answer.data) do seen[#seen + 1] = delivery end
      before = answer.next ~= cjson.null and answer.next
    until not before
    assert.equal(5, #seen)
    assert.equal("dead", seen[1].state)
    assert.equal(webhook.id, seen[1].webhook_id)
    local _, answer = go("GET", "/admin/deliveries?state=delivered&webhook_id=" .. webhook.id)
    assert.same({ data = {}, next = cjson.null }, answer)
    _, answer = go("GET", "/admin/deliveries?event_id=" .. seen[2].event_id .. "&webhook_id=" .. webhook.id)
    assert.equal(1, #answer.data)
    _, answer = go("GET", "/admin/deliveries/" .. seen[1].id)
    assert.equal(1, #answer.data.history)
    assert.equal(500, answer.data.history[1].status)
    assert.truthy(answer.data.body:find "page 5")
    local status
    status, answer = go("POST", ("/admin/deliveries/%s/resend"):format(seen[1].id))
    assert.equal(202, status)
    assert.equal(seen[1].id, answer.data.id)
    hooks:wait(10)
    status, answer = go("POST", "/admin/deliveries/replay", { webhook_id = webhook.id, since = "2020-01-01", limit = 3 })
    assert.equal(202, status)
    assert.equal(3, answer.data.count)
    _, answer = go("POST", "/admin/deliveries/replay", { webhook_id = tostring(webhook.id), after = answer.data.next })
    assert.same({ count = 2, next = cjson.null }, answer.data)
    _, answer = go("GET", "/admin/events?limit=1&type=entry.create")
    assert.equal(answer.data[1].id, answer.next)
    assert.truthy(answer.data[1].body:find "page 5")
  end)

  it("refuses parameters and replays that are none", function()
    for _, target in ipairs { "/admin/deliveries?limit=0", "/admin/deliveries?limit=1001", "/admin/deliveries?state=lost",
      "/admin/deliveries?before=x", "/admin/deliveries?webhook_id=-1", "/admin/events?before=dlv_0000000000001-1",
      "/admin/events?tpye=x", "/admin/webhooks?show_secrets=1", "/admin/webhooks?%zz", "/healthz?x=1" } do
      assert.equal(400, (go("GET", target)), target)
    end
    for _, body in ipairs { "", "[]", "{}", '{"ids":[]}', '{"ids":[-1e300]}', '{"ids":[1.5]}', '{"ids":[null]}', '{"ids":{}}',
      '{"ids":["01"]}' } do
      assert.equal(400, (go("POST", "/admin/webhooks/batch-delete", body)), body)
    end
    for _, body in ipairs { "", "[]", "{}", '{"webhook_id":0}', '{"webhook_id":"x"}', '{"webhook_id":1,"since":"now"}',
      '{"webhook_id":1,"limit":10001}', '{"webhook_id":1,"limit":1.5}', '{"webhook_id":1,"state":"lost"}', '{"webhook_id":1,"after":"x"}',
      '{"webhook_id":1,"x":1}', '{"webhook_id":null}', '{"webhook_id":1,"since":null}' } do
      assert.equal(400, (go("POST", "/admin/deliveries/replay", body)), body)
    end
    assert.equal(404, (go("POST", "/admin/deliveries/replay", '{"webhook_id":999999}')))
    for _, target in ipairs { "/admin/webhooks/x", "/admin/webhooks/0", "/admin/webhooks/01", "/admin/webhooks/9999999999999999999999",
      "/admin/deliveries/x", "/admin/deliveries/dlv_0000000000001-9", "/admin/events/evt_zzzzzzzzzzzzz", "/admin/events/%00" } do
      assert.equal(404, (go("GET", target)), target)
    end
  end)
end)
