-- Sessions of the admin page: signing in, what a cookie may, and everything that is refused.
local admin = require "moonpost.admin"
local cjson = require "cjson"
local core = require "moonpost.core"
local hooks_support = require "spec.support.hooks"
local json = require "moonpost.json"
local routes_of = require "moonpost.admin.routes"
local sessions = require "moonpost.admin.sessions"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local tokens = require "moonpost.admin.tokens"

local HOST, START = "moonpost.example:1337", 1768034856

describe("a session of the admin page", function()
  local hooks, file, folder, token, handler, now, wall

  -- A worker: it shares with others what is on disk alone.
  local function worker()
    return admin.new(hooks, {
      tokens = tokens.open(tokens.path(hooks.config), { clock = function() return now end }),
      sessions = sessions.open(folder, { clock = function() return wall end }), throttle = { clock = function() return now end },
    })
  end

  setup(function()
    hooks = hooks_support.open {}
    file, folder = tokens.open(tokens.path(hooks.config)), sessions.path(hooks.config)
  end)

  teardown(function()
    hooks:close(0)
    temp.clean()
  end)

  before_each(function()
    now, wall = 0, START
    token = assert(file:add("page", { "read", "write" })).token
    handler = worker()
  end)

  after_each(function() file:remove "page" end)

  local function go(method, path, headers, options)
    options = options or {}
    local all = { Host = HOST }
    for name, value in pairs(headers or {}) do all[name] = value end
    local body = type(options.body) == "table" and cjson.encode(options.body) or options.body
    local status, answered, text = (options.handler or handler):handle {
      method = method, path = path, query = options.query, headers = all, body = body, remote = options.remote,
      scheme = options.scheme,
    }
    return status, text ~= "" and json.decode(text) or nil, answered
  end

  local function sign_in(options)
    options = options or {}
    options.body = options.body or { token = token }
    local status, answer, headers = go("POST", "/admin/session", options.headers, options)
    assert.equal(201, status, answer.message)
    local name, value = headers["Set-Cookie"]:match "^([^=]+)=([^;]+); "
    return { Cookie = name .. "=" .. value, ["X-CSRF-Token"] = answer.data.csrf }, answer.data, headers["Set-Cookie"], value
  end

  local function with(headers, more)
    local result = {}
    for name, value in pairs(headers) do result[name] = value end
    for name, value in pairs(more) do result[name] = value or nil end
    return result
  end

  -- A change that needs the scope write and changes nothing.
  local function change(headers, options)
    local status, answer = go("POST", "/admin/scripts/reload", headers, options)
    return status, answer and answer.message
  end

  it("begins with a token, and is what the cookie names", function()
    local headers, data, set = sign_in()
    assert.truthy(set:find("^moonpost=1768078056%-" .. ("%x"):rep(64) .. "; Path=/; Max%-Age=43200; HttpOnly; SameSite=Strict$"), set)
    assert.equal("page", data.name)
    assert.same({ "read", "write" }, data.scopes)
    assert.equal("2026-01-10T20:47:36.000Z", data.expires_at)
    assert.is_nil(set:find(data.csrf, 1, true))
    local status, answer = go("GET", "/admin/session", { Cookie = headers.Cookie })
    assert.equal(200, status)
    assert.same(data, answer.data)
    assert.equal(200, (go("GET", "/admin/webhooks", { Cookie = headers.Cookie })))
    assert.equal(200, (go("HEAD", "/admin/webhooks", { Cookie = headers.Cookie })))
    assert.is_true(change(headers) ~= 401 and change(headers) ~= 403)
  end)

  it("is for https alone where the request came by it", function()
    local headers, _, set = sign_in { scheme = "https" }
    assert.truthy(set:find("^__Host%-moonpost=%S+; Path=/; Max%-Age=43200; HttpOnly; SameSite=Strict; Secure$"), set)
    assert.equal(200, (go("GET", "/admin/session", headers, { scheme = "https" })))
    -- Whoever can set a cookie by a plain connection sets none that counts by TLS.
    local plain = headers.Cookie:gsub("^__Host%-", "")
    assert.equal(401, (go("GET", "/admin/session", { Cookie = plain }, { scheme = "https" })))
    assert.equal(401, (go("GET", "/admin/session", headers)))
    -- What a client says of its connection is not asked.
    _, _, set = sign_in { headers = { ["X-Forwarded-Proto"] = "https", Forwarded = "proto=https" } }
    assert.is_nil(set:find "Secure")
  end)

  it("may what its token may", function()
    local reader = assert(file:add("reader", { "read" })).token
    now = 2
    local headers, data = sign_in { body = { token = reader } }
    assert.same({ "read" }, data.scopes)
    assert.equal(200, (go("GET", "/admin/webhooks", headers)))
    assert.same({ 403, "the token needs the scope write" }, { change(headers) })
    assert.equal(403, (go("GET", "/admin/webhooks", headers, { query = "show_secrets=true" })))
    file:remove "reader"
  end)

  it("is known to every worker, ends with its token, and for all with signing out", function()
    local headers = sign_in()
    local other = worker()
    assert.equal(200, (go("GET", "/admin/session", headers, { handler = other })))
    local status, _, answered = go("DELETE", "/admin/session", headers, { handler = other })
    assert.equal(204, status)
    assert.equal("moonpost=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict", answered["Set-Cookie"])
    assert.equal(401, (go("GET", "/admin/session", headers)))
    headers = sign_in()
    file:remove "page"
    now = 2 -- the tokens' file is looked at once a second
    assert.equal(401, (go("GET", "/admin/session", headers)))
    file:add("page", { "read" }) -- another of its name
    now = 4
    assert.equal(401, (go("GET", "/admin/session", headers)))
  end)

  it("is over after twelve hours, used or not", function()
    local headers = sign_in()
    wall = START + 43199
    assert.equal(200, (go("GET", "/admin/session", headers)))
    wall = START + 43200
    local status, answer = go("GET", "/admin/session", headers)
    assert.equal(401, status)
    assert.equal("the session is over: sign in again", answer.message)
    assert.truthy(#core.listdir(folder) > 0)
    sign_in()
    assert.equal(1, #core.listdir(folder)) -- what is over goes
  end)

  it("ends when its browser signs in again", function()
    local first = sign_in()
    local second = sign_in { headers = { Cookie = first.Cookie } }
    assert.equal(401, (go("GET", "/admin/session", first)))
    assert.equal(200, (go("GET", "/admin/session", second)))
    local foreign = { Cookie = second.Cookie, ["Sec-Fetch-Site"] = "cross-site" }
    assert.equal(403, (go("POST", "/admin/session", foreign, { body = { token = token } })))
    assert.equal(401, (go("POST", "/admin/session", second, { body = { token = "wrong" } })))
    assert.equal(200, (go("GET", "/admin/session", second)))
  end)

  it("changes nothing without its csrf", function()
    local headers, data = sign_in()
    local _, other = sign_in()
    local wrong = data.csrf:sub(1, -2) .. (data.csrf:sub(-1) == "0" and "1" or "0")
    for _, value in ipairs { false, "", wrong, data.csrf .. "0", data.csrf:sub(1, 10), data.csrf:upper() .. " ", other.csrf } do
      assert.same({ 403, "expected the header X-CSRF-Token with the session's csrf" },
        { change(with(headers, { ["X-CSRF-Token"] = value })) })
    end
    assert.equal(403, (change(with(headers, { ["X-CSRF-Token"] = { data.csrf, data.csrf } }))))
    for _, route in ipairs(routes_of(hooks.config)) do
      if route.scope and route.method ~= "GET" then
        local path = route.path:gsub(":id", route.tag == "webhooks" and "1" or "dlv_0000000000001-1")
        assert.equal(403, (go(route.method, path, { Cookie = headers.Cookie })), route.id)
      end
    end
    assert.equal(200, (go("GET", "/admin/session", { Cookie = headers.Cookie }))) -- nor was it ended
  end)

  it("changes nothing for a page of another origin", function()
    local headers = sign_in()
    local function status(more, options) return (change(with(headers, more), options)) end
    local ok = status {}
    assert.is_true(ok ~= 401 and ok ~= 403)
    for _, site in ipairs { "cross-site", "same-site", "", "x", { "same-origin", "cross-site" } } do
      assert.equal(403, status { ["Sec-Fetch-Site"] = site })
    end
    assert.equal(ok, status { ["Sec-Fetch-Site"] = "same-origin" })
    for _, origin in ipairs { "http://evil.example", "null", "", "http://moonpost.example", "http://moonpost.example:1338",
      "http://moonpost.example:1337.evil.example", "ftp://moonpost.example:1337", { "http://" .. HOST, "http://evil.example" } } do
      assert.equal(403, status { Origin = origin })
      assert.equal(403, (go("POST", "/admin/session", { Origin = origin }, { body = { token = token } })))
    end
    assert.equal(ok, status { Origin = "http://" .. HOST })
    assert.equal(ok, status { Origin = "http://" .. HOST:upper() })
    assert.equal(403, status { Origin = "http://" .. HOST, Host = "" })
    -- From a proxy that ends TLS and says nothing of it; and the other way round.
    assert.equal(ok, status { Origin = "https://" .. HOST })
    local secure = sign_in { scheme = "https" }
    assert.equal(403, (change(with(secure, { Origin = "http://" .. HOST }), { scheme = "https" })))
    assert.equal(ok, (change(with(secure, { Origin = "https://" .. HOST }), { scheme = "https" })))
  end)

  it("does not concern who comes with a token", function()
    local function status(more) return (change(with({ Authorization = "Bearer " .. token }, more))) end
    local ok = status {}
    assert.is_true(ok ~= 401 and ok ~= 403)
    assert.equal(ok, status { Origin = "http://evil.example", ["Sec-Fetch-Site"] = "cross-site" })
    local headers = sign_in()
    assert.equal(ok, status { Cookie = headers.Cookie })
    assert.equal(ok, status { Cookie = "moonpost=x" })
    assert.equal(401, (change(with(headers, { Authorization = "Bearer wrong" })))) -- and no cookie makes up for a token
    local _, answer = go("GET", "/admin/session", { Authorization = "Bearer " .. token })
    assert.same({ "page", cjson.null, cjson.null }, { answer.data.name, answer.data.csrf, answer.data.expires_at })
    assert.equal(204, (go("DELETE", "/admin/session", { Authorization = "Bearer " .. token })))
    assert.equal(200, (go("GET", "/admin/session", headers)))
  end)

  it("is no cookie but its own, once", function()
    local headers, _, _, value = sign_in()
    local function status(cookie) return (go("GET", "/admin/session", { Cookie = cookie })) end
    assert.equal(200, status("a=b; moonpost=" .. value .. " ; c=d=e;;=; x"))
    assert.equal(200, status { "a=b", "moonpost=" .. value }) -- as HTTP/2 may send them
    assert.equal(200, status("x moonpost=y; moonpost=" .. value))
    local ends, rest = value:match "^(%d+)(.*)$"
    for _, cookie in ipairs {
      "moonpost=" .. value .. "; moonpost=" .. value, "moonpost=x; moonpost=" .. value, { "moonpost=" .. value, "moonpost=x" },
      "moonpost=", "moonpost", "Moonpost=" .. value, "moonpost=" .. value:sub(1, -2), "moonpost=" .. value .. "0",
      "moonpost=\"" .. value .. '"',
      ("moonpost=%d%s"):format(ends + 1, rest), "moonpost=9999999999" .. rest, "moonpost=" .. value:upper():gsub("^", "0"),
      "moonpost=../../" .. value, "moonpost=" .. value:gsub("%-", "/"), "moonpost=" .. value:sub(1, -2) .. "g", "moonpost=" .. token,
      headers.Cookie .. "; a=" .. ("x"):rep(9000), ("; "):rep(5000) .. headers.Cookie, "__Host-" .. headers.Cookie,
    } do
      assert.equal(401, status(cookie))
    end
    local name = core.listdir(folder)[1].name -- what is on disk lets nobody in
    assert.equal(401, status("moonpost=" .. name))
    assert.equal(401, status("moonpost=" .. temp.read(folder .. "/" .. name)))
    assert.equal(200, status(headers.Cookie))
  end)

  it("begins with nothing but one token that is known; failed tries count as elsewhere", function()
    for _, body in ipairs { "", "{", "[]", "{}", '{"token":1}', '{"token":null}', '{"token":"a","x":1}', '"a"' } do
      assert.equal(400, (go("POST", "/admin/session", nil, { body = body, remote = "10.0.0.1" })), body)
    end
    assert.equal(415, (go("POST", "/admin/session", { ["Content-Type"] = "text/plain" }, { body = { token = token } })))
    assert.equal(413, (go("POST", "/admin/session", nil, { body = (" "):rep(100000) })))
    local function try(given) return (go("POST", "/admin/session", nil, { body = { token = given }, remote = "10.0.0.1" })) end
    for _, given in ipairs { "", "wrong", token .. " ", ("x"):rep(10000), token:sub(1, -2) } do
      for _ = 1, 2 do assert.equal(401, try(given)) end
    end
    assert.equal(429, try(token))
    assert.equal(429, (go("GET", "/admin/session", { Cookie = "moonpost=x" }, { remote = "10.0.0.1" })))
    assert.equal(201, (go("POST", "/admin/session", nil, { body = { token = token }, remote = "10.0.0.2" })))
  end)

  it("leaves nothing on disk that lets anybody in, and is for nobody else's eyes", function()
    local _, data, _, value = sign_in()
    local secret = value:match "%-(.*)$"
    local output = shell.run(("cd %s && stat -c '%%a %%n' . * && grep -rlE '%s|%s|%s' . %s-tokens.json"):format(shell.quote(folder),
      secret, data.csrf, token, shell.quote(hooks.config.store)))
    assert.is_nil(output:find(secret, 1, true))
    local modes = {}
    for line in output:gmatch "[^\n]+" do modes[#modes + 1] = line:match "^(%d+) " or line end
    for i, mode in ipairs(modes) do assert.equal(i == 1 and "700" or "600", mode) end
  end)

  it("is one of a thousand at most: the oldest ends", function()
    local first = sign_in()
    for i = 1, 1000 do
      temp.write(("%s/%010d-%064x"):format(folder, START + 50000 + i, i), "x")
    end
    assert.equal(200, (go("GET", "/admin/session", first)))
    sign_in()
    assert.equal(401, (go("GET", "/admin/session", first)))
    assert.equal(1000, #core.listdir(folder))
    shell.run("rm -r " .. shell.quote(folder))
  end)

  it("is refused where it cannot be kept", function()
    local own = admin.new(hooks, { tokens = { check = function() return { "read" } end } })
    local status, answer = go("POST", "/admin/session", nil, { body = { token = "a" }, handler = own })
    assert.equal(501, status)
    assert.equal("Not Implemented", answer.error)
    assert.equal(200, (go("GET", "/admin/session", { Authorization = "Bearer a" }, { handler = own })))
    shell.run("rm -rf " .. shell.quote(folder))
    temp.write(folder, "")
    status, answer = go("POST", "/admin/session", nil, { body = { token = token } })
    assert.is_true(status >= 500, status)
    assert.is_nil(answer.data)
    os.remove(folder)
  end)
end)
