local core = require "moonpost.core"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local tokens = require "moonpost.admin.tokens"

describe("tokens", function()
  local path, file, now

  before_each(function()
    path, now = temp.dir() .. "/moonpost.db-tokens.json", 1
    file = tokens.open(path, { clock = function() return now end })
  end)

  after_each(temp.clean)

  it("are shown once, and kept as hashes in a file of mode 0600", function()
    local made = assert(file:add("ci", { "emit", "read", "emit" }))
    assert.truthy(made.token:find("^mpt_" .. ("%x"):rep(64) .. "$"))
    assert.same({ "read", "emit" }, { made.scopes[1], made.scopes[2] })
    assert.is_nil(temp.read(path):find(made.token, 1, true))
    assert.is_nil(temp.read(path):find(made.token:sub(5), 1, true))
    assert.equal("600\n", (shell.run("stat -c %a " .. shell.quote(path))))
    assert.equal("ci", file:list()[1].name)
    assert.is_nil(file:list()[1].hash)
    assert.equal("read emit", table.concat(file:check(made.token), " "))
    local _, id = file:check(made.token)
    local scopes, name = file:scopes_of(id)
    assert.same({ "read emit", "ci" }, { table.concat(scopes, " "), name })
    assert.is_nil(file:check(id)) -- what a session keeps lets nobody in
    assert.is_nil(file:scopes_of(made.token))
    assert.is_nil(file:check(made.token .. "0"))
    assert.is_nil(file:check "")
    assert.is_nil(tokens.open(path .. "x"):check(made.token))
  end)

  it("are noticed within a second by who has the file open", function()
    local server = tokens.open(path, { clock = function() return now end })
    local made = assert(file:add("a", { "read" }))
    assert.truthy(server:check(made.token))
    assert(file:remove "a")
    now = 1.5
    assert.truthy(server:check(made.token))
    now = 2
    assert.is_nil(server:check(made.token))
    local _, message, code = file:remove "a"
    assert.equal("there is no token 'a'", message)
    assert.equal("ENOENT", code)
  end)

  it("have names and scopes that are some", function()
    assert(file:add("a", { "read" }))
    for message, arguments in pairs {
      ["token 'a' is there already"] = { "a", { "read" } },
      ["name: expected 1 to 100 letters, digits and . _ @ -"] = { "a b", { "read" } },
      ["scopes: expected some of read, write, emit, got none"] = { "b", {} },
      ["scopes: expected some of read, write, emit, got 'wirte'; did you mean 'write'?"] = { "b", { "read", "wirte" } },
    } do
      assert.equal(message, select(2, file:add(arguments[1], arguments[2])))
    end
    assert.equal(1, #file:list())
  end)

  it("that cannot be read let nobody in, and are left as they are", function()
    for _, text in ipairs { "", "{}", "[]", "{", '{"tokens":[1]}', '{"tokens":[{"name":"a"}]}', '{"tokens":{"a":1}}x',
      '{"tokens":[{"name":"a","hash":"00","scopes":["read"],"created_at":""}]}' } do
      temp.write(path, text)
      assert.is_nil(tokens.open(path):check "mpt_1", text)
      local made, _, code = file:add("b", { "read" })
      assert.is_nil(made, text)
      assert.equal("ECORRUPT", code)
      assert.equal(text, temp.read(path))
    end
  end)

  it("take the hash that they are given", function()
    local own = tokens.open(path, { hash = function(text) return ("%064x"):format(#text) end })
    local made = assert(own:add("a", { "write" }))
    assert.truthy(own:check(made.token))
    assert.truthy(own:check(("x"):rep(#made.token)))
  end)

  it("have a place beside the store", function()
    assert.equal("/data/moonpost.db-tokens.json", tokens.path { store = "/data/moonpost.db" })
    assert.equal("EINVAL", select(3, tokens.path { store = ":memory:" }))
  end)
end)

describe("core.write_private", function()
  after_each(temp.clean)

  it("replaces a file whole, and leaves nothing beside it", function()
    local dir = temp.dir()
    temp.write(dir .. "/f", "old")
    shell.run("chmod 666 " .. shell.quote(dir .. "/f"))
    assert.is_true(core.write_private(dir .. "/f", "new\0"))
    assert.equal("new\0", temp.read(dir .. "/f"))
    assert.equal("600\n", (shell.run("stat -c %a " .. shell.quote(dir .. "/f"))))
    assert.equal(1, #core.listdir(dir))
  end)

  it("says what it could not do", function()
    local dir = temp.dir()
    local ok, message, code = core.write_private(dir .. "/no/f", "x")
    assert.is_nil(ok)
    assert.equal(("write_private '%s/no/f': No such file or directory"):format(dir), message)
    assert.equal("ENOENT", code)
    assert.is_nil((core.write_private(dir, "x")))
    assert.equal(0, #core.listdir(dir))
  end)
end)
