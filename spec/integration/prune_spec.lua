-- Forgetting old history now.
local hooks_support = require "spec.support.hooks"
local temp = require "spec.support.temp"

describe("prune", function()
  local hooks

  after_each(function()
    hooks:close(0)
    temp.clean()
  end)

  it("forgets what is past its age, in steps that it tells, and nothing else", function()
    hooks = hooks_support.open { retention = { delivered = 0, dead = 3600 } }
    assert(hooks.webhooks:create { name = "off", url = "http://127.0.0.1:9/", events = { "media.*" }, enabled = false })
    local kept = assert(hooks:emit("media.create", { media = { id = 1 } })) -- held
    local entries = {}
    for i = 1, 600 do entries[i] = { id = i } end
    assert(hooks:emit("entry.create", { model = "address", entries = entries })) -- for nobody: ended
    local counts = {}
    local result = assert(hooks:prune { progress = function(count) counts[#counts + 1] = count end })
    assert.is_true(#counts >= 1)
    assert.equal(result.count, counts[#counts])
    assert.is_true(result.count <= 600)
    local left = assert(hooks.events:list { limit = 10 })
    assert.equal(1, #left)
    assert.equal(kept, left[1].id)
    assert.same({ count = 0 }, hooks:prune())
  end)
end)
