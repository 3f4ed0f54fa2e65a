--- Models: from Strapi's settings (files, tables, or its resolved form) to the list that the core compiles.
local builtin = require "moonpost.builtin_models"
local model_files = require "moonpost.model_files"
local suggest = require "moonpost.suggest"

local models = {}

-- ---- names ------------------------------------------------------------------------------------------

local function pascal(name)
  local words = {}
  for word in name:gmatch "[%w]+" do words[#words + 1] = word:sub(1, 1):upper() .. word:sub(2) end
  return table.concat(words)
end

-- Scope ("application", "plugins", "strapi", "api", "plugin", "admin"; nil: a component), group and name.
local function split(uid)
  local scope, rest = uid:match "^(%w+)::(.+)$"
  if not scope then
    local category, name = uid:match "^([^.]+)%.(.+)$"
    return nil, category, name
  end
  local group, name = rest:match "^([^.]+)%.(.+)$"
  return scope, group, name or rest
end

local function is_v4(uid)
  local scope = split(uid)
  return scope == "api" or scope == "plugin" or scope == "admin"
end

local function global_id(record)
  local scope, group, name = split(record.uid)
  if type(record.settings.globalId) == "string" then return record.settings.globalId end
  if not scope then return "Component" .. pascal(group) .. pascal(name) end
  if scope == "strapi" or scope == "admin" then return "Admin" .. pascal(name) end
  if scope == "plugins" or scope == "plugin" then return pascal(group) .. pascal(name) end
  return pascal(name)
end

-- The same model's uid in the other version's spelling.
local OTHER = {
  application = "api", api = "application", plugins = "plugin", plugin = "plugins", strapi = "admin", admin = "strapi",
}
local function other_spelling(uid)
  local scope, rest = uid:match "^(%w+)(::.+)$"
  return scope and OTHER[scope] and OTHER[scope] .. rest
end

-- ---- sources ----------------------------------------------------------------------------------------

local function is_list_of_strings(value)
  if type(value) ~= "table" then return false end
  for _, item in pairs(value) do
    if type(item) ~= "string" then return false end
  end
  return true
end

local function uid_of_key(key, settings)
  if key:find("::", 1, true) then return key end
  if settings.modelType == "component" or key:find(".", 1, true) then return key end
  local relational = false
  for _, attribute in pairs(type(settings.attributes) == "table" and settings.attributes or {}) do
    relational = relational or (type(attribute) == "table" and attribute.type == "relation")
  end
  local scope = relational and "api" or "application"
  return ("%s::%s.%s"):format(scope, key:lower(), key:lower())
end

local function of_table(source, where)
  local records = {}
  for _, key in ipairs(suggest.keys(source)) do
    local settings = source[key]
    if type(key) ~= "string" then
      return nil, ("%s: expected models by name, got the key %s"):format(where, tostring(key))
    end
    if type(settings) ~= "table" then
      return nil, ("%s.%s: expected a model { attributes = {...} }, got %s"):format(where, key, type(settings))
    end
    records[#records + 1] = { uid = uid_of_key(key, settings), where = ("%s.%s"):format(where, key), settings = settings }
  end
  return records
end

local function is_resolved(source)
  return type(source.models) == "table" and type(source.models.attributes) ~= "table"
end

-- Records, and the private attributes that the source itself names for every model.
local function read(source, where)
  if type(source) == "string" then
    local records, message = model_files.read(source)
    return records, message or {}
  end
  if type(source) ~= "table" then
    return nil, ("%s: expected a folder's path or a table of models, got %s"):format(where, type(source))
  end
  if is_resolved(source) then
    local records, message = of_table(source.models, where .. ".models")
    return records, message or source.privateAttributesGlobal or {}
  end
  local records, message = of_table(source, where)
  return records, message or {}
end

-- ---- laying a deployment's own files over the built-in ones --------------------------------------------

local function overlay(base, own)
  local settings = {}
  for key, value in pairs(base) do settings[key] = value end
  for key, value in pairs(own) do settings[key] = value end
  for _, key in ipairs { "attributes", "options" } do
    local merged = {}
    for name, value in pairs(base[key] or {}) do merged[name] = value end
    for name, value in pairs(own[key] or {}) do merged[name] = value end
    settings[key] = merged
  end
  return settings
end

local function with_builtin(records, v4)
  local base = v4 and builtin.v4 or builtin.v3
  local all, by_uid = {}, {}
  for _, record in ipairs(records) do
    local from = base[record.uid]
    record = {
      uid = record.uid, where = record.where, settings = from and overlay(from, record.settings) or record.settings,
    }
    all[#all + 1] = record
    by_uid[record.uid] = record
  end
  for _, uid in ipairs(suggest.keys(base)) do
    if not by_uid[uid] then
      local record = { uid = uid, where = uid, settings = base[uid], builtin = true }
      all[#all + 1] = record
      by_uid[uid] = record
    end
  end
  table.sort(all, function(a, b) return a.uid < b.uid end)
  return all, by_uid
end

-- ---- attributes -------------------------------------------------------------------------------------

local function no_target(where, target, by_uid)
  return nil, ("%s: refers to '%s', which does not exist%s"):format(where, target, suggest.near(target, suggest.keys(by_uid)))
end

local function existing(target, by_uid)
  if by_uid[target] then return target end
  local other = other_spelling(target)
  return other and by_uid[other] and other
end

-- v3: { model = "x" } or { collection = "x" }, with plugin.
local function v3_relation(record, attribute, where, by_uid)
  local name, list = attribute.model or attribute.collection, attribute.collection ~= nil
  if type(name) ~= "string" then
    return nil, ("%s: expected a model's name, got %s"):format(where, type(name))
  end
  if name == "*" then return { kind = "morph", list = list } end
  name = name:lower()
  local plugin = attribute.plugin
  local target
  if plugin == "admin" then
    target = existing("strapi::" .. name, by_uid)
  elseif type(plugin) == "string" and plugin ~= "" then
    target = existing(("plugins::%s.%s"):format(plugin, name), by_uid)
  else
    local _, own_group = split(record.uid)
    target = existing(("application::%s.%s"):format(name, name), by_uid)
      or existing(("plugins::%s.%s"):format(tostring(own_group), name), by_uid)
    for _, uid in ipairs(target and {} or suggest.keys(by_uid)) do
      local scope, _, own_name = split(uid)
      if (scope == "application" or scope == "api") and own_name == name then target = uid end
    end
  end
  if not target then
    return no_target(where, plugin and plugin ~= "" and ("%s.%s"):format(plugin, name) or name, by_uid)
  end
  return { kind = "entity", list = list, target = target }
end

local function v4_relation(attribute, where, by_uid)
  local relation = attribute.relation
  if type(relation) ~= "string" then
    return nil, ("%s: expected relation = \"oneToOne\" or the like, got %s"):format(where, type(relation))
  end
  local list = relation:lower():find "many$" ~= nil
  if relation:find "^morph" then return { kind = "morph", list = list } end
  if type(attribute.target) ~= "string" then
    return nil, ("%s: expected target = \"api::name.name\", got %s"):format(where, type(attribute.target))
  end
  local target = existing(attribute.target, by_uid)
  if not target then return no_target(where, attribute.target, by_uid) end
  return { kind = "entity", list = list, target = target }
end

local function component(attribute, where, by_uid)
  local uid = attribute.component
  if type(uid) ~= "string" then
    return nil, ("%s: expected component = \"category.name\", got %s"):format(where, type(uid))
  end
  if not by_uid[uid] then return no_target(where, uid, by_uid) end
  return { kind = "entity", list = attribute.repeatable == true, target = uid }
end

local function zone(attribute, where, by_uid)
  if not is_list_of_strings(attribute.components) then
    return nil, ("%s: expected components = { \"category.name\", ... }"):format(where)
  end
  for _, uid in ipairs(attribute.components) do
    if not by_uid[uid] then return no_target(where, uid, by_uid) end
  end
  return { kind = "zone", list = true }
end

local function media(attribute, v4)
  return { kind = "entity", list = attribute.multiple == true, target = v4 and "plugin::upload.file" or "plugins::upload.file" }
end

local function compile_attribute(record, name, attribute, context)
  local where = ("%s: attribute '%s'"):format(record.where, name)
  if type(attribute) ~= "table" then
    return nil, ("%s: expected a table, got %s"):format(where, type(attribute))
  end
  if attribute.model ~= nil or attribute.collection ~= nil then
    return v3_relation(record, attribute, where, context.by_uid)
  end
  local kind = attribute.type
  if type(kind) ~= "string" then
    return nil, ("%s: expected a type or a relation, got neither"):format(where)
  end
  if kind == "relation" then return v4_relation(attribute, where, context.by_uid) end
  if kind == "media" then return media(attribute, context.v4) end
  if kind == "component" then return component(attribute, where, context.by_uid) end
  if kind == "dynamiczone" then return zone(attribute, where, context.by_uid) end
  return { kind = "keep" }
end

-- ---- models -----------------------------------------------------------------------------------------

-- The names that are private in a model whatever its attributes say.
local function private_names(record, context)
  local names = {}
  local options = record.settings.options or {}
  for _, list in ipairs { context.private, options.privateAttributes or {}, record.settings.privateAttributes or {} } do
    for _, name in pairs(list) do names[name] = true end
  end
  return names
end

local function timestamps(option, v4)
  if option == false then return {} end
  if type(option) == "table" then return option end
  return v4 and { "createdAt", "updatedAt" } or { "created_at", "updated_at" }
end

-- Attributes that a content type has without its file saying so.
local function automatic(record, context)
  local settings, options = record.settings, record.settings.options or {}
  local primary = type(settings.primaryKey) == "string" and settings.primaryKey or "id"
  local v4 = is_v4(record.uid)
  local result = { id = { kind = "keep" }, [primary] = { kind = "keep" } }
  if not split(record.uid) then return result end
  for _, name in ipairs(timestamps(options.timestamps, v4)) do
    if type(name) == "string" then result[name] = { kind = "keep" } end
  end
  if options.draftAndPublish == true then
    result[v4 and "publishedAt" or "published_at"] = { kind = "keep" }
  end
  local creator = { kind = "drop" }
  if options.populateCreatorFields == true then
    creator = { kind = "entity", target = existing(v4 and "admin::user" or "strapi::user", context.by_uid) }
  end
  result[v4 and "createdBy" or "created_by"] = creator
  result[v4 and "updatedBy" or "updated_by"] = creator
  if v4 then
    result.documentId = { kind = "keep" }
    result.locale = { kind = "keep" }
    result.localizations = { kind = "entity", list = true, target = record.uid }
  end
  return result
end

local function compile_model(record, context)
  local settings = record.settings
  if type(settings.attributes) ~= "table" then
    return nil, ("%s: expected attributes = { ... }, got %s"):format(record.where, type(settings.attributes))
  end
  if settings.options ~= nil and type(settings.options) ~= "table" then
    return nil, ("%s: expected options = { ... }, got %s"):format(record.where, type(settings.options))
  end
  local options = settings.options or {}
  if options.privateAttributes ~= nil and not is_list_of_strings(options.privateAttributes) then
    return nil, ("%s: options.privateAttributes: expected a list of names"):format(record.where)
  end
  local compiled, private = automatic(record, context), private_names(record, context)
  for name, attribute in pairs(settings.attributes) do
    if type(name) ~= "string" then
      return nil, ("%s: attributes: expected names, got the key %s"):format(record.where, tostring(name))
    end
    local result, message = compile_attribute(record, name, attribute, context)
    if not result then return nil, message end
    if attribute.private == true or attribute.type == "password" then result = { kind = "drop" } end
    compiled[name] = result
  end
  local attributes = {}
  for name in pairs(private) do compiled[name] = { kind = "drop" } end
  for _, name in ipairs(suggest.keys(compiled)) do
    local a = compiled[name]
    attributes[#attributes + 1] = { name = name, kind = a.kind, list = a.list or false, target = a.target }
  end
  local scope, _, name = split(record.uid)
  return {
    uid = record.uid,
    name = type(settings.modelName) == "string" and settings.modelName or name,
    global_id = global_id(record),
    kind = scope and "contentType" or "component",
    user = builtin.users[record.uid] == true,
    draft_and_publish = options.draftAndPublish == true,
    builtin = record.builtin == true,
    attributes = attributes,
  }
end

--- Compiles models for moonpost.core.schema.
---@param source string|table|nil a folder's path, settings by name, or Strapi's resolved models; nil: the built-in ones alone
---@param options? { privateAttributes: string[]?, where: string? } privateAttributes: private in every model; where: names the
-- source in errors
---@return table[]|nil list
---@return string? message
---@return string? code EINVAL
function models.compile(source, options)
  options = options or {}
  local where = options.where or "models"
  local global = options.privateAttributes or {}
  if not is_list_of_strings(global) then
    return nil, "privateAttributes: expected a list of names", "EINVAL"
  end
  local records, private = read(source == nil and {} or source, where)
  if not records then return nil, private, "EINVAL" end
  if not is_list_of_strings(private) then
    return nil, ("%s.privateAttributesGlobal: expected a list of names"):format(where), "EINVAL"
  end
  local context = { v4 = false, private = {} }
  for _, list in ipairs { global, private } do
    for _, name in pairs(list) do context.private[#context.private + 1] = name end
  end
  for _, record in ipairs(records) do context.v4 = context.v4 or is_v4(record.uid) end
  local all
  all, context.by_uid = with_builtin(records, context.v4)
  local list = {}
  for i, record in ipairs(all) do
    local model, message = compile_model(record, context)
    if not model then return nil, message, "EINVAL" end
    list[i] = model
  end
  return list
end

return models
