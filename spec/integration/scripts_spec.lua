-- Scripts, end to end: which webhook gets an event, and what of it; what becomes of it when one fails.
local admin_support = require "spec.support.admin"
local cjson = require "cjson"
local moonpost = require "moonpost"
local hooks_support = require "spec.support.hooks"
local receivers = require "spec.support.receiver"
local scripts = require "spec.support.scripts"
local wait_until = require "spec.support.wait_until"

describe("scripts", function()
  local receiver, hooks, folder

  before_each(function() receiver, hooks = receivers.start(), nil end)
  after_each(function() hooks_support.done(hooks, receiver) end)

  local function open(files, extra)
    folder = scripts.folder(files)
    hooks = scripts.open(folder, extra)
  end

  local function create(name, extra)
    return hooks_support.create(hooks, { name = name, url = receiver:url("/echo?" .. name), events = { "entry.*" } }, extra)
  end

  local function emit(entry, event)
    return assert(hooks:emit(event or "entry.create", { model = "address", entry = entry or { id = 1, city = "Paris" } }))
  end

  -- What came to a webhook, in order.
  local function requests_of(name)
    local list = {}
    for _, request in ipairs(receiver:requests()) do
      if request.path == "/echo?" .. name then list[#list + 1] = request end
    end
    return list
  end

  local function only_delivery(id)
    local list = assert(hooks.deliveries:list { event_id = id })
    assert.equal(1, #list)
    return list[1]
  end

  it("filter by what is in the entry; what passes is sent byte for byte", function()
    open { crm = [[
      return { events = { "entry.*" }, filter = function(event, webhook)
        return event.entry.city == "Paris" and event.event == "entry.create" and webhook.name == "a"
      end }
    ]] }
    create("a", { script = "crm" })
    create("plain")
    local kept, dropped = emit { id = 1, city = "Paris" }, emit { id = 2, city = "Rome" }
    assert(hooks:wait(20))
    assert.equal(1, #requests_of "a")
    assert.equal(2, #requests_of "plain")
    local by_id = {}
    for _, request in ipairs(requests_of "plain") do by_id[receivers.header(request, "webhook-id")] = request.body end
    assert.equal(by_id[kept], requests_of("a")[1].body)
    local states = {}
    for _, delivery in ipairs(assert(hooks.deliveries:list { webhook_id = "1" })) do
      states[delivery.event_id] = delivery.state
      assert.matches("^crm@%x+$", delivery.scripts)
    end
    assert.same({ [kept] = "delivered", [dropped] = "filtered" }, states)
    assert.is_nil(hooks.deliveries:list({ webhook_id = "2" })[1].scripts)
    assert.is_true(hooks:stats().store.adds_up)
  end)

  it("pass by what their events and models leave out", function()
    open { crm = [[return { events = { "entry.update" }, models = { "address" }, filter = function() return false end }]] }
    create("a", { script = "crm" })
    local created = emit({ id = 1 })
    local changed = emit({ id = 1 }, "entry.update")
    local article = assert(hooks:emit("entry.update", { model = "article", entry = { id = 2 } }))
    assert(hooks:wait(20))
    assert.equal("delivered", only_delivery(created).state)
    assert.is_nil(only_delivery(created).scripts)
    assert.equal("filtered", only_delivery(changed).state)
    assert.equal("delivered", only_delivery(article).state)
  end)

  it("transform the payload, which is sanitized again, and add headers", function()
    open { crm = [[
      return { transform = function(payload, event, webhook)
        payload.entry.city = payload.entry.city:upper()
        payload.entry.notes = "put back"
        payload.entry.door_code = "1234"
        payload.extra = { from = webhook.name, id = event.id, empty = json.array() }
        return payload, { headers = { ["X-Region"] = "eu", ["x-own"] = "2" } }
      end }
    ]] }
    create("a", { script = "crm", headers = { ["X-Own"] = "1" } })
    local tags = setmetatable({}, moonpost.array_mt)
    local id = emit { id = 1, city = "Paris", geolocation = { lat = 48.85, tags = tags } }
    assert(hooks:wait(20))
    local request = requests_of("a")[1]
    local body = cjson.decode(request.body)
    assert.equal("PARIS", body.entry.city)
    assert.is_nil(body.entry.notes)
    assert.is_nil(body.entry.door_code)
    assert.equal("a", body.extra.from)
    assert.equal(id, body.extra.id)
    assert.truthy(request.body:find('"tags":[]', 1, true), request.body)
    assert.truthy(request.body:find('"empty":[]', 1, true), request.body)
    assert.equal("eu", (receivers.header(request, "X-Region")))
    assert.equal("1", (receivers.header(request, "X-Own"))) -- the webhook's own stay
    assert.equal("entry.create", (receivers.header(request, "X-Strapi-Event")))
    local payload = assert(hooks.deliveries:payload(only_delivery(id).id))
    assert.equal(request.body, payload.body)
    assert.same({ ["X-Region"] = "eu", ["x-own"] = "2" }, payload.headers)
    assert.equal("application/json", payload.content_type)
  end)

  it("keep 64-bit integers, empty lists and the order of names", function()
    open { crm = [[return { transform = function(payload) return payload end }]] }
    create("a", { script = "crm" })
    local entry = '{"id":9223372036854775807,"rating":0.1,"geolocation":{"z":[],"a":{},"m":[1,[],{"y":null,"b":-2.5}]},"city":"Zürich"}'
    local id = assert(hooks:emit_json('{"event":"entry.create","model":"address","entry":' .. entry .. "}"))
    assert(hooks:wait(20))
    local sent = requests_of("a")[1].body
    assert.truthy(sent:find('^{"event":"entry.create","created_at":"[^"]*","model":"address","entry":{"id"'), sent)
    assert.truthy(sent:find(entry, 1, true), sent)
    assert.equal("delivered", only_delivery(id).state)
  end)

  it("send a string as it is, with its own content type", function()
    open {
      csv = [[
        return { transform = function(payload)
          return "id,city\n" .. payload.entry.id .. "," .. payload.entry.city, { content_type = "text/csv" }
        end }
      ]],
      text = [[return { transform = function() return "hello" end }]],
    }
    create("csv", { script = "csv" })
    create("text", { script = "text" })
    emit()
    assert(hooks:wait(20))
    assert.equal("id,city\n1,Paris", requests_of("csv")[1].body)
    assert.equal("text/csv", (receivers.header(requests_of("csv")[1], "Content-Type")))
    assert.equal("hello", requests_of("text")[1].body)
    assert.equal("text/plain; charset=utf-8", (receivers.header(requests_of("text")[1], "Content-Type")))
  end)

  it("route from a global script, whatever is subscribed to", function()
    open({ routing = [[
      return { events = { "entry.*" }, route = function(event)
        if event.entry.city == "Nowhere" then return {} end
        if event.entry.city == "Rome" then return { "b", "c" } end
      end }
    ]] }, { globalScripts = { "routing" } })
    create "a"
    create("b", { events = { "media.*" } })
    create("c", { events = { "media.*" }, models = { "article" } })
    local rome, paris, nowhere = emit { city = "Rome" }, emit { city = "Paris" }, emit { city = "Nowhere" }
    assert(hooks:wait(20))
    local function ids(name)
      local list = {}
      for i, request in ipairs(requests_of(name)) do list[i] = receivers.header(request, "webhook-id") end
      return list
    end
    assert.same({ paris }, ids "a")
    assert.same({ rome }, ids "b")
    assert.same({ rome }, ids "c")
    assert.same({}, assert(hooks.deliveries:list { event_id = nowhere }))
  end)

  it("that fail of a routing hold the event, which says so, until a new version is there", function()
    open({ routing = [[return { route = function(event) if event.entry.city == "Rome" then error "no way" end end }]] },
      { globalScripts = { "routing" } })
    create "a"
    local paris, rome = emit(), emit { city = "Rome" }
    assert(hooks:wait(20))
    local held = assert(hooks.events:list { routing = "held" })
    assert.equal(1, #held)
    assert.equal(rome, held[1].id)
    local event = assert(hooks.events:get(rome))
    assert.same(held[1], event)
    assert.equal("held", event.routing)
    assert.matches("^routing%.lua:1: .*no way", event.routing_error)
    assert.is_nil(assert(hooks.events:get(paris)).routing)
    assert.same({}, assert(hooks.events:list { routing = "held", type = "entry.update" }))
    local list, message, code = hooks.events:list { routing = "lost" }
    assert.is_nil(list)
    assert.equal("routing: expected held", message)
    assert.equal("EINVAL", code)
    local handler = admin_support.handler(hooks)
    local status, answer = admin_support.go(handler, "GET", "/admin/events?routing=held")
    assert.equal(200, status)
    assert.equal(rome, answer.data[1].id)
    assert.equal(event.routing_error, answer.data[1].routing_error)
    assert.equal(400, (admin_support.go(handler, "GET", "/admin/events?routing=lost")))
    scripts.write(folder, "routing", [[return { route = function() end }]])
    assert(hooks:reload())
    assert(receiver:wait_for(2, 30))
    assert.is_nil(assert(hooks.events:get(rome)).routing)
    assert.same({}, assert(hooks.events:list { routing = "held" }))
  end)

  it("run in order: the global ones, then the webhook's own", function()
    open({
      one = [[
        return { transform = function(p)
          p.entry.city = p.entry.city .. "1"
          return p, { headers = { ["X-A"] = "1", ["X-B"] = "1" } }
        end }
      ]],
      two = [[return { transform = function(p) p.entry.city = p.entry.city .. "2" return p, { headers = { ["x-a"] = "2" } } end }]],
      own = [[return { transform = function(p, event) p.entry.city = p.entry.city .. event.entry.city return p end }]],
    }, { globalScripts = { "one", "two" } })
    create("a", { script = "own" })
    local id = emit { city = "x" }
    assert(hooks:wait(20))
    local request = requests_of("a")[1]
    assert.equal("x12x", cjson.decode(request.body).entry.city)
    assert.equal("2", (receivers.header(request, "X-A")))
    assert.equal("1", (receivers.header(request, "X-B")))
    assert.matches("^one@%x+ two@%x+ own@%x+$", only_delivery(id).scripts)
  end)

  it("have constants, libraries of their folder, and nothing of the host", function()
    open({
      crm = [[
        local lib = require "lib.words"
        return { transform = function(payload)
          local reached = {}
          for _, name in ipairs { "io", "package", "debug", "ffi", "jit", "load", "loadstring", "dofile", "loadfile", "collectgarbage",
            "getfenv", "setfenv", "newproxy", "coroutine", "print", "ngx", "arg" } do
            if pcall(function() return _G[name] end) then reached[#reached + 1] = name end
          end
          local execute = pcall(function() return os.execute end)
          return { words = lib.both(constants.first, "b"), reached = json.array(reached), execute = execute, time = os.time() }
        end }
      ]],
      ["lib/words"] = [[return { both = function(a, b) return a .. "+" .. b end }]],
    }, { constants = { first = "a" } })
    create("a", { script = "crm" })
    local id = emit()
    assert(hooks:wait(20))
    local delivery = only_delivery(id)
    assert.equal("delivered", delivery.state, delivery.last and delivery.last.error)
    local body = cjson.decode(requests_of("a")[1].body)
    assert.equal("a+b", body.words)
    assert.same({}, body.reached)
    assert.is_false(body.execute)
    local created = assert(hooks.events:get(id)).created_at
    assert.equal(math.floor(require("moonpost.time").to_ms(created, "created_at") / 1000), body.time)
  end)

  it("that fail hold what they failed of, with the line, until a new version is there", function()
    open { crm = "return {\n  filter = function(event)\n    return event.entry.city.name.first == 1\n  end,\n}\n" }
    create("a", { script = "crm" })
    create("plain")
    local id = emit()
    assert(hooks:wait(20))
    local held = assert(hooks.deliveries:list { webhook_id = "1" })[1]
    assert.equal("held", held.state)
    assert.equal("script", held.last.class)
    assert.matches("^crm%.lua:3: ", held.last.error)
    assert.equal(1, #requests_of "plain")
    assert.equal(0, #requests_of "a")
    assert.equal(1, scripts.state(hooks, "crm").errors)
    assert.is_true(hooks:stats().store.adds_up)
    scripts.write(folder, "crm", "return { filter = function() return true end }")
    assert.same({ loaded = { "crm" }, failed = {} }, hooks:reload())
    assert.equal("delivered", scripts.settled(hooks, { webhook_id = "1" }, "delivered").state)
    assert.equal(id, (receivers.header(requests_of("a")[1], "webhook-id")))
  end)

  it("cannot set what is moonpost's own", function()
    open { crm = [[return { transform = function(p) return p, { headers = { [p.entry.city] = p.entry.postal_code } } end }]] }
    create("a", { script = "crm" })
    for name, value in pairs { ["webhook-id"] = "x", ["Content-Type"] = "x", Host = "x", ["X A"] = "x", ["X-B"] = "a\r\nX-C: d",
      ["X-Strapi-Event"] = "x" } do
      local id = emit { city = name, postal_code = value }
      assert(hooks:wait(20))
      assert.equal("held", only_delivery(id).state, name)
      assert.truthy(only_delivery(id).last.error:find("crm.lua", 1, true) or only_delivery(id).last.error:find("header", 1, true),
        only_delivery(id).last.error)
    end
    assert.equal(0, #receiver:requests())
  end)

  it("are stopped at their limits, and the others go on", function()
    open({
      loop = [[return { filter = function(event) while event.entry.city do end return true end }]],
      memory = [[return { filter = function(event) local s = event.entry.city while s do s = s .. s end return true end }]],
      good = [[return { filter = function() return true end }]],
    }, { limits = { scriptTime = 0.05, scriptInstructions = 1000000000, scriptMemory = 2097152 } })
    for _, name in ipairs { "loop", "memory", "good" } do create(name, { script = name }) end
    local id = emit()
    assert(hooks:wait(30))
    local by_webhook = {}
    for _, delivery in ipairs(assert(hooks.deliveries:list { event_id = id })) do by_webhook[delivery.webhook_id] = delivery end
    assert.equal("held", by_webhook["1"].state)
    assert.matches("^loop%.lua:1: .*0%.05 seconds", by_webhook["1"].last.error)
    assert.equal("held", by_webhook["2"].state)
    assert.matches("^memory%.lua.*memory", by_webhook["2"].last.error)
    assert.equal("delivered", by_webhook["3"].state)
    -- The host is as it was.
    local jit = rawget(_G, "jit")
    if jit then assert.is_true((jit.status())) end
    assert.is_nil((debug.gethook()))
    assert.equal("aa", ("a"):rep(2))
  end)

  it("that fail 20 times in a row are paused and reported", function()
    open { crm = [[error "never"]] .. "\n" }
    assert.is_nil(hooks.webhooks:create { name = "x", url = receiver:url "/ok", events = { "*" }, script = "none" })
    scripts.write(folder, "crm", [[return { filter = function(event) error("no luck with " .. event.entry.city) end }]])
    create("a", { script = "crm" })
    assert(hooks.webhooks:create { name = "operator", url = receiver:url "/echo?operator", events = { "script.paused" } })
    local told
    assert(hooks:on("script.paused", function(report) told = report end))
    for _ = 1, 25 do emit() end
    assert(hooks:wait(20))
    wait_until(20, function() return hooks:poll() and told end)
    assert.equal("crm", told.script)
    assert.matches("no luck", told.error)
    assert.is_true(scripts.state(hooks, "crm").paused)
    assert.equal(20, scripts.state(hooks, "crm").errors)
    assert.truthy(receiver:wait_for(1))
    assert.equal("script.paused", cjson.decode(requests_of("operator")[1].body).event)
    assert.equal(25, hooks:stats().store.held)
    scripts.write(folder, "crm", [[return { filter = function() return true end }]])
    assert(hooks:reload())
    assert(receiver:wait_for(26))
    assert.is_false(scripts.state(hooks, "crm").paused)
  end)

  it("send the same bytes again, and anew only when asked", function()
    open { crm = [[return { transform = function(p) p.entry.city = "one " .. math.random(1000000) return p end }]] }
    create("a", { script = "crm" })
    local id = emit()
    assert(hooks:wait(20))
    local delivery = only_delivery(id)
    local first = requests_of("a")[1].body
    assert(hooks.deliveries:resend(delivery.id, { rerun = true })) -- the same version: the same bytes
    assert(receiver:wait_for(2))
    assert.equal(first, requests_of("a")[2].body)
    scripts.write(folder, "crm", [[return { transform = function(p) p.entry.city = "two" return p end }]])
    assert(hooks:reload())
    assert(hooks:wait(20))
    assert(hooks.deliveries:resend(delivery.id))
    assert(receiver:wait_for(3))
    assert.equal(first, requests_of("a")[3].body)
    assert(hooks:wait(20))
    assert.equal(delivery.scripts, only_delivery(id).scripts)
    assert(hooks.deliveries:resend(delivery.id, { rerun = true }))
    assert(receiver:wait_for(4))
    assert.equal("two", cjson.decode(requests_of("a")[4].body).entry.city)
    assert(hooks:wait(20))
    assert.not_equal(delivery.scripts, only_delivery(id).scripts)
    local versions = {}
    for i, attempt in ipairs(assert(hooks.deliveries:attempts(delivery.id))) do versions[i] = attempt.scripts end
    assert.same({ delivery.scripts, delivery.scripts, delivery.scripts, only_delivery(id).scripts }, versions)
  end)

  it("that are missing or broken at the start are an error of the config", function()
    local dir = scripts.folder { broken = "return {\n  filter = = 1\n}" }
    local config = { webhooks = { store = ":memory:", scripts = dir, globalScripts = { "broken" }, log = { level = "off" } } }
    local opened, message, code = moonpost.open(config)
    assert.is_nil(opened)
    assert.equal("EINVAL", code)
    assert.matches("broken%.lua:2: ", message)
    config.webhooks.globalScripts = { "none" }
    opened, message, code = moonpost.open(config)
    assert.is_nil(opened)
    assert.equal("EINVAL", code)
    assert.truthy(message:find("webhooks.globalScripts[1]: expected a script, " .. dir .. "/none.lua is not there", 1, true), message)
    config.webhooks.globalScripts = nil
    config.webhooks.endpoints = { { name = "a", url = "http://a.example/", events = { "*" }, script = "broken" } }
    opened, message, code = moonpost.open(config)
    assert.is_nil(opened)
    assert.equal("EINVAL", code)
    assert.matches("broken%.lua:2: ", message)
  end)

  it("delay their own webhook alone, and no emit", function()
    open({
      slow = [[return { filter = function() local n = 0 for i = 1, 3000000 do n = n + i % 7 end return n > 0 end }]],
    }, { limits = { scriptTime = 5, scriptInstructions = 1000000000 } })
    create("slow", { script = "slow" })
    create("plain")
    local count = 30
    for i = 1, count do emit { id = i } end
    -- All the others have come while the slow one's still wait.
    assert.truthy(wait_until(30, function() return #requests_of "plain" == count end))
    assert.is_true(#requests_of "slow" < count)
    assert(hooks:wait(60))
    assert.equal(count, #requests_of "slow")
  end)
end)
