-- JSON text through the core: checked strictly, sent as it was written. The reader's own cases are in
-- csrc/test/test_json.c.
local core = require "moonpost.core"
local json = require "spec.support.json"

local has_integers = rawget(math, "type") ~= nil

describe("core's JSON text", function()
  local schema

  setup(function()
    schema = assert(core.schema {
      {
        uid = "application::a.a", name = "a",
        attributes = {
          { name = "n", kind = "keep" }, { name = "password", kind = "drop" }, { name = "pass\0word", kind = "drop" },
          { name = "list", kind = "entity", target = "application::a.a", list = true },
        },
      },
    })
  end)

  local function sanitized(text, options)
    return assert(core.sanitize_json(schema, "a", text, options))
  end

  local function refuses(expected, text)
    local ok, message, code = core.check_json(text)
    assert.is_nil(ok)
    assert.equal(expected, message)
    assert.equal("EINVAL", code)
  end

  it("keeps digits, escapes and order, and drops space", function()
    assert.equal('{"n":[9223372036854775808123,0.10,1E400,-0,1.0],"list":[]}',
      sanitized ' { "n" : [ 9223372036854775808123 , 0.10 , 1E400 , -0 , 1.0 ] ,\n\t"list" : [ ] } ')
    assert.equal('{"list":[{"n":"\\u00e9\\/é"},{}],"n":{"z":1,"a":{}}}',
      sanitized '{"list":[{"n":"\\u00e9\\/é"},{}],"n":{"z":1,"a":{}}}')
  end)

  it("matches keys decoded", function()
    for _, text in ipairs {
      '{"password":1}', '{"passwor\\u0064":1}', '{"\\u0070\\u0061ssword":1}', '{"pass\\u0000word":1}',
      '{"list":[{"p\\u0061ssword":{"n":1}}]}',
    } do
      assert.is_nil(sanitized(text, { keep_unknown = true }):find("1", 1, true), text)
    end
    assert.equal('{"pass\\u0000":1}', sanitized('{"pass\\u0000":1}', { keep_unknown = true }))
    assert.equal('{"\\u006e":1}', sanitized '{"\\u006e":1}')
  end)

  it("reports what it dropped", function()
    local text, dropped = core.sanitize_json(schema, "a", '{"x":1,"list":[{"x":2},{"y\\u0000":3,"Password":4}],"password":5}')
    assert.equal('{"list":[{},{}]}', text)
    assert.same({
      ["application::a.a: x"] = 2, ["application::a.a: y\0"] = 1, ["application::a.a: Password"] = 1,
    }, dropped)
  end)

  it("is checked", function()
    assert.is_true(core.check_json ' {"a":[1,2.5e-3,"\\ud83c\\udf19",null,true,false,{}]} ')
    refuses("text: the JSON text ends where a value is expected (byte 1)", "")
    refuses('text.items[3].price: a JSON number has no leading zeros (byte 24)', '{"items":[1,2,{"price":01}]}')
    refuses('text["a b"].c: not JSON: expected a value (byte 13)', '{"a b":{"c":.5}}')
    refuses("text.a: this key is there twice (byte 8)", '{"a":1,"\\u0061":2}')
    refuses("text: more text after the JSON value (byte 4)", "{} {}")
    refuses("text[1]: a lone surrogate (byte 3)", '["\\ud83c"]')
    refuses("text[1]: a string is not valid UTF-8 (byte 3)", '["\255"]')
    refuses("text[1]: a control character within a string (byte 3)", '["\0"]')
    assert.matches("^text%[1%]%[1%].*: nested more than 100 deep %(byte 101%)$", (select(2, core.check_json(("["):rep(101)))))
    assert.has_error(function() core.check_json {} end)
  end)

  it("is refused as a whole", function()
    local text, message, code = core.sanitize_json(schema, "a", '{"n":1,"password":[tru]}')
    assert.is_nil(text)
    assert.equal("value.password[1]: not JSON: expected true (byte 20)", message)
    assert.equal("EINVAL", code)
  end)

  it("takes an object of very many keys, and finds the one that is there twice", function()
    local keys = {}
    for i = 1, 100000 do keys[i] = ('"key%d":%d'):format(i, i) end
    assert.is_true(core.check_json("{" .. table.concat(keys, ",") .. "}"))
    keys[#keys + 1] = '"key777":0'
    local _, message = core.check_json("{" .. table.concat(keys, ",") .. "}")
    assert.matches("^text%.key777: this key is there twice %(byte %d+%)$", message)
  end)

  it("is written of Lua values, and reads back the same", function()
    local random = 7
    local function draw(n)
      random = random * 16807 % 2147483647
      return random % n + 1
    end
    local function value(depth)
      local kind = draw(depth > 4 and 4 or 6)
      if kind == 1 then return draw(2) == 1 end
      if kind == 2 then return draw(2000000) - 1000000 end
      if kind == 3 then return draw(1000000) / draw(1000) end
      if kind == 4 then
        local bytes = {}
        for i = 1, draw(20) - 1 do bytes[i] = string.char(draw(128) - 1) end
        return table.concat(bytes) .. (draw(3) == 1 and "é日🌙" or "")
      end
      local t = {}
      for i = 1, draw(6) do t[kind == 5 and i or "key " .. draw(50)] = value(depth + 1) end
      return t
    end
    for _ = 1, 300 do
      local text = assert(core.to_json(value(1)))
      assert(core.check_json(text))
      assert(json.parse(text))
      assert.equal(text, assert((core.sanitize_json(schema, "a", '{"n":' .. text .. "}"))):sub(6, -2))
    end
  end)

  if has_integers then
    it("keeps a float apart from the integer only where digits differ", function()
      assert.equal("[1,1,9007199254740993,1e+21]", core.to_json { 1, 1.0, 9007199254740993, 1e21 })
    end)
  end
end)
