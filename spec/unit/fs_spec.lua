local core = require "moonpost.core"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"

describe("core's files", function()
  local dir

  before_each(function()
    dir = temp.dir()
  end)

  after_each(function()
    temp.clean()
  end)

  local function sh(command)
    local output, code = shell.run("cd " .. shell.quote(dir) .. " && " .. command)
    assert.equal(0, code, output)
  end

  it("lists a folder by name, with the types that links point to", function()
    sh "mkdir d && touch b a .hidden B && ln -s d link-d && ln -s a link-a && ln -s nothing link-x && mkfifo pipe"
    assert.same({
      { name = ".hidden", type = "file" },
      { name = "B", type = "file" },
      { name = "a", type = "file" },
      { name = "b", type = "file" },
      { name = "d", type = "directory" },
      { name = "link-a", type = "file" },
      { name = "link-d", type = "directory" },
      { name = "link-x", type = "other" },
      { name = "pipe", type = "other" },
    }, core.listdir(dir))
    assert.same({}, core.listdir(dir .. "/d"))
  end)

  it("says which folder it could not list", function()
    local list, message, code = core.listdir(dir .. "/nothing")
    assert.is_nil(list)
    assert.equal("listdir '" .. dir .. "/nothing': No such file or directory", message)
    assert.equal("ENOENT", code)
    temp.write(dir .. "/file", "")
    assert.equal("ENOTDIR", (select(3, core.listdir(dir .. "/file"))))
  end)

  it("resolves a path", function()
    sh "mkdir -p a/b && ln -s a/b link"
    assert.equal(core.realpath(dir) .. "/a/b", core.realpath(dir .. "/./a/../link"))
    assert.equal("ENOENT", (select(3, core.realpath(dir .. "/nothing"))))
  end)

  it("tells type and size", function()
    temp.write(dir .. "/file", "12345")
    sh "ln -s file link && mkfifo pipe"
    assert.same({ type = "file", size = 5 }, core.stat(dir .. "/link"))
    assert.equal("directory", core.stat(dir).type)
    assert.equal("other", core.stat(dir .. "/pipe").type)
    local stat, message, code = core.stat(dir .. "/nothing")
    assert.is_nil(stat)
    assert.matches("^stat '.*/nothing': ", message)
    assert.equal("ENOENT", code)
  end)

  it("makes a folder, once, in a folder that is there", function()
    assert.is_true(core.mkdir(dir .. "/new"))
    assert.equal("directory", core.stat(dir .. "/new").type)
    assert.equal("EEXIST", (select(3, core.mkdir(dir .. "/new"))))
    assert.equal("ENOENT", (select(3, core.mkdir(dir .. "/no/new"))))
    assert.is_true(core.mkdir(dir .. "/own", true))
    assert.equal("700\n", (shell.run("stat -c %a " .. shell.quote(dir .. "/own"))))
  end)

  it("raises on a path that C would cut", function()
    for _, name in ipairs { "listdir", "realpath", "stat", "mkdir" } do
      assert.error_matches(function() core[name](dir .. "\0x") end, "NUL")
      assert.has_error(function() core[name]() end)
    end
  end)
end)

describe("core's time", function()
  it("tells the wall clock in milliseconds", function()
    assert.is_true(math.abs(core.wall_ms() / 1000 - os.time()) < 60)
    assert.equal(0, core.wall_ms() % 1)
  end)

  it("sleeps by the monotonic clock", function()
    local before = core.now()
    core.sleep(0.05)
    assert.is_true(core.now() - before >= 0.05)
    core.sleep(0)
  end)

  it("raises on a time that is none", function()
    for _, seconds in ipairs { -1, 1e9, 0 / 0, math.huge } do
      assert.error_matches(function() core.sleep(seconds) end, "expected 0 to 86400 seconds")
    end
  end)
end)
