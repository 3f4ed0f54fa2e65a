-- moonpost in a real nginx: emits from its phases, several workers, reload, what goes wrong at the start.
local cjson = require "cjson"
local core = require "moonpost.core"
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local nginx = require "spec.support.nginx"
local receivers = require "spec.support.receiver"
local temp = require "spec.support.temp"
local wait_until = require "spec.support.wait_until"

local CONFIG = [[
return { webhooks = { store = "m.db", models = { address = { attributes = { city = { type = "string" } } } },
  network = { allow = { "127.0.0.0/8" } }, limits = { inbox = 1000 }, delivery = { retrySchedule = { 0.05 }, threads = 2 } } }
]]

local SERVER = [[
location = /content { content_by_lua_block { emit(nil, ngx.say) } }
location = /json {
  content_by_lua_block {
    ngx.say((require("moonpost.host.openresty").emit_json('{"event":"entry.create","model":"address","entries":[{"id":1},{"id":2}]}'))[2])
  }
}
location = /unknown {
  content_by_lua_block {
    ngx.say((require("moonpost.host.openresty").emit("entry.create", { model = "address", entry = { mystery = 1 } })))
  }
}
location = /bad { content_by_lua_block { ngx.say((select(2, require("moonpost.host.openresty").emit("entry.creat", {})))) } }
location = /rewrite { rewrite_by_lua_block { emit(nil, say) } content_by_lua_block { ngx.say(ngx.ctx.said) } }
location = /access { access_by_lua_block { emit(nil, say) } content_by_lua_block { ngx.say(ngx.ctx.said) } }
location = /set {
  set_by_lua_block $said { emit({ wait = false }, say) return ngx.ctx.said }
  content_by_lua_block { ngx.say(ngx.var.said) }
}
location = /headers { header_filter_by_lua_block { emit({ wait = false }, function(id) ngx.header["X-Id"] = id end) } return 200; }
location = /body {
  content_by_lua_block { ngx.print("x") }
  body_filter_by_lua_block { if ngx.arg[2] then emit({ wait = false }, function(id) ngx.arg[1] = id end) end }
}
location = /log { content_by_lua_block { ngx.say("ok") } log_by_lua_block { emit({ done = note }, function() end) } }
location = /timer { content_by_lua_block { ngx.timer.at(0, function() emit(nil, note) end) ngx.say("ok") } }
location = /refused {
  content_by_lua_block { ngx.say("ok") }
  header_filter_by_lua_block { ngx.ctx.said = select(2, pcall(emit, nil, print)) ngx.header["X-Said"] = ngx.ctx.said }
}
location = /threads {
  content_by_lua_block {
    local threads, seen, count = {}, {}, 0
    for i = 1, 50 do
      threads[i] = ngx.thread.spawn(function()
        emit(nil, function(id) if id and not seen[id] then seen[id] = true count = count + 1 end end)
      end)
    end
    for _, thread in ipairs(threads) do ngx.thread.wait(thread) end
    ngx.say(count)
  }
}
location = /killed {
  content_by_lua_block {
    for _ = 1, 10 do
      ngx.thread.kill(ngx.thread.spawn(function() emit(nil, print) end))
    end
    emit(nil, ngx.say)
  }
}
location = /noted { content_by_lua_block { ngx.say(ngx.shared.noted:get("id")) } }
location / {
  client_body_buffer_size 1k;
  content_by_lua_block {
    require("moonpost.host.openresty").content { prefix = "/hooks", tokens = { check = function() return { "read", "write", "emit" } end } }
  }
}
]]

-- Of every request; what it emits goes to tell.
local HTTP = [[
lua_shared_dict noted 64k;
init_by_lua_block {
  MASTER
  function emit(options, tell)
    local entry = { id = 1, city = ngx.get_phase() }
    tell(require("moonpost.host.openresty").emit("entry.create", { model = "address", entry = entry }, options))
  end
  function say(id, message) ngx.ctx.said = id or message end
  function note(id, message) ngx.shared.noted:set("id", id or message) end
}
]]

describe("moonpost in nginx #nginx", function()
  local server
  local missing = nginx.missing()
  if missing then
    pending(missing)
    return
  end

  local function start(options)
    options = options or {}
    options.config, options.server = options.config or CONFIG, options.server or SERVER
    options.http = HTTP:gsub("MASTER", options.master or "") .. (options.http or "")
    server = nginx.start(options)
  end

  after_each(function()
    if server then server:stop() end
    server = nil
    temp.clean()
  end)

  -- The text of a stored event's body.
  local function stored(id)
    return wait_until(20, function()
      local status, text = server:get("/hooks/admin/events/" .. id, "-H", "Authorization: Bearer x")
      return status == 200 and cjson.decode(text).data.body
    end)
  end

  it("emits from each phase that may sleep, and hands over from the others", function()
    start()
    for _, phase in ipairs { "content", "rewrite", "access", "set", "body" } do
      local status, id = server:get("/" .. phase)
      assert.equal(200, status)
      id = assert(id:match "evt_%w+", phase .. ": " .. id)
      assert.truthy(stored(id):find('"city":"' .. phase, 1, true), phase)
    end
    local _, head = server:get("/headers", "-i")
    assert.truthy(stored(head:match "X%-Id: (evt_%w+)"):find '"city":"header_filter"')
    assert.truthy(select(2, server:get "/json"):find "^evt_%w+\n")
    assert.equal("unknown event 'entry.creat'; did you mean 'entry.create'?\n", (select(2, server:get "/bad")))
    for _, phase in ipairs { "log", "timer" } do
      server:get("/" .. phase)
      local id
      assert(wait_until(20, function()
        id = select(2, server:get "/noted"):match "evt_%w+"
        return id and (stored(id) or ""):find('"city":"' .. phase, 1, true)
      end), phase)
    end
    assert.is_nil(server:log():find "%[error%]")
  end)

  it("has the log in nginx's own", function()
    start()
    local status = server:get "/unknown"
    assert.equal(200, status)
    local line = wait_until(20, function() return server:log():match "[^\n]*mystery[^\n]*" end)
    assert.truthy(line:find("[warn]", 1, true), line)
    assert.truthy(line:find("moonpost: warn: model application::address.address: 'mystery' is not in the schema", 1, true), line)
  end)

  it("says where it cannot wait", function()
    start()
    local _, head = server:get("/refused", "-i")
    assert.truthy(head:find("emit waits for the disk, and header_filter cannot wait: pass { wait = false }", 1, true), head)
  end)

  it("tells each of many light threads of its own event, and outlives those that are killed", function()
    start()
    assert.equal("50\n", (select(2, server:get "/threads")))
    assert.truthy(select(2, server:get "/killed"):find "^evt_")
    assert.equal("50\n", (select(2, server:get "/threads")))
    assert.is_nil(server:log():find "%[error%]")
  end)

  it("waits without the socket when there is no timer for it", function()
    start { http = "lua_max_running_timers 0;" }
    assert.truthy(select(2, server:get "/content"):find "^evt_")
    assert.equal("50\n", (select(2, server:get "/threads")))
  end)

  it("has threads that take the CPU from nobody", function()
    start()
    server:get "/content"
    local batch, own = 0, server:workers()[1]
    for _, task in ipairs(core.listdir(("/proc/%d/task"):format(own))) do
      local stat = temp.read(("/proc/%d/task/%s/stat"):format(own, task.name)) or ""
      local policy = stat:match "^.*%) (.*)$":match(("%S+ "):rep(38) .. "(%d+)") -- proc(5): field 41
      if task.name == tostring(own) then
        assert.equal("0", policy)
      elseif policy == "3" then
        batch = batch + 1
      end
    end
    assert.equal(1 + 2, batch)
  end)

  it("works with lua_code_cache off", function()
    start { http = "lua_code_cache off;" }
    local ids = {}
    for i = 1, 5 do ids[i] = assert(select(2, server:get "/content"):match "evt_%w+") end
    assert.truthy(stored(ids[5]))
    assert.equal(1, #server:workers())
  end)

  it("answers the HTTP API, with bodies of any size", function()
    start()
    local auth = { "-H", "Authorization: Bearer x" }
    local status, body = server:get "/hooks/healthz"
    assert.same({ 200, '{"status":"ok"}' }, { status, body })
    assert.equal(401, (server:get "/hooks/admin/webhooks"))
    for _, path in ipairs { "/hooks/admin", "/hooks/", "/hooks/admin/" } do -- the page, whose addresses are relative
      status, body = server:get(path, "-L", "-o", "/dev/null", "-w", "%{url_effective}\n%{http_code}")
      assert.same({ 200, "http://moonpost/hooks/admin" }, { status, body })
    end
    assert.equal(200, (server:get "/hooks/admin/assets/main.js"))
    status, body = server:get("/hooks/events?key=a%2Fb", auth[1], auth[2], "-H", "Content-Type: application/json", "-d",
      '{"event":"entry.create","model":"address","entry":{"id":12345678901234567890}}')
    assert.equal(202, status, body)
    assert.truthy(stored(body:match "evt_%w+"):find("12345678901234567890", 1, true))
    local big = temp.write(server.dir .. "/big.json", '{"event":"entry.create","model":"address","entry":{"id":1,"city":"'
      .. ("x"):rep(300000) .. '"}}')
    status, body = server:get("/hooks/events", auth[1], auth[2], "-H", "Content-Type: application/json", "-T", big, "-X", "POST")
    assert.equal(202, status)
    assert.is_true(#stored(body:match "evt_%w+") > 300000)
    status, body = server:get("/hooks/admin/webhooks", "-I", auth[1], auth[2])
    assert.equal(200, status)
    assert.truthy(body:find "Content%-Length: %d%d")
  end)

  it("refuses a body over the API's limit before it is read", function()
    start { config = (CONFIG:gsub("limits = {", "limits = { eventSize = 1024,")), http = "client_max_body_size 0;" }
    local big = temp.write(server.dir .. "/big.json", ("x"):rep(100000))
    local status, body = server:get("/hooks/events", "-H", "Authorization: Bearer x", "-X", "POST", "-T", big)
    assert.equal(413, status)
    assert.equal("E2BIG", cjson.decode(body).code)
  end)

  it("serves others while a call waits for a receiver", function()
    local receiver = receivers.start()
    finally(function() receiver:stop() end)
    start { config = (CONFIG:gsub("delivery = {", ('endpoints = {{ name = "a", url = "%s", events = { "*" } }}, delivery = { timeout = 30,')
      :format(receiver:url "/hang"))) }
    local socket, out = server.dir .. "/http.sock", server.dir .. "/trigger"
    local pipe = assert(io.popen(("curl -s -X POST -H 'Authorization: Bearer x' --unix-socket %s %s >%s"):format(socket,
      "http://moonpost/hooks/admin/webhooks/1/trigger", out), "w"))
    assert(receiver:wait_for(1))
    for _ = 1, 5 do assert.truthy(select(2, server:get "/content"):find "^evt_") end
    local status, text = server:get("/hooks/admin/stats", "-H", "Authorization: Bearer x")
    assert.equal(200, status)
    assert.equal(5, cjson.decode(text).data.store.events)
    assert.equal("", temp.read(out))
    receiver:stop() -- the attempt ends
    pipe:close()
    assert.truthy(temp.read(out):find '"error":"reset"', temp.read(out))
  end)

  it("tells functions of hooks:on of reports without a poll", function()
    start {
      config = (CONFIG:gsub("0.05", "")),
      server = SERVER .. [[ location = /watch { content_by_lua_block {
        local hooks = require("moonpost.host.openresty").hooks()
        assert(hooks:on("delivery.dead", function(report) ngx.shared.noted:set("id", report.event) end))
        assert(hooks.webhooks:create { name = "a", url = "http://hook.invalid/", events = { "*" } })
        ngx.say((hooks:emit("entry.create", { model = "address", entry = { id = 1 } })))
      } }]],
    }
    assert.truthy(select(2, server:get "/watch"):find "^evt_")
    assert(wait_until(20, function() return select(2, server:get "/noted") == "delivery.dead\n" end))
  end)

  describe("at the start", function()
    it("refuses the master process", function()
      local _, message = pcall(start, { master = 'require("moonpost.host.openresty").start("DIR/server.lua")' })
      assert.truthy(tostring(message):find("start belongs in init_worker_by_lua*", 1, true), tostring(message))
      server = nil
    end)

    it("logs what is wrong, answers it, and starts when it is mended", function()
      start { config = CONFIG:gsub("m.db", "data/m.db") }
      local _, text = server:get "/content"
      assert.truthy(text:find("moonpost is not started: ", 1, true), text)
      assert.truthy(text:find("data/m.db: the folder it should be in does not exist", 1, true), text)
      assert.equal(503, (server:get "/hooks/healthz"))
      assert.truthy(server:log():find("moonpost: not started: ", 1, true))
      require("spec.support.shell").run("mkdir " .. server.dir .. "/data")
      assert(wait_until(30, function() return select(2, server:get "/content"):find "^evt_" end))
    end)

    it("leaves processes that are no workers alone", function()
      start { init = [[
        package.loaded["ngx.process"] = { type = function() return "privileged agent" end }
        require("moonpost.host.openresty").start("DIR/server.lua")
      ]] }
      assert.truthy(select(2, server:get "/content"):find("moonpost is not started", 1, true))
      assert.is_nil(temp.read(server.dir .. "/m.db"))
    end)

    it("says so when it was forgotten", function()
      start { init = "" }
      assert.truthy(select(2, server:get "/content"):find("init_worker_by_lua", 1, true))
    end)
  end)

  it("leaves to the next start what it could not send", function()
    start { server = SERVER .. [[ location = /hook { content_by_lua_block {
      assert(require("moonpost.host.openresty").hooks().webhooks:create { name = "a", url = "http://hook.invalid/", events = { "*" } })
    } }]] }
    server:get "/hook"
    for _ = 1, 5 do server:get "/content" end
    local config = hooks_support.config { store = server.dir .. "/m.db" }
    server:signal "QUIT"
    assert(wait_until(30, function() return server:code() end))
    assert.equal(0, server:code())
    local hooks = assert(moonpost.open(config))
    finally(function() hooks:close(0) end)
    assert.equal(5, #assert(hooks.deliveries:list()))
  end)
end)
