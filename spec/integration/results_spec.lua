-- Emits that are not waited for and say what came of them: done, hooks:poll, hooks:fd.
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local wait_until = require "spec.support.wait_until"

describe("an emit with done", function()
  local hooks, told
  local info = { model = "address", entry = { id = 1, city = "Paris" } }

  before_each(function() told = {} end)
  after_each(function()
    hooks_support.done(hooks)
    hooks = nil
  end)

  local function done(...)
    told[#told + 1] = { n = select("#", ...), ... }
  end

  local function polled(count)
    wait_until(20, function()
      assert(hooks:poll())
      return #told >= count
    end)
    assert.equal(count, #told)
  end

  it("is told by poll what a waiting emit would return", function()
    hooks = hooks_support.open()
    local id = assert(hooks:emit("entry.create", info, { done = done }))
    assert.equal(0, #told)
    polled(1)
    assert.same({ { n = 1, id } }, told)
    assert.equal("Paris", assert(hooks.events:get(id)).body:match '"city":"(%a+)"')
    local ids = assert(hooks:emit_json('{"event":"entry.create","model":"address","entries":[{"id":1},{"id":2}]}', { done = done }))
    polled(2)
    assert.same({ n = 1, ids }, told[2])
    assert.equal(2, #ids)
    assert.equal(0, (assert(hooks:poll())))
  end)

  it("answers the id of the event that has the idempotency key", function()
    hooks = hooks_support.open()
    local first = assert(hooks:emit("entry.create", info, { idempotency_key = "k" }))
    assert(hooks:emit("entry.create", info, { idempotency_key = "k", done = done }))
    polled(1)
    assert.equal(first, told[1][1])
  end)

  it("answers at once what is wrong before the hand-over", function()
    hooks = hooks_support.open()
    local id, message, code = hooks:emit("entry.creat", info, { done = done })
    assert.is_nil(id)
    assert.truthy(message:find("entry.create", 1, true))
    assert.equal("EINVAL", code)
    for _, bad in ipairs { 1, "x", {} } do
      id, message, code = hooks:emit("entry.create", info, { done = bad })
      assert.is_nil(id)
      assert.truthy(message:find("options.done: expected a function", 1, true))
      assert.equal("EINVAL", code)
    end
    assert.equal(0, (assert(hooks:poll())))
  end)

  it("goes on with the next when a callback raises", function()
    hooks = hooks_support.open()
    for i = 1, 3 do
      assert(hooks:emit("entry.create", info, { done = function(id)
        done(id)
        if i == 2 then error("mine", 0) end
      end }))
    end
    local ok, message
    wait_until(20, function()
      ok, message = pcall(hooks.poll, hooks)
      return not ok
    end)
    assert.equal("mine", message)
    assert.equal(2, #told)
    polled(3)
  end)

  it("is told by close, which commits it", function()
    local config = hooks_support.config()
    hooks = assert(moonpost.open(config))
    local ids = {}
    for i = 1, 20 do ids[i] = assert(hooks:emit("entry.create", info, { done = done })) end
    assert(hooks:close())
    assert.equal(20, #told)
    for i = 1, 20 do assert.same({ n = 1, ids[i] }, told[i]) end
    hooks = assert(moonpost.open(config))
    assert.equal(20, #assert(hooks.events:list()))
  end)

  it("is told by close too when another handle keeps the engine open", function()
    local config = hooks_support.config()
    hooks = assert(moonpost.open(config))
    local other = assert(moonpost.open(config))
    finally(function() other:close(0) end)
    for _ = 1, 20 do assert(hooks:emit("entry.create", info, { done = done })) end
    assert(hooks:close())
    assert.equal(20, #told)
    for _, one in ipairs(told) do
      assert.is_true(one[1] ~= nil or one[3] == "ECLOSED")
    end
    assert(other:emit("entry.create", info))
    assert.equal(21, #assert(other.events:list()))
  end)

  it("answers EAGAIN when nobody polls", function()
    hooks = hooks_support.open { limits = { inbox = 5 } }
    for _ = 1, 5 do
      assert(hooks:emit("entry.create", info, { done = done }))
      assert(hooks:emit("entry.create", info)) -- the one before it is on disk, too
    end
    local id, message, code = hooks:emit("entry.create", info, { done = done })
    assert.is_nil(id)
    assert.truthy(message:find("5 results were not taken", 1, true))
    assert.equal("EAGAIN", code)
    polled(5)
    assert(hooks:emit("entry.create", info, { done = done }))
    polled(6)
  end)

  it("makes a descriptor readable until it is polled", function()
    local found, socket = pcall(require, "socket")
    if not found then
      pending "install luasocket for this Lua"
      return
    end
    hooks = hooks_support.open()
    local fd = assert(hooks:fd())
    assert.equal(fd, hooks:fd())
    local loop = { { getfd = function() return fd end } }
    assert.equal(0, #socket.select(loop, nil, 0))
    for i = 1, 3 do
      assert(hooks:emit("entry.create", info, { done = done }))
      assert.equal(1, #socket.select(loop, nil, 20))
      assert.equal(1, #socket.select(loop, nil, 0))
      assert.equal(1, (assert(hooks:poll())))
      assert.equal(i, #told)
      assert.equal(0, #socket.select(loop, nil, 0))
    end
  end)

  it("shares the descriptor with reports", function()
    local found, socket = pcall(require, "socket")
    if not found then
      pending "install luasocket for this Lua"
      return
    end
    hooks = hooks_support.open { delivery = { retrySchedule = {} } }
    local fd = assert(hooks:fd())
    assert(hooks:on("delivery.dead", done))
    assert(hooks.webhooks:create { name = "a", url = "http://127.0.0.1:1/", events = { "*" } })
    assert(hooks:emit("entry.create", info))
    assert.equal(1, #socket.select({ { getfd = function() return fd end } }, nil, 20))
    assert.equal(1, (assert(hooks:poll())))
    assert.equal("delivery.dead", told[1][1].event)
  end)

  it("has a call beside it, whose answer comes the same way", function()
    hooks = hooks_support.open()
    local results, engine = hooks._results, hooks._engine
    assert.is_true(results:ask(done, "webhooks"))
    assert.is_true(results:ask(done, "webhook", "7"))
    polled(2)
    assert.same({ n = 1, "[]" }, told[1])
    assert.same({ "ENOENT", 3 }, { told[2][3], told[2].n })
    assert.same({ false, nil, "no such webhook", "ENOENT" }, { results:ask(done, "webhook", "x") })
    local pending, text = results:ask(done, "reports", 0)
    assert.is_false(pending)
    assert.truthy(text:find '"last"')
    assert.has_error(function() results:ask(done, "webhook") end)
    assert.has_error(function() results:ask(done, "no such method") end)
    assert.equal("[]", engine:webhooks()) -- those after it wait
    assert.equal(2, #told)
  end)

  it("answers ECLOSED after close", function()
    hooks = hooks_support.open()
    hooks:close()
    assert.equal("ECLOSED", select(3, hooks:fd()))
    assert.equal("ECLOSED", select(3, hooks:emit("entry.create", info, { done = done })))
    assert.equal(0, #told)
  end)
end)
