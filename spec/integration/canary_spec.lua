-- Secrets are found nowhere but in the one request that needs them: not in the store's files, in no answer, listing, count, log or
-- error text.
local command = require "spec.support.command"
local core = require "moonpost.core"
local hooks_support = require "spec.support.hooks"
local moonpost = require "moonpost"
local receivers = require "spec.support.receiver"
local shell = require "spec.support.shell"
local support = require "spec.support.admin"
local temp = require "spec.support.temp"
local wait_until = require "spec.support.wait_until"

local unpack_from = rawget(_G, "unpack") or table.unpack

-- Base64 of canaries is canaries, too.
local SECRET, OLD_SECRET = "whsec_Q0FOQVJZU0lHTklORzEyMzQ1Njc4OTAx", "whsec_Q0FOQVJZT0xEMDEyMzQ1Njc4OTAxMjM0"
local SEED = "whsk_Q0FOQVJZU0VFRDAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
local CANARIES = { "c4n4ry", "Q0FOQVJZ", "CANARY", "token%-1", "OmM0bjRye" } -- the last: ":c4n4ry" within a Basic field

local function assert_none(text, where)
  for _, canary in ipairs(CANARIES) do
    local at = text:find(canary)
    assert(not at, ("%s holds %s: ...%s"):format(where, canary, at and text:sub(math.max(1, at - 60), at + 40) or ""))
  end
end

describe("a canary secret", function()
  local receiver, hooks, dir

  before_each(function()
    receiver = receivers.start()
    dir = temp.dir()
  end)

  after_each(function()
    hooks_support.done(hooks, receiver)
    hooks = nil
  end)

  local function url(path)
    return receiver:url(path)
  end

  local function with_password(text)
    return (text:gsub("//", "//user:c4n4ry-url@"))
  end

  -- One webhook of each kind, by the secret that its requests need; those that fail need none.
  local function webhooks()
    local oauth = { type = "oauth2", tokenUrl = with_password(url "/token?life=3600"), clientId = "moon",
      clientSecret = "c4n4ry-client", clientAuth = "body" }
    local refused = { type = "oauth2", tokenUrl = with_password(url "/json/401?body=%7B%22error%22:%22invalid_client%22%7D"),
      clientId = "moon", clientSecret = "c4n4ry-client" }
    return {
      header = { headers = { ["X-Secret"] = "c4n4ry-header" } },
      bearer = { auth = { type = "bearer", token = "c4n4ry-bearer" } },
      basic = { auth = { type = "basic", username = "usr", password = "c4n4ry-basic" } },
      key = { auth = { type = "apiKey", name = "X-Key", value = "c4n4ry-key" } },
      oauth = { auth = oauth },
      refused = { auth = refused },
      hub = { hubSignature = { secret = "c4n4ry-hub" } },
      signed = { secret = { SECRET, OLD_SECRET }, signingKey = SEED },
      status = { url = with_password(url "/status/500?status") },
      closed = { url = with_password "http://127.0.0.1:1/" },
      dns = { url = with_password "http://nowhere.invalid/" },
      timeout = { url = with_password(url "/hang?timeout"), timeout = 0.3 },
      reset = { url = with_password(url "/reset?reset") },
      garbage = { url = with_password(url "/garbage?garbage") },
    }
  end

  local function definitions()
    local list = {}
    for name, fields in pairs(webhooks()) do
      fields.name, fields.events, fields.retrySchedule = name, { "*" }, {}
      fields.url = fields.url or url("/ok?" .. name)
      if fields.secret == nil then fields.secret = SECRET end
      list[#list + 1] = fields
    end
    return list
  end

  local function store_files(store)
    local text = shell.run("cat " .. shell.quote(store) .. "*")
    assert.truthy(#text > 10000)
    return text
  end

  local function check_requests()
    local needs = { header = "c4n4ry%-header", bearer = "c4n4ry%-bearer", key = "c4n4ry%-key", basic = "OmM0bjRye", oauth = "token%-1" }
    for _, request in ipairs(receiver:requests()) do
      local text = request.raw_head .. "\n" .. request.body
      local name = request.path:match "^/ok%?(%l+)" or request.path:match "^/(%l+)"
      for kind, canary in pairs(needs) do
        local found = text:find(canary) ~= nil
        assert(found == (kind == name), ("%s in the request to %s: %s"):format(kind, request.path, tostring(found)))
      end
      assert.is_nil(text:find("c4n4ry-hub", 1, true) or text:find("CANARY", 1, true) or text:find("Q0FOQVJZ", 1, true))
      assert.equal(name == "token", text:find("c4n4ry-client", 1, true) ~= nil)
      text = text:gsub("c4n4ry%-%l+", "")
      assert.is_nil(text:find("c4n4ry", 1, true), request.path)
    end
  end

  -- Every answer that there is without show_secrets.
  local function check_answers()
    local handler = support.handler(hooks)
    local function answer(method, path, body)
      local status, headers, text = handler:handle { method = method, path = path:match "^[^?]*", query = path:match "%?(.*)$",
        headers = { Authorization = "Bearer all" }, body = body or "" }
      for name, value in pairs(headers) do assert_none(name .. value, path) end
      assert_none(text, method .. " " .. path)
      return status, text
    end
    for _, path in ipairs { "/admin/webhooks", "/admin/deliveries", "/admin/events", "/admin/stats", "/metrics", "/openapi.json",
      "/admin/scripts" } do
      assert.equal(200, (answer("GET", path)), path)
    end
    for _, webhook in ipairs(hooks.webhooks:list()) do
      assert.equal(200, (answer("GET", "/admin/webhooks/" .. webhook.id)))
      answer("PATCH", "/admin/webhooks/" .. webhook.id, '{"timeout":1000}')
      answer("PATCH", "/admin/webhooks/" .. webhook.id, '{"enabled":true}')
      answer("POST", ("/admin/webhooks/%s/rotate-secret"):format(webhook.id), '{"overlap":1e9}')
      answer("POST", ("/admin/webhooks/%s/trigger"):format(webhook.id))
    end
    for _, delivery in ipairs(hooks.deliveries:list { limit = 1000 }) do answer("GET", "/admin/deliveries/" .. delivery.id) end
    for _, event in ipairs(hooks.events:list {}) do answer("GET", "/admin/events/" .. event.id) end
    for _, report in ipairs(hooks.deliveries:list { state = "dead" }) do assert_none(core.to_json(report), "a delivery") end
  end

  it("is in one request only, and else in no file, answer or count", function()
    hooks = hooks_support.open { defaultHeaders = { ["X-Default"] = "in clear" } }
    local store = hooks.config.store
    local list = definitions()
    for _, fields in ipairs(list) do
      local webhook = assert(hooks.webhooks:create(fields))
      webhook.headers, webhook.url = nil, nil -- these the host sees as it set them
      assert_none(core.to_json(webhook), "create " .. fields.name)
    end
    local told = {}
    hooks:on("*", function(report) told[#told + 1] = core.to_json(report) end)
    assert(hooks:emit("entry.create", { model = "address", entry = { id = 1, city = "Paris" } }))
    assert.is_true(wait_until(30, function()
      local counts = hooks:stats().store
      return counts.delivered + counts.dead == #list
    end))
    hooks:poll()
    assert.truthy(#told > 0)
    assert_none(table.concat(told), "the reports")
    assert_none(core.to_json(hooks:stats()), "stats")
    check_requests()
    check_answers()
    assert_none(store_files(store), "the store's files, while it is open")
    hooks:close()
    hooks = nil
    assert_none(store_files(store), "the store's files")
  end)

  it("is in nothing that the command line prints or logs, of a store or of a config", function()
    local lines = {}
    for _, fields in ipairs(definitions()) do
      local parts = {}
      local function literal(value)
        if type(value) ~= "table" then return ("%q"):format(value):gsub('^"(true)"$', "%1") end
        local items = {}
        for key, item in pairs(value) do
          items[#items + 1] = (type(key) == "number" and "" or ("[%q] = "):format(key)) .. literal(item)
        end
        return "{ " .. table.concat(items, ", ") .. " }"
      end
      for key, value in pairs(fields) do
        parts[#parts + 1] = ("%s = %s"):format(key, type(value) == "number" and value or literal(value))
      end
      lines[#lines + 1] = "{ " .. table.concat(parts, ", ") .. " }"
    end
    local config = temp.write(dir .. "/server.lua", ([[return { webhooks = {
      store = "moonpost.db", models = { address = { attributes = { city = { type = "string" } } } }, log = { level = "debug" },
      network = { allow = { "127.0.0.0/8" } }, defaultHeaders = { ["X-Default"] = "c4n4ry-default" },
      endpoints = { %s },
    } }]]):format(table.concat(lines, ",\n")))
    local function run(...)
      local output = shell.run(command.moonpost({ MOONPOST_CONFIG = config }, ...))
      assert_none(output, table.concat({ ... }, " "))
      return output
    end
    local checked = run("check", config)
    assert.truthy(checked:find "ok\n$", checked)
    assert.truthy(run("emit", "entry.create", "--model", "address", "--entry", "{}", "--wait", "10"):find "dead")
    for _, words in ipairs { { "webhooks", "list" }, { "webhooks", "list", "--json" }, { "webhooks", "get", "1" }, { "webhooks", "get",
      "2", "--json" }, { "deliveries", "list", "--json" }, { "webhooks", "trigger", "3" }, { "webhooks", "set", "4", "--name", "x" },
      { "stats" }, { "events", "list" } } do
      assert.truthy(#run(unpack_from(words)) > 20)
    end
    assert_none(store_files(dir .. "/moonpost.db"), "the store's files")
  end)

  it("is in no error text about it", function()
    hooks = hooks_support.open()
    local count = 0
    local function check(message)
      count = count + 1
      assert.equal("string", type(message))
      assert_none(message, message)
    end
    for _, fields in ipairs {
      { secret = "v1," .. SECRET }, { secret = SECRET .. "x" }, { secret = { SECRET, "c4n4ry" } }, { signingKey = SEED .. "=" },
      { signingKey = SECRET }, { hubSignature = "c4n4ry" }, { hubSignature = { secret = "c4n4ry\0" } }, { auth = "c4n4ry" },
      { hubSignature = { secret = "c4n4ry", encoding = "x" } }, { auth = { type = "bearer", token = "c4n4ry\n" } },
      { auth = { type = "basic", username = "c4n4ry:", password = "c4n4ry" } }, { auth = { type = "oauth2", clientSecret = "c4n4ry" } },
      { auth = { type = "oauth2", tokenUrl = "https://a:c4n4ry@b c/", clientId = "a", clientSecret = "c4n4ry" } },
      { auth = { type = "header", name = "X A", value = "c4n4ry" } }, { headers = { A = "c4n4ry\n" } },
      { headers = { Host = "c4n4ry" } }, { url = "https://a:c4n4ry@b c/" }, { url = "ftp://a:c4n4ry@b/" },
      { url = "http://a:c4n4ry@169.254.169.254/" },
      { headers = { Authorization = "c4n4ry" }, auth = { type = "bearer", token = "c4n4ry" } },
    } do
      fields.name, fields.events, fields.url = "a", { "*" }, fields.url or url "/ok"
      local webhook, message = hooks.webhooks:create(fields)
      assert.is_nil(webhook)
      check(message)
      fields.isEnabled = true
      local status, headers, text = support.handler(hooks):handle { method = "POST", path = "/admin/webhooks",
        headers = { Authorization = "Bearer all" }, body = core.to_json(fields):gsub("headers\":%[%]", 'headers":{}') }
      assert.equal(400, status)
      assert.equal("table", type(headers))
      check(text)
      check((select(2, moonpost.open(hooks_support.config { endpoints = { fields } }))))
    end
    check((select(2, hooks.webhooks:rotate_secret("1", { secret = "v1," .. SECRET }))))
    for _, extra in ipairs {
      { defaultHeaders = { A = "c4n4ry\n" } }, { defaultHeaders = "c4n4ry" }, { delivery = { proxy = "http://a:c4n4ry@b:3128/path" } },
      { delivery = { proxy = "ftp://a:c4n4ry@b:3128" } },
    } do
      check((select(2, moonpost.open(hooks_support.config(extra)))))
    end
    check((select(2, moonpost.verify("v1," .. SECRET, {}, ""))))
    check((select(2, moonpost.verify(SECRET, { ["webhook-id"] = "a", ["webhook-timestamp"] = "1", ["webhook-signature"] = "v1,x" }, ""))))
    assert.truthy(count > 60)
  end)
end)
