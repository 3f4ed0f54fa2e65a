-- Secrets at rest: what is in a webhook's definition and in an event's own header fields is nowhere in the store's files, and a
-- store opens with its key alone.
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local process = require "spec.support.process"
local receivers = require "spec.support.receiver"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"

local CANARY = "c4nary-9f1d7a"
local KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

describe("secrets", function()
  local config, hooks

  before_each(function()
    config = hooks_support.config()
  end)

  after_each(function()
    hooks_support.done(hooks)
    hooks = nil
  end)

  local function open()
    hooks = assert(moonpost.open(config))
    return hooks
  end

  local function close()
    assert(hooks:close())
    hooks = nil
  end

  local function create(url)
    return assert(hooks.webhooks:create { name = "crm", url = url .. "?token=" .. CANARY, events = { "*" },
      headers = { Authorization = "Bearer " .. CANARY } })
  end

  local function folder()
    return config.webhooks.store:match "^(.*)/"
  end

  -- The names of the store's files that hold the text.
  local function files_with(text)
    return (shell.run("cd " .. shell.quote(folder()) .. " && grep -la -- " .. shell.quote(text) .. " moonpost.db*"))
  end

  it("are sealed in the store's files, and sent all the same, also after a restart", function()
    local receiver = receivers.start()
    finally(function() receiver:stop() end)
    open()
    local webhook = create(receiver:url "/sequence/500,200")
    local info = { model = "address", entry = { id = 1, city = "in clear" } }
    assert(hooks:emit("entry.create", info, { headers = { ["X-Event-Token"] = "event-" .. CANARY } }))
    assert(receiver:wait_for(1))
    assert.equal("", files_with(CANARY))
    assert.matches("moonpost.db", files_with "in clear", 1, true) -- the bodies are not sealed; and the files are the right ones
    close()
    assert.equal("", files_with(CANARY))
    open()
    assert(receiver:wait_for(2))
    for _, request in ipairs(receiver:requests()) do
      assert.equal("Bearer " .. CANARY, receivers.header(request, "authorization"))
      assert.equal("event-" .. CANARY, receivers.header(request, "x-event-token"))
      assert.matches("token=" .. CANARY, request.raw_head, 1, true)
    end
    assert.equal("Bearer " .. CANARY, assert(hooks.webhooks:get(webhook.id)).headers.Authorization)
    assert(hooks.webhooks:update(webhook.id, { name = "CRM" }))
    close()
    assert.equal("", files_with(CANARY))
    assert.equal("CRM", assert(open().webhooks:get(webhook.id)).name)
  end)

  it("have a key that is made on first use, for the owner alone", function()
    open()
    close()
    local path = config.webhooks.store .. ".key"
    assert.equal("600\n", (shell.run("stat -c %a " .. shell.quote(path))))
    assert.equal(45, #temp.read(path))
    shell.run("chmod 644 " .. shell.quote(path))
    local refused, message, code = moonpost.open(config)
    assert.is_nil(refused)
    assert.matches("mode is 0644", message, 1, true)
    assert.equal("EKEY", code)
  end)

  it("have a key where the config says", function()
    config.webhooks.keyFile = temp.dir() .. "/secret.key"
    open()
    close()
    assert.equal(45, #temp.read(config.webhooks.keyFile))
    assert.is_nil(temp.read(config.webhooks.store .. ".key"))
  end)

  it("do not open with another key, or without one, and nothing is changed", function()
    open()
    create "http://127.0.0.1:9/"
    close()
    local store, path = config.webhooks.store, config.webhooks.store .. ".key"
    local before, key = temp.read(store), temp.read(path)
    assert(os.remove(path))
    local refused, message, code = moonpost.open(config)
    assert.is_nil(refused)
    assert.matches("the key is missing", message, 1, true)
    assert.matches(path, message, 1, true)
    assert.equal("EKEY", code)
    assert.is_nil(temp.read(path)) -- none was made
    temp.write(path, KEY .. "\n")
    shell.run("chmod 600 " .. shell.quote(path))
    refused, message, code = moonpost.open(config)
    assert.is_nil(refused)
    assert.matches("sealed with another key than that of " .. path, message, 1, true)
    assert.equal("EKEY", code)
    assert.equal(before, temp.read(store))
    temp.write(path, key)
    assert.equal("crm", open().webhooks:list()[1].name)
  end)

  it("take the key of the environment", function()
    local program = temp.write(temp.dir() .. "/open.lua", [[
      local hooks, message, code = require("moonpost").open { webhooks = { store = arg[1], log = { level = "off" } } }
      print(hooks and #hooks.webhooks:list() or code .. ": " .. message)
      if hooks then hooks:close() end
    ]])
    local function run(key)
      local child = process.start { program = program, args = { config.webhooks.store }, env = { MOONPOST_KEY = key } }
      child:wait(20)
      local output = child:output()
      child:stop()
      return (output:gsub("\n$", ""))
    end
    assert.equal("0", run(KEY))
    assert.is_nil(temp.read(config.webhooks.store .. ".key"))
    assert.equal("0", run(KEY))
    assert.matches("^EKEY: .*sealed with another key than that of MOONPOST_KEY", run("H" .. KEY:sub(2)))
    assert.equal("EKEY: MOONPOST_KEY: expected a key, the base64 of 32 bytes", run "secret")
  end)

  describe("with a new key", function()
    local OTHER = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="

    -- A store with a webhook and an event whose header fields are sealed.
    local function make()
      open()
      create "http://127.0.0.1:9/"
      assert(hooks:emit("entry.create", { model = "address", entry = { id = 1 } }, { headers = { ["X-Event-Token"] = CANARY } }))
      close()
    end

    local function key_file()
      return config.webhooks.store .. ".key"
    end

    it("are read as before, and with the old one no more", function()
      make()
      local old = temp.read(key_file())
      assert.same({ webhooks = 1, texts = 1 }, assert(moonpost.rekey(config)))
      assert.not_equal(old, temp.read(key_file()))
      assert.is_nil(temp.read(key_file() .. ".new"))
      assert.equal("", files_with(CANARY))
      open()
      assert.equal("Bearer " .. CANARY, hooks.webhooks:list()[1].headers.Authorization)
      close()
      local new = temp.read(key_file())
      temp.write(key_file(), old)
      local none, _, code = moonpost.open(config)
      assert.is_nil(none)
      assert.equal("EKEY", code)
      temp.write(key_file(), new)
      open()
    end)

    it("take a given one", function()
      make()
      assert(moonpost.rekey(config, { key = OTHER }))
      assert.equal(OTHER .. "\n", temp.read(key_file()))
      local none, message, code = moonpost.rekey(config, { key = "short" })
      assert.is_nil(none)
      assert.equal("EKEY", code)
      assert.matches("the new key: expected a key, the base64 of 32 bytes", message, 1, true)
      open()
    end)

    it("are left as they are while something has the store open", function()
      make()
      local before = temp.read(key_file())
      open()
      local none, message, code = moonpost.rekey(config)
      assert.is_nil(none)
      assert.equal("EBUSY", code)
      assert.matches("it is open %(pid %d+ on ", message)
      assert.equal(before, temp.read(key_file()))
      assert.is_nil(temp.read(key_file() .. ".new"))
    end)

    it("are found by it when the process died before the key was in its place", function()
      make()
      local old = temp.read(key_file())
      assert(moonpost.rekey(config, { key = OTHER }))
      temp.write(key_file() .. ".new", OTHER .. "\n")
      temp.write(key_file(), old)
      shell.run(("chmod 600 %s %s.new"):format(shell.quote(key_file()), shell.quote(key_file())))
      open()
      assert.equal(1, #hooks.webhooks:list())
      assert.equal(OTHER .. "\n", temp.read(key_file()))
      assert.is_nil(temp.read(key_file() .. ".new"))
    end)

    it("are left alone where there is no store", function()
      local none, message, code = moonpost.rekey(config)
      assert.is_nil(none)
      assert.equal("ENOENT", code)
      assert.matches("there is no store", message, 1, true)
      config.webhooks.store = ":memory:"
      assert.equal("EINVAL", (select(3, moonpost.rekey(config))))
    end)
  end)
end)
