-- Replay: the events of a time again, also to a webhook that came later.
local hooks_support = require "spec.support.hooks"
local receivers = require "spec.support.receiver"
local wait_until = require "spec.support.wait_until"

describe("replay", function()
  local receiver, hooks, clock

  before_each(function()
    receiver = receivers.start()
    clock = 1767225600000 -- 2026-01-01T00:00:00Z
    hooks = nil
  end)

  after_each(function() hooks_support.done(hooks, receiver) end)

  local function open(extra)
    hooks = hooks_support.open(extra, { clock = function() return clock end })
  end

  local function create(path, events, extra)
    return hooks_support.create(hooks, { name = path, url = receiver:url(path), events = events }, extra)
  end

  -- One event an hour.
  local function emit(count, event)
    local ids = {}
    for i = 1, count do
      ids[i] = assert(hooks:emit(event or "entry.create", { model = "address", entry = { id = i } }))
      clock = clock + 3600000
    end
    return ids
  end

  local function ids_received()
    local list = {}
    for i, request in ipairs(receiver:requests()) do list[i] = receivers.header(request, "webhook-id") end
    table.sort(list)
    return list
  end

  it("sends to a webhook that came later: the same bytes, the same id", function()
    open()
    local ids = emit(5)
    emit(2, "entry.delete")
    local webhook = create("/ok", { "entry.create" })
    local told = {}
    local function progress(count) told[#told + 1] = count end
    local result = assert(hooks.deliveries:replay { webhook_id = webhook.id, state = "all", progress = progress })
    assert.same({ count = 5 }, result)
    assert.same({ 5 }, told)
    assert(receiver:wait_for(5))
    assert.same(ids, ids_received())
    for _, request in ipairs(receiver:requests()) do
      assert.equal(hooks.events:get(receivers.header(request, "webhook-id")).body, request.body)
    end
    assert(hooks:wait(20))
    assert.equal(5, hooks:stats().store.accepted)
    -- All means all: again.
    assert.same({ count = 5 }, assert(hooks.deliveries:replay { webhook_id = webhook.id, state = "all" }))
    assert(receiver:wait_for(10))
    assert(hooks:wait(20))
    local counts = hooks:stats().store
    assert.same({ 5, 5, true }, { counts.accepted, counts.delivered, counts.adds_up })
  end)

  it("sends what is dead, and nothing else, of a time", function()
    open { delivery = { retrySchedule = {} } }
    local webhook = create("/sequence/500,200,500,500,500,200", { "entry.create" }, { order = "webhook" })
    local other = create("/status/500", { "entry.create" })
    local ids = emit(5) -- 1, 3, 4 and 5 die at the first webhook
    assert(hooks:wait(20))
    assert.equal(9, hooks:stats().store.dead)
    receiver:clear()
    -- From the third hour on, and before the fifth.
    local result = assert(hooks.deliveries:replay { webhook_id = webhook.id, since = "2026-01-01T02:00:00Z",
      ["until"] = 1767225600 + 4 * 3600 })
    assert.same({ count = 2 }, result)
    assert(receiver:wait_for(2))
    assert.same({ ids[3], ids[4] }, ids_received())
    assert(hooks:wait(20))
    assert.equal("dead", hooks.deliveries:list({ webhook_id = webhook.id, event_id = ids[1] })[1].state)
    assert.equal("delivered", hooks.deliveries:list({ webhook_id = webhook.id, event_id = ids[3] })[1].state)
    assert.equal(2, #hooks.deliveries:list { webhook_id = webhook.id, state = "dead" })
    assert.equal(5, #hooks.deliveries:list { webhook_id = other.id, state = "dead" })
    assert.is_true(hooks:stats().store.adds_up)
  end)

  it("is bounded, and goes on where it ended", function()
    open()
    local entries = {}
    for i = 1, 1200 do entries[i] = { id = i } end
    assert(hooks:emit("entry.create", { model = "address", entries = entries }))
    local webhook = create("/ok", { "*" }, { enabled = false })
    local total, calls, after = 0, 0, nil
    repeat
      local result = assert(hooks.deliveries:replay { webhook_id = webhook.id, state = "all", limit = 700, after = after })
      total, calls, after = total + result.count, calls + 1, result.next
    until not after
    assert.equal(1200, total)
    assert.equal(2, calls)
    assert.equal(1200, hooks:stats().store.held)
  end)

  it("replaces what is pending, and leaves what is under way", function()
    open { delivery = { retrySchedule = { 600 } } }
    local webhook = create("/sequence/500,200", { "entry.create" })
    local hanging = create("/hang", { "entry.create" })
    emit(1)
    assert(receiver:wait_for(2))
    assert(wait_until(20, function() return #hooks.deliveries:list { webhook_id = webhook.id, state = "waiting" } == 1 end))
    assert.same({ count = 1 }, assert(hooks.deliveries:replay { webhook_id = webhook.id, state = "all" }))
    assert.same({ count = 0 }, assert(hooks.deliveries:replay { webhook_id = hanging.id, state = "all" }))
    assert(receiver:wait_for(3))
    assert.equal(3, #receiver:requests())
  end)

  it("says what is wrong", function()
    open()
    local webhook = create("/ok", { "*" }, { enabled = false })
    local function refused(options, text, expected)
      local result, message, code = hooks.deliveries:replay(options)
      assert.is_nil(result)
      assert.truthy(message:find(text, 1, true), message)
      assert.equal(expected, code)
    end
    refused({}, "webhook_id: expected a webhook's id", "EINVAL")
    refused({ webhook_id = "99" }, "no webhook has the id 99", "ENOENT")
    refused({ webhook_id = webhook.id, state = "sent" }, 'state: expected "dead", "held" or "all"', "EINVAL")
    refused({ webhook_id = webhook.id, since = "yesterday" }, "since: expected a time such as", "EINVAL")
    refused({ webhook_id = webhook.id, ["until"] = "2026-02-30" }, "until: expected a time such as", "EINVAL")
    refused({ webhook_id = webhook.id, limit = 0 }, "limit: expected a number", "EINVAL")
    refused({ webhook_id = webhook.id, after = "x" }, "no such event", "ENOENT")
    refused({ webhook_id = webhook.id, state = "held" }, "what it holds is sent when it is enabled", "EBUSY")
    assert.has_error(function() hooks.deliveries:replay() end)
  end)
end)
