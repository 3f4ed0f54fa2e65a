-- What luarocks make installs: a module that loads and delivers, one exported symbol, a command that runs. Built from a copy,
-- for the Lua that runs this.
local process = require "spec.support.process"
local receivers = require "spec.support.receiver"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"

local SOURCES = "CMakeLists.txt README.md LICENSE CHANGELOG.md bin csrc lua rockspec"

local PROGRAM = [[
local moonpost = require "moonpost"
local url, store, tree = arg[1], arg[2], arg[3]
assert(package.searchpath("moonpost", package.path):find(tree, 1, true))
local hooks = assert(moonpost.open { webhooks = {
  store = store, network = { allow = { "127.0.0.0/8" } },
  models = { address = { attributes = { city = { type = "string" }, door_code = { type = "password" } } } },
} })
assert(hooks.webhooks:create { name = "crm", url = url, events = { "entry.*" } })
local id = assert(hooks:emit("entry.create", { model = "address", entry = { id = 1, city = "Paris", door_code = "1234#" } }))
assert(hooks:wait(10))
print(hooks.deliveries:list({ event_id = id })[1].state)
hooks:close()
]]

local PAGE = [[
local moonpost = require "moonpost"
local hooks = assert(moonpost.open { webhooks = { store = ":memory:", models = {} } })
local handler = require("moonpost.admin").new(hooks)
local function get(path) return handler:handle { method = "GET", path = path } end
local status, _, html = get "/admin"
local count = 0
for path in html:gmatch '"(admin/assets/[^"]+)"' do
  assert(get("/" .. path) == 200, path)
  count = count + 1
end
print(status, count > 2, get "/admin/assets/api.js")
hooks:close(0)
]]

describe("the rock #install", function()
  local version = _VERSION:match "%d%.%d"
  local tree, receiver, environment

  local function run(command)
    local output, code = shell.run(command)
    assert(code == 0, output)
    return output
  end

  setup(function()
    receiver = receivers.start()
    local source = temp.dir()
    tree = temp.dir()
    run(("cp -R %s %s"):format(SOURCES, shell.quote(source)))
    -- Under the name Lua 5.1 LuaRocks finds PUC Lua's headers.
    local headers = rawget(_G, "jit") and "LUA_INCDIR=" .. run "pkg-config --variable=includedir luajit" or ""
    run(("cd %s && CMAKE_BUILD_PARALLEL_LEVEL=2 luarocks --lua-version %s make --deps-mode=none --tree %s %s"):format(
      shell.quote(source), version, shell.quote(tree), headers))
    local share, lib = tree .. "/share/lua/" .. version, tree .. "/lib/lua/" .. version
    environment = {
      LUA_PATH = share .. "/?.lua;" .. share .. "/?/init.lua;;",
      LUA_CPATH = lib .. "/?.so;;",
    }
    environment.LUA_PATH_5_4, environment.LUA_CPATH_5_4 = environment.LUA_PATH, environment.LUA_CPATH
  end)

  teardown(function()
    receiver:stop()
    temp.clean()
  end)

  it("loads and delivers", function()
    local program = process.start {
      code = PROGRAM, args = { receiver:url "/ok", tree .. "/moonpost.db", tree }, env = environment,
    }
    local code, message = program:wait(60)
    local out, err = program:output()
    program:stop()
    assert.equal(0, code, (message or "") .. err)
    assert.equal("delivered\n", out)
    local request = assert(receiver:wait_for(1))[1]
    assert.truthy(request.body:find('"city":"Paris"', 1, true))
    assert.falsy(request.body:find("1234#", 1, true))
  end)

  it("brings the admin page along", function()
    local program = process.start { code = PAGE, env = environment }
    local code, message = program:wait(60)
    local out, err = program:output()
    program:stop()
    assert.equal(0, code, (message or "") .. err)
    assert.truthy(out:find "^200%s+true%s+200")
  end)

  it("exports its luaopen function alone, and brings no Lua along", function()
    local module = shell.quote(("%s/lib/lua/%s/moonpost/core.so"):format(tree, version))
    local symbols = {}
    for name in run("nm -D --defined-only " .. module):gmatch " %u ([^\n]+)" do symbols[#symbols + 1] = name end
    assert.same({ "luaopen_moonpost_core" }, symbols)
    assert.falsy(run("ldd " .. module):lower():find("lua", 1, true))
  end)

  it("has a command that runs", function()
    local exports = {}
    for name, value in pairs(environment) do exports[#exports + 1] = name .. "=" .. shell.quote(value) end
    local command = table.concat(exports, " ") .. " " .. shell.quote(tree .. "/bin/moonpost")
    assert.truthy(run(command .. " --help"):find("moonpost", 1, true))
    local _, code = shell.run(command .. " no-such-command")
    assert.truthy(code > 0 and code < 126, "exit code " .. code)
  end)
end)
