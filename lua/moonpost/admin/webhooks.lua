--- The routes of webhooks: Strapi's seven, and PATCH.
--
-- A handler gets a context { hooks, request, parameters, query, identity, media_type } and answers.
local answer = require "moonpost.admin.answer"
local body = require "moonpost.admin.body"
local form = require "moonpost.admin.form"
local json = require "moonpost.json"
local mask = require "moonpost.mask"

local webhooks = {}

-- How many webhooks one batch-delete may name.
local MAX_IDS = 1000

-- What an answer of the hooks has.
local function secrets(context)
  return { show_secrets = context.query.show_secrets }
end

-- In JSON a webhook's id is a number, as Strapi's: it counts from 1.
local function shown(context, webhook)
  local copy = mask.webhook(webhook, context.query.show_secrets)
  copy.id = tonumber(webhook.id)
  copy.isEnabled = webhook.enabled
  return copy
end

local function failure(message, code)
  if code == "ENOENT" then return answer.error(404, "webhook.notFound") end
  return answer.failure(message, code)
end

local function one(context, status, webhook, message, code)
  if not webhook then return failure(message, code) end
  return answer.data(shown(context, webhook), status)
end

function webhooks.list(context)
  local list, message, code = context.hooks.webhooks:list(secrets(context))
  if not list then return failure(message, code) end
  for i, webhook in ipairs(list) do list[i] = shown(context, webhook) end
  return answer.data(mask.list(list))
end

function webhooks.get(context)
  return one(context, 200, context.hooks.webhooks:get(context.parameters.id, secrets(context)))
end

function webhooks.create(context)
  local fields, refusal = form.read(context.hooks, context.request.body, { required = { "name", "url", "headers", "events" } })
  if not fields then return refusal end
  return one(context, 201, context.hooks.webhooks:create(fields, secrets(context)))
end

local function update(context, options)
  local stored, message, code = context.hooks.webhooks:get(context.parameters.id, { show_secrets = true })
  if not stored then return failure(message, code) end
  options.stored = stored
  local fields, refusal = form.read(context.hooks, context.request.body, options)
  if not fields then return refusal end
  return one(context, 200, context.hooks.webhooks:update(stored.id, fields, secrets(context)))
end

function webhooks.update(context)
  return update(context, { required = { "name", "url", "headers" } })
end

function webhooks.patch(context)
  return update(context, { required = {}, patch = true })
end

function webhooks.delete(context)
  return one(context, 200, context.hooks.webhooks:delete(context.parameters.id, secrets(context)))
end

local function read_ids(text)
  local members = body.members(text)
  local list = members and members.ids and members.ids.kind == "array" and members.ids.value
  if not list or #list == 0 or #list > MAX_IDS then return nil end
  for _, id in ipairs(list) do
    if not body.webhook_id(id) then return nil end
  end
  return list
end

--- Deletes several. Ids of none are no failure: after it none of them is there.
function webhooks.delete_many(context)
  local ids = read_ids(context.request.body)
  if not ids then return answer.error(400, "ids must be an array of id") end
  local deleted = mask.list {}
  for _, id in ipairs(ids) do
    local webhook, message, code = context.hooks.webhooks:get(id)
    if webhook and webhook.source == "config" then
      return answer.failure(("webhook %s is kept in the config: none was deleted"):format(webhook.id), "EROFS")
    end
    if not webhook and code ~= "ENOENT" then return failure(message, code) end
  end
  for _, id in ipairs(ids) do
    local webhook, message, code = context.hooks.webhooks:delete(id)
    if not webhook and code ~= "ENOENT" then return answer.failure(message, code, { data = { deleted = deleted } }) end
    deleted[#deleted + 1] = id
  end
  return answer.data(deleted)
end

--- Gives a webhook a new secret.
function webhooks.rotate(context)
  local members, message = body.members(context.request.body)
  if not members then return answer.failure(message, "EINVAL") end
  local options = secrets(context)
  for name, member in pairs(members) do
    if name ~= "secret" and name ~= "overlap" then
      return answer.failure(("%s: expected secret and overlap alone"):format(name), "EINVAL")
    end
    if member.value == json.null then return answer.failure(name .. ": expected another value than null", "EINVAL") end
    options[name] = member.value
  end
  return one(context, 200, context.hooks.webhooks:rotate_secret(context.parameters.id, options))
end

function webhooks.trigger(context)
  local result, message, code = context.hooks.webhooks:trigger(context.parameters.id)
  if not result then return failure(message, code) end
  if result.message == json.null then result.message = nil end
  return answer.data(result)
end

return webhooks
