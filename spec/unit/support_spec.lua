-- The specs' own tools, where an error in them would let a broken moonpost pass.
local json = require "spec.support.json"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"

describe("support.json", function()
  local function assert_equal(a, b)
    local equal, message = json.equal(a, b)
    assert.is_true(equal, message)
  end

  it("takes objects in any order and any spacing", function()
    assert_equal('{"a":1,"b":[true,null]}', ' { "b" : [ true , null ] ,\n"a":1 } ')
  end)

  it("takes escapes for what they mean", function()
    assert_equal([["\u00e9\ud83d\ude00\/\n"]], '"é😀/\\u000a"')
  end)

  for _, case in ipairs {
    { "1", "1.0", "$: number 1, number 1.0" },
    { "1700000000000123", "1.700000000000123e15", "$: number" },
    { '{"a":[]}', '{"a":{}}', "$.a: array, object" },
    { '{"a":[1,2]}', '{"a":[2,1]}', "$.a[1]: number 1, number 2" },
    { "[1]", "[1,2]", "$[2]: nothing, number 2" },
    { '{"a":1}', '{"a":1,"b":null}', "$.b: nothing, null" },
    { '{"a":1,"b":null}', '{"a":1}', "$.b: null, nothing" },
    { '"1"', "1", "$: string 1, number 1" },
    { "null", "false", "$: null, false" },
  } do
    it("tells " .. case[1] .. " from " .. case[2], function()
      local equal, message = json.equal(case[1], case[2])
      assert.is_false(equal)
      assert.equal(case[3], message:sub(1, #case[3]))
    end)
  end

  for _, text in ipairs {
    "", " ", "01", "1.", ".5", "+1", "1e", "tru", "truex", "[1,]", "[1 2]", "{,}", '{"a"}', '{"a":1,}', "{a:1}",
    '{"a":1,"a":2}', '"\\x"', '"\\u12"', '"\\ud800"', '"\\udc00\\ud800"', '"a', '"\n"', "[", "1 1", "NaN",
    ("["):rep(2000),
  } do
    it("refuses " .. text:sub(1, 20):gsub("\n", "\\n"), function()
      local value, message = json.parse(text)
      assert.is_nil(value)
      assert.matches("^at byte %d+: expected ", message)
    end)
  end
end)

describe("support.shell", function()
  it("gives output and exit code", function()
    local output, code = shell.run("echo " .. shell.quote("it's [3]") .. "; exit 3")
    assert.equal("it's [3]\n", output)
    assert.equal(3, code)
  end)
end)

describe("support.temp", function()
  it("removes what it made", function()
    local dir = temp.dir()
    temp.write(dir .. "/a", "1\0002")
    assert.equal("1\0002", temp.read(dir .. "/a"))
    temp.clean()
    assert.is_nil(temp.read(dir .. "/a"))
  end)
end)

describe("support.process", function()
  local program

  after_each(function()
    program:stop()
  end)

  it("runs a program with the same interpreter, paths and arguments", function()
    program = process.start {
      code = [[
        io.write(_VERSION, "|", tostring(jit ~= nil), "|", package.path, "|", arg[1], "|", os.getenv("COLOUR"))
        io.stderr:write("oops")
        os.exit(7)
      ]],
      args = { "it's" },
      env = { COLOUR = "red green" },
    }
    assert.equal(7, program:wait())
    local out, err = program:output()
    local jit = tostring(rawget(_G, "jit") ~= nil)
    assert.equal(table.concat({ _VERSION, jit, package.path, "it's", "red green" }, "|"), out)
    assert.equal("oops", err)
  end)

  it("kills with a signal", function()
    program = process.start { code = "while true do end" }
    assert.is_nil(program:code())
    assert.is_true(program:kill("KILL"))
    assert.equal(128 + 9, program:wait())
  end)

  it("ends a program that still runs", function()
    program = process.start { code = "while true do end" }
    program:stop()
    local _, code = shell.run("kill -0 " .. program.pid)
    assert.equal(1, code)
  end)
end)
