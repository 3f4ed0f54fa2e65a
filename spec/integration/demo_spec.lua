-- What make demo runs.
local shell = require "spec.support.shell"

describe("the demo #install", function()
  it("shows the eight events, a trigger and a retry, all of them delivered", function()
    local output, code = shell.run "scripts/demo.sh"
    assert.equal(0, code, output)
    for _, event in ipairs {
      "entry.create", "entry.update", "entry.delete", "entry.publish", "entry.unpublish", "media.create", "media.update",
      "media.delete", "trigger-test",
    } do
      assert.truthy(output:find("X-Strapi-Event: " .. event, 1, true), event)
    end
    assert.truthy(output:find "attempt 1 at [^\n]*: 500 in [^\n]*\n +attempt 2 at [^\n]*: 200 in ", output)
    assert.truthy(output:find("Everything was delivered: 11 requests", 1, true), output)
  end)
end)
