-- A full disk: emits are refused, what was accepted before is still delivered, and emits go on when there is room again.
local core = require "moonpost.core"
local hooks_support = require "spec.support.hooks"
local receivers = require "spec.support.receiver"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"

describe("on a full disk", function()
  local disk, mounted, receiver, hooks

  setup(function()
    disk = temp.dir()
    mounted = select(2, shell.run("mount -t tmpfs -o size=24m tmpfs " .. shell.quote(disk))) == 0
  end)

  teardown(function()
    if mounted then shell.run("umount " .. shell.quote(disk)) end
    temp.clean()
  end)

  after_each(function()
    if hooks then hooks:close(0) end
    hooks = nil
    if receiver then receiver:stop() end
    shell.run("rm -f " .. shell.quote(disk) .. "/*")
  end)

  local function fill()
    local file = assert(io.open(disk .. "/fill", "wb"))
    file:setvbuf "no"
    local block = ("x"):rep(4096)
    for _ = 1, 6144 do
      if not file:write(block) then break end
    end
    file:close()
  end

  local function emit(i)
    return hooks:emit("entry.create", { model = "address", entry = { id = i, city = ("x"):rep(500) } })
  end

  it("what is accepted is delivered, retries included, and emits resume without a restart", function()
    if not mounted then return pending "a small file system cannot be mounted here (that needs root)" end
    receiver = receivers.start()
    hooks = hooks_support.open { store = disk .. "/moonpost.db",
      delivery = { retrySchedule = { 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1 } } }
    local webhook = assert(hooks.webhooks:create { name = "a", url = receiver:url "/flaky/30", events = { "*" },
      enabled = false })
    for i = 1, 200 do assert(emit(i)) end
    fill()
    for i = 1, 20 do
      local id, message, code = emit(i)
      assert.is_nil(id)
      assert.equal("ENOSPC", code)
      assert.matches("the disk is full", message, 1, true)
    end
    assert(hooks.webhooks:update(webhook.id, { enabled = true }))
    for _ = 1, 600 do
      if hooks:stats().store.delivered == 200 then break end
      core.sleep(0.05)
    end
    assert.equal(200, hooks:stats().store.delivered)
    assert.equal("ENOSPC", (select(3, emit(1))))

    assert(os.remove(disk .. "/fill"))
    local resumed
    for i = 1, 100 do
      resumed = emit(i)
      if resumed then break end
      core.sleep(0.05)
    end
    assert.is_string(resumed)
    assert(hooks:wait(20))
    while hooks:stats().store.waiting > 0 do assert(hooks:wait(20)) end
    local counts = hooks:stats().store
    assert.same({ 201, 201, true }, { counts.accepted, counts.delivered, counts.adds_up })
  end)

  it("a disk too small for a reserve refuses emits, and loses nothing", function()
    if not mounted then return pending "a small file system cannot be mounted here (that needs root)" end
    local file = assert(io.open(disk .. "/fill", "wb"))
    assert(file:write(("x"):rep(23 * 1048576)))
    file:close()
    receiver = receivers.start()
    hooks = hooks_support.open { store = disk .. "/moonpost.db" }
    assert(hooks.webhooks:create { name = "a", url = receiver:url "/ok", events = { "*" } })
    local accepted, refused = 0, 0
    for i = 1, 300 do
      local id, message, code = emit(i)
      if id then
        accepted = accepted + 1
      else
        assert.equal("ENOSPC", code, message)
        refused = refused + 1
      end
    end
    assert.is_true(accepted > 0 and refused > 0, ("%d accepted, %d refused"):format(accepted, refused))
    assert(os.remove(disk .. "/fill"))
    for i = 1, 100 do
      if emit(i) then
        accepted = accepted + 1
        break
      end
      core.sleep(0.05)
    end
    assert(hooks:wait(20))
    local counts = hooks:stats().store
    assert.same({ accepted, accepted, true }, { counts.accepted, counts.delivered, counts.adds_up })
  end)
end)
