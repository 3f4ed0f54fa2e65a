-- The parts of the HTTP API that need no store.
local cookie = require "moonpost.admin.cookie"
local json_text = require "moonpost.admin.json_text"
local mask = require "moonpost.mask"
local parameters = require "moonpost.admin.parameters"
local requests = require "moonpost.admin.request"
local router = require "moonpost.admin.router"
local throttle = require "moonpost.admin.throttle"

describe("the router", function()
  local routes = router.new {
    { method = "GET", path = "/things", scope = "read" }, { method = "POST", path = "/things", scope = "write" },
    { method = "GET", path = "/things/:id", scope = "read" }, { method = "POST", path = "/things/all", scope = "write" },
    { method = "POST", path = "/things/:id/do", scope = "write" }, { method = "GET", path = "/open" },
  }

  local function find(path)
    return routes:find(assert(requests.read { method = "GET", path = path }).segments)
  end

  it("finds paths and their parameters", function()
    local entry, values = find "/things/a%2Fb"
    assert.truthy(entry.methods.GET)
    assert.same({ id = "a/b" }, values)
    assert.same({ id = "7" }, select(2, find "/things/7/do"))
    assert.truthy(find "/open".open)
    assert.is_false(find "/things".open)
  end)

  it("prefers a path without parameters", function()
    assert.truthy(find "/things/all".methods.POST)
    assert.is_nil(find "/things/all".methods.GET)
  end)

  it("finds nothing else", function()
    for _, path in ipairs { "/", "/thing", "/things/", "/things/1/", "/things/1/do/it", "//things", "/Things" } do
      assert.is_nil(find(path), path)
    end
  end)

  it("says what may be done", function()
    assert.equal("GET, HEAD, OPTIONS, POST", router.allow(find "/things"))
    assert.equal("OPTIONS, POST", router.allow(find "/things/all"))
  end)
end)

describe("a request", function()
  it("has lower-case header names and a decoded query", function()
    local request = assert(requests.read {
      method = "GET", path = "/a", query = "x=1%202&y&z=a+b%2B&=v", headers = { ["X-Y"] = "1", Many = { "a", "b" }, One = { "c" } },
    })
    assert.same({ { "x", "1 2" }, { "y", "" }, { "z", "a b+" }, { "", "v" } }, request.query)
    assert.same({ ["x-y"] = "1", many = "a", one = "c" }, request.headers)
    assert.same({ many = true }, request.repeated)
    assert.equal("", request.body)
    assert.equal("", request.remote)
  end)

  it("is bounded, and is what it must be", function()
    local function status(given) return (select(2, requests.read(given))) end
    assert.equal(414, status { method = "GET", path = "/" .. ("a"):rep(1024) })
    assert.equal(414, status { method = "GET", path = "/", query = ("a"):rep(4097) })
    for _, path in ipairs { "", "a", "/%", "/%4", "/%zz", "/a%2" } do assert.equal(400, status { method = "GET", path = path }, path) end
    assert.equal(400, status { method = "GET", path = "/", query = "a=%x" })
    assert.equal(400, status { path = "/" })
    assert.equal(400, status { method = "GET", path = "/", body = {} })
    assert.equal(400, status(nil))
  end)

  it("has a media type", function()
    assert.equal("application/json", requests.media_type " Application/JSON; charset=utf-8")
    assert.is_nil(requests.media_type "")
    assert.is_nil(requests.media_type(nil))
  end)
end)

describe("a cookie", function()
  local function read(field)
    return cookie.read(assert(requests.read { method = "GET", path = "/", headers = { Cookie = field } }))
  end

  it("is found among others", function()
    assert.equal("abc", read "a=b; moonpost=abc")
    assert.equal("a=b c", read "x;=y;;\tmoonpost=  a=b c\t ; moonpost2=d")
    assert.equal("", read "moonpost=  ")
    assert.is_nil(read "a=b; xmoonpost=abc; moonpost")
  end)

  -- Anybody may send them: a pattern that tries every way to split spaces would take minutes.
  it("is not looked for longer than its field is", function()
    for _, unit in ipairs { " ", "a ", " a", "= ", "moonpost= " } do
      local field = unit:rep(math.floor(8192 / #unit))
      read(field)
      read(field .. "x")
      read("moonpost=" .. field:sub(1, 8000))
    end
  end)
end)

describe("parameters", function()
  local route = { parameters = {
    { name = "limit", place = "query", schema = { type = "integer", minimum = 1, maximum = 10 } },
    { name = "on", place = "query", schema = { type = "boolean" } },
    { name = "state", place = "query", schema = { type = "string", enum = { "a", "b" } } },
    { name = "X-Key", place = "header", schema = { type = "string", minLength = 1, maxLength = 3, examples = { "k" } }, match = "^%w+$" },
  } }

  it("are read by their schema", function()
    assert.same({ limit = 10, on = false, state = "b" },
      parameters.query(route, { { "limit", "10" }, { "on", "false" }, { "state", "b" } }))
  end)

  it("are told when they are not what they may be", function()
    for field, message in pairs {
      ["limit=0"] = "limit: expected a whole number between 1 and 10, got '0'",
      ["limit=011"] = "limit: expected a whole number between 1 and 10, got '011'",
      ["limit=1e0"] = "limit: expected a whole number between 1 and 10, got '1e0'",
      ["limit="] = "limit: expected a whole number between 1 and 10, got ''",
      ["on=1"] = "on: expected true or false, got '1'",
      ["state=c"] = "state: expected one of a, b, got 'c'",
      ["limt=1"] = "limt: unknown parameter; did you mean 'limit'?",
    } do
      local name, value = field:match "^(.-)=(.*)$"
      assert.equal(message, select(2, parameters.query(route, { { name, value } })))
    end
    assert.equal("on: expected one, got several", select(2, parameters.query(route, { { "on", "true" }, { "on", "true" } })))
  end)

  it("may be header fields", function()
    local function read(value, repeated)
      return parameters.header(route, { headers = { ["x-key"] = value }, repeated = { ["x-key"] = repeated } })
    end
    assert.same({ ["X-Key"] = "abc" }, read "abc")
    assert.same({}, read(nil))
    assert.equal("X-Key: expected 1 to 3 bytes, got 'abcd'", select(2, read "abcd"))
    assert.equal("X-Key: expected a text such as k, got '-'", select(2, read "-"))
    assert.equal("X-Key: expected one, got several", select(2, read("a", true)))
  end)
end)

describe("JSON text", function()
  it("is taken apart as it is written", function()
    assert.same({ "1e400", '"a,]\\""', '{"a":[1,{}]}', "null", "12345678901234567890" },
      json_text.elements ' [1e400 ,"a,]\\"",\n{"a":[1,{}]},null, 12345678901234567890 ] ')
    assert.same({ { "a", "1.0" }, { 'b"', "[ 1, 2 ]" }, { "é", '"}"' }, { "a", "{}" } },
      json_text.members '{"a":1.0 , "b\\"" : [ 1, 2 ],"\\u00e9":"}","a":{}}')
    assert.same({}, json_text.elements "[ ]")
    assert.same({}, json_text.members "{\n}")
    assert.same({ '"\\\\"', "1" }, json_text.elements '["\\\\",1]')
  end)

  it("has a kind", function()
    for text, kind in pairs { [" {}"] = "object", ["[]"] = "array", ['"'] = "string", ["-1"] = "number", ["true"] = "boolean",
      ["false"] = "boolean", ["\nnull"] = "null" } do
      assert.equal(kind, json_text.kind(text))
    end
  end)
end)

describe("the throttle", function()
  local now, slow

  before_each(function()
    now = 100
    slow = throttle.new { failures = 3, seconds = 60, clock = function() return now end }
  end)

  it("blocks an address after so many failures, until the minute is over", function()
    for _ = 1, 3 do
      assert.is_nil(slow:blocked "a")
      slow:fail "a"
    end
    assert.equal(60, slow:blocked "a")
    assert.is_nil(slow:blocked "b")
    now = 159.5
    assert.equal(1, slow:blocked "a")
    now = 160
    assert.is_nil(slow:blocked "a")
  end)

  it("forgets failures that are a minute old", function()
    slow:fail "a"
    slow:fail "a"
    now = 161
    slow:fail "a"
    assert.is_nil(slow:blocked "a")
  end)

  it("holds a bounded number of addresses, and lets the oldest go", function()
    for _ = 1, 3 do slow:fail "first" end
    for i = 1, 5000 do
      now = now + 0.001
      slow:fail("address " .. i)
    end
    local count = 0
    for _ in pairs(slow._addresses) do count = count + 1 end
    assert.equal(4096, count)
    assert.equal(4096, slow._count)
    assert.is_nil(slow:blocked "first")
  end)
end)

describe("masks", function()
  it("leave two characters of what is long, and no half of one", function()
    assert.equal("****", mask.value "12345678")
    assert.equal("Be****", mask.value "Bearer 123")
    assert.equal("****", mask.value "日本語日本語")
    assert.equal("http://***@h/p?a@b", mask.url "http://u:p@x@h/p?a@b")
    assert.equal("http://h/p?a@b", mask.url "http://h/p?a@b")
    assert.is_true(mask.is_masked "Be****")
    assert.is_false(mask.is_masked "Bea****")
    assert.is_false(mask.is_masked "a**")
  end)
end)
