-- New versions of scripts: noticed, loaded whole or not at all, under load, and each delivery names its own.
local cjson = require "cjson"
local core = require "moonpost.core"
local hooks_support = require "spec.support.hooks"
local receivers = require "spec.support.receiver"
local scripts = require "spec.support.scripts"
local wait_until = require "spec.support.wait_until"

describe("a new version of a script", function()
  local receiver, hooks, folder

  before_each(function() receiver, hooks = receivers.start(), nil end)
  after_each(function() hooks_support.done(hooks, receiver) end)

  local function open(files)
    folder = scripts.folder(files)
    hooks = scripts.open(folder)
    assert(hooks.webhooks:create { name = "a", url = receiver:url "/echo", events = { "entry.*" }, script = "crm" })
  end

  local function emit(id, options)
    return assert(hooks:emit("entry.create", { model = "address", entry = { id = id or 1 } }, options))
  end

  -- Emits until a request with this body comes: a file that changed is noticed in its time.
  local function comes(body)
    return wait_until(30, function()
      emit()
      assert(hooks:wait(20))
      local requests = receiver:requests()
      return requests[#requests].body == body
    end)
  end

  local function says(text)
    return ("return { transform = function() return %q end }"):format(text)
  end

  it("is noticed by itself, also when only what it requires has changed", function()
    open { crm = says "one" }
    assert.is_true(comes "one")
    scripts.write(folder, "crm", "local lib = require 'lib.word' return { transform = function() return lib end }")
    scripts.write(folder, "lib/word", "return 'two'")
    assert.is_true(comes "two")
    local version = scripts.state(hooks, "crm").version
    scripts.write(folder, "lib/word", "return 'three'")
    assert.is_true(comes "three")
    assert.not_equal(version, scripts.state(hooks, "crm").version)
  end)

  it("that is broken leaves the last good one, and says which line", function()
    open { crm = says "good" }
    emit()
    assert(hooks:wait(20))
    local version = scripts.state(hooks, "crm").version
    scripts.write(folder, "crm", "return {\n  transform = function()\n    return x y\n  end }")
    local result = assert(hooks:reload())
    assert.same({}, result.loaded)
    assert.equal("crm", result.failed[1].script)
    assert.matches("^crm%.lua:3: ", result.failed[1].error)
    local state = scripts.state(hooks, "crm")
    assert.equal(version, state.version)
    assert.equal(result.failed[1].error, state.error)
    assert.is_true(comes "good")
    scripts.write(folder, "crm", says "mended")
    assert.is_true(comes "mended")
    assert.is_nil(scripts.state(hooks, "crm").error)
  end)

  it("that fails of a sample event is not put in place", function()
    open { crm = says "good" }
    assert.is_string(scripts.state(hooks, "crm").version)
    scripts.write(folder, "crm", "return {\n  transform = function()\n    return undefined.field\n  end }")
    local result = assert(hooks:reload())
    assert.matches("^crm%.lua:3: ", result.failed[1].error)
    assert.is_true(comes "good")
  end)

  -- What is at the top of the file and what is at its end are of one version.
  local function numbered(n)
    return ("local first = %d\n%s\nreturn { filter = function() return true end,\n  transform = function(p)\n"
      .. "    return { first = first, last = %d, id = p.entry.id }\n  end }\n"):format(n, ("-- padding\n"):rep(200), n)
  end

  it("comes into place under load without an event lost, sent half, or without its version", function()
    open { crm = numbered(0) }
    local versions = { [scripts.state(hooks, "crm") and scripts.state(hooks, "crm").version or ""] = 0 }
    local count, every, sent = 600, 30, {}
    for i = 1, count do
      sent[emit(i, { wait = false })] = i
      if i % every == 0 then
        scripts.write(folder, "crm", numbered(i / every))
        assert.same({ "crm" }, assert(hooks:reload()).loaded)
        versions[scripts.state(hooks, "crm").version] = i / every
      end
      core.sleep(0.002)
    end
    assert(hooks:wait(60))
    local by_event, used = {}, {}
    for _, request in ipairs(receiver:requests()) do
      local id, body = receivers.header(request, "webhook-id"), cjson.decode(request.body)
      assert.is_nil(by_event[id])
      assert.equal(body.first, body.last)
      assert.equal(sent[id], body.id)
      by_event[id] = body.first
      used[body.first] = true
    end
    local deliveries = assert(hooks.deliveries:list { limit = 1000 })
    assert.equal(count, #deliveries)
    for _, delivery in ipairs(deliveries) do
      assert.equal("delivered", delivery.state)
      local version = delivery.scripts:match "^crm@(%x+)$"
      if version and versions[version] then assert.equal(versions[version], by_event[delivery.event_id]) end
      assert.is_truthy(version)
    end
    local kinds = 0
    for _ in pairs(used) do kinds = kinds + 1 end
    assert.is_true(kinds > 5)
    assert.is_true(hooks:stats().store.adds_up)
  end)
end)
