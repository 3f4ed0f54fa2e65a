local core = require "moonpost.core"

-- Any byte of obs-text: Latin-1 é.
local LATIN1 = "caf\233"

local function names(list)
  local result = {}
  for i, header in ipairs(list) do
    result[i] = header.name
  end
  return result
end

describe("core.merge_headers", function()
  it("adds X-Strapi-Event and Content-Type", function()
    local map, list = core.merge_headers(nil, nil, "entry.create")
    assert.same({ ["X-Strapi-Event"] = "entry.create", ["Content-Type"] = "application/json" }, map)
    assert.same({
      { name = "X-Strapi-Event", value = "entry.create" },
      { name = "Content-Type", value = "application/json" },
    }, list)
  end)

  it("lets the webhook's headers win over the defaults, in the defaults' place", function()
    local map, list = core.merge_headers(
      { { "Custom-Header", "my-custom-header" }, { "X-Merge", "from-default" } },
      { { "X-Own", "1" }, { "X-Merge", "from-own" } },
      "entry.create"
    )
    assert.same({ "Custom-Header", "X-Merge", "X-Own", "X-Strapi-Event", "Content-Type" }, names(list))
    assert.equal("from-own", map["X-Merge"])
  end)

  it("takes names in any case for the same and keeps the last spelling", function()
    local map, list = core.merge_headers({ ["X-Case"] = "default" }, { ["x-cASE"] = "own" }, "entry.create")
    assert.is_nil(map["X-Case"])
    assert.equal("own", map["x-cASE"])
    assert.equal(3, #list)
  end)

  it("forces X-Strapi-Event and Content-Type whatever the spelling", function()
    local map, list = core.merge_headers(
      { ["content-type"] = "text/plain", ["X-STRAPI-EVENT"] = "spoofed" },
      { ["CONTENT-TYPE"] = "text/html", ["x-strapi-event"] = "spoofed" },
      "entry.delete"
    )
    assert.same({ ["X-Strapi-Event"] = "entry.delete", ["Content-Type"] = "application/json" }, map)
    assert.equal(2, #list)
  end)

  it("leaves reserved names out", function()
    local map = core.merge_headers(
      { Host = "evil", ["content-length"] = "1", ["Transfer-Encoding"] = "chunked" },
      { ["webhook-signature"] = "forged", Connection = "close", ["X-Fine"] = "1" },
      "entry.create"
    )
    assert.same({ ["X-Fine"] = "1", ["X-Strapi-Event"] = "entry.create", ["Content-Type"] = "application/json" }, map)
  end)

  it("takes maps in the order of the lower-cased names", function()
    local own = {}
    for _, name in ipairs { "b", "A", "C", "x-10", "X-1", "X-9", "d" } do
      own[name] = name
    end
    local _, list = core.merge_headers(nil, own, "e")
    assert.same({ "A", "b", "C", "d", "X-1", "x-10", "X-9", "X-Strapi-Event", "Content-Type" }, names(list))
  end)

  it("takes the lower-case one of two spellings in one map", function()
    local map = core.merge_headers({ ["X-A"] = "upper", ["x-a"] = "lower" }, nil, "e")
    assert.equal("lower", map["x-a"])
    assert.is_nil(map["X-A"])
  end)

  it("takes arrays of pairs and of named pairs in their order", function()
    local _, list = core.merge_headers({ { name = "Z", value = "1" }, { "A", "2" } }, {}, "e")
    assert.same({ name = "Z", value = "1" }, list[1])
    assert.same({ name = "A", value = "2" }, list[2])
  end)

  it("trims values, keeps empty ones and bytes over 0x7f", function()
    local map = core.merge_headers({ ["X-A"] = " \t a b ", ["X-B"] = "", ["X-C"] = LATIN1 }, nil, "e")
    assert.equal("a b", map["X-A"])
    assert.equal("", map["X-B"])
    assert.equal(LATIN1, map["X-C"])
  end)

  it("does not change what it is given", function()
    local default = { ["x-strapi-event"] = " spoofed " }
    core.merge_headers(default, default, "e")
    assert.same({ ["x-strapi-event"] = " spoofed " }, default)
  end)

  for name, case in pairs {
    ["a name that is no token"] = { { ["X-A b"] = "1" }, nil, "default%['X%-A b'%]: not a valid header name" },
    ["a line break in a value"] = { nil, { ["X-A"] = "1\r\nX-B: 2" }, "own%['X%-A'%]: not a valid header value" },
    ["a NUL in a value"] = { nil, { ["X-A"] = "1\0002" }, "own%['X%-A'%]: not a valid header value" },
    ["a NUL in a name"] = { nil, { { "X\000", "1" } }, "own%['X\\x00'%]: not a valid header name" },
    ["an empty name"] = { { [""] = "1" }, nil, "default%[''%]: a header name is empty" },
    ["a number as a value"] = { { ["X-A"] = 1 }, nil, "default%['X%-A'%]: a header value is a string, got a number" },
    ["a table as a value"] = { nil, { ["X-A"] = {} }, "own%['X%-A'%]: a header value is a string, got a table" },
    ["a boolean as a name"] = { nil, { [true] = "1" }, "own: a header name is a string, got a boolean" },
    ["a number as a name"] = { nil, { [2.5] = "1" }, "own: a header name is a string, got a number" },
    ["a pair without a value"] = { nil, { { "X-A" } }, "own%['X%-A'%]: a header value is a string, got a nil" },
    ["a named pair without a name"] = { nil, { { value = "1" } }, "own%[1%]: expected { name, value }" },
    ["an empty pair"] = { nil, { { "X-A", "1" }, {} }, "own%[2%]: expected { name, value }" },
    ["a string in a list"] = { nil, { "X-A: 1" }, "own%[1%]: expected { name, value }, got a string" },
    ["a list with a name"] = { nil, { { "X-A", "1" }, ["X-B"] = "2" }, "own: expected a list or a map" },
  } do
    it("refuses " .. name, function()
      local map, message, code = core.merge_headers(case[1], case[2], "entry.create")
      assert.is_nil(map)
      assert.matches("^" .. case[3], message)
      assert.equal("EINVAL", code)
    end)
  end

  it("refuses an event that is no header value", function()
    local map, message, code = core.merge_headers(nil, nil, "a\r\nX: y")
    assert.is_nil(map)
    assert.matches("X%-Strapi%-Event", message)
    assert.equal("EINVAL", code)
  end)

  it("refuses more than 8192 bytes of names and values", function()
    local full = { ["X-A"] = ("v"):rep(8189) }
    assert.equal(8189, #core.merge_headers(full, nil, "e")["X-A"])
    local map, message, code = core.merge_headers({ ["X-A"] = ("v"):rep(8190) }, nil, "e")
    assert.is_nil(map)
    assert.matches("^default: more than 8192 bytes", message)
    assert.equal("E2BIG", code)
    map, message, code = core.merge_headers(full, { ["X-B"] = "" }, "e")
    assert.is_nil(map)
    assert.matches("^headers: 8195 bytes", message)
    assert.equal("E2BIG", code)
  end)

  it("refuses a list that repeats a name for ever", function()
    local many = {}
    for i = 1, 100000 do
      many[i] = { "X", "" }
    end
    assert.equal("E2BIG", (select(3, core.merge_headers(many, nil, "e"))))
  end)

  it("raises on arguments of a wrong type", function()
    assert.has_error(function() core.merge_headers({}, {}) end)
    assert.has_error(function() core.merge_headers({}, {}, {}) end)
    assert.error_matches(function() core.merge_headers("X", {}, "e") end, "table or nil expected, got string")
    assert.error_matches(function() core.merge_headers({}, 1, "e") end, "table or nil expected, got number")
  end)

  it("reads tables raw", function()
    local called = false
    local trap = setmetatable({ ["X-A"] = "1" }, {
      __index = function() called = true end,
      __pairs = function() called = true end,
      __len = function() called = true return 1 end,
    })
    assert.equal("1", core.merge_headers(trap, nil, "e")["X-A"])
    assert.is_false(called)
  end)
end)

describe("core.check_header", function()
  it("accepts a good header", function()
    assert.is_true(core.check_header("where", "X-A", "any value\t" .. LATIN1))
  end)

  it("names the place of a bad one", function()
    local ok, message, code = core.check_header("webhooks.defaultHeaders", "X-A b", "")
    assert.is_nil(ok)
    assert.matches("^webhooks.defaultHeaders%['X%-A b'%]: not a valid header name", message)
    assert.equal("EINVAL", code)
    assert.is_nil((core.check_header("where", "X-A", "1\n2")))
    assert.is_nil((core.check_header("where", "X-A", "1\0002")))
  end)
end)

describe("core.header_reserved", function()
  it("knows moonpost's own names in any case", function()
    for _, name in ipairs { "host", "Content-Length", "WEBHOOK-ID", "te", "Proxy-Authorization", "Expect" } do
      assert.is_true(core.header_reserved(name), name)
    end
    for _, name in ipairs { "Authorization", "Content-Type", "X-Strapi-Event", "webhook", "", "host\0" } do
      assert.is_false(core.header_reserved(name), name)
    end
  end)
end)

describe("core.check_url", function()
  it("accepts http and https", function()
    for _, url in ipairs { "http://a", "HTTPS://user:pass@[::1]:65535/x?y#z" } do
      assert.is_true(core.check_url(url))
    end
  end)

  it("says what is wrong, without the password", function()
    local ok, message, code = core.check_url("ftp://joe:s3cret@example.com/")
    assert.is_nil(ok)
    assert.equal("'ftp://***@example.com/': not a valid URL: only http and https are allowed", message)
    assert.equal("EINVAL", code)
    assert.is_nil((core.check_url("http://example.com/\0http://evil/")))
  end)
end)
