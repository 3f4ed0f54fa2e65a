-- Random entries over random models: nothing private comes out, everything public does. What must come out is worked out here by
-- a second sanitizer, written from docs/strapi.md, that knows nothing of the first.
local cjson = require "cjson"
local json = require "spec.support.json"
local moonpost = require "moonpost"

local ENTRIES = tonumber(os.getenv "MOONPOST_PROPERTY_ENTRIES" or "10000")
local ENTRIES_A_SCHEMA = 50
local SEED = tonumber(os.getenv "MOONPOST_PROPERTY_SEED" or os.time() % 1000000)
local CANARY = "canary"
local USER = "plugins::users-permissions.user"
local FILE = "plugins::upload.file"

-- Park and Miller's generator: the same numbers on every Lua.
local function generator(seed)
  local state = seed % 2147483646 + 1
  return function(n)
    state = state * 16807 % 2147483647
    return state % n + 1
  end
end

-- ---- models ------------------------------------------------------------------------------------------

-- Few names, so that one that is private here is public there.
local NAMES = { "alpha", "beta", "gamma", "delta", "Alpha", "naïve key", "length", "quote\"key", "email", "secret", "label", "code" }

-- What the deployment has beside its own models, by their public and their private attributes.
local function builtin_models()
  return {
    [FILE] = {
      uid = FILE, modelName = "file", globalId = "UploadFile", modelType = "contentType",
      options = { timestamps = false, privateAttributes = {} },
      attributes = { name = { type = "string" }, url = { type = "string" }, related = { collection = "*" } },
    },
    [USER] = {
      uid = USER, modelName = "user", globalId = "UsersPermissionsUser", modelType = "contentType",
      options = { timestamps = false, privateAttributes = {} },
      attributes = { username = { type = "string" }, email = { type = "email" }, password = { type = "password" } },
    },
  }
end

local function random_attribute(random, content_types, components)
  local kind = random(15)
  local type_name = content_types[random(#content_types)]
  if kind <= 4 then
    return { type = ({ "string", "integer", "decimal", "boolean" })[kind] }
  elseif kind == 5 then
    return { type = "json" }
  elseif kind == 6 then
    return { type = "password" }
  elseif kind == 7 then
    return { model = type_name }
  elseif kind == 8 then
    return { collection = type_name }
  elseif kind == 9 then
    return { type = "component", component = components[random(#components)] }
  elseif kind == 10 then
    return { type = "component", repeatable = true, component = components[random(#components)] }
  elseif kind == 11 then
    return { type = "dynamiczone", components = components }
  elseif kind == 12 then
    return random(2) == 1 and { model = "file", plugin = "upload" } or { collection = "file", plugin = "upload" }
  elseif kind == 13 then
    return random(2) == 1 and { model = "user", plugin = "users-permissions" }
      or { collection = "user", plugin = "users-permissions" }
  elseif kind == 14 then
    return random(2) == 1 and { model = "*" } or { collection = "*" }
  end
  return { type = "richtext" }
end

-- Models in the resolved form, with the names that are private everywhere.
local function random_schema(random)
  local content_types, components, models = {}, {}, builtin_models()
  for i = 1, 1 + random(3) do content_types[i] = "thing" .. i end
  for i = 1, 1 + random(3) do components[i] = "part.part" .. i end
  local function add(uid, name, global_id, model_type)
    local model = {
      uid = uid, modelName = name, globalId = global_id, modelType = model_type,
      options = { timestamps = random(2) == 1 and { "made_at", "changed_at" } or false, privateAttributes = {} },
      attributes = {},
    }
    for _, attribute in ipairs(NAMES) do
      if random(3) > 1 then
        local settings = random_attribute(random, content_types, components)
        if random(5) == 1 then settings.private = true end
        model.attributes[attribute] = settings
      end
      if random(12) == 1 then table.insert(model.options.privateAttributes, attribute) end
    end
    models[uid] = model
  end
  for i, name in ipairs(content_types) do
    add(("application::%s.%s"):format(name, name), name, "Thing" .. i, "contentType")
  end
  for i, uid in ipairs(components) do add(uid, "part" .. i, "ComponentPart" .. i, "component") end
  local everywhere = random(2) == 1 and { NAMES[random(#NAMES)] } or {}
  return { privateAttributesGlobal = everywhere, models = models }
end

local function target_of(attribute)
  local name = attribute.model or attribute.collection or attribute.component
  if attribute.plugin == "upload" then return FILE end
  if attribute.plugin == "users-permissions" then return USER end
  return attribute.component or ("application::%s.%s"):format(name, name)
end

local function contains(list, name)
  for _, item in ipairs(list) do
    if item == name then return true end
  end
  return false
end

local function is_private(schema, model, name)
  local attribute = model.attributes[name]
  return contains(schema.privateAttributesGlobal, name) or contains(model.options.privateAttributes, name)
    or (attribute and (attribute.private or attribute.type == "password")) or false
end

-- Attributes that no model file writes down.
local function is_automatic(model, name)
  local timestamps = model.modelType == "contentType" and model.options.timestamps
  return name == "id" or (timestamps and contains(timestamps, name)) or false
end

-- ---- entries -----------------------------------------------------------------------------------------

-- Values in the form of spec/support/json.lua. A number has its Lua value too, and the text that moonpost writes for that;
-- an array says whether its attribute is a list.
local NULL = { kind = "null" }

local NUMBERS = {
  { kind = "number", text = "0", value = 0, written = "0" },
  { kind = "number", text = "-7", value = -7, written = "-7" },
  { kind = "number", text = "0.1", value = 0.1, written = "0.1" },
  { kind = "number", text = "228.19", value = 228.19, written = "228.19" },
  { kind = "number", text = "1.50", value = 1.5, written = "1.5" },
  { kind = "number", text = "3e2", value = 300, written = "300" },
  { kind = "number", text = "1700000000000123", value = 1700000000000123, written = "1700000000000123" },
  { kind = "number", text = "9007199254740991", value = 9007199254740991, written = "9007199254740991" },
  { kind = "number", text = "18446744073709551616123", value = 5, written = "5" },
  { kind = "number", text = "1E+400", value = 6, written = "6" },
}

local STRINGS = { "", "plain", "日本", "“é”", 'a "quote" \\ slash/', "line\nfeed\ttab\0nul", "</script>\226\128\168", "🌙" }

local function string_node(text)
  return { kind = "string", text = text }
end

local function object_node()
  return { kind = "object", keys = {}, values = {} }
end

local function set(object, key, value)
  if object.values[key] then return end
  object.keys[#object.keys + 1] = key
  object.values[key] = value
end

local function scalar(random, secret)
  local kind = random(5)
  if secret then return string_node(CANARY .. random(1000)) end
  if kind == 1 then return NULL end
  if kind == 2 then return { kind = random(2) == 1 and "true" or "false" } end
  if kind == 3 then return NUMBERS[random(#NUMBERS)] end
  return string_node(STRINGS[random(#STRINGS)])
end

-- Any JSON, with keys that are attributes' names; each of its scalars is a canary when it is secret.
local function anything(random, depth, secret)
  local kind = random(4)
  if depth <= 0 or kind <= 2 then return scalar(random, secret) end
  if kind == 3 then
    local array = { kind = "array", items = {} }
    for i = 1, random(3) - (secret and 0 or 1) do array.items[i] = anything(random, depth - 1, secret) end
    return array
  end
  local object = object_node()
  for _ = 1, random(3) do set(object, NAMES[random(#NAMES)], anything(random, depth - 1, secret)) end
  return object
end

local random_entry

-- One, or a list of up to three, with nulls and ids among them where they may be.
local function one_or_list(random, list, make, make_scalar)
  local function item()
    local kind = random(8)
    if kind == 1 then return NULL end
    if kind == 2 and make_scalar then return make_scalar() end
    return make()
  end
  if not list then return item() end
  local array = { kind = "array", items = {}, list = true }
  for i = 1, random(4) - 1 do array.items[i] = item() end
  return array
end

local function numeric_id(random)
  local id = random(900)
  return { kind = "number", text = tostring(id), value = id, written = tostring(id) }
end

local function names_of(schema, model_type)
  local list = {}
  for uid, model in pairs(schema.models) do
    if model.modelType == model_type and uid ~= USER then list[#list + 1] = uid end
  end
  table.sort(list)
  return list
end

-- An entry that names its own model in a key, or fails to: then all of it but an id is secret.
local function typed_entry(random, schema, depth, model_type, key)
  local kind = random(8)
  local object = object_node()
  if kind <= 2 then
    if kind == 1 then set(object, key, string_node "no.such.model") end
    if key == "__contentType" and random(2) == 1 then set(object, "id", numeric_id(random)) end
    set(object, NAMES[random(#NAMES)], anything(random, 1, true))
    return object
  end
  local uids = names_of(schema, model_type)
  local uid = uids[random(#uids)]
  local name = key == "__contentType" and schema.models[uid].globalId or uid
  local late = random(2) == 1
  if not late then set(object, key, string_node(name)) end
  object = random_entry(random, schema, uid, depth, object)
  if late then set(object, key, string_node(name)) end
  return object
end

local function user_entry(random)
  local object = object_node()
  if random(2) == 1 then set(object, "id", numeric_id(random)) end
  for _, name in ipairs { "username", "email", "password", "nick" } do
    if random(2) == 1 then set(object, name, string_node(CANARY .. name)) end
  end
  if random(2) == 1 then set(object, "id", numeric_id(random)) end
  return object
end

local function attribute_value(random, schema, attribute, depth)
  local list = attribute.collection ~= nil or attribute.repeatable or attribute.type == "dynamiczone"
  local function id() return numeric_id(random) end
  if attribute.type == "json" then return anything(random, 3, false) end
  if depth <= 0 and (attribute.type == "component" or not attribute.type) then return NULL end
  if attribute.type == "component" then
    return one_or_list(random, list, function() return random_entry(random, schema, attribute.component, depth - 1) end)
  elseif attribute.type == "dynamiczone" then
    return one_or_list(random, depth > 0, function()
      return typed_entry(random, schema, depth - 1, "component", "__component")
    end)
  elseif attribute.type then
    return scalar(random, false)
  elseif attribute.plugin == "users-permissions" then
    return one_or_list(random, list, function() return user_entry(random) end, id)
  elseif attribute.model == "*" or attribute.collection == "*" then
    return one_or_list(random, list, function()
      return typed_entry(random, schema, depth - 1, "contentType", "__contentType")
    end, id)
  end
  return one_or_list(random, list, function()
    return random_entry(random, schema, target_of(attribute), depth - 1)
  end, id)
end

-- Every attribute half of the time, in any order, and now and then a key that the model does not have.
function random_entry(random, schema, uid, depth, object)
  local model = schema.models[uid]
  local names = { "id", "made_at", "changed_at", "stale_column", "created_by" }
  for _, name in ipairs(NAMES) do names[#names + 1] = name end
  object = object or object_node()
  for i = #names, 2, -1 do
    local j = random(i)
    names[i], names[j] = names[j], names[i]
  end
  for _, name in ipairs(names) do
    local attribute = model.attributes[name]
    if random(2) == 1 then
      if name == "id" then
        set(object, name, numeric_id(random))
      elseif is_private(schema, model, name) or not (attribute or is_automatic(model, name)) then
        set(object, name, anything(random, 2, true))
      elseif attribute then
        set(object, name, attribute_value(random, schema, attribute, depth))
      else
        set(object, name, string_node "2020-01-10T08:47:36.649Z")
      end
    end
  end
  return object
end

-- ---- what must come out ------------------------------------------------------------------------------

local expected_entry

local function mapped(value, rule)
  if value.kind == "array" then
    local array = { kind = "array", items = {} }
    for i, item in ipairs(value.items) do array.items[i] = mapped(item, rule) end
    return array
  end
  return value.kind == "object" and rule(value) or value
end

local function id_alone(value)
  local object = object_node()
  if value.values.id then set(object, "id", value.values.id) end
  return object
end

local function model_of(schema, value, key)
  local name = value.values[key].text
  for uid, model in pairs(schema.models) do
    if (key == "__component" and model.modelType == "component" and uid == name)
      or (key == "__contentType" and model.globalId == name) then
      return uid
    end
  end
end

local function expected_typed(schema, value, key)
  local uid = model_of(schema, value, key)
  return uid and expected_entry(schema, uid, value, key) or NULL
end

local function expected_value(schema, attribute, value)
  if attribute.type == "dynamiczone" then
    return mapped(value, function(item)
      return item.values.__component and expected_typed(schema, item, "__component") or NULL
    end)
  elseif attribute.model == "*" or attribute.collection == "*" then
    return mapped(value, function(item)
      return item.values.__contentType and expected_typed(schema, item, "__contentType") or id_alone(item)
    end)
  elseif attribute.type and attribute.type ~= "component" then
    return value
  end
  local uid = target_of(attribute)
  if uid == USER then return mapped(value, id_alone) end
  return mapped(value, function(item) return expected_entry(schema, uid, item) end)
end

function expected_entry(schema, uid, entry, type_key)
  local model = schema.models[uid]
  local object = object_node()
  for _, key in ipairs(entry.keys) do
    local value, attribute = entry.values[key], model.attributes[key]
    local private = is_private(schema, model, key)
    if attribute and not private then
      set(object, key, expected_value(schema, attribute, value))
    elseif not private and (key == type_key or is_automatic(model, key)) then
      set(object, key, value)
    end
  end
  return object
end

-- ---- the two forms -----------------------------------------------------------------------------------

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t", ["\0"] = "\\u0000" }

local function quoted(text)
  return '"' .. text:gsub('[%z"\\\n\t]', ESCAPES) .. '"'
end

-- As JSON text; number says which of a number's texts.
local function to_text(value, number)
  if value.kind == "string" then return quoted(value.text) end
  if value.kind == "number" then return value[number] end
  local parts = {}
  if value.kind == "array" then
    for i, item in ipairs(value.items) do parts[i] = to_text(item, number) end
    return "[" .. table.concat(parts, ",") .. "]"
  elseif value.kind == "object" then
    for i, key in ipairs(value.keys) do parts[i] = quoted(key) .. ":" .. to_text(value.values[key], number) end
    return "{" .. table.concat(parts, ",") .. "}"
  end
  return value.kind
end

local function to_lua(value)
  if value.kind == "null" then return cjson.null end
  if value.kind == "number" then return value.value end
  if value.kind == "string" then return value.text end
  local result = {}
  if value.kind == "array" then
    for i, item in ipairs(value.items) do result[i] = to_lua(item) end
    -- Where the model says list, an empty table is one without being marked.
    return #result == 0 and not value.list and setmetatable(result, moonpost.array_mt) or result
  elseif value.kind == "object" then
    for _, key in ipairs(value.keys) do result[key] = to_lua(value.values[key]) end
    return result
  end
  return value.kind == "true"
end

-- ---- the property ------------------------------------------------------------------------------------

describe("the sanitizer", function()
  local function check(form, input, output, message, expected)
    local equal, difference
    if output then equal, difference = json.equal(output, expected) end
    if equal and not output:find(CANARY, 1, true) then return end
    error(("%s, MOONPOST_PROPERTY_SEED=%d\n%s\ninput:    %s\noutput:   %s\nexpected: %s"):format(
      form, SEED, message or difference or "a canary came out", input, tostring(output), expected), 0)
  end

  it(("sends what is public and nothing else, of %d random entries"):format(ENTRIES), function()
    local random = generator(SEED)
    local secrets = 0
    for _ = 1, math.ceil(ENTRIES / ENTRIES_A_SCHEMA) do
      local schema = random_schema(random)
      local compiled = assert(moonpost.models(schema))
      for _ = 1, ENTRIES_A_SCHEMA do
        local uid = "application::thing1.thing1"
        local entry = random_entry(random, schema, uid, random(4))
        local expected = expected_entry(schema, uid, entry)
        local text = to_text(entry, "text")
        if text:find(CANARY, 1, true) then secrets = secrets + 1 end

        local output, message = moonpost.sanitize_json(compiled, uid, text)
        check("JSON text", text, output, message, to_text(expected, "text"))
        output, message = moonpost.sanitize(compiled, uid, to_lua(entry))
        check("Lua values", text, output, message, to_text(expected, "written"))
      end
    end
    assert.is_true(secrets > ENTRIES / 2, "most entries must hold something private")
  end)
end)
