-- What a running Strapi 3.6.11 sent for recorded inputs, and its sanitizer's answers to made-up ones. MOONPOST_ORACLE names
-- the folder of the records; spec/fixtures/oracle-default.jsonl says what moonpost sends when no option asks for Strapi's form.
local cjson = require "cjson"
local hooks_support = require "spec.support.hooks"
local json = require "spec.support.json"
local json_text = require "moonpost.admin.json_text"
local moonpost = require "moonpost"
local receivers = require "spec.support.receiver"
local temp = require "spec.support.temp"

local ORACLE = os.getenv "MOONPOST_ORACLE"

local STRAPI = { unknownAttributes = "keep", embeddedUsers = "keep" }

-- moonpost's own answers in Strapi's form, where docs/strapi.md names a difference.
local DIFFERENCES = {
  ["syn-23-component-length"] = '{"id":1,"ruler":{"id":1,"label":"r","length":3}}',
  ["syn-24-component-length-0"] = '{"id":1,"ruler":{"id":1,"label":"r","length":0}}',
  ["syn-30-dynamiczone-undefined"] = "{}", -- JSON has no undefined: there the zone is missing
  ["syn-33-dynamiczone-null-elem"] = '{"blocks":[null]}',
  ["syn-35-dynamiczone-object-not-array"] = '{"blocks":{"__component":"default.quote"}}',
  ["syn-45-withPrivate"] = '{"city":"c"}', -- no option sends what is private
}

-- The members of a line's object, each as the text that stands there: nothing is decoded and written again.
local function members(line)
  local result = {}
  assert(json.parse(line))
  for _, member in ipairs(json_text.members(line)) do result[member[1]] = member[2] end
  return result
end

local function unquoted(text)
  return text and text:match '^"(.*)"$'
end

local function read_lines(path)
  local list = {}
  for line in assert(io.open(path)):lines() do
    local record = members(line)
    record.id, record.uid = unquoted(record.id), unquoted(record.uid)
    list[#list + 1] = record
  end
  assert(#list > 0, path)
  return list
end

local function same(expected, text, message)
  assert(text, message)
  local equal, difference = json.equal(text, expected)
  assert(equal, difference)
end

if not ORACLE then
  pending "set MOONPOST_ORACLE to the folder with the recorded answers of a real Strapi"
  return
end

local recorded = read_lines(ORACLE .. "/oracle.jsonl")
local synthetic = read_lines(ORACLE .. "/oracle-synthetic.jsonl")

local function each_sanitized(run)
  for _, list in ipairs { recorded, synthetic } do
    for _, record in ipairs(list) do
      if record.uid then run(record) end
    end
  end
end

describe("the recorded Strapi", function()
  local schema

  setup(function()
    local resolved = cjson.decode((assert(temp.read(ORACLE .. "/schemas/resolved-models.json"))))
    schema = assert(moonpost.models(resolved))
  end)

  -- A top-level [] is {} once cjson has decoded it; within an entry the model says which attribute is a list.
  local function decodes_exactly(record)
    return record.input ~= "[]"
  end

  describe("in Strapi's form", function()
    each_sanitized(function(record)
      local expected = DIFFERENCES[record.id] or record.expected

      it(record.id .. " as text", function()
        same(expected, moonpost.sanitize_json(schema, record.uid, record.input, STRAPI))
      end)

      if decodes_exactly(record) then
        it(record.id .. " as Lua values", function()
          same(expected, moonpost.sanitize(schema, record.uid, cjson.decode(record.input), STRAPI))
        end)
      end
    end)

    it("differs nowhere but where docs/strapi.md says so", function()
      local known = {}
      each_sanitized(function(record)
        known[record.id] = record.expected
      end)
      for id, own in pairs(DIFFERENCES) do
        assert.truthy(known[id], id)
        assert.is_false(json.equal(own, known[id]), id)
      end
    end)
  end)

  describe("by default", function()
    local expected = {}
    for _, record in ipairs(read_lines "spec/fixtures/oracle-default.jsonl") do expected[record.id] = record.expected end

    each_sanitized(function(record)
      it(record.id .. " as text", function()
        same(assert(expected[record.id]), moonpost.sanitize_json(schema, record.uid, record.input))
      end)

      if decodes_exactly(record) then
        it(record.id .. " as Lua values", function()
          same(expected[record.id], moonpost.sanitize(schema, record.uid, cjson.decode(record.input)))
        end)
      end
    end)
  end)

  it("had no answer without a model; moonpost takes it for a mistake (syn-09)", function()
    assert.has_error(function() moonpost.sanitize_json(schema, nil, '{"city":"a"}') end)
    assert.has_error(function() moonpost.sanitize(schema, nil, { city = "a" }) end)
  end)

  it("read the same from the model files as they were written", function()
    local files = assert(moonpost.models(ORACLE .. "/schemas", { privateAttributes = { "legacy_ref" } }))
    each_sanitized(function(record)
      local text = assert(moonpost.sanitize_json(schema, record.uid, record.input))
      assert.equal(text, (assert(moonpost.sanitize_json(files, record.uid, record.input))))
    end)
  end)

  describe("sent bodies", function()
    local receiver, hooks

    setup(function() receiver = receivers.start() end)
    teardown(function()
      receiver:stop()
      temp.clean()
    end)
    after_each(function()
      if hooks then hooks:close(0) end
    end)

    it("whose keys and values come out in order, and users and nothing are refused", function()
      local resolved = cjson.decode((assert(temp.read(ORACLE .. "/schemas/resolved-models.json"))))
      local config = hooks_support.config { sanitize = STRAPI }
      config.webhooks.models = resolved
      hooks = assert(moonpost.open(config, { clock = function() return 1578646056649 end }))
      for _, record in ipairs(recorded) do
        local key = unquoted(record.key)
        if key then
          local model = record.model and '"model":"' .. record.uid .. '",' or ""
          local id, message, code = hooks:emit_json(("{%s,%s%s}"):format(
            '"event":' .. record.event, model, '"' .. key .. '":' .. record.input))
          if record.uid:find("user", 1, true) then
            assert.equal("EPRIVATE", code, record.id)
          elseif record.input:sub(1, 1) ~= "{" then
            assert.equal("EINVAL", code, record.id)
          else
            assert(id, message)
            local body = hooks.events:get(id).body
            local sent = members(body)
            assert.same(cjson.decode(record.bodyKeys), json.parse(body).keys)
            assert.equal(record.event, sent.event)
            assert.equal('"2020-01-10T08:47:36.649Z"', sent.created_at)
            assert.equal(record.model, sent.model)
            same(record.expected, sent[key])
          end
        end
      end
    end)

    it("for the trigger", function()
      hooks = hooks_support.open(nil, { clock = function() return 1795435660312 end })
      local webhook = assert(hooks.webhooks:create { name = "t", url = receiver:url "/ok", events = { "entry.create" } })
      assert.equal(200, assert(hooks.webhooks:trigger(webhook.id)).statusCode)
      local body = receiver:wait_for(1)[1].body
      assert.equal(recorded[1].expectedBody, body)
    end)
  end)
end)
