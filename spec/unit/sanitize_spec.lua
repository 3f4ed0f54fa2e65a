-- The core's sanitizer on Lua values: how they become JSON, what is refused and by which name, and that the same
-- value as JSON text gives the same. What the rules make of text is in csrc/test/test_sanitize.c.
local core = require "moonpost.core"
local json = require "spec.support.json"
local moonpost_json = require "moonpost.json"

local max_integer, min_integer = rawget(math, "maxinteger"), rawget(math, "mininteger")
local has_ffi, ffi = pcall(require, "ffi")

local function attribute(name, kind, target, list)
  return { name = name, kind = kind, target = target, list = list or false }
end

local THING, PART, USER = "application::thing.thing", "default.part", "plugins::users-permissions.user"

local function models()
  return {
    {
      uid = THING, name = "thing", global_id = "Thing", kind = "contentType", draft_and_publish = true,
      attributes = {
        attribute("id", "keep"), attribute("name", "keep"), attribute("price", "keep"), attribute("json", "keep"),
        attribute("secret", "drop"), attribute("one", "entity", THING), attribute("many", "entity", THING, true),
        attribute("owner", "entity", USER), attribute("staff", "entity", USER, true),
        attribute("part", "entity", PART), attribute("zone", "zone", nil, true), attribute("morph", "morph"),
        attribute("morphs", "morph", nil, true), attribute("tags", "keep", nil, true), attribute("a b", "keep"),
        attribute("cut\0name", "drop"), attribute("cut", "keep"),
      },
    },
    {
      uid = PART, name = "part", global_id = "Part", kind = "component",
      attributes = { attribute("label", "keep"), attribute("pin", "drop"), attribute("thing", "entity", THING) },
    },
    {
      uid = USER, name = "user", global_id = "User", user = true, builtin = true,
      attributes = { attribute("id", "keep"), attribute("email", "keep"), attribute("password", "drop") },
    },
  }
end

describe("core's sanitizer", function()
  local schema

  setup(function()
    schema = assert(core.schema(models()))
  end)

  after_each(function()
    moonpost_json.register(core, nil)
  end)

  local function sanitized(value, options)
    return assert(core.sanitize(schema, THING, value, options))
  end

  local function gives(expected, value, options)
    local text = sanitized(value, options)
    local equal, difference = json.equal(text, expected)
    assert(equal, difference)
  end

  local function refuses(expected, value)
    local text, message, code = core.sanitize(schema, THING, value)
    assert.is_nil(text)
    assert.equal(expected, message)
    assert.equal("EINVAL", code)
  end

  -- ---- values ------------------------------------------------------------------------------------------

  it("writes scalars", function()
    gives("null", nil)
    gives("true", true)
    gives("false", false)
    gives('"x"', "x")
    gives('{"name":"\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f é日本\127"}', { name = "\"\\/\b\f\n\r\t\0\031 é日本\127" })
  end)

  it("writes numbers with the fewest digits", function()
    local function number(expected, value)
      assert.equal(('{"price":%s}'):format(expected), sanitized { price = value })
    end
    number("0", 0)
    number("0", -0.0)
    number("-7", -7)
    number("3", 3.0)
    number("228.19", 228.19)
    number("0.1", 0.1)
    number("0.30000000000000004", 0.1 + 0.2)
    number("1700000000000123", 1700000000000123)
    number("9007199254740991", 9007199254740991)
    number("1e+21", 1e21)
    number("100000000000000000000", 1e20)
    number("0.000001", 1e-6)
    number("1e-7", 1e-7)
    number("1.7976931348623157e+308", 1.7976931348623157e308)
    number("5e-324", 5e-324)
  end)

  if max_integer then
    it("keeps integers of 64 bits", function()
      assert.equal('{"price":9007199254740993}', sanitized { price = 9007199254740993 })
      assert.equal('{"price":9223372036854775807}', sanitized { price = max_integer })
      assert.equal('{"price":-9223372036854775808}', sanitized { price = min_integer })
    end)
  end

  if has_ffi then
    it("writes the digits of 64-bit cdata, and refuses other cdata", function()
      assert.equal('{"price":9223372036854775807}', sanitized { price = ffi.new("int64_t", 2 ^ 62) * 2 - 1 })
      assert.equal('{"price":-5}', sanitized { price = ffi.new("int64_t", -5) })
      assert.equal('{"price":18446744073709551615}', sanitized { price = ffi.new("uint64_t", 0) - 1 })
      refuses("value.price: a cdata that is no 64-bit integer cannot be sent", { price = ffi.new "int[2]" })
      refuses("value.price: a cdata that is no 64-bit integer cannot be sent", { price = ffi.typeof "int" })
    end)

    it("writes them whatever the host has made of tostring", function()
      local original = tostring
      rawset(_G, "tostring", function() error "called" end)
      local text, message = core.sanitize(schema, THING, { price = ffi.new("int64_t", 5) })
      rawset(_G, "tostring", original)
      assert.equal('{"price":5}', text, message)
    end)
  end

  -- ---- rules -------------------------------------------------------------------------------------------

  it("drops what is private, at every depth", function()
    gives('{"id":1,"one":{"id":2},"many":[{"id":3},{}]}', {
      id = 1, secret = "s", one = { id = 2, secret = { "s" } }, many = { { id = 3, secret = "s" }, { secret = "s" } },
    })
    gives('[{"id":1},2,{"one":4}]', { { id = 1, secret = "s" }, 2, { one = 4 } })
    gives('{"cut":1}', { cut = 1, ["cut\0name"] = "s" })
  end)

  it("does not look at what is dropped", function()
    gives("{}", { secret = print, unknown = { print } })
  end)

  it("keeps what is kept whole", function()
    gives('{"json":{"secret":[{"password":1}]}}', { json = { secret = { { password = 1 } } } })
  end)

  it("drops unknown keys and says which", function()
    local text, dropped = core.sanitize(schema, THING, {
      mystery = 1, one = { mystery = 2, ["a\0b"] = 3 }, part = { more = 4 }, ["__proto__"] = 1,
    })
    assert.same({
      [THING .. ": mystery"] = 2, [THING .. ": a\0b"] = 1, [PART .. ": more"] = 1, [THING .. ": __proto__"] = 1,
    }, dropped)
    assert(json.equal('{"one":{},"part":{}}', text))
    assert.is_nil(select(2, core.sanitize(schema, THING, { id = 1 })))
    gives('{"mystery":{"secret":1}}', { mystery = { secret = 1 }, secret = 2 }, { keep_unknown = true })
  end)

  it("sends users by their id alone", function()
    gives('{"owner":{"id":1},"staff":[{"id":2},3,{}]}', {
      owner = { id = 1, email = "e", password = "p" }, staff = { { id = 2, email = "e" }, 3, { email = "e" } },
    })
    gives('{"owner":{}}', { owner = { id = { email = "e" } } })
    gives('{"owner":{"id":1,"email":"e"}}', { owner = { id = 1, email = "e", password = "p" } }, { keep_users = true })
    assert.equal('{"email":"e"}', (core.sanitize(schema, USER, { email = "e", password = "p" })))
  end)

  it("takes a zone's elements by their component", function()
    gives('{"zone":[{"__component":"default.part","label":1},null,null,null,null]}', {
      zone = {
        { __component = "default.part", label = 1, pin = 2 }, { __component = "default.none", label = 1 },
        { label = 1 }, 5, { __component = 7 },
      },
    })
    gives('{"zone":{"__component":"default.part"}}', { zone = { __component = "default.part", pin = 1 } })
    gives('{"zone":null}', { zone = "x" })
    gives('{"zone":[]}', { zone = {} })
    gives('{"zone":[null]}', { zone = { { __component = "default.part\0", label = 1 } } })
  end)

  it("takes a morph's elements by the model they name", function()
    gives('{"morphs":[{"__contentType":"Thing","id":1},null,{"id":2},3]}', {
      morphs = { { __contentType = "Thing", id = 1, secret = 1 }, { __type = "None", id = 1 }, { id = 2, name = 1 }, 3 },
    })
    gives('{"morph":{"__type":"application::thing.thing","name":"n"}}', { morph = { __type = THING, name = "n", secret = 1 } })
    gives('{"morph":{"__contentType":"Thing","name":"n"}}', { morph = { __contentType = "Thing", __type = PART, name = "n", label = 1 } })
    gives('{"morph":{"id":1}}', { morph = { __contentType = "User", id = 1, email = "e" } })
  end)

  -- ---- tables ------------------------------------------------------------------------------------------

  it("writes an empty table as the schema says", function()
    gives('{"many":[],"zone":[],"tags":[],"morphs":[],"staff":[],"one":{},"json":{},"morph":{}}', {
      many = {}, zone = {}, tags = {}, morphs = {}, staff = {}, one = {}, json = {}, morph = {},
    })
    gives('{"many":[{}],"json":[{},[1]]}', { many = { {} }, json = { {}, { 1 } } })
    gives("{}", {})
  end)

  it("writes a table as its metatable says", function()
    local function marked(kind, value) return setmetatable(value or {}, { __jsontype = kind }) end
    gives('{"json":[],"many":{},"one":{}}', { json = marked "array", many = marked "object", one = marked "other" })
    gives('{"json":[[]]}', { json = { marked "array" } })
    refuses("value.json: a table whose keys are neither strings nor 1, 2, 3, ... cannot be sent", { json = marked("object", { 1 }) })
    refuses("value.json: a table with both list items and other keys, or with holes, cannot be sent",
      { json = marked("array", { x = 1 }) })
  end)

  it("knows what was registered", function()
    local null, empty, array_mt, empty_array_mt = io.stdout, io.stderr, {}, {}
    core.register { null = null, empty_array = empty, array_mt = array_mt, empty_array_mt = empty_array_mt }
    gives('{"id":null,"json":[null,[],[],[1],{"x":1}],"zone":[],"owner":{}}', {
      id = null, zone = empty, owner = { id = empty },
      json = {
        null, setmetatable({}, array_mt), setmetatable({}, empty_array_mt), setmetatable({ 1 }, empty_array_mt),
        setmetatable({ x = 1 }, empty_array_mt),
      },
    })
    gives('{"json":[]}', { json = empty })
    core.register {}
    refuses("value.json: a userdata cannot be sent as JSON", { json = null })
    assert.has_error(function() core.register() end)
  end)

  it("runs no metamethod", function()
    local function called() error "called" end
    local mt = { __index = called, __len = called, __pairs = called, __ipairs = called, __tostring = called, __eq = called }
    gives('{"many":[{"id":1}],"json":{},"zone":[{"__component":"default.part"}],"morph":{}}', setmetatable({
      many = setmetatable({ setmetatable({ id = 1, secret = 2 }, mt) }, mt), json = setmetatable({}, mt),
      zone = { setmetatable({ __component = "default.part" }, mt) }, morph = setmetatable({}, mt),
    }, mt))
    gives('{"json":{}}', { json = setmetatable({}, setmetatable({}, mt)) })
  end)

  -- ---- refusals ----------------------------------------------------------------------------------------

  it("names the place of what cannot be sent", function()
    refuses("value.many[3].price: NaN cannot be sent as JSON", { many = { 1, {}, { price = 0 / 0 } } })
    refuses("value.price: an infinite number cannot be sent as JSON", { price = math.huge })
    refuses("value.price: an infinite number cannot be sent as JSON", { price = -math.huge })
    refuses("value.json.f: a function cannot be sent as JSON", { json = { f = print } })
    refuses("value.json[1]: a thread cannot be sent as JSON", { json = { coroutine.create(function() end) } })
    refuses("value.json: a userdata cannot be sent as JSON", { json = io.stdout })
    refuses('value["a b"]: the string is not valid UTF-8', { ["a b"] = "\255" })
    refuses('value.json["?"]: a key is not valid UTF-8', { json = { ["\255"] = 1 } })
    refuses('value.json["na\195\175ve"]["2x"]: a function cannot be sent as JSON', { json = { ["na\195\175ve"] = { ["2x"] = print } } })
    refuses("value.zone: a function cannot be sent as JSON", { zone = print })
    refuses("value: a function cannot be sent as JSON", print)
    for _, text in ipairs { "\192\128", "\237\160\128", "\244\144\128\128", "abcdefgh\195", "\230\151" } do
      refuses("value.name: the string is not valid UTF-8", { name = text })
    end
  end)

  it("refuses tables that are neither lists nor objects", function()
    local mixed = "a table with both list items and other keys, or with holes, cannot be sent"
    local keys = "a table whose keys are neither strings nor 1, 2, 3, ... cannot be sent"
    refuses("value.json: " .. mixed, { json = { 1, 2, x = 3 } })
    refuses("value.json: " .. mixed, { json = { 1, nil, 3 } })
    refuses("value.json: " .. keys, { json = { [2] = 1 } })
    refuses("value.json: " .. keys, { json = { [0] = 1 } })
    refuses("value.json: " .. keys, { json = { [-1] = 1 } })
    refuses("value.json: " .. mixed, { json = { 1, 2, [2.5] = 3 } })
    refuses("value.json: " .. keys, { json = { [true] = 1 } })
    refuses("value.json: " .. keys, { json = { [{}] = 1 } })
    refuses("value: " .. mixed, { 1, id = 2 })
  end)

  it("refuses cycles and what is nested too deep", function()
    local cycle = {}
    cycle.one = cycle
    local _, message, code = core.sanitize(schema, THING, cycle)
    assert.equal("EINVAL", code)
    assert.matches("^value%[%.%.%.%]%.one%.one.*%.one: a cycle, or nested more than 100 deep$", message)

    local function nested(depth, key)
      local value = {}
      for _ = 2, depth do value = { [key] = value } end
      return value
    end
    assert.equal(99 * #'{"one":}' + 2, #sanitized(nested(100, "one")))
    assert.is_nil((core.sanitize(schema, THING, nested(101, "one"))))
    assert.equal(99 * 2 + #'{"json":}', #sanitized { json = nested(99, 1) })
    assert.is_nil((core.sanitize(schema, THING, { json = nested(100, 1) })))

    local deep = { f = print }
    for i = 60, 1, -1 do deep = { ["a_rather_long_key_" .. i] = deep } end
    _, message = core.sanitize(schema, THING, { json = deep })
    assert.matches("^value%[%.%.%.%]%.a_rather_long_key_%d+.*%.a_rather_long_key_60%.f: a function cannot be sent as JSON$", message)
  end)

  it("leaves the stack as it was, in a coroutine as well", function()
    local co = coroutine.wrap(function(...)
      for _ = 1, 200 do
        core.sanitize(schema, THING, { many = { { json = print } } })
        gives('{"many":[{"id":1}]}', { many = { { id = 1 } } })
      end
      return select("#", ...)
    end)
    assert.equal(3, co(1, 2, 3))
  end)

  it("raises for a programmer's mistake", function()
    assert.has_error(function() core.sanitize({}, THING, {}) end)
    assert.has_error(function() core.sanitize(schema, nil, {}) end)
    assert.has_error(function() core.sanitize(schema, THING, {}, "x") end)
    assert.has_error(function() core.sanitize_json(schema, THING, {}) end)
    assert.has_error(function() core.schema "x" end)
    assert.has_error(function() core.schema { { uid = "x", attributes = {} } } end, "schema: the field 'name' is missing")
    assert.has_error(function() core.schema { { uid = "x", name = "x", attributes = { { name = "a", kind = "dorp" } } } } end,
      "schema: the field 'kind' is 'dorp', which is no kind")
    assert.has_error(function() core.schema { { uid = "x", name = "x", attributes = { { name = "a" } } } } end,
      "schema: the field 'kind' is missing")
  end)

  -- ---- models ------------------------------------------------------------------------------------------

  it("finds models", function()
    assert.same({ uid = THING, name = "thing", user = false, draft_and_publish = true }, schema:model "thing")
    assert.same({ uid = USER, name = "user", user = true, draft_and_publish = false }, schema:model(USER))
    local model, message, code = schema:model "thign"
    assert.is_nil(model)
    assert.equal("unknown model 'thign'; did you mean 'thing'?", message)
    assert.equal("EINVAL", code)
    assert.equal("unknown model 'nothing at all'", (select(2, core.sanitize(schema, "nothing at all", {}))))
  end)

  it("refuses a schema that does not hold together", function()
    local list = models()
    list[1].attributes[6].target = "default.prat"
    local made, message, code = core.schema(list)
    assert.is_nil(made)
    assert.equal(("model '%s': attribute 'one' refers to 'default.prat', which does not exist; did you mean 'default.part'?")
      :format(THING), message)
    assert.equal("EINVAL", code)
  end)

  -- ---- both sources ------------------------------------------------------------------------------------

  local EXAMPLES = {
    { id = 1, name = "é\n", price = 0.1, secret = "s", mystery = 1, ["a b"] = true },
    { one = { one = { secret = 1, id = 2 } }, many = { { secret = 1 }, 5, { many = { { id = 6 } } } } },
    { owner = { id = 1, email = "e" }, staff = { { email = "e" }, 2 }, part = { label = 1, pin = 2, thing = { secret = 1 } } },
    { zone = { { pin = 1, __component = PART }, { __component = "x" }, 1, { label = 1 } } },
    { zone = { __component = PART, pin = 1 } },
    { morph = { __contentType = "Thing", __type = PART, secret = 1, label = 2, id = 3 } },
    { morph = { __contentType = 1, __type = PART, pin = 1, label = 2 } },
    { morphs = { { __contentType = "User", id = 1, email = 2 }, { id = { 1 } }, { __type = "x" }, "s" } },
    { json = { secret = { 1, { owner = { email = "e" } } } }, tags = { "a", "b" } },
    { { id = 1, secret = 2 }, 3, { one = { mystery = 1 } } },
  }
  local OPTIONS = { {}, { keep_unknown = true }, { keep_users = true }, { keep_unknown = true, keep_users = true } }

  it("gives the same for a Lua value and for its text", function()
    for _, example in ipairs(EXAMPLES) do
      local text = assert(core.to_json(example))
      for _, options in ipairs(OPTIONS) do
        local from_lua, dropped_lua = core.sanitize(schema, THING, example, options)
        local from_text, dropped_text = core.sanitize_json(schema, THING, text, options)
        local equal, difference = json.equal(from_lua, from_text)
        assert(equal, difference)
        assert.same(dropped_lua, dropped_text)
        assert(json.equal(from_lua, (assert(core.sanitize_json(schema, THING, from_lua, options)))))
      end
    end
  end)
end)
