-- moonpost serve, reload, stop and status, as a person runs them.
local cjson = require "cjson"
local command = require "spec.support.command"
local core = require "moonpost.core"
local nginx = require "spec.support.nginx"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local wait_until = require "spec.support.wait_until"

describe("moonpost serve #nginx", function()
  local dir, server, environment
  local missing = nginx.missing()
  if missing then
    pending(missing)
    return
  end

  before_each(function()
    local root = core.realpath "."
    dir = temp.dir()
    -- nginx's LuaJIT has the second pair.
    environment = {
      LUA_PATH_5_4 = package.path, LUA_CPATH_5_4 = package.cpath, LUA_PATH = ("%s/lua/?.lua;%s/lua/?/init.lua;;"):format(root, root),
      LUA_CPATH = root .. "/build/luajit/?.so;;", MOONPOST_CONFIG = dir .. "/server.lua", CITY = "Paris",
    }
    temp.write(dir .. "/server.lua", [[
      return { webhooks = { store = "m.db", models = { address = { attributes = { [env "CITY"] = { type = "string" } } } } } }
    ]])
  end)

  after_each(function()
    if server then server:stop() end
    server = nil
    temp.clean()
  end)

  local function moonpost(...)
    return shell.run(command.moonpost(environment, ...))
  end

  local function curl(...)
    local words = { "curl", "-s", "--max-time", "20", "-w", "\n%{http_code}", "--unix-socket", dir .. "/http.sock", ... }
    for i, word in ipairs(words) do words[i] = shell.quote(word) end
    local body, status = shell.run(table.concat(words, " ")):match "^(.*)\n(%d+)$"
    return tonumber(status), body
  end

  local function start(...)
    server = process.start {
      program = "bin/moonpost", args = { "serve", "--listen", "unix:" .. dir .. "/http.sock", ... }, env = environment,
    }
    assert(wait_until(20, function() return curl "http://moonpost/healthz" == 200 or server:code() end))
    assert(not server:code(), select(2, server:output()))
  end

  local function status()
    local output, code = moonpost("status", "--json")
    return code == 0 and cjson.decode(output)
  end

  it("serves the HTTP API until it is stopped", function()
    local token = moonpost("token", "add", "--name", "a", "--scopes", "read,emit"):match "mpt_%S+"
    start("--workers", "2")
    assert.equal(401, (curl "http://moonpost/admin/events"))
    local answer, body = curl("-H", "Authorization: Bearer " .. token, "-H", "Content-Type: application/json",
      "-d", '{"event":"entry.create","model":"address","entry":{"id":1,"Paris":"x"}}', "http://moonpost/events")
    assert.equal(202, answer)
    answer, body = curl("-H", "Authorization: Bearer " .. token, "http://moonpost/admin/events/" .. body:match "evt_%w+")
    assert.equal(200, answer)
    assert.truthy(cjson.decode(body).data.body:find '"Paris":"x"') -- nginx was given the environment
    answer, body = curl("-i", "http://moonpost/admin")
    assert.equal(200, answer)
    assert.truthy(body:find "\nContent%-Type: text/html" and body:find "\nContent%-Security%-Policy: default%-src 'none'; ")
    assert.equal(body:match "<!doctype.*", temp.read "lua/moonpost/admin/assets/index.html")
    answer, body = curl("-i", "http://moonpost/")
    assert.equal(302, answer)
    assert.truthy(body:find "\nLocation: admin\r\n")
    answer, body = curl("-i", "-H", "If-None-Match: *", "http://moonpost/admin/assets/main.js")
    assert.equal(304, answer)
    assert.is_nil(body:find "Content%-Length")
    local found = status()
    assert.same({ server.pid, 2, "unix:" .. dir .. "/http.sock", dir .. "/server.lua" },
      { found.pid, found.workers, found.listen, found.config })
    local output, code = moonpost("serve", "--listen", "unix:" .. dir .. "/other.sock")
    assert.equal(1, code)
    assert.truthy(output:find("a server runs already", 1, true))
    output, code = moonpost "stop"
    assert.equal(0, code, output)
    assert.equal(0, server:wait())
    assert.is_false(status())
    assert.equal(1, select(2, moonpost "stop"))
  end)

  it("refuses what is no request in the API's words", function()
    start()
    local answer, body = curl("-H", "Content-Length: 99999999", "-d", "x", "http://moonpost/events")
    assert.equal(413, answer)
    assert.equal("E2BIG", cjson.decode(body).code)
    answer, body = curl("-H", "A: " .. ("x"):rep(20000), "http://moonpost/events")
    assert.equal(400, answer)
    assert.equal("the header fields are too long", cjson.decode(body).message)
    answer, body = curl("-H", "Host: a b", "http://moonpost/events")
    assert.equal(400, answer)
    assert.equal(400, cjson.decode(body).statusCode)
  end)

  it("reads its config anew, and keeps what it has when that is wrong", function()
    start()
    local first = status()
    local output, code = moonpost "reload"
    assert.equal(0, code, output)
    assert.equal(200, (curl "http://moonpost/healthz"))
    temp.write(dir .. "/server.lua", "return { webhooks = { stor = 1 } }")
    output, code = moonpost "reload"
    assert.equal(1, code)
    assert.truthy(output:find("stor", 1, true), output)
    server:kill "HUP"
    assert(wait_until(20, function() return select(2, server:output()):find("did you mean 'store'?", 1, true) end))
    assert.equal(200, (curl "http://moonpost/healthz"))
    assert.equal(first.pid, server.pid)
    assert.equal(0, select(2, moonpost("stop", "--run-dir", dir .. "/m.db-run")))
  end)

  it("does not start with a config that is wrong", function()
    temp.write(dir .. "/server.lua", "return { webhooks = { stor = 1 } }")
    local output, code = moonpost "serve"
    assert.equal(1, code)
    assert.truthy(output:find("did you mean 'store'?", 1, true), output)
  end)

  it("speaks TLS", function()
    local made, failed = shell.run(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=moonpost "
      .. "-addext subjectAltName=DNS:moonpost -keyout %s/key.pem -out %s/cert.pem"):format(dir, dir))
    if failed ~= 0 then
      pending("install openssl: " .. made)
      return
    end
    server = process.start {
      program = "bin/moonpost", env = environment,
      args = { "serve", "--listen", "unix:" .. dir .. "/http.sock", "--tls-cert", dir .. "/cert.pem", "--tls-key", dir .. "/key.pem" },
    }
    assert(wait_until(20, function()
      return curl("--cacert", dir .. "/cert.pem", "https://moonpost/healthz") == 200
    end), (select(2, server:output())))
    assert.equal(400, (curl "http://moonpost/healthz"))
    -- nginx says that it is TLS: the session's cookie is for https alone.
    local token = moonpost("token", "add", "--name", "a", "--scopes", "read"):match "mpt_%S+"
    local answer, body = curl("--cacert", dir .. "/cert.pem", "-i", "--json", cjson.encode { token = token },
      "https://moonpost/admin/session")
    assert.equal(201, answer, body)
    assert.truthy(body:find "Set%-Cookie: __Host%-moonpost=%S+; Path=/; Max%-Age=43200; HttpOnly; SameSite=Strict; Secure\r\n")
  end)

  it("knows a session in every worker, also after a reload", function()
    local token = moonpost("token", "add", "--name", "a", "--scopes", "read,write"):match "mpt_%S+"
    start("--workers", "2")
    local jar = dir .. "/cookies"
    local function session(...) return curl("http://moonpost/admin/session", "-b", jar, "-c", jar, ...) end
    local answer, body = session("-H", "Content-Type: application/json", "-d", cjson.encode { token = token })
    assert.equal(201, answer, body)
    local csrf = cjson.decode(body).data.csrf
    for _ = 1, 10 do assert.equal(200, (session "-s")) end
    local output, code = moonpost "reload"
    assert.equal(0, code, output)
    for _ = 1, 10 do assert.equal(200, (session "-s")) end
    assert.equal(403, (session("-X", "DELETE")))
    assert.equal(403, (session("-X", "DELETE", "-H", "X-CSRF-Token: " .. csrf, "-H", "Origin: http://evil.example")))
    local before = temp.read(jar)
    assert.equal(204, (session("-X", "DELETE", "-H", "X-CSRF-Token: " .. csrf, "-H", "Origin: http://moonpost")))
    assert.equal(401, (session "-s"))
    temp.write(jar, before)
    for _ = 1, 10 do assert.equal(401, (session "-s")) end -- over for all workers, not forgotten by the browser alone
  end)

  it("says what is wrong with its arguments, and warns of what is unsafe", function()
    for _, bad in ipairs { "x", "127.0.0.1:0", "127.0.0.1:99999", "a b:1", "unix:relative", "1.2.3.4:5;" } do
      local output, code = moonpost("serve", "--listen", bad)
      assert.equal(1, code)
      assert.truthy(output:find("--listen: expected", 1, true), output)
    end
    local output = moonpost("serve", "--print-conf", "--listen", "0.0.0.0:1337")
    assert.truthy(output:find("others can reach 0.0.0.0:1337, and there is no TLS", 1, true), output)
    output = moonpost("serve", "--print-conf", "--listen", "[::1]:1337")
    assert.is_nil(output:find("others can reach", 1, true))
    assert.truthy(output:find("    listen [::1]:1337;", 1, true))
    output = moonpost("serve", "--print-conf", "--behind-tls")
    assert.truthy(output:find('content { scheme = "https" } }', 1, true))
    output = moonpost("serve", "--print-conf", "--tls-cert", dir .. "/server.lua")
    assert.truthy(output:find("--tls-cert and --tls-key together", 1, true))
    output = moonpost("serve", "--print-conf", "--nginx", "/bin/true")
    assert.truthy(output:find("/bin/true has no Lua module", 1, true))
  end)
end)
