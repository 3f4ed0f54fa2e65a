-- The HTTP API as a pure handler: who may, methods, health, the description, and whatever comes.
local admin = require "moonpost.admin"
local hooks_support = require "spec.support.hooks"
local receivers = require "spec.support.receiver"
local routes_of = require "moonpost.admin.routes"
local support = require "spec.support.admin"
local temp = require "spec.support.temp"

describe("the HTTP API", function()
  local receiver, hooks, handler, now

  setup(function()
    receiver = receivers.start()
    hooks = support.open(receiver)
  end)

  teardown(function() hooks_support.done(hooks, receiver) end)

  before_each(function()
    now = 0
    handler = support.handler(hooks, function() return now end)
  end)

  local function go(...)
    return support.go(handler, ...)
  end

  local function create(fields)
    return support.create(handler, receiver, fields)
  end

  local function each_target(run)
    for _, route in ipairs(routes_of(hooks.config)) do
      local id = route.tag == "webhooks" and "999999" or route.tag == "events" and "evt_0000000000001" or "dlv_0000000000001-1"
      run(route, (route.path:gsub(":id", id)))
    end
  end

  it("lets nobody in without a token, but for health", function()
    each_target(function(route, target)
      for _, method in ipairs { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "" } do
        local status, answer, headers, text = go(method, target, nil, { token = false })
        local where = method .. " " .. target
        if target == "/admin/session" and method == "POST" then
          assert.equal(400, status, where) -- which is how one signs in
        elseif route.scope or target == "/admin/session" then
          assert.equal(401, status, where)
          assert.truthy(headers["WWW-Authenticate"]:find "^Bearer", where)
          assert.is_nil(text:find "webhook", where)
        else
          assert.equal((method == "GET" or method == "HEAD") and 200 or method == "OPTIONS" and 204 or 405, status, where)
        end
        assert.is_true(method == "HEAD" or status == 204 or status == 200 or answer.statusCode == status, where)
      end
    end)
    for _, target in ipairs { "/admin/x", "/admin//", "/admin/webhooks/", "/admin/webhooks/1/x", "/healthz/", "/events/x", "//" } do
      assert.equal(404, (go("GET", target, nil, { token = false })), target)
    end
  end)

  it("asks of each route its scope", function()
    each_target(function(route, target)
      for _, scope in ipairs { "read", "write", "emit" } do
        local status, answer, headers = go(route.method, target, "", { token = scope })
        local where = ("%s %s with %s"):format(route.method, target, scope)
        if not route.scope or route.scope == "any" then
          assert.is_true(status == (route.body and 400 or 200) or status == 204, where)
        elseif scope == route.scope then
          assert.is_true(status ~= 401 and status ~= 403, where)
        else
          assert.equal(403, status, where)
          assert.equal("the token needs the scope " .. route.scope, answer.message)
          assert.truthy(headers["WWW-Authenticate"]:find('scope="' .. route.scope .. '"', 1, true))
        end
      end
    end)
  end)

  it("takes tokens from the Authorization field alone, one, as a bearer", function()
    local function status(authorization, more)
      local headers = { authorization = authorization }
      for name, value in pairs(more or {}) do headers[name] = value end
      return (handler:handle { method = "GET", path = "/admin/stats", headers = headers, query = "", body = "" })
    end
    assert.equal(200, status "Bearer all")
    assert.equal(200, status " bearer  all ")
    for _, value in ipairs { "", "all", "Bearer", "Bearer ", "Basic all", "Bearer all all", "Bearer ALL", "Bearer " .. ("a"):rep(10000) } do
      assert.equal(401, status(value), value:sub(1, 20))
    end
    assert.equal(401, status({ "Bearer all", "Bearer all" }))
    assert.equal(401, status("Bearer no", { AUTHORIZATION = "Bearer all" }))
    assert.equal(401, (go("GET", "/admin/stats?token=all", nil, { token = false })))
  end)

  it("does not listen to an address after ten failures, for a minute", function()
    local function try(token, remote) return go("GET", "/admin/stats", nil, { token = token, remote = remote }) end
    for _ = 1, 10 do assert.equal(401, (try("wrong", "10.0.0.1"))) end
    local status, _, headers = try("wrong", "10.0.0.1")
    assert.equal(429, status)
    assert.equal("60", headers["Retry-After"])
    assert.equal(429, (try("all", "10.0.0.1")))
    assert.equal(200, (try("all", "10.0.0.2")))
    assert.equal(200, (go("GET", "/healthz", nil, { token = false, remote = "10.0.0.1" })))
    now = 60
    assert.equal(200, (try("all", "10.0.0.1")))
    for _ = 1, 30 do assert.equal(401, (try(false, "10.0.0.3"))) end -- no token is no try
  end)

  it("has the tokens of the file beside the store by default", function()
    local tokens = require "moonpost.admin.tokens"
    local made = assert(tokens.open(tokens.path(hooks.config)):add("spec", { "read" }))
    local own = admin.new(hooks)
    assert.equal(200, (go("GET", "/admin/stats", nil, { handler = own, token = made.token })))
    assert.equal(401, (go("GET", "/admin/stats", nil, { handler = own, token = "all" })))
    assert.equal(200, (admin.handle { method = "GET", path = "/healthz" }))
  end)

  it("answers HEAD, OPTIONS and methods that are none", function()
    local _, _, get = go("GET", "/admin/stats")
    local status, _, headers, text = go("HEAD", "/admin/stats")
    assert.equal(200, status)
    assert.equal("", text)
    assert.equal(get["Content-Type"], headers["Content-Type"])
    assert.truthy(tonumber(headers["Content-Length"]) > 2)
    status, _, headers = go("OPTIONS", "/admin/webhooks/1")
    assert.equal(204, status)
    assert.equal("DELETE, GET, HEAD, OPTIONS, PATCH, PUT", headers.Allow)
    status, _, headers = go("POST", "/admin/webhooks/1")
    assert.equal(405, status)
    assert.equal("DELETE, GET, HEAD, OPTIONS, PATCH, PUT", headers.Allow)
    assert.equal(405, (go("HEAD", "/events")))
    assert.equal(405, (go("GET", "/admin/deliveries/replay")))
  end)

  it("is ready while the store answers, and alive when it does not", function()
    local own = hooks_support.open {}
    local other = support.handler(own)
    assert.equal(200, (go("GET", "/readyz", nil, { handler = other, token = false })))
    own:close(0)
    local status, answer = go("GET", "/readyz", nil, { handler = other, token = false })
    assert.equal(503, status)
    assert.equal("ECLOSED", answer.code)
    assert.equal(200, (go("GET", "/healthz", nil, { handler = other, token = false })))
    assert.equal(503, (go("GET", "/admin/webhooks", nil, { handler = other })))
  end)

  it("describes every route in openapi.json, the same each time", function()
    local _, description, _, text = go("GET", "/openapi.json", nil, { token = "emit" })
    assert.equal(text, select(4, go("GET", "/openapi.json", nil, { handler = support.handler(hooks) })))
    assert.equal("3.1.0", description.openapi)
    local names = {}
    for name in text:gmatch '"#/components/schemas/(%w+)"' do names[name] = true end
    for name in pairs(names) do assert.truthy(description.components.schemas[name], name) end
    for _, route in ipairs(routes_of(hooks.config)) do
      local operation = description.paths[route.path:gsub(":id", "{id}")][route.method:lower()]
      assert.equal(route.id, operation.operationId)
      assert.equal(route.scope ~= nil, #operation.security > 0)
      assert.truthy(not route.scope or operation.responses["401"])
    end
    assert.truthy(text:find '"order.paid"')
  end)

  it("has every route in docs/api.md", function()
    local page = assert(temp.read "docs/api.md")
    for _, route in ipairs(routes_of(hooks.config)) do
      assert.truthy(page:find(("`%s %s`"):format(route.method, route.path), 1, true), route.method .. " " .. route.path)
    end
  end)

  it("never raises, whatever comes", function()
    for _, request in ipairs { false, 3, "x", {}, { method = "GET" }, { method = "GET", path = {} },
      { method = "GET", path = "/", query = 3 },
      { method = "GET", path = "/healthz", headers = 3 }, { method = "GET", path = "/admin/stats", headers = { authorization = {} } },
      { method = "GET", path = "/admin/stats", headers = { [1] = "x", authorization = 3, x = {} } } } do
      local status = handler:handle(request)
      assert.is_true(type(status) == "number" and status < 500)
    end
    assert.is_true((handler:handle(nil)) == 400)
    -- Bytes, halves of JSON and wrong types on every route that takes a body; a seed for each run of the same.
    local seed = 1
    local function random(n)
      seed = (seed * 16807) % 2147483647
      return seed % n + 1
    end
    local pieces = { "{", "}", "[", "]", '"', ":", ",", "null", "1e999", "-0", '"name"', '"url"', '"headers"', '"events"', '"ids"',
      '"webhook_id"', "\0", "\255", "\\u0000", "\\ud800", '"a":', "{}", "[]", '"http://a/"', '"entry.create"', '"event":', "true", " ",
      "\n", '{"name":{},"url":[],"headers":{"a":{}},"events":[{}],"models":[null],"rate":{"perSecond":"x"},"order":1,"retrySchedule":[[]]}',
      '{"ids":[{}]}', '{"event":{},"entries":{}}', '{"headers":{"a":"\\u0000"},"name":"\\u0000"}',
      '{"rate":{"burst":1e308}}' }
    local own = create().id
    each_target(function(route, target)
      if not route.body then return end
      target = target:gsub("999999", own)
      for _ = 1, 300 do
        local parts = {}
        for i = 1, random(8) do parts[i] = pieces[random(#pieces)] end
        local text = table.concat(parts)
        local type, key = route.body.types[random(#route.body.types)], random(2) == 1 and "f" or nil
        local status = go(route.method, target, text, { type = type, key = key })
        assert.is_true(status < 500, ("%s %s: %d for %q"):format(route.method, target, status, text))
      end
    end)
  end)

  it("answers an error of its own with 500 and tells the host", function()
    local told
    local broken = setmetatable({ config = hooks.config }, { __index = function() error "secret detail" end })
    local own = admin.new(broken, { tokens = { check = function() return { "read" } end }, log = function(text) told = text end })
    local status, answer, _, text = go("GET", "/admin/stats", nil, { handler = own })
    assert.equal(500, status)
    assert.equal("An internal server error occurred", answer.message)
    assert.is_nil(text:find "secret")
    assert.truthy(told:find "secret detail")
  end)
end)
