-- What a running Strapi 3.6.11 answered to the requests of its webhooks page, in order, and what moonpost answers to the same.
-- MOONPOST_ORACLE names the folder of the records. Every difference has a name here and a row in docs/strapi-admin.md.
local admin = require "moonpost.admin"
local hooks_support = require "spec.support.hooks"
local json = require "spec.support.json"
local json_text = require "moonpost.admin.json_text"
local receivers = require "spec.support.receiver"
local temp = require "spec.support.temp"

local ORACLE = os.getenv "MOONPOST_ORACLE"
local RECORDED_AT = "127.0.0.1:19090"
local NONE = "899999" -- the id of no webhook

local function members(text)
  local map = {}
  for _, member in ipairs(json_text.members(text)) do map[member[1]] = member[2] end
  return map
end

local function word(text)
  return text and text:match '^"(.*)"$'
end

local function read_exchanges()
  local list, skipped = {}, 0
  for line in assert(io.open(ORACLE .. "/admin-rest.jsonl")):lines() do
    local record = members(line)
    local path = word(record.path)
    if path:find "^/admin/webhooks" then
      list[#list + 1] = {
        step = word(record.step), method = word(record.method), path = path, auth = record.auth == "true", req = record.req,
        status = tonumber(record.status), res = record.res,
      }
    else
      skipped = skipped + 1 -- Strapi's own content, users and uploads
    end
  end
  return list, skipped
end

-- ---- what is compared: Strapi's members alone, and the first message of each mistake ------------------------

local WEBHOOK = { "id", "name", "url", "headers", "events", "isEnabled" }
local TRIGGER = { "statusCode", "message" }

local function object(map, names)
  local parts = {}
  for _, name in ipairs(names) do
    if map[name] then parts[#parts + 1] = ('"%s":%s'):format(name, map[name]) end
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function projected_errors(text)
  local parts = {}
  for _, member in ipairs(json_text.members(members(text).errors)) do
    parts[#parts + 1] = ('"%s":[%s]'):format(member[1], json_text.elements(member[2])[1])
  end
  return '{"errors":{' .. table.concat(parts, ",") .. "}}"
end

local function projected_data(text)
  if json_text.kind(text) ~= "array" then
    local map = members(text)
    return object(map, map.name and WEBHOOK or TRIGGER)
  end
  local parts = {}
  for i, item in ipairs(json_text.elements(text)) do
    parts[i] = json_text.kind(item) == "object" and object(members(item), WEBHOOK) or item
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function projected(text)
  local map = members(text)
  if not map.statusCode then return ('{"data":%s}'):format(projected_data(map.data)) end
  map.data = map.data and projected_errors(map.data)
  return object(map, { "statusCode", "error", "message", "data" })
end

-- ---- the differences: each says which exchanges it is about, and what moonpost answers ----------------------

local function created_with(pattern)
  return function(x) return x.method == "POST" and x.path == "/admin/webhooks" and x.req:find(pattern) ~= nil end
end

local function step(...)
  local names = {}
  for _, name in ipairs { ... } do names[name] = true end
  return function(x) return names[x.step] or false end
end

local function mistakes(...)
  local pairs_list = { ... }
  return function(x)
    local parts = {}
    for i, pair in ipairs(pairs_list) do parts[i] = ('"%s":["%s"]'):format(pair[1], pair[2]) end
    local recorded = x.status == 400 and projected_errors(members(x.res).data):match "^{\"errors\":{(.*)}}$"
    if recorded and recorded ~= "" then table.insert(parts, 1, recorded) end
    return 400, '{"statusCode":400,"error":"Bad Request","message":"ValidationError","data":{"errors":{'
      .. table.concat(parts, ",") .. "}}}"
  end
end

local function refused_with(status, error, message)
  return function() return status, ('{"statusCode":%d,"error":"%s","message":"%s"}'):format(status, error, message) end
end

-- The webhook that the request describes, with the next id.
local function created(events)
  return function(x)
    local map = members(x.req)
    map.id, map.isEnabled, map.events = x.next_id, map.isEnabled or "true", events or map.events
    return 201, '{"data":' .. object(map, WEBHOOK) .. "}"
  end
end

local BAD_URL = { "url", "url must be a valid URL" }

local DIFFERENCES = {
  { "url-scheme", created_with '"url":"[fj][tai][plv]', function(x)
    if x.req:find '"events":%[%]' then return mistakes(BAD_URL, { "events", "expected at least one event" })(x) end
    return mistakes(BAD_URL)(x)
  end },
  { "url-guard", step("probe.ipZero", "probe.meta"), mistakes(BAD_URL) },
  { "url-valid", step("probe.upper", "probe.port1", "probe.ipv6"), created() },
  { "null-advice", step "probe.headersNull",
    function() return mistakes({ "headers", "headers must be a `object` type, but the final value was: `null`." }) { status = 0 } end },
  { "header-names", function(x) return created_with '"X A"'(x) or created_with '"Host"'(x) or created_with "content%-length"(x) end,
    function(x)
      local name = x.req:find '"X A"' and "X A" or x.req:find '"Host"' and "Connection" or "content-length"
      local why = name == "X A" and "not a valid header name (letters, digits and !#$%&'*+-.^_`|~ are allowed)"
        or "is moonpost's own header and cannot be set"
      local list = { { ("headers['%s']"):format(name), why } }
      if x.req:find '"events":%[%]' then list[2] = { "events", "expected at least one event" } end
      return mistakes(list[1], list[2])(x)
    end },
  { "header-values", function(x) return created_with '"a":1'(x) or created_with "X%-Evil"(x) end, function(x)
    local list = { x.req:find "X%-Evil" and { "headers['X-A']", "not a valid header value (a control character, 0x0d, at byte 2)" }
      or { "headers['a']", "expected a string, got number" } }
    if x.req:find '"events":%[%]' then list[2] = { "events", "expected at least one event" } end
    return mistakes(list[1], list[2])(x)
  end },
  { "events-patterns", step "probe.starEvent", created() },
  { "events-empty", created_with '"events":%[%]', mistakes { "events", "expected at least one event" } },
  { "events-twice", created_with '"events":%["entry.create","entry.create"%]', created '["entry.create"]' },
  { "events-missing", step("probe.empty", "create.noevents"), mistakes { "events", "events is a required field" } },
  { "enabled-on-create", step "probe.isEnabledOnCreate", created() },
  { "no-token", function(x) return not x.auth end,
    refused_with(401, "Unauthorized", "expected a bearer token in the Authorization header") },
  { "trigger-unknown", function(x) return x.path:find "/trigger$" and (x.step == "trigger404" or x.missing) end,
    refused_with(404, "Not Found", "webhook.notFound") },
  { "trigger-redirect", function(x) return (x.step or ""):find "^trigger.redir" or x.step == "trigger.loop" end, function(x)
    return 200, ('{"data":{"statusCode":%s,"message":"moved\\n"}}'):format(x.url:match "/redirect/(%d+)")
  end },
  { "trigger-failure", step("trigger.reset", "trigger.refused", "trigger.nodns", "trigger.timeout"), function(_, body)
    local data = members(members(body).data)
    assert.is_nil(data.statusCode)
    assert.truthy(({ reset = 1, connect = 1, dns = 1, timeout = 1 })[word(data.error)], data.error)
    return 200, ('{"data":{"message":%s}}'):format(data.message)
  end },
  { "header-utf8", step "trigger.hdr.unicode", function() return 200, '{"data":{"statusCode":200}}' end },
}

local function difference_of(x)
  for _, difference in ipairs(DIFFERENCES) do
    if difference[2](x) then return difference end
  end
end

if not ORACLE then
  pending "set MOONPOST_ORACLE to the folder with the recorded answers of a real Strapi"
  return
end

-- ---- the replay ---------------------------------------------------------------------------------------

describe("Strapi's admin REST", function()
  local receiver, hooks, handler
  local exchanges, skipped = read_exchanges()
  local ids, urls, webhooks = {}, {}, {} -- by Strapi's ids: moonpost's, the URL, the webhook as Strapi shows it
  local seen = {}

  setup(function()
    receiver = receivers.start()
    hooks = hooks_support.open { delivery = { timeout = 1, connectTimeout = 1 } }
    handler = admin.new(hooks, {
      tokens = { check = function(_, token) return token == "all" and { "read", "write", "emit" } or nil end },
    })
  end)

  teardown(function() hooks_support.done(hooks, receiver) end)

  -- The receiver's paths and port, for Strapi's.
  local function to_receiver(text)
    text = text:gsub(RECORDED_AT:gsub("%p", "%%%0"), receiver.address .. ":" .. receiver.port)
    return (text:gsub("/slow/(%d+)000", "/delay/%1"):gsub('/redirect/(%d+)"', '/redirect/%1?to=/ok"'))
  end

  local function from_receiver(text)
    text = text:gsub((receiver.address .. ":" .. receiver.port):gsub("%p", "%%%0"), RECORDED_AT)
    text = text:gsub("/delay/(%d+)", "/slow/%1000"):gsub("%?to=/ok", "")
    return (text:gsub('"message":"status (%d+)\\n"', '"message":"body for %1"'))
  end

  local function request(method, path, body, auth)
    local query = (path:find "/trigger$" or path:find "batch%-delete$") and "" or "show_secrets=true"
    local status, _, text = handler:handle {
      method = method, path = path, query = query, body = body, headers = auth and { Authorization = "Bearer all" } or {},
    }
    return status, from_receiver(text)
  end

  local function our_id(id)
    return ids[id] or NONE
  end

  local function translated_ids(text)
    return '{"ids":[' .. text:match '%[(.*)%]':gsub("%d+", our_id) .. "]}"
  end

  -- A webhook that moonpost refuses is made as it would have it, so that what was recorded with it goes on.
  local function stand_in(x)
    if x.step == "probe.eventsEmpty" or x.step and x.step:find "^probe" then return nil end
    local body = x.req:gsub('"events":%[%]', '"events":["entry.create"]'):gsub(',"content%-length":"7"', "")
    local status, text = request("POST", "/admin/webhooks", to_receiver(body), true)
    if status == 201 then return members(members(text).data) end
  end

  local function remember(id, map)
    if not map then return end
    ids[id] = map.id
    map.id = id
    urls[id], webhooks[id] = word(map.url), object(map, WEBHOOK)
  end

  local function expected_of(x, body)
    local difference = difference_of(x)
    if difference then
      seen[difference[1]] = (seen[difference[1]] or 0) + 1
      return difference[3](x, body)
    end
    return x.status, x.res
  end

  local function in_list(x)
    local list = {}
    for _, item in ipairs(json_text.elements(members(x.res).data)) do list[#list + 1] = webhooks[members(item).id] end
    return '{"data":[' .. table.concat(list, ",") .. "]}"
  end

  local recorded_id = 0 -- Strapi's last

  -- The ids of an answer as Strapi's.
  local function with_recorded_ids(x, text)
    if x.path:find "batch%-delete" and text:find '^{"data"' then
      local asked, answered = translated_ids(x.req):match "%[.*%]", text:match "%[.*%]"
      return asked == answered and x.res or text
    end
    for id, own in pairs(ids) do text = text:gsub('"id":' .. own .. "([,}])", '"id":#' .. id .. "%1") end
    return (text:gsub('"id":#', '"id":'))
  end

  local function replay(x)
    local id = x.path:match "^/admin/webhooks/(%d+)"
    local path = x.path:gsub("^/admin/webhooks/(%d+)", function(n) return "/admin/webhooks/" .. our_id(n) end)
    local body = x.req and to_receiver(x.path:find "batch%-delete" and x.req:find "%d" and translated_ids(x.req) or x.req)
    local creates = x.method == "POST" and x.path == "/admin/webhooks"
    x.url, x.missing = urls[id], id and not ids[id]
    if creates and (x.status == 201 or x.status == 500) then recorded_id = recorded_id + 1 end
    local status, text = request(x.method, path, body, x.auth)
    if creates and status == 201 then
      local map = members(members(text).data)
      x.next_id = x.status == 201 and tostring(recorded_id) or map.id
      if x.status == 201 then
        remember(x.next_id, map)
      else
        request("DELETE", "/admin/webhooks/" .. map.id, nil, true) -- Strapi has it not
      end
    elseif creates and x.status == 201 then
      remember(tostring(recorded_id), stand_in(x))
    end
    return status, with_recorded_ids(x, text)
  end

  for n, x in ipairs(exchanges) do
    it(("%d %s: %s %s"):format(n, x.step or "", x.method, x.path), function()
      local status, text = replay(x)
      local expected_status, expected = expected_of(x, text)
      if x.step == "list2" then expected = in_list(x) end -- the stand-ins, as they were made
      assert.equal(expected_status, status, text)
      local equal, message = json.equal(projected(text), expected)
      assert(equal, ("%s\n%s\n%s"):format(tostring(message), text, expected))
    end)
  end

  it("was recorded in 122 exchanges, and differs where docs/strapi-admin.md says so", function()
    assert.equal(122, #exchanges)
    assert.equal(123, skipped)
    local page = assert(temp.read "docs/strapi-admin.md")
    for _, difference in ipairs(DIFFERENCES) do
      assert.truthy(seen[difference[1]], difference[1] .. " is no difference")
      assert.truthy(page:find("| `" .. difference[1] .. "` |", 1, true), difference[1] .. " has no row")
    end
  end)
end)
