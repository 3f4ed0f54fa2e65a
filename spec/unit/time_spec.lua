-- Times as people write them.
local time = require "moonpost.time"

describe("a time", function()
  it("is ISO 8601, or seconds since 1970", function()
    for text, ms in pairs {
      ["1970-01-01"] = 0,
      ["1970-01-01T00:00Z"] = 0,
      ["2026-01-10T08:47:36.649Z"] = 1768034856649,
      ["2026-01-10T09:47:36.649+01:00"] = 1768034856649,
      ["2026-01-10T03:17:36.649-05:30"] = 1768034856649,
      ["2024-02-29T23:59:59Z"] = 1709251199000,
      ["1969-12-31T23:59:59.5Z"] = -500,
      ["0001-01-01"] = -62135596800000,
      ["9999-12-31"] = 253402214400000,
    } do
      assert.equal(ms, time.to_ms(text, "t"), text)
    end
    assert.equal(1768034856649, time.to_ms(1768034856.649, "t"))
    assert.equal(0, time.to_ms(0, "t"))
  end)

  it("is nothing else", function()
    for _, value in ipairs {
      "", "now", "2026-1-10", "2026-13-01", "2026-00-10", "2026-02-29", "1900-02-29", "2026-01-10T", "2026-01-10T24:00Z",
      "2026-01-10T08:60Z", "2026-01-10T08:47:60Z", "2026-01-10T08:47:36", "2026-01-10T08:47:36.Z", "2026-01-10 08:47:36Z",
      "2026-01-10T08:47:36+1", 0 / 0, 1e12, true, {},
    } do
      local ms, message = time.to_ms(value, "since")
      assert.is_nil(ms, tostring(value))
      assert.matches("^since: expected a time such as 2026%-01%-10T08:47:36Z, or seconds since 1970, got ", message)
    end
  end)
end)
